//! Operations that go on by themselves, and are looked at until they are over.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use patchkit_core::{NodeId, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    client::{Client, Reply},
    error::{malformed, shown},
    ids::is_name,
    limit::{Charge, Quota},
};

const OPERATION: &str = "Operations_Get";

/// The least time between two looks at one machine's operation. A resource has 15 looks in a minute;
/// an answer that is not over mostly has no `Retry-After` (recorded by azure-cli,
/// test_vm_install_patches), and an install takes twenty minutes.
pub(crate) const FLOOR: Duration = Duration::from_secs(15);

/// The most that is waited for between two looks, whatever the service says.
const CEILING: Duration = Duration::from_mins(5);

/// Where an operation is followed. It is data, so that who keeps it goes on after a crash.
///
/// Its addresses are signed: whoever has them needs no token. They are followed as they stand, and not
/// shown.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Followed {
    /// `Azure-AsyncOperation`: tells the status, and mostly the result.
    status: Option<String>,
    /// `Location`: has nothing to say until there is a result.
    result: Option<String>,
}

impl Followed {
    /// The service's id of the operation: the last part of its address. That of an install is the id of
    /// the activity that Resource Graph keeps (recorded by azure-cli, test_vm_install_patches).
    pub(crate) fn operation(&self) -> Option<&str> {
        let address = self.status.as_deref().or(self.result.as_deref())?;
        let path = address.split(['?', '#']).next()?;
        path.rsplit('/').next().filter(|id| is_name(id))
    }
}

impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed").field("operation", &self.operation()).finish_non_exhaustive()
    }
}

/// What became of a request.
#[derive(Clone, Debug)]
pub(crate) enum Accepted {
    /// It is done already.
    Done(Option<Value>),
    /// It goes on.
    Following(Followed),
}

impl Accepted {
    /// Reads the answer to a request that may take its time.
    ///
    /// # Errors
    /// `Malformed` where it was accepted, and nothing says where it is followed.
    pub(crate) fn read(operation: &'static str, reply: &Reply) -> Result<Self> {
        let address = |name| reply.header(name).map(str::to_owned);
        let followed =
            Followed { status: address("azure-asyncoperation"), result: address("location") };
        let somewhere = followed.status.is_some() || followed.result.is_some();
        match reply.status {
            200 | 201 if followed.status.is_some() => Ok(Self::Following(followed)),
            202 if somewhere => Ok(Self::Following(followed)),
            202 => Err(malformed(
                operation,
                "it was accepted, and no address says how far it has come",
            )),
            _ => Ok(Self::Done(serde_json::from_slice(&reply.body).ok())),
        }
    }
}

/// How far an operation has come.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Progress {
    /// It goes on; look again no earlier than after this.
    Running(Duration),
    /// It is done.
    Succeeded {
        /// Its result, where it has one.
        result: Option<Value>,
        /// When it ended, where that is told.
        ended: Option<Timestamp>,
    },
    /// It failed, or was cancelled.
    Failed {
        /// The service's word for how it ended.
        status: String,
        /// The service's code and text, as far as there are any.
        message: Option<String>,
    },
}

impl Client {
    /// Looks at an operation on a machine.
    ///
    /// # Errors
    /// As reads; `NotFound` for one that the service has forgotten, a day after its end.
    pub(crate) async fn look(&self, followed: &Followed, node: &NodeId) -> Result<Progress> {
        let charge = || Charge::on(Quota::GetOperation, node);
        let Some(status) = &followed.status else {
            let Some(result) = &followed.result else {
                return Err(malformed(OPERATION, "no address says how far it has come"));
            };
            let url = self.given(OPERATION, result)?;
            let reply = self.get(OPERATION, charge(), url).await?;
            return at_location(&reply);
        };
        let url = self.given(OPERATION, status)?;
        let reply = self.get(OPERATION, charge(), url).await?;
        let progress = at_status(&reply)?;
        let Progress::Succeeded { result: None, ended } = progress else { return Ok(progress) };
        // The status had no result of its own.
        let Some(result) = &followed.result else { return Ok(progress) };
        let url = self.given(OPERATION, result)?;
        let reply = self.get(OPERATION, charge(), url).await?;
        match at_location(&reply)? {
            // The status has the say on whether it is over.
            Progress::Succeeded { result, .. } => Ok(Progress::Succeeded { result, ended }),
            _ => Ok(progress),
        }
    }
}

fn at_status(reply: &Reply) -> Result<Progress> {
    let body = reply.value(OPERATION)?;
    let Some(status) = body["status"].as_str() else {
        return Err(malformed(OPERATION, "the answer has no status"));
    };
    Ok(match End::of(status) {
        End::Not => Progress::Running(pause(reply)),
        End::Well => {
            let output = &body["properties"]["output"];
            let result = (!output.is_null()).then(|| output.clone());
            Progress::Succeeded { result, ended: body["endTime"].as_str().and_then(time) }
        }
        End::Ill => Progress::Failed { status: shown(status), message: error_of(&body["error"]) },
    })
}

fn at_location(reply: &Reply) -> Result<Progress> {
    if reply.status == 202 {
        return Ok(Progress::Running(pause(reply)));
    }
    if reply.body.is_empty() {
        return Ok(Progress::Succeeded { result: None, ended: None });
    }
    Ok(Progress::Succeeded { result: Some(reply.value(OPERATION)?), ended: None })
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// How a status ends an operation; its words come in any case, and what is none of them goes on.
enum End {
    Not,
    Well,
    Ill,
}

impl End {
    fn of(status: &str) -> Self {
        let is = |word: &str| status.eq_ignore_ascii_case(word);
        if is("Succeeded") {
            Self::Well
        } else if is("Failed") || is("Canceled") || is("Cancelled") {
            Self::Ill
        } else {
            Self::Not
        }
    }
}

/// What an error object says; one with the code `0` is none: an install that went well has it too
/// (recorded by azure-cli, test_vm_install_patches).
pub(crate) fn error_of(error: &Value) -> Option<String> {
    let text = |key: &str| error[key].as_str().filter(|text| !text.is_empty()).map(shown);
    match (text("code"), text("message")) {
        (Some(code), _) if code == "0" => None,
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (code, message) => code.or(message),
    }
}

fn pause(reply: &Reply) -> Duration {
    reply.retry_after().unwrap_or(FLOOR).clamp(FLOOR, CEILING)
}

#[cfg(test)]
mod tests {
    use azure_core::http::headers::Headers;
    use serde_json::json;

    use super::*;
    use crate::testing::{Canned, Tokens};

    fn reply(status: u16, headers: &[(&'static str, &'static str)], body: &Value) -> Reply {
        let mut all = Headers::new();
        for (name, value) in headers {
            all.insert(*name, *value);
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Reply { status, headers: all, body: body.into() }
    }

    #[test]
    fn statuses_are_read_in_any_case_and_unknown_ones_go_on() {
        for (status, over) in [
            ("InProgress", false),
            ("Updating", false),
            ("LearnedLater", false),
            ("succeeded", true),
            ("FAILED", true),
            ("Canceled", true),
            ("cancelled", true),
        ] {
            let progress = at_status(&reply(200, &[], &json!({"status": status}))).unwrap();
            assert_eq!(!matches!(progress, Progress::Running(_)), over, "{status}");
        }
    }

    #[test]
    fn an_error_with_the_code_0_is_none() {
        assert_eq!(error_of(&json!({"code": "0", "message": "0 error/s reported."})), None);
        assert_eq!(error_of(&Value::Null), None);
        let told = error_of(&json!({"code": "Busy", "message": "later"}));
        assert_eq!(told.as_deref(), Some("Busy: later"));
    }

    #[test]
    fn the_output_of_a_status_is_the_result() {
        let body = json!({
            "status": "Succeeded",
            "endTime": "2024-11-23T01:55:32.2637578+00:00",
            "properties": {"output": {"status": "Succeeded"}},
        });
        let progress = at_status(&reply(200, &[], &body)).unwrap();
        let result = Some(json!({"status": "Succeeded"}));
        let ended = Some("2024-11-23T01:55:32.2637578Z".parse().unwrap());
        assert_eq!(progress, Progress::Succeeded { result, ended });
    }

    #[test]
    fn a_look_is_never_followed_by_another_at_once() {
        for (headers, seconds) in [
            (&[][..], 15),
            (&[("retry-after", "1")], 15),
            (&[("retry-after", "60")], 60),
            (&[("retry-after", "86400")], 300),
        ] {
            let progress = at_location(&reply(202, headers, &Value::Null)).unwrap();
            assert_eq!(progress, Progress::Running(Duration::from_secs(seconds)), "{headers:?}");
        }
    }

    #[test]
    fn an_operation_that_is_accepted_without_an_address_is_an_error() {
        assert!(Accepted::read("test", &reply(202, &[], &Value::Null)).is_err());
        let location = reply(202, &[("location", "https://x/1?s=secret")], &Value::Null);
        let Accepted::Following(followed) = Accepted::read("test", &location).unwrap() else {
            panic!("it goes on");
        };
        assert!(!format!("{followed:?}").contains("secret"));
        let kept = serde_json::to_string(&followed).unwrap();
        assert_eq!(serde_json::from_str::<Followed>(&kept).unwrap(), followed);
        assert!(matches!(
            Accepted::read("test", &reply(200, &[], &json!({}))),
            Ok(Accepted::Done(Some(_)))
        ));
    }

    fn node() -> NodeId {
        "azure/s-1/we//subscriptions/s-1/resourceGroups/g/providers/x/vm1".parse().unwrap()
    }

    fn followed(status: Option<&str>, result: Option<&str>) -> Followed {
        let at = |path: &str| format!("https://management.azure.com/operations/{path}");
        Followed { status: status.map(at), result: result.map(at) }
    }

    #[test]
    fn the_id_of_an_operation_is_the_last_part_of_its_address() {
        let id = "5f8bda26-1c2d-4d6b-9a0e-000000000001";
        let signed = format!("{id}?p=1&s=signed/x");
        assert_eq!(followed(Some(&signed), None).operation(), Some(id));
        assert_eq!(followed(None, Some(&signed)).operation(), Some(id));
        assert_eq!(followed(Some("?s=1"), None).operation(), None);
        assert_eq!(followed(None, None).operation(), None);
    }

    #[tokio::test]
    async fn the_result_is_read_where_the_status_has_none() {
        let service = Canned::new()
            .then(200, &[], &json!({"status": "InProgress"}))
            .then(200, &[], &json!({"status": "Succeeded", "error": {"code": "0"}}))
            .then(200, &[], &json!({"installedPatchCount": 3}));
        let client = service.provider(Tokens::Same).client;
        let followed = followed(Some("1?s=signed"), Some("1?monitor=true&s=signed"));
        let first = client.look(&followed, &node()).await.unwrap();
        assert_eq!(first, Progress::Running(FLOOR));
        let last = client.look(&followed, &node()).await.unwrap();
        let result = Some(json!({"installedPatchCount": 3}));
        assert_eq!(last, Progress::Succeeded { result, ended: None });
        let asked: Vec<String> = service.asked().into_iter().map(|it| it.url).collect();
        assert!(asked[2].ends_with("1?monitor=true&s=signed"), "followed as it stands: {asked:?}");
    }

    #[tokio::test]
    async fn an_operation_with_a_location_alone_is_followed_there() {
        let service = Canned::new().then(202, &[], &Value::Null).then(204, &[], &Value::Null);
        let client = service.provider(Tokens::Same).client;
        let followed = followed(None, Some("1"));
        assert_eq!(client.look(&followed, &node()).await.unwrap(), Progress::Running(FLOOR));
        let done = Progress::Succeeded { result: None, ended: None };
        assert_eq!(client.look(&followed, &node()).await.unwrap(), done);
    }

    #[tokio::test]
    async fn how_it_failed_is_told_and_an_address_elsewhere_gets_no_token() {
        let error = json!({"code": "Busy", "message": "https://x/1?s=signed is busy"});
        let service = Canned::new().then(200, &[], &json!({"status": "Canceled", "error": error}));
        let client = service.provider(Tokens::Same).client;
        let progress = client.look(&followed(Some("1"), None), &node()).await.unwrap();
        let Progress::Failed { status, message } = progress else { panic!("it failed") };
        assert_eq!(status, "Canceled");
        assert!(message.is_some_and(|it| it.starts_with("Busy") && !it.contains("signed")));
        let elsewhere =
            Followed { status: Some("https://evil.example/1".to_owned()), result: None };
        assert!(client.look(&elsewhere, &node()).await.is_err());
        assert_eq!(service.asked().len(), 1);
    }
}
