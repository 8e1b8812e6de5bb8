//! Security Token Service: who am I, and the credentials of other accounts' roles.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    AwsError, Call, Operations, input,
    ring::{Caller, Key},
    seconds,
};
use crate::cloud::{keys::KeyEntry, world::clock::later};

pub(super) const OPERATIONS: Operations =
    &[("AssumeRole", assume_role), ("GetCallerIdentity", get_caller_identity)];

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
}

fn assume_role(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let AssumeRole { role_arn, role_session_name, duration_seconds } = input(value)?;
    let mut parts = role_arn.splitn(6, ':');
    let account = parts.nth(4).unwrap_or_default();
    let role = parts.next().and_then(|it| it.strip_prefix("role/")).unwrap_or_default();
    let known = call.state.accounts.iter().find(|it| *it.id == *account);
    let (Some(known), false) = (known, role.is_empty()) else {
        let message = format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
            call.caller.arn
        );
        return Err(AwsError::new("AccessDenied", message).with_status(403));
    };
    let account = Arc::clone(&known.id);
    let name = role.rsplit('/').next().unwrap_or(role);
    let (key, secret, token) = (call.state.new_hex(), call.state.new_hex(), call.state.new_hex());
    let (secret, token) = (format!("{secret}temporary"), format!("IQoJ{token}"));
    let role_id = known_role_id(call, &account, name);
    let expires = later(
        call.shared.credential_time(),
        Duration::from_secs(duration_seconds.unwrap_or(3_600)),
    );
    let key = Key {
        id: format!("ASIA{}", key[..16].to_uppercase()),
        entry: KeyEntry::new(secret.as_str()).with_session(token.as_str(), expires),
        caller: Caller {
            arn: format!("arn:aws:sts::{account}:assumed-role/{name}/{role_session_name}"),
            user_id: format!("{role_id}:{role_session_name}"),
            account,
        },
    };
    let answer = json!({
        "Credentials": {
            "AccessKeyId": key.id,
            "SecretAccessKey": secret,
            "SessionToken": token,
            "Expiration": seconds(expires),
        },
        "AssumedRoleUser": {"AssumedRoleId": key.caller.user_id, "Arn": key.caller.arn},
    });
    call.shared.keys.add(key);
    Ok(answer)
}

fn known_role_id(call: &mut Call<'_>, account: &str, role: &str) -> String {
    let known = call.state.accounts.iter().find(|it| *it.id == *account);
    match known.and_then(|it| it.identity.roles.get(role)) {
        Some(role) => role.id.to_string(),
        None => format!("AROA{}", call.state.new_hex()[..16].to_uppercase()),
    }
}
