//! Text that must not be shown.

use std::fmt;

/// A code, a key or a token: nothing prints it, and it does not serialise.
///
/// # Behavior
/// - `Debug` shows `Secret(…)`; there is no `Display`.
/// - What holds a secret cannot derive `Serialize`: it stays out of journals and reports.
/// - Only [`expose`](Self::expose) gives it out, so that all places that do are found by one search.
///
/// # Example
/// ```
/// use patchkit_core::Secret;
///
/// let code = Secret::new("correct horse");
/// assert_eq!(format!("{code:?}"), "Secret(…)");
/// assert_eq!(code.expose(), "correct horse");
/// ```
///
/// ```compile_fail,E0277
/// println!("{}", patchkit_core::Secret::new("correct horse"));
/// ```
///
/// ```compile_fail,E0277
/// fn kept(_: impl serde::Serialize) {}
/// kept(patchkit_core::Secret::new("correct horse"));
/// ```
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_debug_shows_a_secret() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "printed")]
        struct Holder {
            code: Option<Secret>,
        }
        let holder = Holder { code: Some(Secret::new("correct horse")) };
        for text in [format!("{holder:?}"), format!("{holder:#?}")] {
            assert!(text.contains("Secret(…)") && !text.contains("horse"), "{text}");
        }
    }
}
