//! Documents, asked as clients ask.

use serde_json::{Value, json};

use super::{MOST, find, provided};
use crate::cloud::{aws::ssm::testing::Desk, world::machine::ScopeIx};

const YAML: &str = "schemaVersion: '2.2'\ndescription: Says hello\nparameters:\n  whom:\n    type: \
                    String\n    default: world\n    allowedValues: [world, moon]\nmainSteps:\n- \
                    action: aws:runShellScript\n  name: hello\n  inputs:\n    runCommand: ['echo \
                    hello {{ whom }}']\n";

fn make(desk: &Desk, name: &str) -> Value {
    let input = json!({
        "Name": name, "Content": YAML, "DocumentFormat": "YAML", "DocumentType": "Command",
        "Tags": [{"Key": "team", "Value": "web"}],
    });
    desk.good("CreateDocument", &input)["DocumentDescription"].clone()
}

fn names(desk: &Desk, input: &Value) -> Vec<String> {
    let all = desk.all("ListDocuments", input, "DocumentIdentifiers");
    all.iter().map(|it| it["Name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn all_of_awss_own_are_read_and_described() {
    let text = include_str!("provided.json");
    let written: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
    assert_eq!(provided().len(), written.len());
    let desk = Desk::new();
    let read = desk.good("DescribeDocument", &json!({"Name": "AWS-RunPatchBaseline"}));
    let document = &read["Document"];
    assert_eq!(document["Owner"], "Amazon");
    assert_eq!(document["PlatformTypes"], json!(["Windows", "Linux", "MacOS"]));
    let parameters = document["Parameters"].as_array().unwrap();
    let of = |name: &str| parameters.iter().find(|it| it["Name"] == name).unwrap();
    assert_eq!(of("RebootOption")["DefaultValue"], "RebootIfNeeded");
    assert_eq!(of("Operation")["DefaultValue"], Value::Null);
    let shell = desk.good("DescribeDocument", &json!({"Name": "AWS-RunShellScript"}));
    assert_eq!(shell["Document"]["PlatformTypes"], json!(["Linux", "MacOS"]));
    let start = desk.good("GetDocument", &json!({"Name": "AWS-StartEC2Instance"}));
    assert_eq!(start["DocumentType"], "Automation");
}

#[test]
fn a_document_is_given_back_in_either_format() {
    let desk = Desk::new();
    let made = make(&desk, "hello");
    assert_eq!(made["PlatformTypes"], json!(["Linux", "MacOS"]));
    assert_eq!(made["Hash"].as_str().unwrap().len(), 64);
    assert_eq!(made["Parameters"][0]["DefaultValue"], "world");
    let get = |format: &str| {
        desk.good("GetDocument", &json!({"Name": "hello", "DocumentFormat": format}))
    };
    assert_eq!(get("YAML")["Content"], YAML);
    let json = desk.good("GetDocument", &json!({"Name": "hello"}));
    assert_eq!(json["DocumentFormat"], "JSON");
    let value: Value = serde_json::from_str(json["Content"].as_str().unwrap()).unwrap();
    assert_eq!(value["mainSteps"][0]["inputs"]["runCommand"][0], "echo hello {{ whom }}");
    let input = json!({"Name": "again", "Content": json["Content"]});
    desk.good("CreateDocument", &input);
    let yaml = desk.good("GetDocument", &json!({"Name": "again", "DocumentFormat": "YAML"}));
    let back: Value = serde_saphyr::from_str(yaml["Content"].as_str().unwrap()).unwrap();
    assert_eq!(back, value);
}

#[test]
fn a_document_that_cannot_be_is_refused() {
    let desk = Desk::new();
    make(&desk, "hello");
    let step = r#"[{"action": "aws:runShellScript", "name": "a"}]"#;
    let content = |schema: &str, steps: &str| {
        format!(r#"{{"schemaVersion": "{schema}", "mainSteps": {steps}}}"#)
    };
    for (name, content, kind, error) in [
        ("hello", content("2.2", step), "Command", "DocumentAlreadyExists"),
        ("AWS-mine", content("2.2", step), "Command", "ValidationException"),
        ("other", content("2.2", "[]"), "Command", "InvalidDocumentContent"),
        ("other", content("2.2", r#"[{"name": "a"}]"#), "Command", "InvalidDocumentContent"),
        ("other", "{".to_owned(), "Command", "InvalidDocumentContent"),
        ("other", content("0.3", step), "Command", "InvalidDocumentSchemaVersion"),
        ("other", content("2.2", step), "Automation", "InvalidDocumentSchemaVersion"),
        ("other", " ".repeat(65_537), "Command", "MaxDocumentSizeExceeded"),
    ] {
        let input = json!({"Name": name, "Content": content, "DocumentType": kind});
        assert_eq!(desk.bad("CreateDocument", &input), error, "{name} {kind}");
    }
    for n in 1..MOST {
        make(&desk, &format!("hello-{n}"));
    }
    let input = json!({"Name": "one-more", "Content": content("2.2", step)});
    assert_eq!(desk.bad("CreateDocument", &input), "DocumentLimitExceeded");
}

#[test]
fn documents_are_listed_by_owner_name_type_platform_and_tag() {
    let desk = Desk::new();
    make(&desk, "hello");
    let filtered = |key: &str, value: &str| {
        let filters = json!([{"Key": key, "Values": [value]}]);
        names(&desk, &json!({"Filters": filters, "MaxResults": 2}))
    };
    assert_eq!(filtered("Owner", "Self"), ["hello"]);
    assert_eq!(filtered("tag:team", "web"), ["hello"]);
    assert_eq!(filtered("Owner", "Amazon").len(), provided().len());
    assert_eq!(filtered("DocumentType", "Automation").len(), 3);
    assert_eq!(filtered("Name", "AWS-RunPatchBaseline").len(), 3);
    assert!(!filtered("PlatformTypes", "Windows").contains(&"AWS-RunShellScript".to_owned()));
    let older = json!({"DocumentFilterList": [{"key": "Owner", "value": "Self"}]});
    assert_eq!(names(&desk, &older), ["hello"]);
    let wrong = json!({"Filters": [{"Key": "Colour", "Values": ["blue"]}]});
    assert_eq!(desk.bad("ListDocuments", &wrong), "InvalidFilterKey");
}

#[test]
fn a_document_is_deleted_once_and_awss_own_never() {
    let desk = Desk::new();
    make(&desk, "hello");
    let version = json!({"Name": "hello", "DocumentVersion": "2"});
    assert_eq!(desk.bad("GetDocument", &version), "InvalidDocumentVersion");
    desk.good("GetDocument", &json!({"Name": "hello", "DocumentVersion": "$LATEST"}));
    desk.good("DeleteDocument", &json!({"Name": "hello"}));
    assert_eq!(desk.bad("DeleteDocument", &json!({"Name": "hello"})), "InvalidDocument");
    let aws = json!({"Name": "AWS-RunPatchBaseline"});
    assert_eq!(desk.bad("DeleteDocument", &aws), "InvalidDocumentOperation");
}

#[test]
fn a_document_is_found_by_its_name_and_its_arn() {
    let desk = Desk::new();
    make(&desk, "hello");
    desk.with(|state| {
        for (name, version, there) in [
            ("hello", None, true),
            ("arn:aws:ssm:us-east-1:111122223333:document/hello", Some("$DEFAULT"), true),
            ("arn:aws:ssm:us-east-1::document/AWS-RunPatchBaseline", Some("1"), true),
            ("AWS-RunPatchBaseline", Some("2"), false),
            ("nothing", None, false),
        ] {
            let found = find(state, ScopeIx(0), name, version);
            assert_eq!(found.is_some(), there, "{name} {version:?}");
        }
        assert!(find(state, ScopeIx(1), "hello", None).is_none());
    });
}
