use base64_simd::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::testing::TestCloud;
use crate::cloud::s3::SignatureChecks;

/// What the service answers to a form; the status too.
fn call(cloud: &TestCloud, key: &str, action: &str, members: &[(&str, &str)]) -> (u16, String) {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action).extend_pairs(members);
    cloud.query("sts", key, &form.finish())
}

fn between<'t>(text: &'t str, name: &str) -> &'t str {
    let (_, rest) = text.split_once(&format!("<{name}>")).unwrap();
    rest.split_once("</").unwrap().0
}

fn assume(cloud: &TestCloud, key: &str, role: &str, seconds: &str) -> (u16, String) {
    let session = ("RoleSessionName", "patching");
    call(cloud, key, "AssumeRole", &[("RoleArn", role), session, ("DurationSeconds", seconds)])
}

fn token(claims: &Value) -> String {
    let part = |it: &str| URL_SAFE_NO_PAD.encode_to_string(it);
    format!("{}.{}.{}", part("{}"), part(&claims.to_string()), part("signature"))
}

#[test]
fn a_request_that_no_one_signed_is_of_the_service_whose_version_it_names() {
    let cloud = TestCloud::new(8);
    let form = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15";
    let request = http::Request::post("/").body(bytes::Bytes::from(form)).unwrap();
    let response = super::super::answer(&cloud.shared, &request).response;
    let body = String::from_utf8(response.body().to_vec()).unwrap();
    assert_eq!(between(&body, "Code"), "ValidationError");
}

const ROLE: &str = "arn:aws:iam::222233334444:role/team/anything";

#[test]
fn any_role_of_a_listed_account_can_be_assumed_while_nothing_is_checked() {
    let cloud = TestCloud::new(8);
    let (status, body) = assume(&cloud, "any", ROLE, "3600");
    assert_eq!(status, 200, "{body}");
    let key = between(&body, "AccessKeyId").to_owned();
    let (_, body) = call(&cloud, &key, "GetCallerIdentity", &[]);
    assert_eq!(between(&body, "Arn"), "arn:aws:sts::222233334444:assumed-role/anything/patching");
    for other in ["arn:aws:iam::999999999999:role/anything", "arn:aws:iam::222233334444:user/a"] {
        let (status, body) = assume(&cloud, "any", other, "3600");
        assert_eq!((status, between(&body, "Code")), (403, "AccessDenied"));
    }
}

#[test]
fn a_session_of_a_session_lasts_an_hour_at_most_and_gets_no_session_token() {
    let cloud = TestCloud::new(8);
    let (_, body) = assume(&cloud, "any", ROLE, "43200");
    let key = between(&body, "AccessKeyId").to_owned();
    let (status, body) = assume(&cloud, &key, ROLE, "3601");
    assert_eq!((status, between(&body, "Code")), (400, "ValidationError"));
    assert_eq!(assume(&cloud, &key, ROLE, "3600").0, 200);
    let (status, body) = call(&cloud, &key, "GetSessionToken", &[]);
    assert_eq!((status, between(&body, "Code")), (403, "AccessDenied"));
    let (status, body) = call(&cloud, "any", "GetSessionToken", &[]);
    assert_eq!(status, 200, "{body}");
}

#[test]
fn a_role_that_is_known_has_its_longest_session() {
    let cloud = TestCloud::new(8);
    let (name, longest) = {
        let state = cloud.state();
        let (name, role) = state.accounts[0].identity.roles.iter().next().unwrap();
        (name.to_string(), role.max_session)
    };
    let arn = format!("arn:aws:iam::111122223333:role/{name}");
    assert_eq!(assume(&cloud, "any", &arn, &longest.to_string()).0, 200);
    let (status, _) = assume(&cloud, "any", &arn, &(longest + 1).to_string());
    assert_eq!(status, 400);
}

#[test]
fn where_it_is_checked_a_role_that_is_there_must_trust_who_asks() {
    let mut cloud = TestCloud::new(8);
    cloud.shared.checks = SignatureChecks::On;
    let role = {
        let state = cloud.state();
        state.accounts[0].identity.roles.keys().next().unwrap().to_string()
    };
    let claims = json!({"iss": "https://token.example.com", "sub": "repo:main", "aud": "sts"});
    let token = token(&claims);
    // No one signs this request, so it comes through where signatures are checked.
    let assume = |role: &str| {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "AssumeRoleWithWebIdentity")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", role)
            .append_pair("RoleSessionName", "web")
            .append_pair("WebIdentityToken", &token)
            .finish();
        let request = http::Request::post("/").body(bytes::Bytes::from(form)).unwrap();
        super::super::answer(&cloud.shared, &request).response.status().as_u16()
    };
    let arn = format!("arn:aws:iam::111122223333:role/{role}");
    // It trusts a service alone.
    assert_eq!(assume(&arn), 403);
    assert_eq!(assume(ROLE), 200);
    {
        let mut state = cloud.state();
        let role = state.accounts[0].identity.roles.get_mut(role.as_str()).unwrap();
        role.trust = json!({"Statement": {
            "Effect": "Allow",
            "Principal": {"Federated": "token.example.com"},
            "Action": "sts:AssumeRoleWithWebIdentity",
        }});
    }
    assert_eq!(assume(&arn), 200);
}

#[test]
fn a_web_identity_is_read_from_its_token_and_may_not_be_expired() {
    let cloud = TestCloud::new(8);
    let assume = |token: &str| {
        let members = [("RoleArn", ROLE), ("RoleSessionName", "web"), ("WebIdentityToken", token)];
        call(&cloud, "any", "AssumeRoleWithWebIdentity", &members)
    };
    let claims = |exp: i64| {
        let issuer = "https://token.example.com";
        json!({"iss": issuer, "sub": "repo:main", "aud": ["sts.amazonaws.com"], "exp": exp})
    };
    let (status, body) = assume(&token(&claims(99_999_999_999)));
    assert_eq!(status, 200, "{body}");
    assert_eq!(between(&body, "SubjectFromWebIdentityToken"), "repo:main");
    assert_eq!(between(&body, "Provider"), "token.example.com");
    assert_eq!(between(&body, "Audience"), "sts.amazonaws.com");
    let (_, body) = assume(&token(&claims(1)));
    assert_eq!(between(&body, "Code"), "ExpiredTokenException");
    for wrong in ["none", "a.b.c", "a.b.c.d", &token(&json!({}))] {
        let (_, body) = assume(wrong);
        assert_eq!(between(&body, "Code"), "InvalidIdentityToken", "{wrong}");
    }
}

#[test]
fn a_source_identity_is_told_again_and_tags_are_taken() {
    let cloud = TestCloud::new(8);
    let members = [
        ("RoleArn", ROLE),
        ("RoleSessionName", "patching"),
        ("SourceIdentity", "someone"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "web"),
    ];
    let (status, body) = call(&cloud, "any", "AssumeRole", &members);
    assert_eq!(status, 200, "{body}");
    assert_eq!(between(&body, "SourceIdentity"), "someone");
}
