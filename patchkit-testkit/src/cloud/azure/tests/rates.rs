//! Rates that a test sets, as callers meet them.

use std::time::Duration;

use serde_json::json;

use super::{Cloud, SUBSCRIPTION};
use crate::cloud::{RateLimit, shared::lock};

fn limited(operation: &str, per_second: f64) -> Cloud {
    let cloud = Cloud::well();
    lock(&cloud.0.limits).add(RateLimit::of(operation, per_second, 1)).unwrap();
    cloud
}

#[test]
fn a_refusal_tells_how_long_it_takes_until_a_call_is_taken_again() {
    let cloud = limited("VirtualMachines_ListAll", 1.0 / 90.0);
    let path = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines");
    assert_eq!(cloud.get(&path).status, 200);
    let refused = cloud.get(&path);
    // Time of ours passes, too, while this runs.
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((80..=90).contains(&seconds), "{seconds}");
    assert_eq!(refused.status, 429);
    cloud.advance(Duration::from_mins(1));
    let seconds: u64 = cloud.get(&path).header("retry-after").parse().unwrap();
    assert!((20..=30).contains(&seconds), "{seconds}");
    cloud.advance(Duration::from_secs(seconds - 10));
    assert_eq!(cloud.get(&path).status, 429);
    cloud.advance(Duration::from_secs(10));
    assert_eq!(cloud.get(&path).status, 200);
}

#[test]
fn a_query_over_a_rate_is_told_the_wait_too() {
    let cloud = limited("Resources", 0.05);
    let ask = || {
        let body = json!({"query": "resources | count"});
        cloud.post("/providers/Microsoft.ResourceGraph/resources", &body)
    };
    assert_eq!(ask().status, 200);
    let refused = ask();
    assert_eq!(refused.code(), "RateLimiting");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((15..=20).contains(&seconds), "{seconds}");
    let resets_after = refused.header("x-ms-user-quota-resets-after");
    assert_eq!(resets_after, format!("00:00:{seconds}"));
    cloud.advance(Duration::from_secs(20));
    assert_eq!(ask().status, 200);
}

#[test]
fn a_bucket_refills_also_when_time_begins_to_run_that_stood_still() {
    let cloud = limited("Subscriptions_Get", 20.0);
    let path = format!("/subscriptions/{SUBSCRIPTION}");
    // As long as the world has been standing still.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(cloud.get(&path).status, 200);
    lock(&cloud.0.clock).set_speed(1.0);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(cloud.get(&path).status, 200);
}
