//! How far a command has come: the service's words as ours.

use patchkit_core::{NodeOperation, OperationStatus};

/// What a status of an invocation, a step or a command means. `details` says more than `status`
/// where both are there.
///
/// The user guide prints the words with spaces and the API without; case has changed before. Both
/// are read.
pub(crate) fn of(status: Option<&str>, details: Option<&str>) -> OperationStatus {
    [details, status]
        .into_iter()
        .flatten()
        .map(word)
        .find(|known| *known != OperationStatus::Unknown)
        .unwrap_or(OperationStatus::Unknown)
}

fn word(text: &str) -> OperationStatus {
    let folded: String =
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    match folded.as_str() {
        "pending" => OperationStatus::Pending,
        "inprogress" | "delayed" => OperationStatus::InProgress,
        "cancelling" => OperationStatus::Cancelling,
        "success" => OperationStatus::Succeeded,
        "cancelled" => OperationStatus::Cancelled,
        "timedout" | "executiontimedout" => OperationStatus::TimedOut,
        "undeliverable" | "deliverytimedout" => OperationStatus::Undeliverable,
        // The command had too many errors before it was this node's turn: terminated. The document
        // does not run on the node's system: invalid platform. Nothing was to be done: no instances.
        "failed" | "incomplete" | "terminated" | "invalidplatform" | "accessdenied"
        | "rateexceeded" | "limitexceeded" | "noinstancesintag" => OperationStatus::Failed,
        _ => OperationStatus::Unknown,
    }
}

/// Where an act stands as a whole, by where it stands on its nodes. `complete` says that none of
/// them is missing: without that it is not over.
pub(crate) fn whole(nodes: &[NodeOperation], complete: Complete) -> OperationStatus {
    let all = |status| !nodes.is_empty() && nodes.iter().all(|node| node.status == status);
    let any = |status| nodes.iter().any(|node| node.status == status);
    let over = !nodes.is_empty() && nodes.iter().all(|node| node.status.is_final());
    if over && complete == Complete::Yes {
        let ends = [
            OperationStatus::Succeeded,
            OperationStatus::Cancelled,
            OperationStatus::TimedOut,
            OperationStatus::Undeliverable,
        ];
        let alike = ends.into_iter().find(|end| all(*end));
        let only_cancelled = nodes.iter().all(|node| {
            matches!(node.status, OperationStatus::Succeeded | OperationStatus::Cancelled)
        });
        return match alike {
            Some(end) => end,
            None if only_cancelled => OperationStatus::Cancelled,
            None => OperationStatus::Failed,
        };
    }
    if any(OperationStatus::Cancelling) {
        OperationStatus::Cancelling
    } else if nodes.is_empty() || all(OperationStatus::Pending) {
        OperationStatus::Pending
    } else if !over
        && nodes
            .iter()
            .all(|node| node.status.is_final() || node.status == OperationStatus::Unknown)
    {
        OperationStatus::Unknown
    } else {
        OperationStatus::InProgress
    }
}

/// Whether all nodes of an act have been told of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Complete {
    Yes,
    NotYet,
}

#[cfg(test)]
mod tests {
    use super::*;
    use OperationStatus::*;

    #[test]
    fn every_spelling_of_a_status_is_read() {
        for (text, status) in [
            ("Pending", Pending),
            ("In Progress", InProgress),
            ("InProgress", InProgress),
            ("Delayed", InProgress),
            ("Cancelling", Cancelling),
            ("Success", Succeeded),
            ("Cancelled", Cancelled),
            ("Failed", Failed),
            ("TimedOut", TimedOut),
            ("Execution Timed Out", TimedOut),
            ("ExecutionTimedOut", TimedOut),
            ("EXECUTION_TIMED_OUT", TimedOut),
            ("Delivery Timed Out", Undeliverable),
            ("DeliveryTimedOut", Undeliverable),
            ("Undeliverable", Undeliverable),
            ("Terminated", Failed),
            ("Invalid Platform", Failed),
            ("InvalidPlatform", Failed),
            ("Access Denied", Failed),
            ("Incomplete", Failed),
            ("Rate Exceeded", Failed),
            ("NoInstancesInTag", Failed),
            ("", Unknown),
            ("Pondering", Unknown),
        ] {
            assert_eq!(of(None, Some(text)), status, "{text}");
            assert_eq!(of(Some(text), None), status, "{text}");
        }
    }

    #[test]
    fn the_details_say_more_than_the_status_and_a_word_unknown_says_nothing() {
        assert_eq!(of(Some("TimedOut"), Some("DeliveryTimedOut")), Undeliverable);
        assert_eq!(of(Some("Cancelled"), Some("Terminated")), Failed);
        assert_eq!(of(Some("Failed"), Some("Learned later")), Failed);
        assert_eq!(of(None, None), Unknown);
    }

    #[test]
    fn a_whole_is_over_when_every_node_is_there_and_over() {
        let node: patchkit_core::NodeId = "aws/1/eu-west-1/i-1".parse().unwrap();
        let nodes = |them: &[OperationStatus]| -> Vec<NodeOperation> {
            them.iter().map(|status| NodeOperation::new(node.clone(), *status)).collect()
        };
        for (them, complete, expected) in [
            (&[][..], Complete::NotYet, Pending),
            (&[Succeeded], Complete::NotYet, InProgress),
            (&[Succeeded, Succeeded], Complete::Yes, Succeeded),
            (&[Pending, Pending], Complete::Yes, Pending),
            (&[Pending, Succeeded], Complete::Yes, InProgress),
            (&[Cancelling, Succeeded], Complete::Yes, Cancelling),
            (&[Cancelled, Succeeded], Complete::Yes, Cancelled),
            (&[Cancelled, Failed], Complete::Yes, Failed),
            (&[Undeliverable, Undeliverable], Complete::Yes, Undeliverable),
            (&[Undeliverable, Succeeded], Complete::Yes, Failed),
            (&[TimedOut], Complete::Yes, TimedOut),
            (&[Unknown, Succeeded], Complete::Yes, Unknown),
            (&[Unknown, InProgress], Complete::Yes, InProgress),
        ] {
            assert_eq!(whole(&nodes(them), complete), expected, "{them:?}");
        }
    }
}
