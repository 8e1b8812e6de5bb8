//! Which acts this process knows: by the tokens they were sent with, and how far they have come.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use patchkit_core::{NodeOperation, OperationId, SubmitToken};

use super::{act::Kind, result::InstallResult};
use crate::lro::{FLOOR, Followed};

/// How long a token is kept: as long as Azure keeps installs ("Query logs" of Azure Update Manager).
const TOKENS: Duration = Duration::from_hours(30 * 24);

/// How long the end of an act is kept; afterwards it is read again.
const ENDS: Duration = Duration::from_hours(24);

/// How often what is too old is looked for.
const SWEEP: Duration = Duration::from_hours(1);

/// What one process knows of acts. The signed addresses of those that go on are here and nowhere else.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    tokens: HashMap<SubmitToken, Sent>,
    acts: HashMap<OperationId, Watched>,
    swept: Option<Timestamp>,
}

/// What is known of a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Sent {
    /// It is being sent, or its answer was lost.
    Open { kind: Kind, since: Timestamp },
    /// Its act was accepted.
    Accepted { id: OperationId, at: Timestamp },
}

/// Whether a token is sent for the first time by this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Begun {
    First,
    Again,
}

/// An act, as far as it has come.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    token: Option<SubmitToken>,
    followed: Option<Followed>,
    /// No look before this.
    due: Timestamp,
    known: Option<NodeOperation>,
    result: Option<Arc<InstallResult>>,
    /// What is to be said of it beside what Azure says.
    remark: Option<String>,
    noted: Timestamp,
}

/// What to do about a question for an act.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    /// Nothing: this is known, and it is over or too early to look again.
    Known(Box<NodeOperation>),
    /// Look where it is followed.
    Look(Followed),
    /// Read its machine.
    Read,
}

impl Ledger {
    pub(super) fn find(&self, token: &SubmitToken) -> Option<Sent> {
        self.entries().tokens.get(token).cloned()
    }

    /// Whether an act was sent with another token, as far as this process knows.
    pub(super) fn is_of_another(&self, id: &OperationId, token: &SubmitToken) -> bool {
        let entries = self.entries();
        let of = entries.acts.get(id).and_then(|act| act.token.as_ref());
        of.is_some_and(|of| of != token)
    }

    /// Notes that an act is about to be sent.
    pub(super) fn begin(&self, token: &SubmitToken, kind: Kind, since: Timestamp) -> Begun {
        let mut entries = self.entries();
        if entries.tokens.contains_key(token) {
            return Begun::Again;
        }
        entries.tokens.insert(token.clone(), Sent::Open { kind, since });
        Begun::First
    }

    /// Notes that an act was not sent after all.
    pub(super) fn refused(&self, token: &SubmitToken) {
        self.entries().tokens.remove(token);
    }

    /// Notes that an act was accepted, and where it is followed, where that is known.
    pub(super) fn accepted(
        &self,
        token: &SubmitToken,
        id: &OperationId,
        followed: Option<Followed>,
        known: Option<NodeOperation>,
        now: Timestamp,
    ) {
        let mut entries = self.entries();
        entries.sweep(now);
        entries.tokens.insert(token.clone(), Sent::Accepted { id: id.clone(), at: now });
        let act = entries.acts.entry(id.clone()).or_insert_with(|| Watched::new(now));
        act.token.get_or_insert_with(|| token.clone());
        // Someone may have found it before its answer came.
        if followed.is_some() {
            act.followed = followed;
            act.due = later(now, FLOOR);
        }
        act.known = act.known.take().or(known);
    }

    /// What to do about a question; who is told to look is the only one until the next look is due.
    pub(super) fn turn(&self, id: &OperationId, now: Timestamp) -> Turn {
        let mut entries = self.entries();
        let Some(act) = entries.acts.get_mut(id) else { return Turn::Read };
        if let Some(known) = &act.known
            && (known.status.is_final() || now < act.due)
        {
            return Turn::Known(Box::new(known.clone()));
        }
        act.due = later(now, FLOOR);
        act.followed.clone().map_or(Turn::Read, Turn::Look)
    }

    /// Notes how far an act has come, and how long it is not to be looked at again.
    pub(super) fn note(
        &self,
        id: &OperationId,
        known: NodeOperation,
        result: Option<InstallResult>,
        now: Timestamp,
        pause: Duration,
    ) {
        let mut entries = self.entries();
        entries.sweep(now);
        let act = entries.acts.entry(id.clone()).or_insert_with(|| Watched::new(now));
        if known.status.is_final() {
            act.followed = None;
        }
        act.due = later(now, pause);
        act.known = Some(known);
        act.result = result.map(Arc::new).or(act.result.take());
        act.noted = now;
    }

    /// Notes that an act is not to be looked at for some time, whatever is known of it.
    pub(super) fn put_off(&self, id: &OperationId, now: Timestamp, pause: Duration) {
        if let Some(act) = self.entries().acts.get_mut(id) {
            act.due = act.due.max(later(now, pause));
        }
    }

    /// Notes what is to be said of an act that was accepted, beside what Azure says of it.
    pub(super) fn remark(&self, id: &OperationId, remark: String) {
        if let Some(act) = self.entries().acts.get_mut(id) {
            act.remark = Some(remark);
        }
    }

    pub(super) fn remark_on(&self, id: &OperationId) -> Option<String> {
        self.entries().acts.get(id)?.remark.clone()
    }

    /// Forgets where an act is followed: the service has.
    pub(super) fn unfollow(&self, id: &OperationId) {
        if let Some(act) = self.entries().acts.get_mut(id) {
            act.followed = None;
        }
    }

    /// Whether an act is known to have ended.
    pub(super) fn is_over(&self, id: &OperationId) -> bool {
        let entries = self.entries();
        let known = entries.acts.get(id).and_then(|act| act.known.as_ref());
        known.is_some_and(|known| known.status.is_final())
    }

    pub(super) fn result(&self, id: &OperationId) -> Option<Arc<InstallResult>> {
        self.entries().acts.get(id)?.result.clone()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn new(now: Timestamp) -> Self {
        let (token, followed, known, result, remark) = (None, None, None, None, None);
        Self { token, followed, due: now, known, result, remark, noted: now }
    }
}

impl Entries {
    fn sweep(&mut self, now: Timestamp) {
        if self.swept.is_some_and(|at| now < later(at, SWEEP)) {
            return;
        }
        self.swept = Some(now);
        self.tokens.retain(|_, sent| match sent {
            Sent::Open { since: at, .. } | Sent::Accepted { at, .. } => now < later(*at, TOKENS),
        });
        self.acts.retain(|_, act| now < later(act.noted, ENDS));
    }
}

pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use patchkit_core::{NodeId, OperationStatus};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::new(1_800_000_000 + seconds, 0).unwrap()
    }

    fn token(text: &str) -> SubmitToken {
        text.parse().unwrap()
    }

    fn seen(status: OperationStatus) -> NodeOperation {
        let node: NodeId = "azure/s/westeurope/vm".parse().unwrap();
        NodeOperation::new(node, status)
    }

    #[test]
    fn a_token_is_sent_once_and_again_only_after_a_refusal() {
        let ledger = Ledger::default();
        assert_eq!(ledger.begin(&token("t"), Kind::Scan, at(0)), Begun::First);
        assert_eq!(ledger.begin(&token("t"), Kind::Scan, at(1)), Begun::Again);
        ledger.refused(&token("t"));
        assert_eq!(ledger.begin(&token("t"), Kind::Scan, at(2)), Begun::First);
        ledger.accepted(&token("t"), &"act".parse().unwrap(), None, None, at(3));
        assert_eq!(ledger.begin(&token("t"), Kind::Scan, at(4)), Begun::Again);
    }

    #[test]
    fn an_act_belongs_to_the_token_that_it_was_sent_with() {
        let ledger = Ledger::default();
        let id = "act".parse().unwrap();
        assert!(!ledger.is_of_another(&id, &token("t")));
        ledger.accepted(&token("t"), &id, None, None, at(0));
        assert!(!ledger.is_of_another(&id, &token("t")));
        assert!(ledger.is_of_another(&id, &token("u")));
    }

    #[test]
    fn between_two_looks_what_is_known_is_told() {
        let ledger = Ledger::default();
        let id: OperationId = "act".parse().unwrap();
        assert!(matches!(ledger.turn(&id, at(0)), Turn::Read));
        ledger.note(&id, seen(OperationStatus::InProgress), None, at(0), Duration::from_mins(1));
        assert!(matches!(ledger.turn(&id, at(59)), Turn::Known(_)));
        assert!(matches!(ledger.turn(&id, at(60)), Turn::Read));
        assert!(matches!(ledger.turn(&id, at(61)), Turn::Known(_)), "someone looks");
        ledger.put_off(&id, at(61), Duration::from_mins(5));
        assert!(matches!(ledger.turn(&id, at(300)), Turn::Known(_)));
        ledger.note(&id, seen(OperationStatus::Failed), None, at(400), FLOOR);
        assert!(matches!(ledger.turn(&id, at(86_000)), Turn::Known(_)), "it is over");
    }

    #[test]
    fn ends_are_kept_for_a_day_and_tokens_for_thirty() {
        let ledger = Ledger::default();
        let id: OperationId = "act".parse().unwrap();
        ledger.accepted(&token("t"), &id, None, Some(seen(OperationStatus::Failed)), at(0));
        ledger.accepted(&token("u"), &"other".parse().unwrap(), None, None, at(2 * 86_400));
        assert!(matches!(ledger.turn(&id, at(2 * 86_400)), Turn::Read));
        assert!(ledger.find(&token("t")).is_some());
        ledger.accepted(&token("v"), &"third".parse().unwrap(), None, None, at(31 * 86_400));
        assert_eq!(ledger.find(&token("t")), None);
    }
}
