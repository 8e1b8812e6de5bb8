use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
        sign,
    },
    sign::v4,
};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::cloud::{
    aws::testing::{ACCOUNT, TestCloud},
    s3::SignatureChecks,
};

const ACCESS_KEY: &str = "AKIAFIXTURE";
const SECRET: &str = "not/a+secret";
const SESSION_KEY: &str = "ASIAFIXTURE";
const SESSION_SECRET: &str = "not-a-secret-either";
const TOKEN: &str = "token/of+the=session";

fn now() -> Timestamp {
    "2026-01-31T12:00:00Z".parse().unwrap()
}

#[derive(Debug)]
struct TwoKeys;

impl Keys for TwoKeys {
    fn secret(&self, access_key: &str) -> Option<KeyEntry> {
        match access_key {
            ACCESS_KEY => Some(KeyEntry::new(SECRET)),
            SESSION_KEY => {
                let end = now() + SignedDuration::from_hours(1);
                Some(KeyEntry::new(SESSION_SECRET).with_session(TOKEN, end))
            }
            _ => None,
        }
    }
}

/// A request that botocore signed; `sign.py` writes them.
#[derive(Clone, Debug, Deserialize)]
struct Fixture {
    name: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Fixture {
    fn all() -> Vec<Self> {
        #[derive(Deserialize)]
        struct File {
            cases: Vec<Fixture>,
        }
        let file: File = serde_json::from_str(include_str!("botocore.json")).unwrap();
        file.cases
    }

    fn named(name: &str) -> Self {
        Self::all().into_iter().find(|fixture| fixture.name == name).unwrap()
    }

    fn head(&self) -> Parts {
        let mut request = Request::builder().method(&*self.method).uri(&*self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn check_at(&self, now: Timestamp) -> Result<Credential, Refusal> {
        check(&self.head(), self.body.as_bytes(), &TwoKeys, now, now)
    }

    fn check(&self) -> Result<Credential, Refusal> {
        self.check_at(now())
    }

    fn replace_header(mut self, name: &str, from: &str, to: &str) -> Self {
        let (_, value) = self.headers.iter_mut().find(|(key, _)| key == name).unwrap();
        assert!(value.contains(from), "{value}");
        *value = value.replacen(from, to, 1);
        self
    }

    fn replace_target(mut self, from: &str, to: &str) -> Self {
        assert!(self.target.contains(from), "{}", self.target);
        self.target = self.target.replacen(from, to, 1);
        self
    }
}

fn is_mismatch(result: &Result<Credential, Refusal>) -> bool {
    matches!(result, Err(Refusal::Mismatch(_)))
}

#[test]
fn what_botocore_signs_passes() {
    for fixture in Fixture::all() {
        let credential = fixture.check().unwrap_or_else(|e| panic!("{}: {e:?}", fixture.name));
        assert_eq!(Some(credential), Credential::of(&fixture.head()), "{}", fixture.name);
    }
}

#[test]
fn another_secret_fails_in_every_form() {
    #[derive(Debug)]
    struct Others;
    impl Keys for Others {
        fn secret(&self, access_key: &str) -> Option<KeyEntry> {
            let mut entry = TwoKeys.secret(access_key)?;
            entry.secret = "not/a+secreT".into();
            Some(entry)
        }
    }
    for fixture in Fixture::all() {
        let body = fixture.body.as_bytes();
        let result = check(&fixture.head(), body, &Others, now(), now());
        assert!(is_mismatch(&result), "{}: {result:?}", fixture.name);
    }
}

#[test]
fn a_changed_request_fails() {
    let json = || Fixture::named("json");
    let query = || Fixture::named("a query with repeated keys and special characters");
    let presigned = || Fixture::named("presigned with a session token and a header");
    let mut body = json();
    body.body.push(' ');
    let mut method = json();
    method.method = "PUT".to_owned();
    let mut path = json();
    path.target = "/x".to_owned();
    let mut without = json();
    without.headers.retain(|(name, _)| name != "x-amz-target");
    let twice = Fixture::named("a header twice");
    let mut other_order = twice.clone();
    let metas: Vec<_> =
        (0..twice.headers.len()).filter(|at| twice.headers[*at].0 == "x-amz-meta").collect();
    other_order.headers.swap(metas[0], metas[1]);
    for changed in [
        body,
        method,
        path,
        without,
        other_order,
        json().replace_header("x-amz-target", "Describe", "describe"),
        json().replace_header("host", "4566", "4567"),
        json().replace_header("x-amz-date", "120000", "120001"),
        json().replace_header("authorization", "ssm", "ec2"),
        json().replace_header("authorization", "eu-west-1", "eu-west-2"),
        json().replace_header("authorization", "20260131", "20260130"),
        json().replace_header("authorization", "aws4_request", "aws5_request"),
        json().replace_header("authorization", "host;", ""),
        query().replace_target("a=z", "a=y"),
        query().replace_target("plus=%2B", "plus=+"),
        query().replace_target("&bare", ""),
        presigned().replace_target("X-Amz-Expires=900", "X-Amz-Expires=901"),
        presigned().replace_target("x=a%20b", "x=a%20c"),
        presigned().replace_header("x-k8s-aws-id", "one", "two"),
    ] {
        let result = changed.check();
        assert!(is_mismatch(&result), "{changed:?}: {result:?}");
    }
}

#[test]
fn what_means_the_same_passes() {
    let query = || Fixture::named("a query with repeated keys and special characters");
    let spaced = || Fixture::named("header values with spaces");
    for same in [
        query().replace_target("a=%20y", "a=+y"),
        query().replace_target("umlaut=%C3%A4", "umlaut=%c3%a4"),
        query().replace_target("b=2&", "").replace_target("A=1", "A=1&b=2"),
        spaced().replace_header("x-amz-meta", "  a   b", "a b"),
        Fixture::named("a path with dots and empty segments").replace_target("//", "/./"),
    ] {
        assert!(same.check().is_ok(), "{same:?}: {:?}", same.check());
    }
}

#[test]
fn a_body_counts_unless_its_hash_is_left_out() {
    let mut unsigned = Fixture::named("a payload that is not signed");
    unsigned.body = "something else".to_owned();
    assert!(unsigned.check().is_ok());
    // The word itself is signed: it cannot be put in later.
    let mut slipped = Fixture::named("json");
    slipped.headers.push(("x-amz-content-sha256".to_owned(), "UNSIGNED-PAYLOAD".to_owned()));
    assert!(is_mismatch(&slipped.check()));
}

#[test]
fn a_request_lives_for_fifteen_minutes_either_way() {
    let quarter = SignedDuration::from_mins(15);
    let second = SignedDuration::from_secs(1);
    for name in ["json", "a Date header"] {
        let request = Fixture::named(name);
        assert!(request.check_at(now() + quarter).is_ok());
        assert!(request.check_at(now() - quarter).is_ok());
        let late = request.check_at(now() + quarter + second).unwrap_err();
        assert_eq!(
            late.answer(Dialect::Json).message,
            "Signature expired: 20260131T120000Z is now earlier than 20260131T120001Z \
             (20260131T121501Z - 15 min.)"
        );
        let early = request.check_at(now() - quarter - second).unwrap_err();
        assert_eq!(
            early.answer(Dialect::Query).message,
            "Signature not yet current: 20260131T120000Z is still later than 20260131T115959Z \
             (20260131T114459Z + 15 min.)"
        );
    }
    for extreme in [Timestamp::MIN, Timestamp::MAX] {
        assert!(matches!(Fixture::named("json").check_at(extreme), Err(Refusal::Expired(_))));
    }
}

#[test]
fn a_presigned_request_lives_for_what_it_says() {
    let minute = SignedDuration::from_mins(1);
    let request = Fixture::named("presigned");
    assert!(request.check_at(now() + minute).is_ok());
    let late = request.check_at(now() + minute + SignedDuration::from_secs(1));
    assert!(matches!(late, Err(Refusal::Expired(_))), "{late:?}");
    for wrong in ["0", "604801", "-1", "x", ""] {
        let to = format!("X-Amz-Expires={wrong}");
        let result = request.clone().replace_target("X-Amz-Expires=60", &to).check();
        assert!(matches!(result, Err(Refusal::Incomplete(_))), "{result:?}");
    }
}

#[test]
fn temporary_credentials_end() {
    for name in ["json with a session token", "presigned with a session token and a header"] {
        let fixture = Fixture::named(name);
        let (head, body) = (fixture.head(), fixture.body.as_bytes());
        let later = now() + SignedDuration::from_hours(1);
        assert_eq!(check(&head, body, &TwoKeys, now(), later), Err(Refusal::ExpiredToken));
    }
    let with_token = Fixture::named("json with a session token");
    let other = with_token.clone().replace_header("x-amz-security-token", "session", "Session");
    assert_eq!(other.check(), Err(Refusal::InvalidToken));
    let mut without = with_token;
    without.headers.retain(|(name, _)| name != "x-amz-security-token");
    assert_eq!(without.check(), Err(Refusal::UnknownKey));
}

#[test]
fn each_refusal_has_its_code_in_each_dialect() {
    let mut unsigned = Fixture::named("json");
    unsigned.headers.retain(|(name, _)| name != "authorization");
    let missing = unsigned.check().unwrap_err();
    let unknown =
        Fixture::named("json").replace_header("authorization", "AKIA", "AKIB").check().unwrap_err();
    let mismatch =
        Fixture::named("json").replace_header("authorization", "ssm", "ec2").check().unwrap_err();
    let incomplete = Fixture::named("json")
        .replace_header("authorization", "Signature=", "Signed=")
        .check()
        .unwrap_err();
    let expired = Fixture::named("json").check_at(Timestamp::MAX).unwrap_err();
    let dialects = [Dialect::Json, Dialect::Query, Dialect::Ec2, Dialect::RestJson];
    for (refusal, codes) in [
        (
            missing,
            "MissingAuthenticationTokenException MissingAuthenticationToken \
                   MissingAuthenticationToken MissingAuthenticationTokenException",
        ),
        (
            unknown,
            "UnrecognizedClientException InvalidClientTokenId AuthFailure \
                   UnrecognizedClientException",
        ),
        (
            mismatch,
            "InvalidSignatureException SignatureDoesNotMatch AuthFailure \
                    InvalidSignatureException",
        ),
        (
            incomplete,
            "IncompleteSignatureException IncompleteSignature IncompleteSignature \
                      IncompleteSignatureException",
        ),
        (
            expired,
            "InvalidSignatureException SignatureDoesNotMatch RequestExpired \
                   InvalidSignatureException",
        ),
        (
            Refusal::ExpiredToken,
            "ExpiredTokenException ExpiredToken RequestExpired \
                                 ExpiredTokenException",
        ),
    ] {
        let answers = dialects.map(|dialect| refusal.answer(dialect).code);
        assert_eq!(answers.join(" "), codes);
    }
    let answer = Refusal::UnknownKey.answer(Dialect::Query);
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.message, "The security token included in the request is invalid.");
}

#[test]
fn a_mismatch_shows_what_should_have_been_signed_but_no_token() {
    for name in ["json with a session token", "presigned with a session token and a header"] {
        let mut fixture = Fixture::named(name);
        fixture.body.push('x');
        let Err(Refusal::Mismatch(message)) = fixture.check() else { panic!("{name}") };
        assert!(message.contains("The Canonical String for this request should have been\n'"));
        assert!(message.contains("'AWS4-HMAC-SHA256\n20260131T120000Z\n20260131/eu-west-1/"));
        assert!(!message.contains("token/of") && !message.contains("token%2Fof"), "{message}");
        assert!(!message.contains(SESSION_SECRET), "{message}");
    }
}

#[test]
fn an_incomplete_header_is_told_what_it_lacks() {
    let mut bare = Fixture::named("json");
    bare.headers.retain(|(name, _)| name != "authorization" && name != "x-amz-date");
    bare.headers.push(("authorization".to_owned(), "AWS4-HMAC-SHA256 x".to_owned()));
    let Err(Refusal::Incomplete(message)) = bare.check() else { panic!() };
    assert_eq!(
        message,
        "Authorization header requires 'Credential' parameter. Authorization header requires \
         'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. \
         Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
         Authorization=AWS4-HMAC-SHA256 x"
    );
    let short = Fixture::named("json").replace_header("authorization", "/eu-west-1", "").check();
    let Err(Refusal::Incomplete(message)) = short else { panic!() };
    assert!(message.starts_with("Credential must have exactly 5 slash-delimited elements"));
}

/// A request that the SDK's own crate signed.
fn signed(request: Request<Vec<u8>>, location: SignatureLocation) -> (Parts, Vec<u8>) {
    let mut request = request;
    let identity = Credentials::new(ACCESS_KEY, SECRET, None, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = location;
    settings.expires_in = Some(std::time::Duration::from_mins(5));
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    settings.excluded_headers = None;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name("ssm")
        .time(std::time::UNIX_EPOCH + now().duration_since(Timestamp::UNIX_EPOCH).unsigned_abs())
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let uri = request.uri().to_string();
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let signable = SignableRequest::new(
        request.method().as_str(),
        uri,
        headers.iter().map(|(name, value)| (&**name, &**value)),
        SignableBody::Bytes(request.body()),
    );
    let (instructions, _) = sign(signable.unwrap(), &params).unwrap().into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request.into_parts()
}

fn requests() -> impl Strategy<Value = Request<Vec<u8>>> {
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "DELETE", "PATCH"]);
    let segment = "([A-Za-z0-9._~-]|%20|%25|%2F|%C3%A4|:|=|@){0,6}";
    let path = prop::collection::vec(segment, 0..4);
    let value = "([A-Za-z0-9._~-]|%20|%26|%2B|%C3%A4|/|:|\\+){0,8}";
    let query = prop::collection::vec(("[A-Za-z-]{1,3}", value), 0..5);
    let headers = prop::collection::vec(("x-[a-z]{1,8}", "[!-~]([ -~]{0,10}[!-~])?"), 0..5);
    let body = prop::collection::vec(any::<u8>(), 0..64);
    (method, path, query, headers, body).prop_map(|(method, path, query, headers, body)| {
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let uri = format!("http://localhost:4566/{}{mark}{}", path.join("/"), query.join("&"));
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.header("host", "localhost:4566").body(body).unwrap()
    })
}

fn locations() -> impl Strategy<Value = SignatureLocation> {
    prop::sample::select(vec![SignatureLocation::Headers, SignatureLocation::QueryParams])
}

proptest! {
    #[test]
    fn what_the_sdk_signs_passes(request in requests(), location in locations()) {
        let (head, body) = signed(request, location);
        let result = check(&head, &body, &TwoKeys, now(), now());
        prop_assert!(result.is_ok(), "{head:?} {result:?}");
    }

    #[test]
    fn one_other_bit_in_the_body_fails(
        request in requests(), location in locations(), at in any::<prop::sample::Index>(), bit in 0_u32..8,
    ) {
        let (head, mut body) = signed(request, location);
        if body.is_empty() {
            body.push(1_u8 << bit);
        } else {
            let at = at.index(body.len());
            body[at] ^= 1_u8 << bit;
        }
        prop_assert!(is_mismatch(&check(&head, &body, &TwoKeys, now(), now())));
    }

    #[test]
    fn one_other_bit_in_a_signed_header_fails(
        request in requests(), at in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), bit in 0_u32..8,
    ) {
        let (mut head, body) = signed(request, SignatureLocation::Headers);
        let values: Vec<&mut HeaderValue> = head.headers.values_mut().collect();
        let count = values.len();
        let value = values.into_iter().nth(at.index(count)).unwrap();
        let mut bytes = value.as_bytes().to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= 1_u8 << bit;
        // What is no header value cannot arrive; a space more may mean the same.
        let is_space = |byte: u8| byte == b' ' || byte == b'\t';
        let was = value.as_bytes()[place];
        prop_assume!(!is_space(was) && !is_space(bytes[place]));
        let Ok(changed) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
        *value = changed;
        prop_assert!(check(&head, &body, &TwoKeys, now(), now()).is_err(), "{head:?}");
    }

    #[test]
    fn one_other_bit_in_the_target_fails(
        request in requests(), location in locations(), at in any::<prop::sample::Index>(), bit in 0_u32..8,
    ) {
        let (mut head, body) = signed(request, location);
        let target = head.uri.path_and_query().unwrap().as_str();
        let mut bytes = target.as_bytes().to_vec();
        let place = at.index(bytes.len());
        bytes[place] ^= 1_u8 << bit;
        let Ok(changed) = http::Uri::try_from(bytes) else { return Ok(()) };
        prop_assume!(changed.path().starts_with('/') && meaning(&changed) != meaning(&head.uri));
        head.uri = changed;
        prop_assert!(check(&head, &body, &TwoKeys, now(), now()).is_err(), "{head:?}");
    }

    #[test]
    fn hostile_headers_and_queries_never_panic(
        authorization in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "AWS4-HMAC-SHA256 (Credential=[^,]{0,30}|SignedHeaders=[^,]{0,9}|Signature=\\PC{0,70}|,| ){0,9}"
                .prop_map(String::into_bytes),
        ],
        date in "\\PC{0,20}|[0-9]{8}T[0-9]{6}Z",
        query in "(X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature)=[ -~]{0,20}|&|%|\\+){0,12}",
        with_header in any::<bool>(),
    ) {
        let mut request = Request::builder().uri("/");
        if let Ok(uri) = http::Uri::try_from(format!("/?{query}")) {
            request = request.uri(uri);
        }
        let mut request = request.body(()).unwrap();
        let named = [("authorization", authorization), ("x-amz-date", date.into_bytes())];
        for (name, bytes) in named.into_iter().skip(usize::from(!with_header)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                request.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        let head = request.into_parts().0;
        let _ = Credential::of(&head);
        prop_assert!(check(&head, b"", &TwoKeys, now(), now()).is_err());
    }
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// What a target says: its segments, whether it is a folder, and its pairs in order.
fn meaning(uri: &http::Uri) -> (Vec<&str>, bool, Pairs) {
    let path = uri.path();
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let is_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    let mut pairs: Pairs = canonical::query_pairs(uri.query().unwrap_or_default())
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    pairs.sort();
    (segments, is_folder, pairs)
}

#[test]
fn a_signature_that_is_scoped_to_another_service_is_refused() {
    let mut cloud = TestCloud::new(8);
    cloud.shared.checks = SignatureChecks::On;
    let key = cloud.shared.keys.of_account(ACCOUNT).unwrap();
    let now = cloud.shared.credential_time();
    let now = std::time::UNIX_EPOCH + now.duration_since(Timestamp::UNIX_EPOCH).unsigned_abs();
    let ask = |service: &str| {
        let secret = key.entry.secret.expose();
        let identity = Credentials::new(&*key.id, secret, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(service)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let mut request = Request::post("http://localhost/")
            .header("host", "localhost")
            .header("x-amz-target", "AmazonSSM.ListCommands")
            .body(bytes::Bytes::from("{}"))
            .unwrap();
        let headers = [("host", "localhost"), ("x-amz-target", "AmazonSSM.ListCommands")];
        let body = SignableBody::Bytes(b"{}");
        let signable =
            SignableRequest::new("POST", "http://localhost/", headers.into_iter(), body).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        let response = super::super::answer(&cloud.shared, &request).response;
        (response.status(), String::from_utf8(response.body().to_vec()).unwrap())
    };
    assert_eq!(ask("ssm").0, StatusCode::OK);
    let (status, body) = ask("ec2");
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("InvalidSignatureException"), "{body}");
    assert!(body.contains("scoped to correct service: 'ssm'"), "{body}");
}
