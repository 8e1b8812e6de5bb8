//! Finds rows by how a text of theirs begins, in bytes that nobody has parsed.

use std::fmt;

use memchr::memmem;

/// The beginning of a text that is looked for, without regard to ASCII case.
///
/// # Behavior
/// - [`next_candidate`](Self::next_candidate) is sure of a "no" only: however a row spells the field
///   and its value, with spaces, in other case or with escapes, a row that has such a text is found.
///
/// # Example
/// ```
/// use patchkit_inventory::NamePrefix;
///
/// let openssl = NamePrefix::new("openssl");
/// let lines = b"{\"Name\":\"bash\"}\n{\"Name\":\"OpenSSL 3.0\"}\n";
/// assert_eq!(openssl.next_candidate(lines), Some(24));
/// assert_eq!(openssl.next_candidate(&lines[..16]), None);
/// assert!(openssl.matches("OpenSSL 3.0"));
/// ```
#[derive(Clone)]
pub struct NamePrefix {
    prefix: Box<str>,
    /// The quote and the first letter, in either case; `None` where nothing can be told from bytes.
    needles: Option<Vec<memmem::Finder<'static>>>,
}

impl fmt::Debug for NamePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamePrefix").field(&self.prefix).finish()
    }
}

impl NamePrefix {
    /// Looks for texts that begin so; every text does where it is empty.
    pub fn new(prefix: &str) -> Self {
        // Letters are escaped as \u alone, so that a text begins with quote and letter or has \u in
        // it. What has an escape of its own, and what begins like a value without quotes, is told
        // from values that were read.
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'/');
        let is_plain = prefix.bytes().all(|byte| plain(byte) || byte == b' ');
        let bare = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'[' | b'{');
        let first = prefix.bytes().next().filter(|byte| is_plain && !bare(*byte));
        let first = first.filter(|byte| !matches!(byte.to_ascii_lowercase(), b't' | b'f'));
        let needles = first.map(|first| {
            let mut cases = vec![first.to_ascii_lowercase(), first.to_ascii_uppercase()];
            cases.dedup();
            cases.iter().map(|case| memmem::Finder::new(&[b'"', *case]).into_owned()).collect()
        });
        Self { prefix: prefix.into(), needles }
    }

    /// Whether a text begins so.
    pub fn matches(&self, text: &str) -> bool {
        self.begins(text.as_bytes())
    }

    fn begins(&self, text: &[u8]) -> bool {
        let start = text.get(..self.prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(self.prefix.as_bytes()))
    }

    /// The place of the first byte in `lines` whose line may hold such a text; `None` where no line
    /// does.
    pub fn next_candidate(&self, lines: &[u8]) -> Option<usize> {
        let Some(needles) = &self.needles else { return Some(0) };
        let mut first = lines.len();
        for needle in needles {
            // Behind what the other needle found nothing is looked for.
            let mut hits = needle.find_iter(&lines[..first]);
            if let Some(hit) = hits.find(|hit| self.begins(&lines[hit + 1..])) {
                first = hit;
            }
        }
        let mut from = 0;
        while let Some(slash) = memchr::memchr(b'\\', &lines[from..first]) {
            let slash = from + slash;
            if lines.get(slash + 1) == Some(&b'u') {
                first = slash;
                break;
            }
            // What a backslash keeps may be a backslash.
            from = (slash + 2).min(first);
        }
        (first < lines.len()).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::InventoryRecord;

    #[test]
    fn a_name_is_found_in_every_spelling() {
        let filter = NamePrefix::new("openssl");
        for line in [
            r#"{"Name":"OpenSSL 3.0"}"#,
            r#"{"Name":"\u006fpenssl"}"#,
            r#"{"Name":"op\u0065nssl"}"#,
            r#"{"Summary":"\\","Name":"\u006fpenssl"}"#,
            r#"{"Name" : "openssl"}"#,
            r#"{"name":"openssl"}"#,
            r#"{"N\u0061me":"openssl"}"#,
            r#"{"Name":"bash","Name":"openssl"}"#,
            r#"{"Name":"bash"}{"Name":"openssl"}"#,
        ] {
            assert!(filter.next_candidate(line.as_bytes()).is_some(), "{line}");
        }
        for line in [
            r#"{"Name":"bash","Summary":"used by openssl"}"#,
            r#"{"Name":"libopenssl"}"#,
            r#"{"Name":"a","Path":"C:\\users"}"#,
            r#"{"Name":"open"#,
        ] {
            assert_eq!(filter.next_candidate(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn what_bytes_cannot_tell_is_read() {
        for (prefix, line) in [
            ("", "{}"),
            ("7", r#"{"Name":7}"#),
            ("tr", r#"{"Name":true}"#),
            ("a/b", r#"{"Name":"a\/b"}"#),
            ("\u{fffd}", "{\"Name\":\"\u{fffd}\"}"),
        ] {
            assert_eq!(
                NamePrefix::new(prefix).next_candidate(line.as_bytes()),
                Some(0),
                "{prefix}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_row_is_missed(
            prefix in "[a-zA-Z0-9 \\-\\[]{0,3}",
            name in "([a-cA-C \\-]|\\\\u006[1-3]|\\\\\\\\|\\\\/){0,5}",
            spelled in prop_oneof![Just("\"Name\":"), Just("\"name\" : "), Just("\"\\u004eame\":")],
        ) {
            let line = format!("{{{spelled}\"{name}\"}}");
            let filter = NamePrefix::new(&prefix);
            let row = InventoryRecord::parse(&line).unwrap();
            if row.text("Name").is_some_and(|name| filter.matches(name)) {
                prop_assert!(filter.next_candidate(line.as_bytes()).is_some());
            }
        }
    }
}
