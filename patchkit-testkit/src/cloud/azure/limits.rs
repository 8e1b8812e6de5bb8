//! How many requests Azure takes: its front door's buckets, and those of the compute provider.

use http::{Method, StatusCode};
use serde_json::json;

use super::{ask::Ask, error::ArmError, reply::stamp, router::Scope, token::Caller};
use crate::cloud::{
    shared::{Shared, lock},
    throttle::{Rate, RetryAfter},
    world::{State, clock::earlier},
};

/// The bucket of the provider that an operation takes from, beside the front door's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Limit {
    /// The front door's alone.
    None,
    GuestPatch,
    UpdateVm,
    DeleteVm,
    LowCostGet,
    HighCostGet,
    GetOperation,
    SetView,
    Graph,
}

/// A bucket of the compute provider, as its header names it.
struct Named {
    name: &'static str,
    /// Of a single resource, or of the subscription in a region.
    resource: bool,
    rate: Rate,
}

const fn of_resource(name: &'static str, per_minute: f64, cap: u32) -> Named {
    Named { name, resource: true, rate: Rate::per_minute(per_minute, cap) }
}

const fn of_subscription(name: &'static str, per_minute: f64, cap: u32) -> Named {
    Named { name, resource: false, rate: Rate::per_minute(per_minute, cap) }
}

impl Limit {
    /// "Compute throttling limits" of Microsoft's documentation; the order of the names is that of
    /// recorded answers (azure-cli, test_vm_install_patches).
    const fn buckets(self) -> &'static [Named] {
        match self {
            Self::None | Self::Graph => const { &[] },
            Self::GuestPatch => {
                const {
                    &[
                        of_subscription("VMGuestPatchOperationSubscriptionMaximum", 200.0, 600),
                        of_resource("VMGuestPatchOperationResource", 2.0, 6),
                    ]
                }
            }
            Self::UpdateVm => {
                const {
                    &[
                        of_subscription("UpdateVMSubscriptionMaximum", 500.0, 1_500),
                        of_resource("UpdateVMResource", 4.0, 12),
                    ]
                }
            }
            Self::DeleteVm => {
                const {
                    &[
                        of_subscription("DeleteVMSubscriptionMaximum", 500.0, 1_500),
                        of_resource("DeleteVMResource", 4.0, 12),
                    ]
                }
            }
            Self::LowCostGet => {
                const {
                    &[
                        of_resource("LowCostGetResource", 12.0, 36),
                        of_subscription("LowCostGetSubscriptionMaximum", 8_000.0, 24_000),
                    ]
                }
            }
            Self::HighCostGet => {
                const { &[of_subscription("HighCostGetSubscriptionMaximum", 300.0, 900)] }
            }
            Self::GetOperation => {
                const {
                    &[
                        of_resource("GetOperationResource", 15.0, 45),
                        of_subscription("GetOperationSubscriptionMaximum", 5_000.0, 15_000),
                    ]
                }
            }
            Self::SetView => {
                const {
                    &[
                        of_resource("GetVMScaleSetInstanceViewResource", 10.0, 30),
                        of_subscription(
                            "GetVMScaleSetInstanceViewSubscriptionMaximum",
                            360.0,
                            1_080,
                        ),
                    ]
                }
            }
        }
    }
}

/// The front door's bucket of a caller in a subscription; all callers together have fifteen
/// ("Understand how Azure Resource Manager throttles requests").
const DOORS: [(&str, Rate); 3] = [
    ("reads", Rate::per_second(25.0, 250)),
    ("writes", Rate::per_second(10.0, 200)),
    ("deletes", Rate::per_second(10.0, 200)),
];
const TOGETHER: [Rate; 3] = [
    Rate::per_second(375.0, 3_750),
    Rate::per_second(150.0, 3_000),
    Rate::per_second(150.0, 3_000),
];
const HEADERS: [[&str; 2]; 3] = [
    [
        "x-ms-ratelimit-remaining-subscription-reads",
        "x-ms-ratelimit-remaining-subscription-global-reads",
    ],
    [
        "x-ms-ratelimit-remaining-subscription-writes",
        "x-ms-ratelimit-remaining-subscription-global-writes",
    ],
    [
        "x-ms-ratelimit-remaining-subscription-deletes",
        "x-ms-ratelimit-remaining-subscription-global-deletes",
    ],
];

/// Fifteen queries in five seconds ("Guidance for throttled requests in Azure Resource Graph").
const GRAPH: Rate = Rate::per_second(3.0, 15);
/// In seconds.
const WINDOW: u64 = 5;

/// What every answer of Resource Graph tells of its caller's quota.
fn quota(left: u32, resets_after: u64) -> Headers {
    let (minutes, seconds) = (resets_after / 60, resets_after % 60);
    let resets_after = format!("{:02}:{:02}:{seconds:02}", minutes / 60, minutes % 60);
    vec![
        ("x-ms-user-quota-remaining", left.to_string()),
        ("x-ms-user-quota-resets-after", resets_after),
    ]
}

/// The refusal of Resource Graph where a caller's quota is used up.
pub(super) fn over_quota(seconds: u64) -> ArmError {
    let mut error = ArmError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "RateLimiting",
        "Client application has been throttled and should not attempt to repeat the request \
         until an amount of time has elapsed.",
    );
    error.headers.push(("retry-after", seconds.to_string()));
    error.headers.extend(quota(0, seconds.max(WINDOW)));
    error
}

pub(super) struct Throttle<'a> {
    pub(super) shared: &'a Shared,
    pub(super) state: &'a State,
    pub(super) ask: &'a Ask<'a>,
    pub(super) caller: &'a Caller,
    pub(super) scope: &'a Scope,
}

type Headers = Vec<(&'static str, String)>;

impl Throttle<'_> {
    /// Takes one token of each bucket; says what is left as headers do.
    pub(super) fn take(&self, limit: Limit) -> Result<Headers, ArmError> {
        let subscription = self.scope.subscription(self.state);
        let mut told = Headers::new();
        if limit == Limit::Graph {
            self.graph(&mut told)?;
            return Ok(told);
        }
        let (door, caller) = (self.door(), &self.caller.name);
        let [own, all] = HEADERS[door];
        let key = format!("{}:{subscription}", DOORS[door].0);
        let left = self
            .one(&format!("{key}:{caller}"), DOORS[door].1)
            .map_err(|wait| self.refused_at_the_door(&subscription, wait))?;
        told.push((own, left.to_string()));
        let left = self
            .one(&key, TOGETHER[door])
            .map_err(|wait| self.refused_at_the_door(&subscription, wait))?;
        told.push((all, left.to_string()));
        let mut named = Vec::new();
        for bucket in limit.buckets() {
            let of = if bucket.resource { self.resource() } else { subscription.clone() };
            let key = format!("{}:{of}", bucket.name);
            match self.one(&key, bucket.rate) {
                Ok(left) => named.push(format!("Microsoft.Compute/{};{left}", bucket.name)),
                Err(wait) => {
                    let mut error = self.refused(bucket, wait);
                    named.push(format!("Microsoft.Compute/{};0", bucket.name));
                    told.push(("x-ms-ratelimit-remaining-resource", named.join(",")));
                    error.headers.extend(told);
                    return Err(error);
                }
            }
        }
        if !named.is_empty() {
            told.push(("x-ms-ratelimit-remaining-resource", named.join(",")));
        }
        Ok(told)
    }

    fn one(&self, key: &str, rate: Rate) -> Result<u32, RetryAfter> {
        // Where nothing is limited, every bucket is as if it had only been asked this once.
        let Some(buckets) = &self.shared.buckets else { return Ok(rate.cap() - 1) };
        let now = self.shared.bucket_time();
        lock(buckets).take(key, rate, now).map(|left| left.0)
    }

    fn door(&self) -> usize {
        match *self.ask.method() {
            Method::GET | Method::HEAD => 0,
            Method::DELETE => 2,
            _ => 1,
        }
    }

    /// The resource that a bucket of a resource is of: the path without what is done to it. All
    /// polls of one machine share a bucket, whichever operation they are of.
    fn resource(&self) -> String {
        if let Some(at) = self.state.azure.operations.machine(self.ask.lower.last()) {
            return at.0.to_string();
        }
        match &self.scope {
            Scope::Machine(at) => at.0.to_string(),
            _ => self.ask.lower.iter().take(8).map(String::as_str).collect::<Vec<_>>().join("/"),
        }
    }

    fn graph(&self, told: &mut Headers) -> Result<(), ArmError> {
        let key = format!("graph:{}", self.caller.name);
        let taken = self.one(&key, GRAPH);
        let left = taken.map_err(|wait| over_quota(wait.seconds()))?;
        told.extend(quota(left, WINDOW));
        Ok(())
    }

    fn refused_at_the_door(&self, subscription: &str, wait: RetryAfter) -> ArmError {
        let seconds = wait.seconds();
        let mut error = ArmError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "SubscriptionRequestsThrottled",
            format!(
                "Number of '{}' requests for subscription '{subscription}' actor '{}' exceeded. \
                 Please try again after '{seconds}' seconds after additional tokens are \
                 available. Refer to https://aka.ms/arm-throttling for additional information.",
                DOORS[self.door()].0,
                self.caller.name,
            ),
        );
        error.headers.push(("retry-after", seconds.to_string()));
        error
    }

    /// "Troubleshooting API throttling errors - Compute" has the form; ARM puts it in its envelope.
    fn refused(&self, bucket: &Named, wait: RetryAfter) -> ArmError {
        let now = self.state.now;
        let allowed = bucket.rate.cap();
        let told = json!({
            "operationGroup": bucket.name,
            "startTime": stamp(earlier(now, std::time::Duration::from_mins(1))),
            "endTime": stamp(now),
            "allowedRequestCount": allowed,
            "measuredRequestCount": allowed + 1,
        });
        let mut error = ArmError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "OperationNotAllowed",
            "The server rejected the request because too many requests have been received for \
             this subscription.",
        );
        error.details.push(json!({
            "code": "TooManyRequests",
            "target": bucket.name,
            "message": told.to_string(),
        }));
        error.inner = Some(json!({"internalErrorCode": "TooManyRequestsReceived"}));
        error.headers.push(("retry-after", wait.seconds().to_string()));
        error
    }
}
