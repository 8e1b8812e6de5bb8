//! What a request to Resource Graph may ask for, and what is refused.

use serde_json::{Value, json};

use super::{Cloud, Reply, SUBSCRIPTION};

const PATH: &str = "/providers/Microsoft.ResourceGraph/resources";

/// The answer to a query whose body has these members, too.
fn ask(cloud: &Cloud, members: &Value) -> Reply {
    let mut body = json!({"query": "resources | count"});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    cloud.post(PATH, &body)
}

/// The message of the refusal's last detail.
fn why(reply: &Reply) -> String {
    let details = reply.body["error"]["details"].as_array().unwrap();
    details.last().unwrap()["message"].as_str().unwrap().to_owned()
}

#[test]
fn what_would_narrow_a_query_and_is_not_modelled_is_refused_and_not_left_out() {
    let cloud = Cloud::well();
    for (members, word) in [
        (json!({"managementGroups": ["root"]}), "managementGroups"),
        (
            json!({"managementGroups": ["root"], "subscriptions": [SUBSCRIPTION]}),
            "managementGroups",
        ),
        (json!({"managementGroups": "root"}), "managementGroups"),
        (json!({"facets": [{"expression": "location"}]}), "facets"),
        (json!({"facets": {}}), "facets"),
        (json!({"subscription": [SUBSCRIPTION]}), "subscription"),
        (json!({"subscriptions": SUBSCRIPTION}), "subscriptions"),
        (json!({"options": []}), "options"),
        (json!({"options": {"authorizationScopeFilter": "AtScopeExact"}}), "AtScopeExact"),
        (json!({"options": {"authorizationScopeFilter": "AtScopeAndAbove"}}), "AtScopeAndAbove"),
        (
            json!({"options": {"authorizationScopeFilter": "Everywhere"}}),
            "authorizationScopeFilter",
        ),
        (json!({"options": {"allowPartialScopes": "yes"}}), "allowPartialScopes"),
        (json!({"options": {"top": 3}}), "top"),
    ] {
        let reply = ask(&cloud, &members);
        assert_eq!((reply.status.as_u16(), reply.code()), (400, "BadRequest"), "{members}");
        assert!(why(&reply).contains(word), "{members}: {}", reply.body);
    }
}

#[test]
fn what_changes_nothing_in_the_answer_is_taken() {
    let cloud = Cloud::well();
    let all = ask(&cloud, &json!({})).body["data"].clone();
    for members in [
        json!({"managementGroups": [], "facets": [], "subscriptions": [], "options": {}}),
        json!({"managementGroups": null, "facets": null, "subscriptions": null, "options": null}),
        json!({"options": {"authorizationScopeFilter": "atScopeAndBelow"}}),
        json!({"options": {"authorizationScopeFilter": "AtScopeAboveAndBelow"}}),
        json!({"options": {"allowPartialScopes": true}}),
        json!({"options": {"allowPartialScopes": false, "authorizationScopeFilter": null}}),
    ] {
        let reply = ask(&cloud, &members);
        assert_eq!((reply.status.as_u16(), &reply.body["data"]), (200, &all), "{members}");
    }
}
