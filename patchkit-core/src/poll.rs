//! The one poll loop.

use std::{error::Error as StdError, fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{Clock, Error, ErrorKind, Retry, clock::later};

/// How often to ask, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PollPolicy {
    /// The wait after the first question.
    pub initial: Duration,
    /// The longest wait; each wait is half as long again as the one before.
    pub longest: Duration,
    /// How long to ask at all.
    pub limit: Duration,
    /// How many retryable errors in a row are borne.
    pub max_errors: u32,
}

impl PollPolicy {
    /// Asks for at most `limit`, first after 5 s, then less and less often down to once a minute.
    pub fn new(limit: Duration) -> Self {
        Self {
            initial: Duration::from_secs(5),
            longest: Duration::from_mins(1),
            limit,
            max_errors: 5,
        }
    }

    /// Sets the first and the longest wait.
    #[must_use]
    pub fn with_interval(mut self, initial: Duration, longest: Duration) -> Self {
        self.initial = initial;
        self.longest = longest.max(initial);
        self
    }

    /// Sets how many retryable errors in a row are borne.
    #[must_use]
    pub fn with_max_errors(mut self, max_errors: u32) -> Self {
        self.max_errors = max_errors;
        self
    }
}

/// The answer to one question of a poll loop.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Polled<T> {
    /// There.
    Ready(T),
    /// Not yet.
    Pending,
    /// It will never come: a final state other than the one waited for.
    Failed(String),
}

/// Why a wait ended without what it waited for.
#[derive(Debug)]
#[non_exhaustive]
pub enum WaitError {
    /// The time was up; the thing may still happen.
    Exceeded {
        /// How long was waited.
        waited: Duration,
        /// The last error of a question, where the last one failed.
        last: Option<Error>,
    },
    /// A final state other than the one waited for.
    FailedState(String),
    /// The question itself failed, for good or too often in a row.
    Poll(Error),
}

impl WaitError {
    /// As an [`Error`] of the call `provider operation`.
    pub fn into_error(self, provider: &'static str, operation: &'static str) -> Error {
        match self {
            Self::Exceeded { .. } => {
                Error::new(ErrorKind::Timeout, provider, operation, self.to_string())
            }
            Self::FailedState(state) => Error::new(ErrorKind::Conflict, provider, operation, state),
            Self::Poll(error) => error,
        }
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exceeded { waited, .. } => {
                write!(f, "still not so after {} s", waited.as_secs())
            }
            Self::FailedState(state) => write!(f, "will not come: {state}"),
            Self::Poll(_) => f.write_str("asking failed"),
        }
    }
}

impl StdError for WaitError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Exceeded { last, .. } => last.as_ref().map(|e| e as _),
            Self::FailedState(_) => None,
            Self::Poll(error) => Some(error),
        }
    }
}

/// Asks `question` until it answers something final or the policy's time is up.
///
/// # Behavior
/// - The first question comes at once; the last one at the limit, however long the interval.
/// - A retryable error counts as "not yet", unless it comes too often in a row.
/// - `Retry::After` is honoured, within the limit.
pub async fn wait_until<T>(
    clock: &dyn Clock,
    policy: &PollPolicy,
    mut question: impl AsyncFnMut() -> Result<Polled<T>, Error>,
) -> Result<T, WaitError> {
    let mut wait = Wait::begin(clock, policy);
    loop {
        if let Some(end) = wait.answered(question().await).await {
            return end;
        }
    }
}

/// The loop of [`wait_until`], for whoever asks his questions in a loop of his own: what an async
/// closure borrows is not `Send` for every lifetime, and futures of workflows have to be.
#[derive(Debug)]
pub(crate) struct Wait<'c> {
    clock: &'c dyn Clock,
    policy: PollPolicy,
    start: Timestamp,
    pause: Duration,
    errors: u32,
}

impl<'c> Wait<'c> {
    /// Begins to wait: the first question is due at once.
    pub(crate) fn begin(clock: &'c dyn Clock, policy: &PollPolicy) -> Self {
        let (policy, start) = (*policy, clock.now());
        Self { clock, policy, start, pause: policy.initial, errors: 0 }
    }

    /// Takes the answer to a question. Returns how the wait ended, or nothing when the next question
    /// is due.
    pub(crate) async fn answered<T>(
        &mut self,
        answer: Result<Polled<T>, Error>,
    ) -> Option<Result<T, WaitError>> {
        let mut pause = self.pause;
        let last = match answer {
            Ok(Polled::Ready(value)) => return Some(Ok(value)),
            Ok(Polled::Failed(state)) => return Some(Err(WaitError::FailedState(state))),
            Ok(Polled::Pending) => {
                self.errors = 0;
                None
            }
            Err(error) if !error.is_retryable() || self.errors >= self.policy.max_errors => {
                return Some(Err(WaitError::Poll(error)));
            }
            Err(error) => {
                self.errors += 1;
                if let Retry::After(delay) = error.retry() {
                    pause = pause.max(delay);
                }
                Some(error)
            }
        };
        let (now, end) = (self.clock.now(), later(self.start, self.policy.limit));
        if now >= end {
            return Some(Err(WaitError::Exceeded { waited: since(self.start, now), last }));
        }
        self.clock.sleep(pause.min(since(now, end))).await;
        self.pause = (self.pause * 3 / 2).min(self.policy.longest);
        None
    }
}

fn since(from: Timestamp, to: Timestamp) -> Duration {
    let span: SignedDuration = to.duration_since(from);
    span.try_into().unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::executor::block_on;

    use super::*;
    use crate::VirtualClock;

    fn policy() -> PollPolicy {
        PollPolicy::new(Duration::from_secs(100))
            .with_interval(Duration::from_secs(10), Duration::from_secs(30))
    }

    fn throttled() -> Error {
        Error::new(ErrorKind::Throttled, "test", "ask", "slow down").with_retry(Retry::Backoff)
    }

    #[test]
    fn the_last_question_comes_at_the_limit() {
        let clock = VirtualClock::automatic(Timestamp::UNIX_EPOCH);
        let asked = Cell::new(Vec::new());
        let result: Result<(), _> = block_on(wait_until(&clock, &policy(), || {
            let mut times = asked.take();
            times.push(clock.now().as_second());
            asked.set(times);
            async { Ok(Polled::Pending) }
        }));
        assert!(
            matches!(result, Err(WaitError::Exceeded { waited, .. }) if waited.as_secs() == 100)
        );
        assert_eq!(asked.take().last(), Some(&100));
    }

    #[test]
    fn retryable_errors_are_borne_but_not_for_ever() {
        let clock = VirtualClock::automatic(Timestamp::UNIX_EPOCH);
        let asked = Cell::new(0);
        let policy = policy().with_max_errors(2);
        let result: Result<(), _> = block_on(wait_until(&clock, &policy, || {
            asked.set(asked.get() + 1);
            async { Err(throttled()) }
        }));
        assert!(matches!(result, Err(WaitError::Poll(_))));
        assert_eq!(asked.get(), 3);
    }

    #[test]
    fn a_permanent_error_and_a_failed_state_are_told_apart() {
        let clock = VirtualClock::automatic(Timestamp::UNIX_EPOCH);
        let denied = || Error::new(ErrorKind::PermissionDenied, "test", "ask", "no");
        let result: Result<(), _> =
            block_on(wait_until(&clock, &policy(), || async { Err(denied()) }));
        assert!(matches!(result, Err(WaitError::Poll(_))));
        let result: Result<(), _> = block_on(wait_until(&clock, &policy(), || async {
            Ok(Polled::Failed("terminated".to_owned()))
        }));
        assert!(matches!(result, Err(WaitError::FailedState(_))));
    }

    #[test]
    fn retry_after_is_honoured() {
        let clock = VirtualClock::automatic(Timestamp::UNIX_EPOCH);
        let asked = Cell::new(0);
        let result = block_on(wait_until(&clock, &policy(), || {
            asked.set(asked.get() + 1);
            let first = asked.get() == 1;
            async move {
                if first {
                    return Err(throttled().with_retry(Retry::After(Duration::from_mins(1))));
                }
                Ok(Polled::Ready(()))
            }
        }));
        assert!(result.is_ok());
        assert_eq!(clock.now().as_second(), 60);
    }
}
