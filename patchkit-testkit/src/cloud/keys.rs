//! The access keys that the simulated AWS services know.

use std::fmt;

use jiff::Timestamp;
use subtle::ConstantTimeEq;

/// A text that is never printed.
///
/// # Behavior
/// - Its `Debug` form is the same for every secret, and it has no `Display` and no serialized form.
/// - Comparing two takes a time that depends on their lengths only.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps a text secret.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text, for the one who signs or hands it out.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Eq for Secret {}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

/// What belongs to an access key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyEntry {
    /// The secret that its requests are signed with.
    pub secret: Secret,
    /// The token that its requests must carry, for temporary credentials.
    pub session_token: Option<Secret>,
    /// When temporary credentials end.
    pub expires: Option<Timestamp>,
}

impl KeyEntry {
    /// A key that lasts.
    pub fn new(secret: impl Into<Secret>) -> Self {
        Self { secret: secret.into(), session_token: None, expires: None }
    }

    /// Makes it temporary: valid with this token, until this time.
    #[must_use]
    pub fn with_session(mut self, token: impl Into<Secret>, expires: Timestamp) -> Self {
        self.session_token = Some(token.into());
        self.expires = Some(expires);
        self
    }

    /// Whether a request with this token, at this time, may use the key.
    ///
    /// # Errors
    /// The token is missing, is not the key's or is one too many; or its time is over.
    pub fn admit(&self, token: Option<&[u8]>, now: Timestamp) -> Result<(), TokenProblem> {
        let known = self.session_token.as_ref().map(|known| known.expose().as_bytes());
        let fits = match (known, token) {
            (None, None) => true,
            (Some(known), Some(given)) => known.ct_eq(given).into(),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if !fits {
            let problem =
                if token.is_none() { TokenProblem::Missing } else { TokenProblem::Unknown };
            return Err(problem);
        }
        if self.expires.is_some_and(|end| end <= now) {
            return Err(TokenProblem::Expired);
        }
        Ok(())
    }
}

/// Why a session token does not open its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenProblem {
    /// Its time is over.
    Expired,
    /// The key is temporary and the request has no token.
    Missing,
    /// It is not the key's.
    Unknown,
}

/// Knows access keys.
pub trait Keys: fmt::Debug + Send + Sync + 'static {
    /// What belongs to this access key, if there is one.
    fn secret(&self, access_key: &str) -> Option<KeyEntry>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let entry = KeyEntry::new("hush").with_session("whisper", Timestamp::UNIX_EPOCH);
        let printed = format!("{entry:?}");
        assert!(!printed.contains("hush") && !printed.contains("whisper"), "{printed}");
    }

    #[test]
    fn a_token_must_be_the_keys_own_and_in_time() {
        let lasting = KeyEntry::new("hush");
        let end = Timestamp::from_second(100).unwrap();
        let session = lasting.clone().with_session("whisper", end);
        let early = Timestamp::from_second(99).unwrap();
        assert_eq!(lasting.admit(None, end), Ok(()));
        assert_eq!(lasting.admit(Some(b"whisper"), end), Err(TokenProblem::Unknown));
        assert_eq!(session.admit(Some(b"whisper"), early), Ok(()));
        assert_eq!(session.admit(Some(b"whispes"), early), Err(TokenProblem::Unknown));
        assert_eq!(session.admit(None, early), Err(TokenProblem::Missing));
        assert_eq!(session.admit(Some(b"whisper"), end), Err(TokenProblem::Expired));
        assert_eq!(session.admit(Some(b"other"), end), Err(TokenProblem::Unknown));
    }
}
