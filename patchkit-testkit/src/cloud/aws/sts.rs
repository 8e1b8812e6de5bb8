//! Security Token Service: who am I, and temporary credentials.
//!
//! Any role can be assumed in any account of the world, whether it is there or not: only a
//! [`Denial`](crate::cloud::Denial) forbids it, and where credentials are checked the trust policy of a
//! role that is there and does not name who asks.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use base64_simd::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    AwsError, Call, Operations, input,
    ring::{Caller, Key},
    seconds,
};
use crate::cloud::{
    keys::KeyEntry,
    s3::SignatureChecks,
    world::{
        clock::later,
        identity::{Asking, Role},
    },
};

pub(super) const OPERATIONS: Operations = &[
    ("AssumeRole", assume_role),
    ("AssumeRoleWithWebIdentity", assume_role_with_web_identity),
    ("GetCallerIdentity", get_caller_identity),
    ("GetSessionToken", get_session_token),
];

/// How long a role's session lasts where no time is asked for.
const USUAL: u64 = 3_600;
/// How long a session can last that a role's session asks for (IAM user guide, "Role chaining").
const LONGEST_CHAINED: u64 = 3_600;

fn get_caller_identity(call: &mut Call<'_>, _: Value) -> Result<Value, AwsError> {
    let Caller { account, arn, user_id } = call.caller;
    Ok(json!({"Account": &**account, "Arn": arn, "UserId": user_id}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRole {
    role_arn: String,
    role_session_name: String,
    duration_seconds: Option<u64>,
    external_id: Option<String>,
    source_identity: Option<String>,
}

fn assume_role(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let asked: AssumeRole = input(value)?;
    let AssumeRole { role_arn, role_session_name, duration_seconds, external_id, .. } = asked;
    let denied = || {
        let message = format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
            call.caller.arn
        );
        AwsError::new("AccessDenied", message).with_status(403)
    };
    let target = Target::of(call, &role_arn).ok_or_else(denied)?;
    let asking = Asking::Caller {
        account: &call.caller.account,
        arn: &call.caller.arn,
        external_id: external_id.as_deref(),
    };
    if !target.trusts(call, "sts:AssumeRole", &asking) {
        return Err(denied());
    }
    let seconds = duration_seconds.unwrap_or(USUAL);
    if is_session(call.caller) && seconds > LONGEST_CHAINED {
        let message = "The requested DurationSeconds exceeds the 1 hour session limit for roles \
                       assumed by role chaining";
        return Err(AwsError::validation(message));
    }
    target.check_duration(call, duration_seconds)?;
    let mut answer = target.session(call, &role_session_name, seconds);
    answer["SourceIdentity"] = json!(asked.source_identity);
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleWithWebIdentity {
    role_arn: String,
    role_session_name: String,
    web_identity_token: String,
    duration_seconds: Option<u64>,
}

/// What a web identity's token says. Its signature is not checked: no provider of the world has
/// keys.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: Option<i64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    fn read(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
        let claims = URL_SAFE_NO_PAD.decode_to_vec(claims).ok()?;
        if parts.next().is_some() {
            return None;
        }
        serde_json::from_slice(&claims).ok()
    }

    /// The issuer as IAM names it: without its scheme.
    fn provider(&self) -> &str {
        self.iss.strip_prefix("https://").unwrap_or(&self.iss)
    }

    fn audience(&self) -> &str {
        match &self.aud {
            Audience::One(one) => one,
            Audience::Many(many) => many.first().map_or("", String::as_str),
        }
    }
}

fn assume_role_with_web_identity(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let asked: AssumeRoleWithWebIdentity = input(value)?;
    let claims = Claims::read(&asked.web_identity_token).ok_or_else(|| {
        let message = "The ID Token provided is not a valid JWT. (You may see this error if you \
                       sent an Access Token)";
        AwsError::new("InvalidIdentityTokenException", message)
    })?;
    let now = call.shared.credential_time();
    if claims.exp.is_some_and(|at| at <= now.as_second()) {
        let message = format!("Token expired: current date/time {now} is after the expiry");
        return Err(AwsError::new("ExpiredTokenException", message));
    }
    let denied = || {
        let message = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
        AwsError::new("AccessDenied", message).with_status(403)
    };
    let target = Target::of(call, &asked.role_arn).ok_or_else(denied)?;
    let asking = Asking::WebIdentity { provider: claims.provider() };
    if !target.trusts(call, "sts:AssumeRoleWithWebIdentity", &asking) {
        return Err(denied());
    }
    target.check_duration(call, asked.duration_seconds)?;
    let seconds = asked.duration_seconds.unwrap_or(USUAL);
    let mut answer = target.session(call, &asked.role_session_name, seconds);
    answer["SubjectFromWebIdentityToken"] = json!(claims.sub);
    answer["Audience"] = json!(claims.audience());
    answer["Provider"] = json!(claims.provider());
    Ok(answer)
}

fn get_session_token(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    if is_session(call.caller) {
        let message = "Cannot call GetSessionToken with session credentials";
        return Err(AwsError::new("AccessDenied", message).with_status(403));
    }
    // Half a day, for a root user an hour (API reference, GetSessionToken).
    let root = call.caller.arn.ends_with(":root");
    let usual = if root { 3_600 } else { 43_200 };
    let seconds = value["DurationSeconds"].as_u64().unwrap_or(usual);
    let seconds = if root { seconds.min(3_600) } else { seconds };
    let caller = call.caller.clone();
    Ok(json!({"Credentials": grant(call, caller, seconds)}))
}

/// Whether someone is a role's session.
fn is_session(caller: &Caller) -> bool {
    caller.arn.contains(":assumed-role/")
}

/// The role that is to be assumed, in an account of the world.
struct Target {
    account: Arc<str>,
    /// The place of the account.
    place: usize,
    name: String,
}

impl Target {
    fn of(call: &Call<'_>, arn: &str) -> Option<Self> {
        let rest = arn.strip_prefix("arn:aws:iam::")?;
        let (account, role) = rest.split_once(":role/")?;
        let name = role.rsplit('/').next().filter(|it| !it.is_empty())?.to_owned();
        let place = call.state.accounts.iter().position(|it| *it.id == *account)?;
        Some(Self { account: Arc::clone(&call.state.accounts[place].id), place, name })
    }

    fn role<'c>(&self, call: &'c Call<'_>) -> Option<&'c Role> {
        call.state.accounts[self.place].identity.roles.get(self.name.as_str())
    }

    fn trusts(&self, call: &Call<'_>, action: &str, asking: &Asking<'_>) -> bool {
        // A role that is not there trusts everyone: no test has to make the roles that it assumes.
        call.shared.checks == SignatureChecks::Off
            || self.role(call).is_none_or(|it| it.trusts(action, asking))
    }

    fn check_duration(&self, call: &Call<'_>, asked: Option<u64>) -> Result<(), AwsError> {
        let longest = self.role(call).map(|it| u64::from(it.max_session));
        if asked.zip(longest).is_some_and(|(asked, longest)| asked > longest) {
            let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for \
                           this role.";
            return Err(AwsError::validation(message));
        }
        Ok(())
    }

    fn session(&self, call: &mut Call<'_>, session: &str, seconds: u64) -> Value {
        let known = self.role(call).map(|it| it.id.to_string());
        let id =
            known.unwrap_or_else(|| format!("AROA{}", call.state.new_hex()[..16].to_uppercase()));
        let (account, name) = (&self.account, &self.name);
        let arn = format!("arn:aws:sts::{account}:assumed-role/{name}/{session}");
        let user_id = format!("{id}:{session}");
        let user = json!({"AssumedRoleId": user_id, "Arn": arn});
        let caller = Caller { account: Arc::clone(account), arn, user_id };
        json!({"Credentials": grant(call, caller, seconds), "AssumedRoleUser": user})
    }
}

/// New temporary credentials for someone.
fn grant(call: &mut Call<'_>, caller: Caller, seconds_long: u64) -> Value {
    let (key, secret) = (call.state.new_hex(), call.state.new_hex());
    let token = format!("IQoJ{}", call.state.new_hex());
    let expires: Timestamp =
        later(call.shared.credential_time(), Duration::from_secs(seconds_long));
    let secret = format!("{secret}temporary");
    let key = Key {
        id: format!("ASIA{}", key[..16].to_uppercase()),
        entry: KeyEntry::new(secret.as_str()).with_session(token.as_str(), expires),
        caller,
    };
    let answer = json!({
        "AccessKeyId": key.id,
        "SecretAccessKey": secret,
        "SessionToken": token,
        "Expiration": seconds(expires),
    });
    call.shared.keys.add(key);
    answer
}
