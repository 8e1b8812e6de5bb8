use serde_json::{Value, json};

use super::{
    super::{
        resource::{self, Kind},
        testing::{ACCOUNT, HERE, REGION, Refused, TestCloud},
    },
    members,
};

fn post(cloud: &TestCloud, path: &str, input: &Value) -> Result<Value, Refused> {
    cloud.rest("resource-groups", ["POST", path], input)
}

fn create(cloud: &TestCloud, name: &str, types: &[&str], tags: &Value) {
    post(cloud, "/groups", &json!({"Name": name, "ResourceQuery": query(types, tags)})).unwrap();
}

fn query(types: &[&str], tags: &Value) -> Value {
    let text = json!({"ResourceTypeFilters": types, "TagFilters": tags}).to_string();
    json!({"Type": "TAG_FILTERS_1_0", "Query": text})
}

/// The ARNs of the Region's resources of a kind.
fn arns(cloud: &TestCloud, kind: Kind) -> Vec<String> {
    let state = cloud.state();
    let all = resource::all(&state, HERE).filter(|it| it.kind == kind);
    all.map(|it| it.arn(&state)).collect()
}

fn listed(cloud: &TestCloud, input: &Value) -> Vec<String> {
    let (mut input, mut found) = (input.clone(), Vec::new());
    loop {
        let page = post(cloud, "/list-group-resources", &input).unwrap();
        let items = page["ResourceIdentifiers"].as_array().unwrap();
        found.extend(items.iter().map(|it| it["ResourceArn"].as_str().unwrap().to_owned()));
        match page.get("NextToken") {
            Some(token) => input["NextToken"] = token.clone(),
            None => return found,
        }
    }
}

#[test]
fn a_group_holds_all_that_has_every_tag_with_one_of_its_values() {
    let cloud = TestCloud::new(400);
    let tag = |key: &str, values: &[&str]| json!({"Key": key, "Values": values});
    let (mut expected, key, values) = {
        let state = cloud.state();
        let (key, value) = resource::all(&state, HERE).next().unwrap().aws.tags[0].clone();
        let has =
            |it: &resource::Resource<'_>| it.aws.tags.iter().any(|(k, v)| *k == key && *v == value);
        let found = resource::all(&state, HERE).filter(has).map(|it| it.arn(&state));
        (found.collect::<Vec<_>>(), key.to_string(), value.to_string())
    };
    create(&cloud, "fleet", &["AWS::AllSupported"], &json!([tag(&key, &[&values, "other"])]));
    let mut found = listed(&cloud, &json!({"Group": "fleet"}));
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    create(&cloud, "none", &["AWS::AllSupported"], &json!([tag(&key, &[]), tag("absent", &[])]));
    assert_eq!(listed(&cloud, &json!({"Group": "none"})), Vec::<String>::new());
}

#[test]
fn a_group_of_one_type_pages_by_fifty_and_refuses_filters_of_another() {
    let cloud = TestCloud::new(600);
    create(&cloud, "instances", &["AWS::EC2::Instance"], &json!([]));
    let group = format!("arn:aws:resource-groups:{REGION}:{ACCOUNT}:group/instances");
    let first = post(&cloud, "/list-group-resources", &json!({"Group": group})).unwrap();
    assert_eq!(first["ResourceIdentifiers"].as_array().unwrap().len(), 50);
    let all = listed(&cloud, &json!({"Group": group}));
    assert_eq!(all, arns(&cloud, Kind::Instance));
    assert_eq!(members(&cloud.state(), HERE, "instances").unwrap().len(), all.len());
    let filter = json!([{"Name": "resource-type", "Values": ["AWS::SSM::ManagedInstance"]}]);
    let input = json!({"Group": group, "Filters": filter});
    let (name, _) = post(&cloud, "/list-group-resources", &input).unwrap_err();
    assert_eq!(name, "BadRequestException");
}

#[test]
fn a_hybrid_node_is_a_managed_instance_and_an_ec2_instance_is_not() {
    let cloud = TestCloud::new(400);
    create(&cloud, "hybrid", &["AWS::SSM::ManagedInstance"], &json!([]));
    let nodes = arns(&cloud, Kind::ManagedNode);
    assert!(!nodes.is_empty());
    assert!(nodes.iter().all(|it| it.contains(":managed-instance/mi-")));
    assert_eq!(listed(&cloud, &json!({"GroupName": "hybrid"})), nodes);
}

#[test]
fn only_a_group_without_a_query_takes_resources_by_hand() {
    let cloud = TestCloud::new(400);
    create(&cloud, "by-tag", &["AWS::EC2::Instance"], &json!([]));
    let allowed = json!({"Name": "allowed-resource-types", "Values": ["AWS::EC2::Instance"]});
    let protected = json!({"Name": "deletion-protection", "Values": ["UNLESS_EMPTY"]});
    let configuration =
        json!([{"Type": "AWS::ResourceGroups::Generic", "Parameters": [allowed, protected]}]);
    let input = json!({"Name": "by-hand", "Configuration": configuration});
    post(&cloud, "/groups", &input).unwrap();

    let instance = arns(&cloud, Kind::Instance).remove(0);
    let node = arns(&cloud, Kind::ManagedNode).remove(0);
    let gone = format!("arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-00000000000000000");
    let resources = json!([instance, node, gone]);
    let into = |group: &str| json!({"Group": group, "ResourceArns": resources});
    let (name, _) = post(&cloud, "/group-resources", &into("by-tag")).unwrap_err();
    assert_eq!(name, "BadRequestException");
    let answer = post(&cloud, "/group-resources", &into("by-hand")).unwrap();
    assert_eq!(answer["Succeeded"], json!([instance]));
    let codes = answer["Failed"].as_array().unwrap();
    let codes: Vec<_> = codes.iter().map(|it| it["ErrorCode"].as_str().unwrap()).collect();
    assert_eq!(codes, ["RESOURCE_TYPE_NOT_ALLOWED", "RESOURCE_NOT_FOUND"]);
    assert_eq!(listed(&cloud, &json!({"Group": "by-hand"})), [instance]);

    let delete = json!({"Group": "by-hand"});
    let (_, message) = post(&cloud, "/delete-group", &delete).unwrap_err();
    assert!(message.contains("protected"), "{message}");
    post(&cloud, "/ungroup-resources", &into("by-hand")).unwrap();
    post(&cloud, "/delete-group", &delete).unwrap();
    let (name, _) = post(&cloud, "/get-group", &delete).unwrap_err();
    assert_eq!(name, "NotFoundException");
}

#[test]
fn a_query_that_the_world_cannot_answer_is_refused() {
    let cloud = TestCloud::new(8);
    let refused = |kind: &str, text: &str| {
        let query = json!({"Type": kind, "Query": text});
        let (name, _) =
            post(&cloud, "/resources/search", &json!({"ResourceQuery": query})).unwrap_err();
        assert_eq!(name, "BadRequestException", "{text}");
    };
    refused("CLOUDFORMATION_STACK_1_0", r#"{"StackIdentifier": "a"}"#);
    refused("CLOUDFORMATION", "{}");
    for text in [
        "",
        "null",
        r#"{"TagFilters": []}"#,
        r#"{"ResourceTypeFilters": []}"#,
        r#"{"ResourceTypeFilters": ["ec2"]}"#,
        r#"{"ResourceTypeFilters": ["AWS::AllSupported"]}"#,
        r#"{"ResourceTypeFilters": ["AWS::EC2::Instance"], "TagFilters": [{"Key": ""}]}"#,
    ] {
        refused("TAG_FILTERS_1_0", text);
    }
}

#[test]
fn the_tags_of_a_group_are_set_by_its_arn() {
    let cloud = TestCloud::new(8);
    create(&cloud, "one", &["AWS::EC2::Instance"], &json!([]));
    let arn = format!("arn%3Aaws%3Aresource-groups%3A{REGION}%3A{ACCOUNT}%3Agroup%2Fone");
    let path = format!("/resources/{arn}/tags");
    let send = |method: &str, input: &Value| {
        cloud.rest("resource-groups", [method, &path], input).unwrap()
    };
    send("PUT", &json!({"Tags": {"a": "1", "b": "2"}}));
    send("PATCH", &json!({"Keys": ["a"]}));
    assert_eq!(send("GET", &Value::Null)["Tags"], json!({"b": "2"}));
}

#[test]
fn a_command_reaches_the_managed_members_of_a_group() {
    let cloud = TestCloud::new(100);
    create(&cloud, "nodes", &["AWS::SSM::ManagedInstance"], &json!([]));
    let send = |group: &str| {
        let targets = json!([{"Key": "resource-groups:Name", "Values": [group]}]);
        let input = json!({"DocumentName": "AWS-Noop", "Targets": targets});
        cloud.json("AmazonSSM.SendCommand", &input)
    };
    let count = send("nodes").unwrap()["Command"]["TargetCount"].as_u64();
    let members = members(&cloud.state(), HERE, "nodes").unwrap().len();
    assert!(members > 0);
    assert_eq!(count, Some(members as u64));
    assert_eq!(send("absent").unwrap_err().0, "ValidationException");
}
