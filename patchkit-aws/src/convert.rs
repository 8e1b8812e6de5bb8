//! The SDK's types as the core's, and back.

pub(crate) mod baseline;
pub(crate) mod compliance;
pub(crate) mod node;
pub(crate) mod patch;

use aws_smithy_types::DateTime;
use jiff::Timestamp;

/// A time of the SDK's, where the core can hold it.
pub(crate) fn timestamp(time: &DateTime) -> Option<Timestamp> {
    let nanos = i32::try_from(time.subsec_nanos()).ok()?;
    Timestamp::new(time.secs(), nanos).ok()
}
