//! The SDK's types to and from the core's.

pub(crate) mod baseline;
pub(crate) mod patch;

use aws_smithy_types::DateTime;
use jiff::Timestamp;
use patchkit_core::Result;

use crate::error::malformed;

/// A time of the API.
pub(crate) fn timestamp(operation: &'static str, time: &DateTime) -> Result<Timestamp> {
    // Both count nanoseconds up from the second, but for the type that holds them.
    let nanos = i32::try_from(time.subsec_nanos()).ok();
    nanos
        .and_then(|nanos| Timestamp::new(time.secs(), nanos).ok())
        .ok_or_else(|| malformed(operation, format!("{} is no time", time.secs())))
}
