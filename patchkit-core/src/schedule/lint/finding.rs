//! What is wrong with a set of schedules.

use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp, civil::DateTime};
use serde::{Deserialize, Serialize};

use crate::{Freeze, NodeId};

/// Something that is wrong with a schedule, or with several.
///
/// It prints as one line. Names and texts are the callers' and the services': escape before showing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScheduleFinding {
    /// Its times cannot be told, so that nothing else is known of it.
    Invalid {
        /// The schedule.
        schedule: String,
        /// Why not.
        error: String,
    },
    /// It has come to its end, or names no day that there is.
    NeverAgain {
        /// The schedule.
        schedule: String,
    },
    /// It is counted from a time that is not given, so that nothing is known of when it comes.
    Uncounted {
        /// The schedule.
        schedule: String,
    },
    /// It comes so often that it was looked at up to a time only.
    TooOften {
        /// The schedule.
        schedule: String,
        /// Up to when.
        until: Timestamp,
    },
    /// Two schedules patch the same nodes at the same time.
    Overlap {
        /// Both schedules.
        schedules: [String; 2],
        /// How many nodes are in both.
        nodes: usize,
        /// One of them.
        node: NodeId,
        /// When they first overlap.
        at: Timestamp,
        /// How many windows of the first are concerned.
        times: usize,
    },
    /// Its windows open before the last one has closed; Systems Manager skips such a window.
    OverlapsItself {
        /// The schedule.
        schedule: String,
        /// When that is first so.
        at: Timestamp,
        /// How many windows are concerned.
        times: usize,
    },
    /// An environment is patched with what the one before it has not had.
    OutOfOrder {
        /// The schedule.
        schedule: String,
        /// Its environment: production.
        environment: String,
        /// The environment that comes before: development.
        before: String,
        /// When it is first patched so.
        opens: Timestamp,
        /// How many windows are concerned.
        times: usize,
    },
    /// Its window is too short for all of its nodes.
    TooShort {
        /// The schedule.
        schedule: String,
        /// How many nodes it has.
        nodes: usize,
        /// How long they take.
        needs: Duration,
        /// How long they have until nothing new may start.
        has: Duration,
    },
    /// It opens when nothing may be patched.
    Frozen {
        /// The schedule.
        schedule: String,
        /// The freeze.
        freeze: Freeze,
        /// The first window that is concerned.
        opens: Timestamp,
        /// How many are.
        times: usize,
    },
    /// It opens when nobody knows whether something is frozen.
    FreezesUnknown {
        /// The schedule.
        schedule: String,
        /// The first window that is concerned.
        opens: Timestamp,
    },
    /// A part of the freeze calendar could not be read: there may be another freeze.
    FreezeUnread {
        /// What could not be read, and why.
        problem: String,
    },
    /// Clocks change when it is due.
    ClockChange {
        /// The schedule.
        schedule: String,
        /// The time on the wall.
        local: DateTime,
        /// What becomes of it.
        change: ClockChange,
    },
}

/// What a change of clocks does to a time on the wall.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClockChange {
    /// There is no such time that day.
    Skipped,
    /// It comes twice that day.
    Repeated,
    /// From this time on it comes at another time of the day than before, for it counts hours.
    Shifted,
}

impl ScheduleFinding {
    /// The schedules that it is about; none where it is about the freeze calendar.
    pub fn schedules(&self) -> &[String] {
        use std::slice::from_ref;
        match self {
            Self::Invalid { schedule, .. }
            | Self::NeverAgain { schedule }
            | Self::Uncounted { schedule }
            | Self::TooOften { schedule, .. }
            | Self::OverlapsItself { schedule, .. }
            | Self::OutOfOrder { schedule, .. }
            | Self::TooShort { schedule, .. }
            | Self::Frozen { schedule, .. }
            | Self::FreezesUnknown { schedule, .. }
            | Self::ClockChange { schedule, .. } => from_ref(schedule),
            Self::Overlap { schedules, .. } => schedules,
            Self::FreezeUnread { .. } => &[],
        }
    }
}

impl fmt::Display for ScheduleFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { schedule, error } => write!(f, "{schedule}: {error}"),
            Self::NeverAgain { schedule } => write!(f, "{schedule} never comes again"),
            Self::Uncounted { schedule } => {
                write!(
                    f,
                    "{schedule} is counted from when it was made, which is not known: give it a start"
                )
            }
            Self::TooOften { schedule, until } => {
                write!(f, "{schedule} comes so often that it was looked at until {until} only")
            }
            Self::Overlap { schedules: [one, other], nodes, node, at, times } => {
                let others = Count(nodes.saturating_sub(1), "other node");
                write!(f, "{one} and {other} overlap on {node}")?;
                if *nodes > 1 {
                    write!(f, " and {others}")?;
                }
                write!(f, " at {at}, in {}", Count(*times, "window"))
            }
            Self::OverlapsItself { schedule, at, times } => {
                let times = Count(*times, "window");
                write!(f, "{schedule} opens again at {at} before it has closed, in {times}")
            }
            Self::OutOfOrder { schedule, environment, before, opens, times } => {
                let times = Count(*times, "window");
                write!(
                    f,
                    "{schedule} patches {environment} at {opens}, which {before} has not been patched for, in {times}"
                )
            }
            Self::TooShort { schedule, nodes, needs, has } => {
                let (nodes, needs, has) = (Count(*nodes, "node"), Long(*needs), Long(*has));
                write!(f, "{schedule} has {has} for {nodes} that take {needs}")
            }
            Self::Frozen { schedule, freeze, opens, times } => {
                let times = Count(*times, "window");
                write!(f, "{schedule} opens at {opens} in the freeze {freeze}, in {times}")
            }
            Self::FreezesUnknown { schedule, opens } => {
                write!(
                    f,
                    "{schedule} opens at {opens}, for which the freeze calendar does not tell"
                )
            }
            Self::FreezeUnread { problem } => write!(f, "freeze calendar: {problem}"),
            Self::ClockChange { schedule, local, change } => match change {
                ClockChange::Skipped => write!(
                    f,
                    "{schedule} is due at {local}, which the clocks skip: EventBridge leaves it out, what \
                     others do is not documented"
                ),
                ClockChange::Repeated => write!(
                    f,
                    "{schedule} is due at {local}, which comes twice: EventBridge takes it once, what \
                     others do is not documented"
                ),
                ClockChange::Shifted => {
                    write!(
                        f,
                        "{schedule} counts hours: from {local} on it comes at that time of the day"
                    )
                }
            },
        }
    }
}

/// So many of something, in the plural where they are several.
struct Count(usize, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

struct Long(Duration);

impl fmt::Display for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX);
        write!(f, "{whole:#}")
    }
}
