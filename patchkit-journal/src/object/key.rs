//! Names of objects.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// What every store, and every file system, takes as it is. A full stop is encoded, so that it can
/// stand before a hash, and that no name is `..`.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The longest name that is kept whole: file systems take 255 bytes, S3 1,024 for all of a key.
const LONGEST: usize = 128;

/// A run's folder: one for each name, and readable where the name is.
pub(super) fn folder(run: &str) -> String {
    // A per cent sign would be encoded once more by the stores.
    let encoded = utf8_percent_encode(run, KEPT).to_string().replace('%', "=");
    if encoded.len() <= LONGEST {
        return encoded;
    }
    // An encoded name is ASCII.
    format!("{}.{}", &encoded[..LONGEST / 2], hex(&Sha256::digest(run)))
}

/// An object's name in its sequence. Names sort as numbers do.
pub(super) fn name(number: u64) -> String {
    format!("{number:020}.json")
}

/// The number of an object with this name; none for what is no object of ours.
pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    let is_ours = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_ours.then(|| digits.parse().ok()).flatten()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_readable_and_no_name_leaves_its_folder() {
        assert_eq!(folder("2026-11-24_weekly"), "2026-11-24_weekly");
        assert_eq!(folder(".."), "=2E=2E");
        assert_eq!(folder("a/b c"), "a=2Fb=20c");
        let long = folder(&"x".repeat(2_048));
        assert!(long.len() < 255 && long != folder(&"x".repeat(2_047)), "{long}");
    }

    #[test]
    fn names_sort_as_numbers_and_read_back() {
        let numbers = [0, 9, 10, 1_000_000, u64::MAX];
        assert!(numbers.map(name).is_sorted());
        assert_eq!(numbers.map(|it| number(&name(it))), numbers.map(Some));
        for other in ["1.json", "x.json", "0000000000000000001a.json", "00000000000000000001.tmp"] {
            assert_eq!(number(other), None);
        }
    }
}
