//! Where S3 meets the world: its requests are recorded, denied and spoiled like all others.

use std::{sync::Arc, time::Duration};

use http::{StatusCode, request::Parts};
use jiff::Timestamp;
use patchkit_core::{Clock, SystemClock};

use super::{
    aws::{sigv4::Credential, skew::ahead},
    fault::FaultKind,
    record::RecordedCall,
    s3::{Decision, S3Call, Tap, Verdict, skew::check},
    shared::{Met, Shared},
};

/// The time by which temporary credentials end.
#[derive(Debug)]
pub(crate) struct SessionClock(pub(crate) Arc<Shared>);

#[async_trait::async_trait]
impl Clock for SessionClock {
    fn now(&self) -> Timestamp {
        self.0.credential_time()
    }

    async fn sleep(&self, time: Duration) {
        SystemClock.sleep(time).await;
    }
}

#[derive(Debug)]
pub(crate) struct S3Tap(pub(crate) Arc<Shared>);

impl S3Tap {
    fn record(&self, call: &S3Call, region: Option<&str>) -> RecordedCall {
        let shared = &*self.0;
        let mut record = RecordedCall::new(&shared.next_request_id());
        let caller = shared.keys.named(&call.access_key);
        record.at = shared.now();
        record.service = "s3".into();
        call.operation.clone_into(&mut record.operation);
        record.scope = format!("{}/{}", caller.account, region.unwrap_or("us-east-1"));
        record.caller = caller.arn;
        let place = |bucket: &String| match &call.key {
            Some(key) => format!("{bucket}/{key}"),
            None => bucket.clone(),
        };
        record.ids = call.bucket.iter().map(place).collect();
        record
    }

    /// What becomes of a request, and the time that its answer tells where that is another one.
    fn meet(
        &self,
        record: &mut RecordedCall,
        call: &S3Call,
        head: &Parts,
    ) -> (Verdict, Option<Timestamp>) {
        if self.0.keys.has_ended(&call.access_key, self.0.credential_time()) {
            let message = "The provided token has expired.";
            return (Verdict::Refuse(StatusCode::BAD_REQUEST, "ExpiredToken", message), None);
        }
        let verdict = match self.0.meet(record) {
            Met::Denied => Verdict::Refuse(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied"),
            Met::Throttled(_) => Verdict::SLOW_DOWN,
            Met::Failed(503) => Verdict::Refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "Service is unable to handle request.",
            ),
            Met::Failed(status) => Verdict::failed(status),
            Met::Cut => Verdict::CutBefore,
            Met::Pass(Some(FaultKind::CutAfter)) => Verdict::CutAfter,
            Met::Pass(Some(FaultKind::FailAfter)) => Verdict::FailAfter,
            Met::Pass(Some(FaultKind::Truncate)) => Verdict::TruncateBody,
            Met::Pass(Some(FaultKind::Slow { seconds })) => {
                Verdict::SlowBody(Duration::from_secs(seconds.into()))
            }
            Met::Pass(Some(FaultKind::ClockSkew { seconds })) => {
                let server = ahead(seconds);
                let refused = check(head, server).err();
                return (refused.unwrap_or_default(), Some(server));
            }
            // Faults of pages and values meet no request of S3.
            Met::Pass(_) => Verdict::Pass,
        };
        (verdict, None)
    }
}

impl Tap for S3Tap {
    fn decide(&self, call: &S3Call, head: &Parts) -> Decision {
        let region = Credential::of(head).map(|it| it.region);
        let mut record = self.record(call, region.as_deref());
        let (verdict, date) = self.meet(&mut record, call, head);
        record.error = match &verdict {
            Verdict::Refuse(_, code, _) => Some((*code).to_owned()),
            Verdict::Skewed { .. } => Some("RequestTimeTooSkewed".to_owned()),
            _ => None,
        };
        let shared = Arc::clone(&self.0);
        let decision = Decision::new(verdict.clone()).with_end(move |ended| {
            record.status = ended.answered.map(|it| it.as_u16());
            record.acted = ended.served.is_some_and(|it| it.is_success());
            if verdict == Verdict::FailAfter && record.acted {
                record.error = Some("InternalError".to_owned());
            }
            shared.note(record);
        });
        match date {
            Some(date) => decision.with_date(date),
            None => decision,
        }
    }
}
