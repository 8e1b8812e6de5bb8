use serde_json::{Value, json};

use super::super::{
    resource::{self, Kind},
    testing::{ACCOUNT, HERE, REGION, Refused, TestCloud},
};

fn call(cloud: &TestCloud, operation: &str, input: &Value) -> Result<Value, Refused> {
    cloud.json(&format!("ResourceGroupsTaggingAPI_20170126.{operation}"), input)
}

fn found(cloud: &TestCloud, input: &Value) -> Vec<Value> {
    let answer = call(cloud, "GetResources", input).unwrap();
    answer["ResourceTagMappingList"].as_array().unwrap().clone()
}

fn one_of(cloud: &TestCloud, kind: Kind) -> (String, usize) {
    let state = cloud.state();
    let one = resource::all(&state, HERE).find(|it| it.kind == kind).unwrap();
    (one.arn(&state), one.aws.tags.len())
}

#[test]
fn what_is_tagged_here_is_found_by_its_tags_and_its_type() {
    let cloud = TestCloud::new(200);
    let (instance, _) = one_of(&cloud, Kind::Instance);
    let (node, _) = one_of(&cloud, Kind::ManagedNode);
    let gone = format!("arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-00000000000000000");
    let input = json!({"ResourceARNList": [instance, node, gone], "Tags": {"wave": "1"}});
    let answer = call(&cloud, "TagResources", &input).unwrap();
    let failed = answer["FailedResourcesMap"].as_object().unwrap();
    assert_eq!(failed.keys().collect::<Vec<_>>(), [&gone]);
    assert_eq!(failed[&gone]["ErrorCode"], "InvalidParameterException");

    let filters = json!([{"Key": "wave", "Values": ["1"]}]);
    let arns = |types: &[&str]| -> Vec<Value> {
        let input = json!({"TagFilters": filters, "ResourceTypeFilters": types});
        found(&cloud, &input).iter().map(|it| it["ResourceARN"].clone()).collect()
    };
    assert_eq!(arns(&[]).len(), 2);
    assert_eq!(arns(&["ec2"]), [json!(instance)]);
    assert_eq!(arns(&["ssm:managed-instance"]), [json!(node)]);
    assert_eq!(arns(&["s3"]), Vec::<Value>::new());
    let values = call(&cloud, "GetTagValues", &json!({"Key": "wave"})).unwrap();
    assert_eq!(values["TagValues"], json!(["1"]));

    let input = json!({"ResourceARNList": [instance, node], "TagKeys": ["wave"]});
    call(&cloud, "UntagResources", &input).unwrap();
    assert_eq!(arns(&[]), Vec::<Value>::new());
}

#[test]
fn a_resource_that_would_have_too_many_tags_fails_for_itself() {
    let cloud = TestCloud::new(200);
    let (instance, has) = one_of(&cloud, Kind::Instance);
    let (node, _) = one_of(&cloud, Kind::ManagedNode);
    let fill = |n: usize| -> Value {
        (0..n).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
    };
    let tag = |arns: Value, tags: Value| {
        let input = json!({"ResourceARNList": arns, "Tags": tags});
        call(&cloud, "TagResources", &input).unwrap()["FailedResourcesMap"].clone()
    };
    assert_eq!(tag(json!([instance]), fill(50 - has)), json!({}));
    let failed = tag(json!([instance, node]), json!({"one": "more"}));
    assert_eq!(failed.as_object().unwrap().keys().collect::<Vec<_>>(), [&instance]);
    let (name, _) =
        call(&cloud, "TagResources", &json!({"ResourceARNList": [node], "Tags": {"aws:x": "1"}}))
            .unwrap_err();
    assert_eq!(name, "InvalidParameterException");
}

#[test]
fn a_list_of_arns_excludes_filters_and_pages() {
    let cloud = TestCloud::new(200);
    let (instance, _) = one_of(&cloud, Kind::Instance);
    assert_eq!(found(&cloud, &json!({"ResourceARNList": [instance]})).len(), 1);
    for more in [
        json!({"TagFilters": [{"Key": "a"}]}),
        json!({"ResourceTypeFilters": ["ec2"]}),
        json!({"ResourcesPerPage": 10}),
    ] {
        let mut input = json!({"ResourceARNList": [instance]});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (name, _) = call(&cloud, "GetResources", &input).unwrap_err();
        assert_eq!(name, "InvalidParameterException", "{more}");
    }
}

#[test]
fn pages_of_resources_have_a_hundred_at_most_and_end_with_an_empty_token() {
    let cloud = TestCloud::new(600);
    for (limit, is_served) in [(0, false), (1, true), (100, true), (101, false)] {
        let answer = call(&cloud, "GetResources", &json!({"ResourcesPerPage": limit}));
        assert_eq!(answer.is_ok(), is_served, "{limit}");
    }
    let (mut input, mut seen) = (json!({"TagsPerPage": 500}), Vec::new());
    loop {
        let page = call(&cloud, "GetResources", &input).unwrap();
        let items = page["ResourceTagMappingList"].as_array().unwrap();
        let tags: usize = items.iter().map(|it| it["Tags"].as_array().unwrap().len()).sum();
        assert!(tags <= 500);
        seen.extend(items.iter().map(|it| it["ResourceARN"].as_str().unwrap().to_owned()));
        if page["PaginationToken"] == "" {
            break;
        }
        input["PaginationToken"] = page["PaginationToken"].clone();
    }
    let state = cloud.state();
    assert_eq!(seen, resource::all(&state, HERE).map(|it| it.arn(&state)).collect::<Vec<_>>());
}
