//! What goes wrong on purpose: which requests are met, and how they are spoiled.

mod form;

use std::{fmt, sync::Arc, time::Duration};

use globset::{Glob, GlobMatcher};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A fault, and the requests that it meets.
///
/// ```
/// use patchkit_testkit::cloud::{Fault, FaultKind};
///
/// let twice = Fault::new(FaultKind::Throttle).on("SendCommand").times(2);
/// let region = Fault::new(FaultKind::Away).in_scope("111122223333/eu-west-1");
/// # let _ = (twice, region);
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "form::FaultForm")]
#[non_exhaustive]
pub struct Fault {
    /// What happens.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Only this operation; a glob such as `Describe*`. None: all.
    pub operation: Option<String>,
    /// Only this service: `ssm`, `ec2`, `s3`, `arm`. None: all.
    pub service: Option<String>,
    /// Only in this account's Region (`111122223333/eu-west-1`) or subscription; a glob. A query of
    /// Resource Graph is in each subscription that it names, and in all where it names none. None: all.
    pub scope: Option<String>,
    /// Only requests that name this node, by its id or a resource's whole id; faults that lose or
    /// spoil an answer also meet those that reached it otherwise, by a tag. None: all.
    pub node: Option<String>,
    /// Only from callers of this name; a glob. None: all.
    pub caller: Option<String>,
    /// Only requests for this page of a listing, counted from 1 by the tokens that were given out;
    /// none of S3's, and none that is no listing. None: all.
    pub page: Option<u32>,
    /// How many of the requests that fit it lets pass first.
    pub skip: u32,
    /// How many it meets then. None: all.
    pub times: Option<u32>,
    /// Only from this time of the world on.
    pub from: Option<Timestamp>,
    /// Only before this time of the world.
    pub until: Option<Timestamp>,
}

/// What happens to a request.
///
#[doc = include_str!("faults.md")]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum FaultKind {
    /// It is refused for there are too many, in the service's own form.
    Throttle,
    /// It is refused for its caller may not, in the service's own form. See also
    /// [`Denial`](super::Denial), which lasts.
    Deny,
    /// It fails inside the service, which has not acted.
    Fail {
        /// The status of the answer, from 500 to 599.
        status: u16,
    },
    /// The service acts, and then fails: the answer is a 500. What the service refuses anyway is
    /// refused in its own words.
    FailAfter,
    /// The connection is cut before the service acts.
    CutBefore,
    /// The service acts, and the connection is cut instead of an answer.
    CutAfter,
    /// The answer breaks off in the middle of its body.
    Truncate,
    /// The answer's body takes this long.
    Slow {
        /// In seconds of the caller.
        seconds: u32,
    },
    /// Whole scopes are away: connections are cut, nothing acts. Resource Graph answers from an index
    /// of its own, without a word on what it leaves out: rows of a subscription that is away are
    /// missing, and a query over none but such is refused with 403. A fault without a scope takes all
    /// away, and cuts the connections of Resource Graph, too.
    Away,
    /// The answer's page token is the one that was asked with.
    RepeatToken,
    /// An item comes at the end of one page and at the beginning of the next.
    DuplicateItem,
    /// A page has a token and no item; none is lost.
    EmptyPage,
    /// A value is one that no model knows.
    UnknownEnum,
    /// A list is `null`.
    NullArray,
    /// The service's clock differs from the caller's: its `Date` says so, and signatures that are
    /// made with another time are refused.
    ClockSkew {
        /// How far ahead the service's clock is.
        seconds: i64,
    },
}

impl FaultKind {
    /// Its name, as the record has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::Deny => "deny",
            Self::Fail { .. } => "fail",
            Self::FailAfter => "fail_after",
            Self::CutBefore => "cut_before",
            Self::CutAfter => "cut_after",
            Self::Truncate => "truncate",
            Self::Slow { .. } => "slow",
            Self::Away => "away",
            Self::RepeatToken => "repeat_token",
            Self::DuplicateItem => "duplicate_item",
            Self::EmptyPage => "empty_page",
            Self::UnknownEnum => "unknown_enum",
            Self::NullArray => "null_array",
            Self::ClockSkew { .. } => "clock_skew",
        }
    }

    /// Whether it acts on how an answer reaches the caller.
    pub(crate) fn is_of_delivery(self) -> bool {
        matches!(self, Self::CutAfter | Self::FailAfter | Self::Slow { .. } | Self::Truncate)
    }

    /// Whether it acts on the page or the content of an answer.
    pub(crate) fn is_of_content(self) -> bool {
        matches!(
            self,
            Self::RepeatToken
                | Self::DuplicateItem
                | Self::EmptyPage
                | Self::UnknownEnum
                | Self::NullArray
        )
    }

    /// Whether it can meet requests to a service. The answers of S3 are bodies and keys: what is
    /// wrong with their content is to be put there.
    fn can_meet(self, service: &str) -> bool {
        service != "s3" || !self.is_of_content()
    }
}

/// Why a fault cannot be set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidFault(String);

impl fmt::Display for InvalidFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidFault {}

/// The faults of every service.
const OF_ALL: [&str; 10] = [
    "throttle",
    "deny",
    "fail",
    "fail_after",
    "cut_before",
    "cut_after",
    "truncate",
    "slow",
    "away",
    "clock_skew",
];

impl Fault {
    /// A fault that meets every request.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            operation: None,
            service: None,
            scope: None,
            node: None,
            caller: None,
            page: None,
            skip: 0,
            times: None,
            from: None,
            until: None,
        }
    }

    /// Meets only one operation; a glob such as `Describe*`.
    #[must_use]
    pub fn on(mut self, operation: impl Into<String>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// Meets only one service: `ssm`, `ec2`, `s3`, `arm`.
    #[must_use]
    pub fn of_service(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }

    /// Meets only one account's Region or one subscription; a glob such as `111122223333/*`.
    #[must_use]
    pub fn in_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Meets only requests that name a node.
    #[must_use]
    pub fn of_node(mut self, id: impl Into<String>) -> Self {
        self.node = Some(id.into());
        self
    }

    /// Meets only callers of this name, a glob such as `*:user/patchkit`: others, who put the world
    /// into order, are left alone.
    #[must_use]
    pub fn of_caller(mut self, caller: impl Into<String>) -> Self {
        self.caller = Some(caller.into());
        self
    }

    /// Meets only requests for this page of a listing, counted from 1.
    #[must_use]
    pub fn on_page(mut self, page: u32) -> Self {
        self.page = Some(page);
        self
    }

    /// Lets so many requests pass first.
    #[must_use]
    pub fn skip(mut self, requests: u32) -> Self {
        self.skip = requests;
        self
    }

    /// Meets so many requests, and no more.
    #[must_use]
    pub fn times(mut self, requests: u32) -> Self {
        self.times = Some(requests);
        self
    }

    /// Meets only requests between two times of the world.
    #[must_use]
    pub fn between(mut self, from: Timestamp, until: Timestamp) -> Self {
        (self.from, self.until) = (Some(from), Some(until));
        self
    }
}

impl Fault {
    /// Whether it takes away some of the scopes that a request is about, and not the request.
    fn takes_a_part_of(&self, subject: &Subject<'_>) -> bool {
        self.kind == FaultKind::Away && self.scope.is_some() && !subject.scopes.is_empty()
    }
}

/// A request as faults and policies see it.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) service: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) caller: &'a str,
    pub(crate) scope: &'a str,
    /// The scopes that a request over several is about; none where it has one.
    pub(crate) scopes: &'a [Arc<str>],
    pub(crate) ids: &'a [String],
    /// The page that is asked for, where it is a listing.
    pub(crate) page: Option<u32>,
    /// Whether it hands a role to a service.
    pub(crate) passes_role: bool,
    pub(crate) at: Timestamp,
}

/// The faults that are set, in the order in which they were.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    set: Vec<Entry>,
    numbers: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    fault: Fault,
    operation: Option<GlobMatcher>,
    scope: Option<GlobMatcher>,
    caller: Option<GlobMatcher>,
    /// The requests that fitted so far.
    seen: u64,
    met: u64,
}

/// A fault that is set, with the number of requests that it has met.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FaultStatus {
    /// Its number, by which it is taken back.
    pub number: u64,
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// How many requests it has met.
    pub met: u64,
}

impl Faults {
    /// Sets a fault; its number takes it back.
    ///
    /// # Errors
    /// Where a glob cannot be read, the service has no such fault, or it could meet no request.
    pub(crate) fn add(&mut self, fault: Fault) -> Result<u64, InvalidFault> {
        fault.check()?;
        let glob = |pattern: &Option<String>| {
            let read = |it| Glob::new(it).map(|it| it.compile_matcher());
            pattern.as_deref().map(read).transpose().map_err(|it| InvalidFault(it.to_string()))
        };
        if let Some(service) = fault.service.as_deref().filter(|it| !fault.kind.can_meet(it)) {
            return Err(InvalidFault(format!(
                "{service} has no fault {}; it has {}",
                fault.kind.as_str(),
                OF_ALL.join(", ")
            )));
        }
        let (operation, scope) = (glob(&fault.operation)?, glob(&fault.scope)?);
        let caller = glob(&fault.caller)?;
        self.numbers += 1;
        let number = self.numbers;
        self.set.push(Entry { number, fault, operation, scope, caller, seen: 0, met: 0 });
        Ok(number)
    }

    pub(crate) fn remove(&mut self, number: u64) -> bool {
        let before = self.set.len();
        self.set.retain(|it| it.number != number);
        self.set.len() < before
    }

    pub(crate) fn clear(&mut self) {
        self.set.clear();
    }

    pub(crate) fn status(&self) -> Vec<FaultStatus> {
        let status =
            |it: &Entry| FaultStatus { number: it.number, fault: it.fault.clone(), met: it.met };
        self.set.iter().map(status).collect()
    }

    /// The fault that meets a request: the first that fits. It counts as met.
    pub(crate) fn meet(&mut self, subject: &Subject<'_>) -> Option<FaultKind> {
        self.meet_such(subject, |fault| !fault.takes_a_part_of(subject))
    }

    /// The scopes of a request over several that are away. What took one away has met it.
    pub(crate) fn gone(&mut self, subject: &Subject<'_>) -> Vec<Arc<str>> {
        let mut gone = Vec::new();
        for entry in &mut self.set {
            if entry.fault.takes_a_part_of(subject) && entry.fits(subject) && entry.counts() {
                let lost = subject.scopes.iter().filter(|it| entry.is_in(it));
                gone.extend(lost.map(Arc::clone));
            }
        }
        gone
    }

    /// The fault that meets a request that has been carried out: what it reached is known only then.
    pub(crate) fn meet_after(&mut self, subject: &Subject<'_>) -> Option<FaultKind> {
        self.meet_such(subject, |fault| fault.node.is_some() && fault.kind.is_of_delivery())
    }

    /// A fault that could do nothing to the answer waits for another.
    pub(crate) fn take_back(&mut self, kind: FaultKind, subject: &Subject<'_>) {
        let met =
            self.set.iter_mut().find(|it| it.fault.kind == kind && it.met > 0 && it.fits(subject));
        if let Some(entry) = met {
            entry.met -= 1;
            entry.seen -= 1;
        }
    }

    fn meet_such(
        &mut self,
        subject: &Subject<'_>,
        such: impl Fn(&Fault) -> bool,
    ) -> Option<FaultKind> {
        for entry in &mut self.set {
            if such(&entry.fault) && entry.fits(subject) && entry.counts() {
                return Some(entry.fault.kind);
            }
        }
        None
    }
}

impl Entry {
    /// Counts a request that fits; whether it is one of those that are met.
    fn counts(&mut self) -> bool {
        self.seen += 1;
        let met = self.seen.saturating_sub(u64::from(self.fault.skip));
        if met == 0 || self.fault.times.is_some_and(|times| met > u64::from(times)) {
            return false;
        }
        self.met += 1;
        true
    }

    fn is_in(&self, scope: &str) -> bool {
        self.scope.as_ref().is_none_or(|it| it.is_match(scope))
    }

    fn fits(&self, subject: &Subject<'_>) -> bool {
        let Fault { service, node, page, from, until, .. } = &self.fault;
        service.as_ref().is_none_or(|it| it == subject.service)
            && self.fault.kind.can_meet(subject.service)
            && self.operation.as_ref().is_none_or(|it| it.is_match(subject.operation))
            && (self.is_in(subject.scope) || subject.scopes.iter().any(|it| self.is_in(it)))
            // Who asks for a token has no name yet.
            && self.caller.as_ref().is_none_or(|it| {
                !subject.caller.is_empty() && it.is_match(subject.caller)
            })
            && page.is_none_or(|it| subject.page == Some(it))
            && node
                .as_ref()
                .is_none_or(|it| subject.ids.iter().any(|id| id.eq_ignore_ascii_case(it)))
            && from.is_none_or(|it| it <= subject.at)
            && until.is_none_or(|it| subject.at < it)
    }
}

/// An answer, and how it reaches the caller.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) response: http::Response<bytes::Bytes>,
    pub(crate) delivery: Delivery,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Delivery {
    Whole,
    /// The connection is cut instead.
    Cut,
    /// It breaks off half-way.
    Truncated,
    Slow(Duration),
}

impl Delivery {
    /// How the answer to a request that met a fault reaches the caller.
    pub(crate) fn of(fault: Option<FaultKind>) -> Self {
        match fault {
            Some(FaultKind::Truncate) => Self::Truncated,
            Some(FaultKind::CutAfter) => Self::Cut,
            Some(FaultKind::Slow { seconds }) => Self::Slow(Duration::from_secs(seconds.into())),
            _ => Self::Whole,
        }
    }
}

impl From<http::Response<bytes::Bytes>> for Reply {
    fn from(response: http::Response<bytes::Bytes>) -> Self {
        Self { response, delivery: Delivery::Whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject<'a>(operation: &'a str, ids: &'a [String]) -> Subject<'a> {
        Subject {
            service: "ssm",
            operation,
            caller: "arn:aws:iam::111122223333:user/patchkit",
            scope: "111122223333/us-east-1",
            scopes: &[],
            ids,
            page: None,
            passes_role: false,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_fault_meets_only_what_it_names_and_only_so_often() {
        let mut faults = Faults::default();
        let fault = Fault::new(FaultKind::Throttle).on("Describe*").skip(1).times(2);
        faults.add(fault).unwrap();
        let described = subject("DescribeInstancePatchStates", &[]);
        let met: Vec<_> = (0..5).map(|_| faults.meet(&described)).collect();
        let throttle = Some(FaultKind::Throttle);
        assert_eq!(met, [None, throttle, throttle, None, None]);
        assert_eq!(faults.meet(&subject("SendCommand", &[])), None);
        assert_eq!(faults.status()[0].met, 2);
    }

    #[test]
    fn a_fault_of_a_node_meets_requests_that_name_it() {
        let mut faults = Faults::default();
        faults.add(Fault::new(FaultKind::CutAfter).of_node("i-1")).unwrap();
        assert_eq!(faults.meet(&subject("StartInstances", &["i-2".to_owned()])), None);
        let ids = ["i-2".to_owned(), "I-1".to_owned()];
        assert_eq!(faults.meet(&subject("StartInstances", &ids)), Some(FaultKind::CutAfter));
    }

    #[test]
    fn a_fault_that_a_service_cannot_have_is_refused_and_meets_none_of_its_requests() {
        let mut faults = Faults::default();
        let error = faults.add(Fault::new(FaultKind::EmptyPage).of_service("s3")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "s3 has no fault empty_page; it has throttle, deny, fail, fail_after, cut_before, \
             cut_after, truncate, slow, away, clock_skew"
        );
        faults.add(Fault::new(FaultKind::EmptyPage).on("List*")).unwrap();
        let list = Subject { service: "s3", ..subject("ListObjectsV2", &[]) };
        assert_eq!(faults.meet(&list), None);
        assert_eq!(faults.meet(&subject("ListCommands", &[])), Some(FaultKind::EmptyPage));
    }

    #[test]
    fn a_fault_of_a_page_and_a_caller_leaves_the_others_alone() {
        let mut faults = Faults::default();
        let fault = Fault::new(FaultKind::Deny).of_caller("*:user/patchkit").on_page(2).times(1);
        faults.add(fault).unwrap();
        let page = |page| Subject { page, ..subject("DescribeInstances", &[]) };
        let other = Subject { caller: "arn:aws:iam::111122223333:user/other", ..page(Some(2)) };
        let asked = [page(None), page(Some(1)), other, page(Some(3)), page(Some(2))];
        let met: Vec<_> = asked.iter().map(|it| faults.meet(it)).collect();
        assert_eq!(met, [None, None, None, None, Some(FaultKind::Deny)]);
        assert_eq!(faults.meet(&page(Some(2))), None);
    }

    #[test]
    fn the_faults_of_all_are_those_that_the_table_has_for_s3() {
        let rows = include_str!("faults.md").lines().filter(|line| line.starts_with("| `"));
        let of_s3 = rows.filter(|row| row.split('|').nth(4).map(str::trim) != Some("not possible"));
        let named: Vec<&str> = of_s3.filter_map(|row| row.split('`').nth(1)).collect();
        let mut all = OF_ALL.to_vec();
        all.sort_unstable_by_key(|it| named.iter().position(|name| name == it));
        assert_eq!(named, all);
    }
}
