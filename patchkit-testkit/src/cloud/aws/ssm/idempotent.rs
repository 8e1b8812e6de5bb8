//! Client tokens: the same request again gets the same answer, and is not done twice.

use std::collections::HashMap;

use serde_json::Value;

use super::super::{AwsError, Call, Handler};

/// The tokens that were used, by operation: what was asked with them, and answered.
#[derive(Debug, Default)]
pub(super) struct Tokens(HashMap<(Box<str>, Box<str>), (Value, Value)>);

/// Does what an input asks for, once for each `ClientToken`.
///
/// # Errors
/// `IdempotentParameterMismatch` where the token was used for another input; else the act's own.
pub(super) fn once(call: &mut Call<'_>, input: Value, act: Handler) -> Result<Value, AwsError> {
    let Some(token) = input["ClientToken"].as_str() else { return act(call, input) };
    let key = (Box::from(call.operation), Box::from(token));
    if let Some((asked, answered)) = call.here().ssm.tokens.0.get(&key) {
        if *asked == input {
            return Ok(answered.clone());
        }
        return Err(AwsError::new(
            "IdempotentParameterMismatch",
            "The client token was used before, with other parameters.",
        ));
    }
    let answered = act(call, input.clone())?;
    call.here_mut().ssm.tokens.0.insert(key, (input, answered.clone()));
    Ok(answered)
}
