use serde_json::{Value, json};

use crate::cloud::{
    testing::{HERE, TestWorld, is_hybrid, read_only},
    world::{State, judge::BaselineRef},
};

const ADD: &str = "AddTagsToResource";
const LIST: &str = "ListTagsForResource";

fn of(kind: &str, id: &str) -> Value {
    json!({"ResourceType": kind, "ResourceId": id, "Tags": [{"Key": "proof", "Value": "a"}]})
}

fn held(world: &TestWorld, kind: &str, id: &str) -> usize {
    world.ssm(LIST, &of(kind, id)).unwrap()["TagList"].as_array().unwrap().len()
}

/// boto/boto3 issue 4265 shows the words.
#[test]
fn an_instance_of_ec2_is_not_tagged_here() {
    let world = read_only();
    let id = world.ids(|state, at| !is_hybrid(state, at)).remove(0);
    let (code, message) = world.ssm(LIST, &of("ManagedInstance", &id)).unwrap_err();
    assert_eq!(code, "ValidationException");
    assert_eq!(
        message,
        "resourceId should be in format mi-[0-9a-f]{17} for resource type ManagedInstance"
    );
}

#[test]
fn a_resource_takes_fifty_tags_and_no_more() {
    let world = TestWorld::new(100);
    let id = world.ids(is_hybrid).remove(0);
    let before = held(&world, "ManagedInstance", &id);
    let add = |from: usize, count: usize| {
        let tags: Vec<Value> = (from..from + count)
            .map(|n| json!({"Key": format!("many-{n}"), "Value": "x"}))
            .collect();
        let mut input = of("ManagedInstance", &id);
        input["Tags"] = json!(tags);
        world.ssm(ADD, &input)
    };
    assert_eq!(add(0, 51 - before).unwrap_err().0, "TooManyTagsError");
    assert_eq!(held(&world, "ManagedInstance", &id), before);
    add(0, 50 - before).unwrap();
    // Those that are there are overwritten, and no more than before.
    add(0, 50 - before).unwrap();
    assert_eq!(add(60, 1).unwrap_err().0, "TooManyTagsError");
}

#[test]
fn an_unknown_resource_takes_no_tag() {
    let world = read_only();
    for (kind, id) in [
        ("ManagedInstance", "mi-0fffffffffffffff0"),
        ("PatchBaseline", "pb-0fffffffffffffff0"),
        ("MaintenanceWindow", "mw-0fffffffffffffff0"),
        ("Document", "Nothing"),
    ] {
        assert_eq!(world.refused(ADD, &of(kind, id)), "InvalidResourceId", "{kind}");
    }
    for kind in ["OpsMetadata", "OpsItem", "Parameter"] {
        assert_eq!(world.refused(ADD, &of(kind, "any")), "InvalidResourceType", "{kind}");
    }
}

#[test]
fn what_is_made_here_has_tags_of_its_own() {
    let world = TestWorld::new(20);
    {
        let mut state = world.state();
        let scope = state.scope_mut(HERE);
        let like = scope.shelf.provided[0].baseline.clone();
        let baseline = BaselineRef { id: "pb-1".into(), revision: 0, baseline: like };
        scope.shelf.own.insert("pb-1".into(), baseline.into());
        scope.ssm.tags.of_mut("MaintenanceWindow", "mw-1");
    }
    for (kind, id) in [("PatchBaseline", "pb-1"), ("MaintenanceWindow", "mw-1")] {
        world.ssm(ADD, &of(kind, id)).unwrap();
        assert_eq!(held(&world, kind, id), 1);
        let mut remove = of(kind, id);
        remove["TagKeys"] = json!(["proof", "never there"]);
        world.ssm("RemoveTagsFromResource", &remove).unwrap();
        assert_eq!(held(&world, kind, id), 0);
    }
}

#[test]
fn tags_that_are_given_at_the_creation_are_there_until_the_deletion() {
    let world = TestWorld::new(60);
    let node = world.ids(State::is_managed).remove(0);
    let tags = json!([{"Key": "owner", "Value": "proof"}]);
    let content = r#"{"schemaVersion": "2.2", "mainSteps": [
        {"action": "aws:runShellScript", "name": "a", "inputs": {"runCommand": ["true"]}}]}"#;
    for (kind, [create, delete], [id, member], input) in [
        (
            "PatchBaseline",
            ["CreatePatchBaseline", "DeletePatchBaseline"],
            ["/BaselineId", "BaselineId"],
            json!({"Name": "tagged"}),
        ),
        (
            "MaintenanceWindow",
            ["CreateMaintenanceWindow", "DeleteMaintenanceWindow"],
            ["/WindowId", "WindowId"],
            json!({
                "Name": "tagged", "Schedule": "rate(1 day)", "Duration": 2, "Cutoff": 1,
                "AllowUnassociatedTargets": true,
            }),
        ),
        (
            "Document",
            ["CreateDocument", "DeleteDocument"],
            ["/DocumentDescription/Name", "Name"],
            json!({"Name": "tagged", "Content": content, "DocumentType": "Command"}),
        ),
        (
            "Association",
            ["CreateAssociation", "DeleteAssociation"],
            ["/AssociationDescription/AssociationId", "AssociationId"],
            json!({"Name": "AWS-Noop", "InstanceId": node}),
        ),
    ] {
        let mut input = input;
        input["Tags"] = tags.clone();
        let made = world.ssm(create, &input).unwrap();
        let made = made.pointer(id).unwrap().as_str().unwrap();
        assert_eq!(held(&world, kind, made), 1, "{kind}");
        world.ssm(ADD, &of(kind, made)).unwrap();
        assert_eq!(held(&world, kind, made), 2, "{kind}");
        let mut gone = json!({});
        gone[member] = json!(made);
        world.ssm(delete, &gone).unwrap();
        assert_eq!(world.refused(ADD, &of(kind, made)), "InvalidResourceId", "{kind}");
    }
    let start = json!({
        "DocumentName": "AWS-StartEC2Instance", "Tags": tags,
        "Parameters": {"InstanceId": ["i-0123456789abcdef0"]},
    });
    let made = world.ssm("StartAutomationExecution", &start).unwrap();
    assert_eq!(held(&world, "Automation", made["AutomationExecutionId"].as_str().unwrap()), 1);
}
