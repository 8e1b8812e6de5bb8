//! The one way in which all calls are made.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::{
    error::ErrorKind as CoreKind,
    http::{
        ClientOptions, Context, Method, Pipeline, PipelineSendOptions, RawResponse, Request,
        RetryOptions, Url,
        headers::{AUTHORIZATION, HeaderName, Headers},
        policies::{Policy, PolicyResult},
    },
};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use jiff::{Timestamp, fmt::rfc2822};
use patchkit_core::{
    AccountId, Clock, Error, ErrorKind, NodeId, NodeSelector, Result, Retry, Secret,
};
use serde_json::Value;

use crate::{
    Addresses,
    config::PageSize,
    error::{Call, PROVIDER, bounded_url, classify, malformed, unanswered},
    ids::MachineId,
    limit::{Charge, Left, Limiter, Quota},
    session::Tokens,
};

/// The client of some subscriptions of one tenant.
pub(crate) struct Client {
    /// Each as its caller spelled it, by its id in lower case.
    subscriptions: BTreeMap<String, AccountId>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) page: PageSize,
    pub(crate) addresses: Addresses,
    endpoint: Url,
    /// Retries as its options say.
    reads: Pipeline,
    /// Sends once, and once more only where a token was refused: whoever refuses its caller has not
    /// looked at what is asked.
    writes: Pipeline,
}

impl Client {
    pub(crate) fn new(
        subscriptions: BTreeMap<String, AccountId>,
        endpoint: Url,
        clock: Arc<dyn Clock>,
        page: PageSize,
        limiter: Limiter,
        tokens: Tokens,
        options: &ClientOptions,
    ) -> Self {
        let guard: Arc<dyn Policy> = Arc::new(Guard { limiter, tokens });
        let pipeline = |options: ClientOptions| {
            Pipeline::new(
                option_env!("CARGO_PKG_NAME"),
                option_env!("CARGO_PKG_VERSION"),
                options,
                Vec::new(),
                vec![Arc::clone(&guard)],
                None,
            )
        };
        let mut once = options.clone();
        once.retry = RetryOptions::none();
        Self {
            subscriptions,
            clock,
            page,
            addresses: Addresses::default(),
            endpoint,
            reads: pipeline(options.clone()),
            writes: pipeline(once),
        }
    }

    /// The same connections, token and budget, for other subscriptions.
    pub(crate) fn with_subscriptions(&self, subscriptions: BTreeMap<String, AccountId>) -> Self {
        Self {
            subscriptions,
            clock: Arc::clone(&self.clock),
            page: self.page,
            addresses: self.addresses,
            endpoint: self.endpoint.clone(),
            reads: self.reads.clone(),
            writes: self.writes.clone(),
        }
    }

    /// The same connections, token and budget, with or without addresses in listings.
    pub(crate) fn with_addresses(&self, addresses: Addresses) -> Self {
        Self { addresses, ..self.with_subscriptions(self.subscriptions.clone()) }
    }

    /// The subscriptions of which a selector may take machines.
    pub(crate) fn asked(&self, selector: &NodeSelector) -> Vec<AccountId> {
        let named = |id: &AccountId| {
            let is_it = |other: &AccountId| other.as_str().eq_ignore_ascii_case(id.as_str());
            selector.accounts.as_ref().is_none_or(|set| set.iter().any(is_it))
                && selector
                    .ids
                    .as_ref()
                    .is_none_or(|set| set.iter().any(|node| is_it(node.scope().account())))
        };
        self.subscriptions().filter(|id| named(id)).cloned().collect()
    }

    /// Makes a call, and takes an answer that is no success apart.
    pub(crate) fn send(
        &self,
        call: Call,
        charge: Charge,
        mut request: Request,
    ) -> BoxFuture<'_, Result<Reply>> {
        async move {
            self.check(call, request.url())?;
            let pipeline = match call {
                Call::Read(_) => &self.reads,
                Call::Write(_) => &self.writes,
            };
            let context = Context::new().with_value(charge).with_value(call);
            // The pipeline's own check keeps the whole answer in its error.
            let options = PipelineSendOptions { skip_checks: true, ..Default::default() };
            match pipeline.send(&context, &mut request, Some(options)).await {
                Err(error) => Err(unanswered(call, &error)),
                Ok(answer) => match Reply::from(answer) {
                    reply if (200..300).contains(&reply.status) => Ok(reply),
                    reply => Err(classify(call, &reply)),
                },
            }
        }
        .boxed()
    }

    /// Reads an address.
    pub(crate) async fn get(
        &self,
        operation: &'static str,
        charge: Charge,
        url: Url,
    ) -> Result<Reply> {
        let mut request = Request::new(url, Method::Get);
        request.insert_header("accept", "application/json");
        self.send(Call::Read(operation), charge, request).await
    }

    /// Sends a body.
    pub(crate) async fn send_json(
        &self,
        call: Call,
        charge: Charge,
        method: Method,
        url: Url,
        body: &Value,
    ) -> Result<Reply> {
        let mut request = Request::new(url, method);
        request.insert_header("accept", "application/json");
        request.insert_header("content-type", "application/json");
        request.set_body(body.to_string());
        self.send(call, charge, request).await
    }

    /// The address of a path of Resource Manager in a version of its API.
    pub(crate) fn url(&self, path: &str, version: &str) -> Url {
        let mut url = self.endpoint.clone();
        url.set_path(path);
        url.query_pairs_mut().append_pair("api-version", version);
        url
    }

    /// An address that the service gave: of a next page, of an operation.
    pub(crate) fn given(&self, operation: &'static str, url: &str) -> Result<Url> {
        let url = Url::parse(url)
            .map_err(|_| malformed(operation, "the service gave an address that is none"))?;
        self.check(Call::Read(operation), &url)?;
        Ok(url)
    }

    pub(crate) fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// Refuses to carry a token to another host than it is for, whoever gave the address.
    fn check(&self, call: Call, url: &Url) -> Result<()> {
        let home = &self.endpoint;
        let same = url.scheme() == home.scheme()
            && url.host_str() == home.host_str()
            && url.port_or_known_default() == home.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none();
        if same {
            return Ok(());
        }
        let host = bounded_url(url);
        let message = format!("an address leads to {host}, which is not the endpoint");
        Err(malformed(call.name(), message))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The subscriptions, as their caller spelled them.
    pub(crate) fn subscriptions(&self) -> impl Iterator<Item = &AccountId> {
        self.subscriptions.values()
    }

    /// A subscription as its caller spelled it; none where it is none of his.
    pub(crate) fn subscription(&self, id: &str) -> Option<&AccountId> {
        self.subscriptions.get(&id.to_ascii_lowercase())
    }

    /// The machine of a node of ours.
    ///
    /// # Errors
    /// `NotFound` for a node of another provider, of a subscription that was not named, or whose id
    /// is none of a machine's.
    pub(crate) fn machine(&self, operation: &'static str, node: &NodeId) -> Result<MachineId> {
        let not_found =
            || Error::not_found(PROVIDER, operation, "the node").with_node(node.clone());
        let machine = MachineId::of(operation, node).map_err(|_| not_found())?;
        let ours = node.scope().provider().eq_ignore_ascii_case(PROVIDER)
            && self.subscription(&machine.subscription).is_some();
        if ours { Ok(machine) } else { Err(not_found()) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("subscriptions", &self.subscriptions.values())
            .field("endpoint", &self.endpoint.as_str())
            .finish_non_exhaustive()
    }
}

/// An answer.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn header(&self, name: &'static str) -> Option<&str> {
        self.headers
            .get_optional_str(&HeaderName::from_static(name))
            .filter(|value| !value.is_empty())
    }

    /// The id that Microsoft's support asks for.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.header("x-ms-request-id").or_else(|| self.header("x-ms-correlation-request-id"))
    }

    /// How long the service wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }

    /// The body, whatever it is.
    pub(crate) fn value(&self, operation: &'static str) -> Result<Value> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let error = malformed(operation, format!("the answer is no JSON: {error}"));
            match self.request_id() {
                Some(id) => error.with_request_id(id),
                None => error,
            }
        })
    }
}

impl From<RawResponse> for Reply {
    fn from(answer: RawResponse) -> Self {
        let (status, headers, body) = answer.deconstruct();
        Self { status: status.into(), headers, body: body.into() }
    }
}

/// Its body may hold anything, and its addresses are signed.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Stands at every attempt of every call: paces it, gives it its token, renews one that was refused,
/// and heeds what the answer tells of the service's rates.
#[derive(Debug)]
struct Guard {
    limiter: Limiter,
    tokens: Tokens,
}

/// The longest that a call waits for the service to take it; a longer wait is the caller's to take.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

#[async_trait]
#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait leaves it out, and async_trait counts them"
)]
impl Policy for Guard {
    async fn send(
        &self,
        context: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let [following, rest @ ..] = next else {
            return Err(azure_core::Error::with_message(CoreKind::Other, "no transport is set"));
        };
        let door = match request.method() {
            Method::Get | Method::Head => Quota::Reads,
            Method::Delete => Quota::Deletes,
            _ => Quota::Writes,
        };
        let charge = context.value::<Charge>().cloned().unwrap_or_default();
        self.limiter.admit(&charge, door).await;
        let token = self.tokens.token().await.map_err(carried)?;
        carry(request, &token);
        let mut answer = following.send(context, request, rest).await?;
        if u16::from(answer.status()) == 401 {
            let other = self.tokens.renewed(&token).await.map_err(carried)?;
            if other.expose() != token.expose() {
                carry(request, &other);
                self.limiter.admit(&charge, door).await;
                answer = following.send(context, request, rest).await?;
            }
        }
        let status = u16::from(answer.status());
        let left = left(status, answer.headers());
        self.limiter.told(&charge, door, &left);
        let call = context.value::<Call>().copied().unwrap_or(Call::Read("request"));
        match too_long(call, status, answer.headers()) {
            None => Ok(answer),
            Some(error) => Err(carried(error)),
        }
    }
}

/// An answer after which the pipeline would sleep however long the service says, and the caller would not
/// know.
fn too_long(call: Call, status: u16, headers: &Headers) -> Option<Error> {
    let kind = match (status, call) {
        (429, _) => ErrorKind::Throttled,
        (503, Call::Read(_)) => ErrorKind::Unexpected,
        _ => return None,
    };
    let pause = retry_after(headers).filter(|pause| *pause > LONGEST_PAUSE)?;
    let message = format!("the service is not to be asked for {} s", pause.as_secs());
    let error = Error::new(kind, PROVIDER, call.name(), message).with_retry(Retry::After(pause));
    let id = headers.get_optional_str(&HeaderName::from_static("x-ms-request-id"));
    Some(match id {
        Some(id) => error.with_request_id(id),
        None => error,
    })
}

fn carry(request: &mut Request, token: &Secret) {
    request.insert_header(AUTHORIZATION, format!("Bearer {}", token.expose()));
}

/// An error of ours on its way through the pipeline, of a kind that it does not retry.
fn carried(error: Error) -> azure_core::Error {
    azure_core::Error::new(CoreKind::Credential, error)
}

/// What is left of the rates, by the headers of an answer.
fn left(status: u16, headers: &Headers) -> Left {
    let text = |name: &'static str| headers.get_optional_str(&HeaderName::from_static(name));
    let number = |name| text(name).and_then(|value| value.trim().parse::<f64>().ok());
    let mut left = Left {
        door: number("x-ms-ratelimit-remaining-subscription-reads")
            .or_else(|| number("x-ms-ratelimit-remaining-subscription-writes"))
            .or_else(|| number("x-ms-ratelimit-remaining-subscription-deletes")),
        all: number("x-ms-user-quota-remaining"),
        ..Left::default()
    };
    // `Microsoft.Compute/GetOperationResource;40,Microsoft.Compute/GetOperationSubscriptionMaximum;14995`
    // (recorded by azure-cli, test_vm_install_patches).
    let told = text("x-ms-ratelimit-remaining-resource").unwrap_or_default();
    for (name, rest) in told.split(',').filter_map(|part| part.rsplit_once(';')) {
        let Ok(rest) = rest.trim().parse::<f64>() else { continue };
        let of_one = name.trim().ends_with("Resource");
        let slot = if of_one { &mut left.resource } else { &mut left.all };
        *slot = Some(slot.map_or(rest, |known| known.min(rest)));
    }
    if status == 429 {
        left.pause = retry_after(headers).or(Some(Duration::from_secs(1)));
    }
    left
}

fn retry_after(headers: &Headers) -> Option<Duration> {
    let text = |name: &'static str| headers.get_optional_str(&HeaderName::from_static(name));
    let number = |name| text(name).and_then(|value| value.trim().parse::<u64>().ok());
    let millis = || number("x-ms-retry-after-ms").or_else(|| number("retry-after-ms"));
    millis()
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
        .or_else(|| {
            // A date counts from the service's own now.
            let parser = rfc2822::DateTimeParser::new();
            let at = |name| text(name).and_then(|value| parser.parse_timestamp(value).ok());
            let wait = at("retry-after")?.duration_since(at("date")?);
            Some(Duration::try_from(wait).unwrap_or_default())
        })
}

#[cfg(test)]
mod tests;
