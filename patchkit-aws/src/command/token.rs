//! The caller's token, as it stands in a command's comment, and the snapshot of a run.

use std::fmt;

use patchkit_core::{PatchRequest, RunId, SubmitToken};
use uuid::Uuid;

/// Namespaces of our own, so that no name means the same anywhere else.
const TOKENS: Uuid = Uuid::from_u128(0x6f0c_9e0e_2f5d_4b0a_9d3c_7a1b_5e84_c2d1);
const RUNS: Uuid = Uuid::from_u128(0xb1d2_44c7_80a3_4f6e_8c57_0e93_d7fa_6b28);

/// What the comments of our commands begin with.
const PREFIX: &str = "patchkit:";

/// The longest comment that SendCommand takes (service model, `Comment`).
const LONGEST: usize = 100;

/// A token in the shape that fits into a comment: SendCommand has no token of its own, and ours may
/// be longer than a comment, so it is hashed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Marker(Uuid);

impl Marker {
    pub(crate) fn of(token: &SubmitToken) -> Self {
        Self(Uuid::new_v5(&TOKENS, token.as_str().as_bytes()))
    }

    /// The marker that a comment begins with. Anyone may write comments: what follows it is not read.
    pub(crate) fn read(comment: &str) -> Option<Self> {
        let word = comment.strip_prefix(PREFIX)?.split(' ').next()?;
        // Only in the one form in which it is written.
        (word.len() == 32).then(|| Uuid::try_parse(word).ok().map(Self)).flatten()
    }

    /// The comment of a command: the marker, and as much of the token as there is room for, for the
    /// one who looks at the console.
    pub(crate) fn comment(self, token: &SubmitToken) -> String {
        let mut comment = format!("{self} ");
        let plain = |c: char| if c.is_ascii_graphic() { c } else { '.' };
        comment.extend(token.as_str().chars().take(LONGEST - comment.len()).map(plain));
        comment
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0.simple())
    }
}

/// The snapshot of approved patches that a request works with: one for all acts of a run, which then
/// judge by the same set, also when the baseline is changed meanwhile.
pub(crate) fn snapshot_of(request: &PatchRequest) -> Uuid {
    snapshot(request.run.as_ref().map_or(request.token.as_str(), RunId::as_str))
}

/// The snapshot that has a name.
pub(crate) fn snapshot(name: &str) -> Uuid {
    Uuid::new_v5(&RUNS, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> SubmitToken {
        text.parse().unwrap()
    }

    #[test]
    fn a_marker_is_read_back_from_its_comment() {
        for text in ["run-install-0-0", "längere", &"x".repeat(2_000), "with a space"] {
            let token = token(text);
            let marker = Marker::of(&token);
            let comment = marker.comment(&token);
            assert!(comment.chars().count() <= LONGEST && comment.is_ascii(), "{comment}");
            assert_eq!(Marker::read(&comment), Some(marker));
            assert_eq!(Marker::read(&marker.to_string()), Some(marker));
        }
    }

    #[test]
    fn tokens_that_differ_behind_the_end_of_a_comment_have_other_markers() {
        let [a, b] = ["a", "b"].map(|end| token(&format!("{}{end}", "x".repeat(200))));
        assert_ne!(Marker::of(&a), Marker::of(&b));
    }

    #[test]
    fn a_comment_of_someone_else_is_no_marker() {
        for comment in [
            "",
            "patchkit:",
            "patchkit:nightly",
            "nightly patchkit:0123456789abcdef0123456789abcdef",
            "patchkit:0123456789abcdef0123456789abcdef0",
            "patchkit:01234567-89ab-cdef-0123-456789abcdef",
        ] {
            assert_eq!(Marker::read(comment), None, "{comment}");
        }
    }
}
