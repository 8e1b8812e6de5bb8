//! Why a node's management service cannot act on it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{PowerState, Reachability};

/// Why a node's management service cannot act on it, as far as its listing tells.
///
/// A reason is given on evidence alone; what nobody told is [`Unknown`](Self::Unknown). What is
/// wrong with an identity takes more calls: [`Fleet::access`](crate::Fleet::access).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnmanagedReason {
    /// It is off, on its way up or down, or gone: nothing on it can answer.
    NotRunning,
    /// It runs without an identity (an instance profile, a managed identity), and no agent of it is
    /// registered under its own id.
    ///
    /// A default identity of the account and Region (AWS: Default Host Management) would do in its
    /// place, and did not.
    NoIdentity,
    /// It runs with an identity, and no agent of it is registered under its own id.
    ///
    /// The agent may be missing or too old, without a way to the service, or refused by it; it may
    /// also be registered elsewhere or as a hybrid node, which no listing connects to this one.
    NotRegistered {
        /// Since when it runs, where that is known: an agent takes minutes to register.
        running_since: Option<Timestamp>,
    },
    /// Its agent is registered, and has stopped answering.
    Silent {
        /// When it answered last, where that is known.
        since: Option<Timestamp>,
    },
    /// It is not known why, or whether it is managed at all.
    Unknown,
}

impl UnmanagedReason {
    /// What power and agent tell by themselves; none where the agent answers.
    ///
    /// ```
    /// use patchkit_core::{PowerState, Reachability, UnmanagedReason};
    ///
    /// let off = UnmanagedReason::of(PowerState::Stopped, Reachability::Inactive);
    /// assert_eq!(off, Some(UnmanagedReason::NotRunning));
    /// assert_eq!(UnmanagedReason::of(PowerState::Running, Reachability::Online), None);
    /// ```
    pub fn of(power: PowerState, reachability: Reachability) -> Option<Self> {
        match (reachability, power) {
            (Reachability::Online, _) => None,
            (
                _,
                PowerState::Stopped
                | PowerState::Deallocated
                | PowerState::Starting
                | PowerState::Stopping
                | PowerState::Terminated,
            ) => Some(Self::NotRunning),
            (Reachability::Lost | Reachability::Inactive, _) => Some(Self::Silent { since: None }),
            (Reachability::Unknown, _) => Some(Self::Unknown),
        }
    }
}

impl fmt::Display for UnmanagedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning => f.write_str("it is not running"),
            Self::NoIdentity => f.write_str("it has no identity, and no agent of it is registered"),
            Self::NotRegistered { running_since: None } => {
                f.write_str("no agent of it is registered")
            }
            Self::NotRegistered { running_since: Some(since) } => {
                write!(f, "no agent of it is registered, and it runs since {since}")
            }
            Self::Silent { since: None } => f.write_str("its agent does not answer"),
            Self::Silent { since: Some(since) } => write!(f, "its agent answered last at {since}"),
            Self::Unknown => f.write_str("why is not known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_is_not_called_silent_and_what_nobody_told_has_no_reason() {
        let of = UnmanagedReason::of;
        for (power, agent, reason) in [
            (PowerState::Running, Reachability::Online, None),
            (PowerState::Unknown, Reachability::Online, None),
            (PowerState::Stopped, Reachability::Lost, Some(UnmanagedReason::NotRunning)),
            (PowerState::Starting, Reachability::Unknown, Some(UnmanagedReason::NotRunning)),
            (
                PowerState::Running,
                Reachability::Lost,
                Some(UnmanagedReason::Silent { since: None }),
            ),
            (
                PowerState::Unknown,
                Reachability::Inactive,
                Some(UnmanagedReason::Silent { since: None }),
            ),
            (PowerState::Running, Reachability::Unknown, Some(UnmanagedReason::Unknown)),
            (PowerState::Unknown, Reachability::Unknown, Some(UnmanagedReason::Unknown)),
        ] {
            assert_eq!(of(power, agent), reason, "{power} {agent}");
        }
    }

    #[test]
    fn a_reason_is_told_with_its_time() {
        let since = Some("2026-11-24T02:00:00Z".parse().unwrap());
        let told = [
            UnmanagedReason::Silent { since },
            UnmanagedReason::NotRegistered { running_since: since },
        ]
        .map(|reason| reason.to_string());
        assert_eq!(
            told,
            [
                "its agent answered last at 2026-11-24T02:00:00Z",
                "no agent of it is registered, and it runs since 2026-11-24T02:00:00Z",
            ]
        );
    }
}
