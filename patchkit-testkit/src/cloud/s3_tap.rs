//! Where S3 meets the world: its requests are recorded, denied and spoiled like all others.

use std::{sync::Arc, time::Duration};

use http::{StatusCode, request::Parts};
use jiff::Timestamp;
use patchkit_core::{Clock, SystemClock};

use super::{
    aws::sigv4::Credential,
    fault::FaultKind,
    record::RecordedCall,
    s3::{S3Call, Tap, Verdict},
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
    fn outcome(&self, call: &S3Call, region: Option<&str>) -> RecordedCall {
        let shared = &*self.0;
        let mut outcome = RecordedCall::new(&shared.next_request_id());
        let caller = shared.keys.named(&call.access_key);
        outcome.at = shared.now();
        outcome.service = "s3".into();
        call.operation.clone_into(&mut outcome.operation);
        outcome.scope = format!("{}/{}", caller.account, region.unwrap_or("us-east-1"));
        outcome.caller = caller.arn;
        let place = |bucket: &String| match &call.key {
            Some(key) => format!("{bucket}/{key}"),
            None => bucket.clone(),
        };
        outcome.ids = call.bucket.iter().map(place).collect();
        outcome
    }
}

impl Tap for S3Tap {
    fn before(&self, call: &S3Call, head: &Parts) -> Verdict {
        let region = Credential::of(head).map(|it| it.region);
        if self.0.keys.has_ended(&call.access_key, self.0.credential_time()) {
            let message = "The provided token has expired.";
            return Verdict::Refuse(StatusCode::BAD_REQUEST, "ExpiredToken", message);
        }
        let mut outcome = self.outcome(call, region.as_deref());
        match self.0.meet(&mut outcome) {
            Met::Denied => Verdict::Refuse(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied"),
            Met::Throttled => Verdict::SLOW_DOWN,
            Met::Failed(503) => Verdict::Refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "Service is unable to handle request.",
            ),
            Met::Failed(_) => Verdict::INTERNAL_ERROR,
            Met::Cut => Verdict::CutBefore,
            Met::Pass(Some(FaultKind::CutAfter | FaultKind::FailAfter)) => Verdict::CutAfter,
            Met::Pass(Some(FaultKind::Truncate)) => Verdict::TruncateBody,
            Met::Pass(Some(FaultKind::Slow { seconds })) => {
                Verdict::SlowBody(Duration::from_secs(seconds.into()))
            }
            // Faults of pages and values are of the JSON and query services.
            Met::Pass(_) => Verdict::Pass,
        }
    }

    fn after(&self, call: &S3Call, verdict: &Verdict, status: Option<StatusCode>) {
        let mut outcome = self.outcome(call, None);
        outcome.status = status.map(|it| it.as_u16());
        outcome.fault = match verdict {
            Verdict::CutAfter => Some(FaultKind::CutAfter),
            Verdict::CutBefore => Some(FaultKind::CutBefore),
            Verdict::TruncateBody => Some(FaultKind::Truncate),
            Verdict::SlowBody(time) => {
                let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
                Some(FaultKind::Slow { seconds })
            }
            Verdict::Refuse(StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST, ..) => None,
            Verdict::Refuse(_, "SlowDown", _) => Some(FaultKind::Throttle),
            Verdict::Refuse(status, ..) => Some(FaultKind::Fail { status: status.as_u16() }),
            _ => None,
        };
        outcome.error = match verdict {
            Verdict::Refuse(_, code, _) => Some((*code).to_owned()),
            _ => None,
        };
        let refused = matches!(verdict, Verdict::Refuse(..) | Verdict::CutBefore);
        outcome.acted = !refused && status.is_none_or(|it| it.is_success());
        self.0.note(outcome);
    }
}
