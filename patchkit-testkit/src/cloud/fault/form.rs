//! Faults as JSON has them, and which of them cannot be.

use jiff::Timestamp;
use serde::{Deserialize, de::Error as _};
use serde_json::{Error, Map, Value};

use super::{Fault, FaultKind, InvalidFault};
use crate::cloud::aws;

/// A fault as JSON has it: a member that it cannot have is refused, not left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultForm {
    kind: String,
    status: Option<u16>,
    seconds: Option<i64>,
    operation: Option<String>,
    service: Option<String>,
    scope: Option<String>,
    node: Option<String>,
    caller: Option<String>,
    page: Option<u32>,
    #[serde(default)]
    skip: u32,
    times: Option<u32>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl TryFrom<FaultForm> for Fault {
    type Error = Error;

    fn try_from(form: FaultForm) -> Result<Self, Error> {
        let FaultForm { kind, status, seconds, operation, service, scope, node, .. } = form;
        let mut members = Map::new();
        members.insert("kind".to_owned(), kind.into());
        members.extend(status.map(|it| ("status".to_owned(), it.into())));
        members.extend(seconds.map(|it| ("seconds".to_owned(), it.into())));
        let kind = FaultKind::deserialize(Value::Object(members))?;
        let lacks = |name: &str| Err(Error::custom(format!("{} has no {name}", kind.as_str())));
        if status.is_some() && !matches!(kind, FaultKind::Fail { .. }) {
            return lacks("status");
        }
        if seconds.is_some()
            && !matches!(kind, FaultKind::Slow { .. } | FaultKind::ClockSkew { .. })
        {
            return lacks("seconds");
        }
        let FaultForm { caller, page, skip, times, from, until, .. } = form;
        Ok(Self { kind, operation, service, scope, node, caller, page, skip, times, from, until })
    }
}

impl Fault {
    /// Refuses one that could meet no request, or not as it says.
    pub(super) fn check(&self) -> Result<(), InvalidFault> {
        let wrong = |what: String| Err(InvalidFault(what));
        // Refusals have kinds of their own, in the words of each service.
        if let FaultKind::Fail { status } = self.kind
            && !(500..=599).contains(&status)
        {
            return wrong(format!("a request fails with a status from 500 to 599, not {status}"));
        }
        if self.times == Some(0) {
            return wrong("a fault that is to meet requests 0 times meets none".to_owned());
        }
        if self.page == Some(0) {
            return wrong("a page is counted from 1, there is none with the number 0".to_owned());
        }
        if let (Some(from), Some(until)) = (self.from, self.until)
            && from >= until
        {
            return wrong(format!("there is no time from {from} until {until}"));
        }
        if let Some(service) = &self.service {
            let mut known: Vec<&str> = aws::service_names().chain(["arm", "s3"]).collect();
            if !known.contains(&service.as_str()) {
                known.sort_unstable();
                return wrong(format!("no service is {service}; there are {}", known.join(", ")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_from_json_as_the_control_endpoint_takes_it() {
        let text = r#"{"kind": "fail", "status": 503, "operation": "SendCommand", "times": 1}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        assert_eq!(fault, Fault::new(FaultKind::Fail { status: 503 }).on("SendCommand").times(1));
        for wrong in [
            r#"{"kind": "away", "operatoin": "x"}"#,
            r#"{"kind": "fail"}"#,
            r#"{"kind": "away", "seconds": 1}"#,
            r#"{"kind": "clock_skew", "seconds": 1, "status": 500}"#,
        ] {
            assert!(serde_json::from_str::<Fault>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_the_control_endpoint_shows_of_a_fault_it_takes_again() {
        for kind in [
            FaultKind::Throttle,
            FaultKind::Fail { status: 500 },
            FaultKind::Slow { seconds: 1 },
            FaultKind::ClockSkew { seconds: -1 },
        ] {
            let fault = Fault::new(kind).of_service("config").on_page(1).times(1);
            let shown = serde_json::to_string(&fault).unwrap();
            let again: Fault = serde_json::from_str(&shown).unwrap();
            assert_eq!((again.check(), again), (Ok(()), fault));
        }
    }
}
