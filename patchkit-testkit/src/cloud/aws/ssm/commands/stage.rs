//! Where a command, an invocation or a step stands: `Status` and `StatusDetails` of the API.

/// A status in detail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    Pending,
    InProgress,
    Delayed,
    Cancelling,
    Success,
    Failed,
    Cancelled,
    DeliveryTimedOut,
    ExecutionTimedOut,
    /// The node is gone or turned off: it never got the command.
    Undeliverable,
    /// The command had too many errors before it was this node's turn.
    Terminated,
    InvalidPlatform,
    /// Of a command: not all nodes succeeded, and not enough failed for it to fail.
    Incomplete,
    /// Of a command: no node was targeted.
    NoInstancesInTag,
}

impl Stage {
    /// `StatusDetails`: the user guide prints these with spaces, the API has none.
    pub(crate) fn details(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Delayed => "Delayed",
            Self::Cancelling => "Cancelling",
            Self::Success => "Success",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::DeliveryTimedOut => "DeliveryTimedOut",
            Self::ExecutionTimedOut => "ExecutionTimedOut",
            Self::Undeliverable => "Undeliverable",
            Self::Terminated => "Terminated",
            Self::InvalidPlatform => "InvalidPlatform",
            Self::Incomplete => "Incomplete",
            Self::NoInstancesInTag => "NoInstancesInTag",
        }
    }

    /// `Status`: the few that the model's enumerations have.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::DeliveryTimedOut | Self::ExecutionTimedOut => "TimedOut",
            Self::Undeliverable | Self::InvalidPlatform | Self::Incomplete => "Failed",
            Self::Terminated => "Cancelled",
            Self::NoInstancesInTag => "Success",
            other => other.details(),
        }
    }

    /// Whether it stays as it is.
    pub(crate) fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::InProgress | Self::Delayed | Self::Cancelling)
    }

    /// Whether it counts against `MaxErrors` (API reference, CommandInvocation.StatusDetails).
    pub(crate) fn is_error(self) -> bool {
        matches!(self, Self::Failed | Self::ExecutionTimedOut)
    }

    /// Whether a filter by status means it; filters are written with and without spaces.
    pub(crate) fn is_called(self, filter: &str) -> bool {
        let filter: String = filter.chars().filter(|it| !it.is_whitespace()).collect();
        [self.status(), self.details()].iter().any(|it| it.eq_ignore_ascii_case(&filter))
    }
}
