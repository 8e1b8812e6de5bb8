//! Tokens: where they come from, what they say, and whether they are looked at.
//!
//! They have the form of a JWT, whose claims can be read; their third part is no signature that
//! anyone could check elsewhere.

mod refusal;

use base64_simd::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use self::refusal::{Issuer, entra, of_machine};
use super::{Refusal, ask::Ask, error::ArmError, reply::Reply, tenant};
use crate::{
    cloud::{
        fault::FaultKind,
        record::RecordedCall,
        shared::{Met, Shared},
        world::uuid,
    },
    rng::mix,
};

/// Whether tokens are checked, and by what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bearer {
    pub(crate) seed: u64,
    pub(crate) checked: bool,
}

/// Who calls: the application that a token of ours names.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) name: String,
}

const HOUR: i64 = 3_599;
const DAY: i64 = 86_399;

/// The application of the machine that asks its metadata service.
const MACHINE: &str = "00000000-0000-4000-8000-0000000000a1";

/// What a token for Azure Resource Manager can name, in the order of its refusal.
const AUDIENCES: [&str; 4] = [
    "https://management.core.windows.net/",
    "https://management.core.windows.net",
    "https://management.azure.com/",
    "https://management.azure.com",
];

/// The words of the refusal are those that users report
/// (Azure-Samples/active-directory-dotnetcore-daemon-v2#145).
fn elsewhere(audience: &str) -> String {
    let allowed = AUDIENCES.map(|it| format!("'{it}'")).join(",");
    format!(
        "The access token has been obtained for wrong audience or resource '{audience}'. It should \
         exactly match with one of the allowed audiences {allowed}."
    )
}

impl Bearer {
    /// Who sent a request.
    ///
    /// # Errors
    /// Where there is no token; where tokens are checked, also for one that is not ours, ended, or is
    /// for another service.
    pub(super) fn caller(self, ask: &Ask<'_>, shared: &Shared) -> Result<Caller, ArmError> {
        let token = ask.header("authorization").and_then(|it| it.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = token else {
            return Err(self.refuse(
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
            ));
        };
        let claims = self.claims(token.trim());
        if self.checked {
            let Some(claims) = &claims else {
                return Err(
                    self.refuse("InvalidAuthenticationToken", "The access token is invalid.")
                );
            };
            let now = shared.credential_time().as_second();
            if claims["exp"].as_i64().is_none_or(|exp| exp <= now) {
                return Err(self.refuse(
                    "ExpiredAuthenticationToken",
                    "The access token expiry UTC time is earlier than current UTC time.",
                ));
            }
            let audience = claims["aud"].as_str().unwrap_or_default();
            if !AUDIENCES.contains(&audience) {
                return Err(self.refuse("InvalidAuthenticationTokenAudience", &elsewhere(audience)));
            }
        }
        let application = claims.as_ref().and_then(|it| it["appid"].as_str());
        Ok(Caller { name: application.unwrap_or("bearer").to_owned() })
    }

    fn refuse(self, code: &'static str, message: &str) -> ArmError {
        let mut error = ArmError::new(StatusCode::UNAUTHORIZED, code, message);
        let kind = if code == "AuthenticationFailed" { "" } else { "error=\"invalid_token\", " };
        error.headers.push((
            "www-authenticate",
            format!(
                "Bearer authorization_uri=\"https://login.windows.net/{}\", \
                 {kind}error_description=\"{message}\"",
                tenant(self.seed)
            ),
        ));
        error
    }

    fn issue(self, application: &str, audience: &str, now: i64, seconds: i64) -> String {
        let tenant = tenant(self.seed);
        let head = json!({"typ": "JWT", "alg": "RS256", "kid": "simulated"});
        let claims = json!({
            "aud": audience,
            "iss": format!("https://sts.windows.net/{tenant}/"),
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "appid": application,
            "oid": uuid(sum(self.seed, application), 1),
            "tid": tenant,
            "ver": "1.0",
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode_to_string(value.to_string());
        let signed = format!("{}.{}", part(&head), part(&claims));
        let seal = self.seal(&signed);
        format!("{signed}.{seal}")
    }

    /// What a token of ours says; none of another's.
    fn claims(self, token: &str) -> Option<Value> {
        let (signed, seal) = token.rsplit_once('.')?;
        if self.seal(signed) != seal {
            return None;
        }
        let (_, claims) = signed.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode_to_vec(claims).ok()?).ok()
    }

    fn seal(self, signed: &str) -> String {
        let first = sum(self.seed ^ 0x5EA1, signed);
        let parts: Vec<_> = (0..32).flat_map(|n| mix(first ^ mix(n)).to_be_bytes()).collect();
        URL_SAFE_NO_PAD.encode_to_string(parts)
    }
}

fn sum(seed: u64, text: &str) -> u64 {
    text.bytes().fold(mix(seed), |sum, byte| mix(sum ^ u64::from(byte)))
}

type Act = fn(&Shared, &Ask<'_>) -> Reply;

/// Answers what is asked of Microsoft Entra ID or of the metadata service; none for all else.
pub(super) fn answer(
    shared: &Shared,
    ask: &Ask<'_>,
    outcome: &mut RecordedCall,
) -> Option<Result<Reply, Refusal>> {
    let lower: Vec<&str> = ask.lower.iter().map(String::as_str).collect();
    let (operation, act): (_, Act) = match (ask.method(), lower.as_slice()) {
        (&Method::POST, [_, "oauth2", "v2.0", "token"]) => {
            ("Token", |shared, ask| by_secret(shared, ask, "scope"))
        }
        (&Method::POST, [_, "oauth2", "token"]) => {
            ("Token", |shared, ask| by_secret(shared, ask, "resource"))
        }
        (&Method::GET, ["metadata", "identity", "oauth2", "token"]) => (MACHINES, by_machine),
        (
            &Method::GET,
            [_, "v2.0", ".well-known", "openid-configuration"]
            | [_, ".well-known", "openid-configuration"],
        ) => ("OpenIdConfiguration", discovery),
        (&Method::GET, [_, "discovery", "instance"]) => ("InstanceDiscovery", instance),
        (&Method::GET, [_, "discovery", "v2.0", "keys"] | [_, "discovery", "keys"]) => {
            ("SigningKeys", |_, _| Reply::ok(&json!({"keys": []})))
        }
        _ => return None,
    };
    operation.clone_into(&mut outcome.operation);
    outcome.at = shared.now();
    let issuer = if operation == MACHINES { Issuer::Machine } else { Issuer::Entra };
    let answered = issue(shared, ask, outcome, issuer, act);
    if let Ok(reply) = &answered
        && !reply.status.is_success()
    {
        outcome.error = refusal::code(reply);
    }
    Some(answered)
}

/// The operation of the metadata service.
const MACHINES: &str = "IdentityToken";

/// Answers, unless a fault or a rate is in the way. Who asks for a token has no name yet, and no role
/// that could bind him.
fn issue(
    shared: &Shared,
    ask: &Ask<'_>,
    outcome: &mut RecordedCall,
    issuer: Issuer,
    act: Act,
) -> Result<Reply, Refusal> {
    let spoil = match shared.meet_anyone(outcome) {
        Met::Pass(spoil) => spoil,
        Met::Cut => return Err(Refusal::Cut),
        met => return Ok(issuer.refuse(shared, met)),
    };
    // There are no pages here, and no lists.
    if let Some(kind) = spoil.filter(|it| it.is_of_content()) {
        shared.take_back(kind, outcome);
    }
    let reply = act(shared, ask);
    outcome.acted = reply.status.is_success();
    if outcome.acted && spoil == Some(FaultKind::FailAfter) {
        return Ok(issuer.fail(shared, StatusCode::INTERNAL_SERVER_ERROR));
    }
    Ok(reply)
}

fn by_secret(shared: &Shared, ask: &Ask<'_>, audience: &str) -> Reply {
    let form: Vec<(String, String)> =
        form_urlencoded::parse(ask.request.body()).into_owned().collect();
    let field = |name: &str| {
        let found = form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    };
    let missing = |name: &str| {
        let what = format!(
            "AADSTS900144: The request body must contain the following parameter: '{name}'."
        );
        entra(shared, StatusCode::BAD_REQUEST, "invalid_request", 900_144, &what)
    };
    let Some(grant) = field("grant_type") else { return missing("grant_type") };
    if grant != "client_credentials" {
        let what = format!("AADSTS70003: The app requested an unsupported grant type '{grant}'.");
        let status = StatusCode::BAD_REQUEST;
        return entra(shared, status, "unsupported_grant_type", 70_003, &what);
    }
    let Some(application) = field("client_id") else { return missing("client_id") };
    let Some(wanted) = field(audience) else { return missing(audience) };
    if field("client_secret").or_else(|| field("client_assertion")).is_none() {
        let what = "AADSTS7000218: The request body must contain the following parameter: \
                    'client_assertion' or 'client_secret'.";
        return entra(shared, StatusCode::UNAUTHORIZED, "invalid_client", 7_000_218, what);
    }
    if audience == "scope" && !wanted.ends_with("/.default") {
        let what = format!("AADSTS1002012: The provided value for scope {wanted} is not valid.");
        let status = StatusCode::BAD_REQUEST;
        return entra(shared, status, "invalid_scope", 1_002_012, &what);
    }
    let now = shared.credential_time().as_second();
    // A slash at the end of the resource comes before that of the scope, and stays ("Scopes for a
    // web API accepting v1.0 tokens": two slashes for Azure Resource Manager).
    let audience = wanted.strip_suffix("/.default").unwrap_or(wanted);
    let token = shared.bearer.issue(application, audience, now, HOUR);
    // The first version of the endpoint writes its numbers as texts.
    let body = if wanted.ends_with(".default") {
        json!({
            "token_type": "Bearer",
            "expires_in": HOUR,
            "ext_expires_in": HOUR,
            "access_token": token,
        })
    } else {
        json!({
            "token_type": "Bearer",
            "expires_in": HOUR.to_string(),
            "ext_expires_in": HOUR.to_string(),
            "expires_on": (now + HOUR).to_string(),
            "not_before": now.to_string(),
            "resource": audience,
            "access_token": token,
        })
    };
    Reply::ok(&body)
}

/// Azure's Instance Metadata Service.
fn by_machine(shared: &Shared, ask: &Ask<'_>) -> Reply {
    let refused = |what| of_machine(StatusCode::BAD_REQUEST, "invalid_request", what);
    if !ask.header("metadata").is_some_and(|it| it.eq_ignore_ascii_case("true")) {
        return refused("Required metadata header not specified");
    }
    let Some(resource) = ask.parameter("resource").filter(|it| !it.is_empty()) else {
        return refused("Required query variable 'resource' is missing");
    };
    let now = shared.credential_time().as_second();
    let application = ask.parameter("client_id").unwrap_or(MACHINE);
    Reply::ok(&json!({
        "access_token": shared.bearer.issue(application, resource, now, DAY),
        "client_id": application,
        "expires_in": DAY.to_string(),
        "expires_on": (now + DAY).to_string(),
        "ext_expires_in": DAY.to_string(),
        "not_before": now.to_string(),
        "resource": resource,
        "token_type": "Bearer",
    }))
}

fn discovery(_: &Shared, ask: &Ask<'_>) -> Reply {
    let (base, tenant) = (&ask.base, ask.lower.first().map_or("common", String::as_str));
    Reply::ok(&json!({
        "token_endpoint": format!("{base}/{tenant}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported":
            ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{base}/{tenant}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "issuer": format!("{base}/{tenant}/v2.0"),
        "authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/devicecode"),
        "end_session_endpoint": format!("{base}/{tenant}/oauth2/v2.0/logout"),
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
    }))
}

fn instance(_: &Shared, ask: &Ask<'_>) -> Reply {
    let host = ask.base.trim_start_matches("http://");
    let asked = ask.parameter("authorization_endpoint").unwrap_or_default();
    let tenant = asked.split('/').nth(3).unwrap_or("common");
    Reply::ok(&json!({
        "tenant_discovery_endpoint":
            format!("{}/{tenant}/v2.0/.well-known/openid-configuration", ask.base),
        "api-version": "1.1",
        "metadata": [{
            "preferred_network": host,
            "preferred_cache": host,
            "aliases": [host],
        }],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_of_this_seed_has_claims() {
        let ours = Bearer { seed: 7, checked: true };
        let token = ours.issue("app", "https://management.azure.com/", 1_000, HOUR);
        assert_eq!(ours.claims(&token).unwrap()["appid"], "app");
        assert!(Bearer { seed: 8, checked: true }.claims(&token).is_none());
        assert!(ours.claims("a.b.c").is_none() && ours.claims("").is_none());
        let (signed, seal) = token.rsplit_once('.').unwrap();
        assert!(ours.claims(&format!("{signed}x.{seal}")).is_none());
    }
}
