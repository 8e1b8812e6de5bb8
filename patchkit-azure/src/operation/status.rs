//! How far an act has come: Azure's words as ours.

use patchkit_core::{NodeId, NodeOperation, OperationStatus, PatchState};
use serde_json::Value;

use super::{
    act::Kind,
    result::{InstallResult, InstallStatus, RebootStatus, WindowUse, errors, time},
};
use crate::error::shown;

/// How many patches that failed are named.
const MOST_NAMED: usize = 5;

/// Whether the operation that told is over: then no word of it means that it goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Over {
    Yes,
    NotSaid,
}

/// An install on its machine.
pub(super) fn of_install(result: &InstallResult, over: Over) -> NodeOperation {
    let (status, why) = install(result, over);
    let mut act = NodeOperation::new(result.node.clone(), status);
    act.detail = why;
    act.installed =
        result.patches_in(&PatchState::Installed).map(|patch| patch.id.clone()).collect();
    act.started_at = result.started_at;
    act.ended_at = result.ended_at.filter(|_| status.is_final());
    act
}

fn install(result: &InstallResult, over: Over) -> (OperationStatus, Option<String>) {
    let exceeded = result.window == WindowUse::Exceeded;
    let failed = result.counts.failed > 0;
    let boot_failed = result.reboot == Some(RebootStatus::Failed);
    let owed = result.reboot == Some(RebootStatus::Required);
    let done = !failed && !boot_failed && result.counts.pending == 0;
    let (status, word) = match &result.status {
        InstallStatus::NotStarted if over == Over::NotSaid => (OperationStatus::Pending, None),
        InstallStatus::InProgress if over == Over::NotSaid => (OperationStatus::InProgress, None),
        InstallStatus::Succeeded | InstallStatus::CompletedWithWarnings if exceeded => {
            (OperationStatus::TimedOut, None)
        }
        InstallStatus::Succeeded if done => (OperationStatus::Succeeded, None),
        InstallStatus::Succeeded | InstallStatus::Failed => (OperationStatus::Failed, None),
        // The agent warns of a reboot that is owed, which is as it was told to do
        // (Azure/LinuxPatchExtension, `PatchInstaller.mark_installation_completed`).
        InstallStatus::CompletedWithWarnings if done && owed && result.error.is_none() => {
            (OperationStatus::Succeeded, Some("completed with warnings"))
        }
        InstallStatus::CompletedWithWarnings => {
            (OperationStatus::Failed, Some("completed with warnings"))
        }
        other => return unknown(other.as_str(), over),
    };
    if !status.is_final() {
        return (status, None);
    }
    let mut why: Vec<String> = word.map(str::to_owned).into_iter().collect();
    if exceeded {
        why.push("its time was over before all was done".to_owned());
    }
    if result.counts.pending > 0 {
        why.push(format!("{} pending", result.counts.pending));
    }
    if failed {
        why.push(failures(result));
    }
    if boot_failed {
        why.push("the machine did not come up again".to_owned());
    }
    if owed {
        why.push("a reboot is required".to_owned());
    }
    why.extend(result.error.clone());
    (status, (!why.is_empty()).then(|| shown(&why.join("; "))))
}

fn failures(result: &InstallResult) -> String {
    let names = result.patches_in(&PatchState::Failed).take(MOST_NAMED);
    let names: Vec<&str> = names.map(|patch| patch.id.as_str()).collect();
    let more = if usize::try_from(result.counts.failed).is_ok_and(|count| count > names.len()) {
        ", …"
    } else {
        ""
    };
    match names.as_slice() {
        [] => format!("{} failed", result.counts.failed),
        names => format!("{} failed: {}{more}", result.counts.failed, names.join(", ")),
    }
}

/// A word that says nothing of how it ended, or of whether it has.
fn unknown(word: &str, over: Over) -> (OperationStatus, Option<String>) {
    // "At that point it will become 'Unknown', 'Failed', …" (Compute API, `PatchOperationStatus`).
    let ended = over == Over::Yes || word.eq_ignore_ascii_case("Unknown");
    let status = if ended { OperationStatus::Failed } else { OperationStatus::Unknown };
    (status, Some(format!("Azure says {:?} of it", shown(word))))
}

/// An assessment on its machine.
pub(super) fn of_scan(node: &NodeId, told: &Value, over: Over) -> NodeOperation {
    let word = told["status"].as_str().unwrap_or("Unknown");
    let is = |known: &str| word.eq_ignore_ascii_case(known);
    let (status, why) = if is("Succeeded") {
        (OperationStatus::Succeeded, None)
    } else if is("Failed") {
        (OperationStatus::Failed, None)
    } else if is("CompletedWithWarnings") {
        // A source that was not asked may have what is missing.
        (OperationStatus::Failed, Some("completed with warnings".to_owned()))
    } else if over == Over::NotSaid && is("InProgress") {
        (OperationStatus::InProgress, None)
    } else if over == Over::NotSaid && is("NotStarted") {
        (OperationStatus::Pending, None)
    } else {
        unknown(word, over)
    };
    let mut act = NodeOperation::new(node.clone(), status);
    let parts: Vec<String> = why.into_iter().chain(errors(told)).collect();
    act.detail = (!parts.is_empty()).then(|| shown(&parts.join("; ")));
    act.started_at = time(told, &["startDateTime", "startTime"]);
    if status.is_final() {
        act.ended_at = time(told, &["lastModifiedDateTime", "lastModifiedTime"]);
    }
    act
}

/// An act whose operation failed, or was cancelled.
pub(super) fn of_failure(
    node: &NodeId,
    kind: Kind,
    word: &str,
    message: Option<&str>,
) -> NodeOperation {
    let code = message.and_then(|text| text.split(':').next()).unwrap_or_default();
    let status = match code {
        // "Understand common error messages when you manage virtual machines in Azure". Of an install
        // it says no more than that the agent was gone at its end.
        "VMAgentStatusCommunicationError" if kind == Kind::Scan => OperationStatus::Undeliverable,
        "VMExtensionProvisioningTimeout" => OperationStatus::TimedOut,
        _ if word.to_ascii_lowercase().starts_with("cancel") => OperationStatus::Cancelled,
        _ => OperationStatus::Failed,
    };
    let mut act = NodeOperation::new(node.clone(), status);
    act.detail = Some(message.map_or_else(|| shown(word), str::to_owned));
    act
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node() -> NodeId {
        "azure/s/westeurope//subscriptions/s/vm".parse().unwrap()
    }

    fn said(told: &Value, over: Over) -> (OperationStatus, String) {
        let act = of_install(&InstallResult::read(&node(), "a", told), over);
        (act.status, act.detail.unwrap_or_default())
    }

    #[test]
    fn warnings_a_window_that_was_too_short_and_failures_are_told_apart() {
        use OperationStatus::{Failed, Succeeded, TimedOut};
        let failed = json!([{"name": "curl", "installationState": "Failed"}]);
        for (told, status, detail) in [
            (json!({"status": "Succeeded"}), Succeeded, ""),
            (
                json!({"status": "succeeded", "error": {"code": "0", "message": "0 error/s reported."}}),
                Succeeded,
                "",
            ),
            (
                json!({"status": "Succeeded", "rebootStatus": "Required"}),
                Succeeded,
                "a reboot is required",
            ),
            (
                json!({"status": "CompletedWithWarnings", "rebootStatus": "Required"}),
                Succeeded,
                "completed with warnings; a reboot is required",
            ),
            (json!({"status": "CompletedWithWarnings"}), Failed, "completed with warnings"),
            (
                json!({"status": "CompletedWithWarnings", "failedPatchCount": 1, "patches": failed}),
                Failed,
                "completed with warnings; 1 failed: curl",
            ),
            (
                json!({"status": "CompletedWithWarnings", "maintenanceWindowExceeded": true,
                       "pendingPatchCount": 7}),
                TimedOut,
                "its time was over before all was done; 7 pending",
            ),
            (
                json!({"status": "Succeeded", "maintenanceWindowExceeded": true}),
                TimedOut,
                "its time was over before all was done",
            ),
            (
                json!({"status": "Failed", "failedPatchCount": 2, "patches": failed,
                       "error": {"code": "1", "message": "2 error/s reported."}}),
                Failed,
                "2 failed: curl, …; 1: 2 error/s reported.",
            ),
            (
                json!({"status": "Succeeded", "rebootStatus": "Failed"}),
                Failed,
                "the machine did not come up again",
            ),
            (json!({"status": "Succeeded", "failedPatchCount": 1}), Failed, "1 failed"),
        ] {
            assert_eq!(said(&told, Over::Yes), (status, detail.to_owned()), "{told}");
            assert_eq!(said(&told, Over::NotSaid), (status, detail.to_owned()), "{told}");
        }
    }

    #[test]
    fn what_goes_on_goes_on_until_its_operation_is_over() {
        use OperationStatus::{Failed, InProgress, Pending, Unknown};
        for (word, running, over) in [
            ("InProgress", InProgress, Failed),
            ("NotStarted", Pending, Failed),
            ("LearnedLater", Unknown, Failed),
            ("Unknown", Failed, Failed),
        ] {
            let told = json!({"status": word});
            assert_eq!(said(&told, Over::NotSaid).0, running, "{word}");
            assert_eq!(said(&told, Over::Yes).0, over, "{word}");
            assert_eq!(of_scan(&node(), &told, Over::NotSaid).status, running, "{word}");
            assert_eq!(of_scan(&node(), &told, Over::Yes).status, over, "{word}");
        }
    }

    #[test]
    fn an_assessment_with_warnings_is_none_to_rely_on() {
        let error = json!({"code": "1", "message": "a repository did not answer"});
        let told = json!({"status": "CompletedWithWarnings", "error": error});
        let act = of_scan(&node(), &told, Over::Yes);
        assert_eq!(act.status, OperationStatus::Failed);
        let detail = act.detail.unwrap();
        assert_eq!(detail, "completed with warnings; 1: a repository did not answer");
    }

    #[test]
    fn codes_of_failures_say_what_happened() {
        use OperationStatus::{Cancelled, Failed, TimedOut, Undeliverable};
        let gone = "VMAgentStatusCommunicationError: VM 'a' has not reported status";
        let late = "VMExtensionProvisioningTimeout: timed out";
        for (kind, word, message, status) in [
            (Kind::Scan, "Failed", Some(gone), Undeliverable),
            (Kind::Install, "Failed", Some(gone), Failed),
            (Kind::Install, "Failed", Some(late), TimedOut),
            (Kind::Install, "Canceled", Some("OperationPreempted: x"), Cancelled),
            (Kind::Install, "Cancelled", None, Cancelled),
            (Kind::Scan, "Failed", None, Failed),
        ] {
            let act = of_failure(&node(), kind, word, message);
            assert_eq!(act.status, status, "{word} {message:?}");
            assert!(act.detail.is_some());
        }
    }
}
