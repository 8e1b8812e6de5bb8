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

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
