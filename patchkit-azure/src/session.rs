//! Tokens: got once, kept until they end by PatchKit's clock or the service says that they have.

use std::{fmt, sync::Arc, time::Duration};

use azure_core::credentials::TokenCredential;
use futures::lock::Mutex;
use jiff::Timestamp;
use patchkit_core::{Clock, Error, Secret};

use crate::error::no_credentials;

/// How long before its end a token is asked for anew, as Microsoft's clients do.
const EARLY: Duration = Duration::from_mins(5);

/// The tokens of one credential for one audience; clones share them.
#[derive(Clone)]
pub(crate) struct Tokens(Arc<Inner>);

struct Inner {
    credential: Arc<dyn TokenCredential>,
    audience: String,
    clock: Arc<dyn Clock>,
    /// Held while a token is asked for: a thousand requests at once ask for one.
    held: Mutex<Option<Held>>,
}

#[derive(Clone)]
struct Held {
    token: Secret,
    ends: Timestamp,
}

impl Tokens {
    pub(crate) fn new(
        credential: Arc<dyn TokenCredential>,
        audience: String,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Inner { credential, audience, clock, held: Mutex::new(None) }))
    }

    /// A token that has not ended.
    ///
    /// # Errors
    /// `Unauthenticated`, with what the credential said.
    pub(crate) async fn token(&self) -> Result<Secret, Error> {
        let mut held = self.0.held.lock().await;
        let now = self.0.clock.now();
        let early = now.saturating_add(EARLY).unwrap_or(Timestamp::MAX);
        if let Some(known) = held.as_ref().filter(|known| known.ends > early) {
            return Ok(known.token.clone());
        }
        match self.ask().await {
            Ok(fresh) => Ok(held.insert(fresh).token.clone()),
            // What is about to end has not ended yet.
            Err(error) => match held.as_ref().filter(|known| known.ends > now) {
                Some(known) => Ok(known.token.clone()),
                None => Err(error),
            },
        }
    }

    /// A token other than the one that the service refused.
    pub(crate) async fn renewed(&self, refused: &Secret) -> Result<Secret, Error> {
        {
            let mut held = self.0.held.lock().await;
            // Someone else may have got another one in the meantime.
            if held.as_ref().is_some_and(|known| known.token.expose() == refused.expose()) {
                *held = None;
            }
        }
        self.token().await
    }

    async fn ask(&self) -> Result<Held, Error> {
        let Inner { credential, audience, .. } = &*self.0;
        let answer = credential.get_token(&[audience], None).await;
        let answer = answer.map_err(|error| no_credentials(&error))?;
        let ends = Timestamp::from_second(answer.expires_on.unix_timestamp());
        Ok(Held {
            token: Secret::new(answer.token.secret()),
            ends: ends.unwrap_or(Timestamp::UNIX_EPOCH),
        })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("audience", &self.0.audience).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use azure_core::{
        credentials::{AccessToken, TokenRequestOptions},
        error::ErrorKind as CoreKind,
        time::OffsetDateTime,
    };
    use futures::executor::block_on;
    use patchkit_core::{ErrorKind, VirtualClock};

    use super::*;

    /// Tokens of an hour, the first of which ends at 3,600; after `tokens` of them it fails.
    #[derive(Debug)]
    struct Counting {
        asked: AtomicU32,
        tokens: u32,
    }

    #[async_trait]
    impl TokenCredential for Counting {
        async fn get_token(
            &self,
            _: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
            if number > self.tokens {
                return Err(azure_core::Error::with_message(CoreKind::Credential, "no more"));
            }
            let ends = OffsetDateTime::from_unix_timestamp(i64::from(number) * 3_600);
            Ok(AccessToken::new(format!("token-{number}"), ends.unwrap()))
        }
    }

    fn tokens(count: u32) -> (Tokens, VirtualClock) {
        let clock = VirtualClock::manual(Timestamp::UNIX_EPOCH);
        let credential = Arc::new(Counting { asked: AtomicU32::new(0), tokens: count });
        (Tokens::new(credential, "test".to_owned(), Arc::new(clock.clone())), clock)
    }

    fn got(tokens: &Tokens) -> String {
        block_on(tokens.token()).unwrap().expose().to_owned()
    }

    #[test]
    fn a_token_is_kept_until_it_is_about_to_end() {
        let (tokens, clock) = tokens(9);
        assert_eq!(got(&tokens), "token-1");
        clock.advance(Duration::from_mins(54));
        assert_eq!(got(&tokens), "token-1");
        clock.advance(Duration::from_mins(2));
        assert_eq!(got(&tokens), "token-2");
    }

    #[test]
    fn a_token_that_is_about_to_end_does_where_there_is_no_other() {
        let (tokens, clock) = tokens(1);
        assert_eq!(got(&tokens), "token-1");
        clock.advance(Duration::from_mins(57));
        assert_eq!(got(&tokens), "token-1");
        clock.advance(Duration::from_mins(4));
        let error = block_on(tokens.token()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    }

    #[test]
    fn a_refused_token_is_asked_for_anew_once_for_all() {
        let (tokens, _) = tokens(9);
        let first = block_on(tokens.token()).unwrap();
        for _ in 0..2 {
            assert_eq!(block_on(tokens.renewed(&first)).unwrap().expose(), "token-2");
        }
    }

    #[test]
    fn no_token_is_shown() {
        let (tokens, _) = tokens(1);
        let _ = got(&tokens);
        assert!(!format!("{tokens:?}").contains("token-1"));
    }
}
