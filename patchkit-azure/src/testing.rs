//! A service that answers what a test has written down.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    http::{
        AsyncRawResponse, Body, ClientOptions, Context, Request, Transport,
        headers::{AUTHORIZATION, Headers},
        policies::{Policy, PolicyResult},
    },
    time::OffsetDateTime,
};
use jiff::Timestamp;
use patchkit_core::VirtualClock;
use serde_json::Value;

use crate::{CallBudget, UpdateManager, UpdateManagerBuilder};

pub(crate) const SUBSCRIPTION: &str = "s-1";

/// Answers in the order in which they are given, and nothing after them.
#[derive(Debug, Default)]
pub(crate) struct Canned {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Asked>>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// A request as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) body: Value,
}

impl Canned {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn then(
        self: &Arc<Self>,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &Value,
    ) -> Arc<Self> {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = Answer { status, headers, body };
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
        Arc::clone(self)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The provider of one subscription, with the retries that everyone has.
    pub(crate) fn provider(self: &Arc<Self>, tokens: Tokens) -> UpdateManager {
        self.builder(tokens).build().unwrap()
    }

    /// The same on a clock of the test's.
    pub(crate) fn provider_on(
        self: &Arc<Self>,
        tokens: Tokens,
        clock: VirtualClock,
    ) -> UpdateManager {
        self.builder(tokens).with_clock(clock).build().unwrap()
    }

    pub(crate) fn builder(self: &Arc<Self>, tokens: Tokens) -> UpdateManagerBuilder {
        let transport: Arc<dyn Policy> = Arc::<Self>::clone(self);
        let options = ClientOptions {
            transport: Some(Transport::with_policy(transport)),
            ..ClientOptions::default()
        };
        UpdateManager::builder(Arc::new(Issuer { tokens, issued: Mutex::new(0) }))
            .with_subscriptions([SUBSCRIPTION.parse().unwrap()])
            .with_clock(VirtualClock::manual(Timestamp::UNIX_EPOCH))
            .with_budget(CallBudget::unlimited())
            .with_client_options(options)
    }
}

#[async_trait]
#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait leaves it out, and async_trait counts them"
)]
impl Policy for Canned {
    async fn send(
        &self,
        _: &Context,
        request: &mut Request,
        _: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let body = match request.body() {
            Body::Bytes(bytes) => serde_json::from_slice(bytes).unwrap_or_default(),
            Body::SeekableStream(_) => Value::Null,
        };
        let token = request.headers().get_optional_str(&AUTHORIZATION).unwrap_or_default();
        let asked = Asked { url: request.url().to_string(), token: token.to_owned(), body };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(Answer { status, headers: told, body }) = answer else {
            return Err(azure_core::Error::with_message(
                ErrorKind::Other,
                "nothing is written down",
            ));
        };
        let mut headers = Headers::new();
        for (name, value) in told {
            headers.insert(name, value);
        }
        Ok(AsyncRawResponse::from_bytes(status.into(), headers, body))
    }
}

/// Whether each token is another one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tokens {
    Same,
    New,
}

#[derive(Debug)]
struct Issuer {
    tokens: Tokens,
    issued: Mutex<u32>,
}

#[async_trait]
impl TokenCredential for Issuer {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        *issued += 1;
        let token = match self.tokens {
            Tokens::Same => "token-1".to_owned(),
            Tokens::New => format!("token-{issued}"),
        };
        let ends = OffsetDateTime::from_unix_timestamp(3_600).unwrap();
        Ok(AccessToken::new(token, ends))
    }
}
