//! What an install did, as far as Azure tells: as a whole, and patch by patch.

use jiff::Timestamp;
use patchkit_core::{Classification, NodeId, PatchId, PatchState};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{error::shown, lro::error_of, machine::mode as words};

/// How many of the errors of an install are told: as many as Azure keeps.
const MOST_ERRORS: usize = 5;

/// An install on one machine, as far as it has come.
///
/// Its texts come from the machine: untrusted, escape before showing.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InstallResult {
    /// The machine.
    pub node: NodeId,
    /// Azure's id of the install.
    pub activity: String,
    /// How it ended, or that it goes on.
    pub status: InstallStatus,
    /// Whether the machine was booted, or has to be; none where that is not told.
    pub reboot: Option<RebootStatus>,
    /// Whether the time was enough.
    pub window: WindowUse,
    /// How many patches there are of each state.
    pub counts: InstallCounts,
    /// Every patch that was looked at, where they are listed.
    pub patches: Vec<PatchResult>,
    /// How many of the patches that are listed could not be read.
    pub unreadable: usize,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended, or was last heard of.
    pub ended_at: Option<Timestamp>,
    /// What went wrong, on one line.
    pub error: Option<String>,
    /// The run of a schedule that it was a part of.
    pub schedule_run: Option<String>,
}

words! {
    /// How an install ended.
    InstallStatus {
        /// It has not begun.
        NotStarted = "NotStarted",
        /// It goes on.
        InProgress = "InProgress",
        /// All that was asked for was done.
        Succeeded = "Succeeded",
        /// Something was not done, or is left to do.
        CompletedWithWarnings = "CompletedWithWarnings",
        /// It failed.
        Failed = "Failed",
    }
}

words! {
    /// Whether a machine was booted after an install.
    RebootStatus {
        /// There was no need.
        NotNeeded = "NotNeeded",
        /// It has to be, and was not.
        Required = "Required",
        /// It is about to come up again.
        Started = "Started",
        /// It was, and did not come up.
        Failed = "Failed",
        /// It was.
        Completed = "Completed",
    }
}

/// Whether the time of an install was enough.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowUse {
    /// It was, as far as is told.
    #[default]
    Kept,
    /// It was over before all was done.
    Exceeded,
}

/// How many patches of an install there are of each state.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InstallCounts {
    /// Installed by it.
    pub installed: u32,
    /// Tried, and not installed.
    pub failed: u32,
    /// Chosen, and not come to.
    pub pending: u32,
    /// Excluded by its lists.
    pub excluded: u32,
    /// Of no class and on no list of it.
    pub not_selected: u32,
}

/// One patch of an install.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchResult {
    /// Its id: `KB5043050`, or a package's name.
    pub id: PatchId,
    /// Its title on Windows, its package elsewhere.
    pub name: String,
    /// The package's version.
    pub version: Option<String>,
    /// Its classes.
    pub classifications: Vec<Classification>,
    /// What became of it.
    pub state: PatchState,
}

impl InstallResult {
    /// Reads the result of an operation, a machine's summary or a row of Resource Graph: three spellings
    /// of the same.
    pub(super) fn read(node: &NodeId, activity: &str, told: &Value) -> Self {
        let text = |key: &str| told[key].as_str().filter(|text| !text.is_empty());
        let count = |key: &str| {
            let count = told[key].as_u64().unwrap_or_default();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let Ok(status) = shown(text("status").unwrap_or("Unknown")).parse();
        let mut result = Self {
            node: node.clone(),
            activity: activity.to_owned(),
            status,
            reboot: text("rebootStatus").map(|word| shown(word).into()),
            window: match told["maintenanceWindowExceeded"].as_bool() {
                Some(true) => WindowUse::Exceeded,
                Some(false) | None => WindowUse::Kept,
            },
            counts: InstallCounts {
                installed: count("installedPatchCount"),
                failed: count("failedPatchCount"),
                pending: count("pendingPatchCount"),
                excluded: count("excludedPatchCount"),
                not_selected: count("notSelectedPatchCount"),
            },
            patches: Vec::new(),
            unreadable: 0,
            started_at: time(told, &["startDateTime", "startTime"]),
            ended_at: time(told, &["lastModifiedDateTime", "lastModifiedTime"]),
            error: errors(told),
            schedule_run: text("maintenanceRunId").map(shown),
        };
        result.add(told["patches"].as_array().map(Vec::as_slice).unwrap_or_default());
        result
    }

    /// Takes over rows of patches. One that cannot be read is counted, and the others are there.
    pub(super) fn add(&mut self, rows: &[Value]) {
        for row in rows {
            match PatchResult::read(row) {
                Some(patch) => self.patches.push(patch),
                None => self.unreadable += 1,
            }
        }
    }

    /// The patches of a state.
    pub fn patches_in<'r>(
        &'r self,
        state: &'r PatchState,
    ) -> impl Iterator<Item = &'r PatchResult> {
        self.patches.iter().filter(move |patch| patch.state == *state)
    }
}

impl PatchResult {
    fn read(row: &Value) -> Option<Self> {
        let text = |key: &str| row[key].as_str().filter(|text| !text.is_empty());
        let name = text("name").or(text("patchName")).or(text("patchId"))?;
        let id = match text("kbId") {
            Some(kb) if kb.bytes().all(|b| b.is_ascii_digit()) => PatchId::new(format!("KB{kb}")),
            Some(kb) => PatchId::new(kb),
            None => PatchId::new(name),
        };
        let Ok(state) = text("installationState").unwrap_or("Unknown").parse();
        let classes = row["classifications"].as_array().map(Vec::as_slice).unwrap_or_default();
        let class = |class: &Value| {
            let Ok(class) = class.as_str()?.parse();
            Some(class)
        };
        Some(Self {
            id: id.ok()?,
            name: shown(name),
            version: text("version").map(shown),
            classifications: classes.iter().filter_map(class).collect(),
            state,
        })
    }
}

/// The first time that is there and can be read.
pub(super) fn time(told: &Value, keys: &[&str]) -> Option<Timestamp> {
    keys.iter().find_map(|key| told[*key].as_str()?.parse().ok())
}

/// What an error object says, with its details.
pub(super) fn errors(told: &Value) -> Option<String> {
    let error = if told["error"].is_object() { &told["error"] } else { &told["errorDetails"] };
    let first = error_of(error)?;
    let details = error["details"].as_array().map(Vec::as_slice).unwrap_or_default();
    let messages = details.iter().filter_map(|it| it["message"].as_str().or(it["code"].as_str()));
    let mut all = vec![first];
    all.extend(messages.take(MOST_ERRORS).map(shown));
    Some(shown(&all.join("; ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node() -> NodeId {
        "azure/s/westeurope//subscriptions/s/vm".parse().unwrap()
    }

    #[test]
    fn a_row_that_cannot_be_read_spoils_only_itself() {
        let told = json!({
            "status": "Succeeded",
            "patches": [
                {"name": "curl", "version": "8", "installationState": "Installed"},
                {"version": "8"},
                {"name": "x", "kbId": "2267602", "installationState": "Quantum"},
                null,
            ],
        });
        let result = InstallResult::read(&node(), "a", &told);
        assert_eq!(result.unreadable, 2);
        let ids: Vec<&str> = result.patches.iter().map(|patch| patch.id.as_str()).collect();
        assert_eq!(ids, ["curl", "KB2267602"]);
        assert_eq!(result.patches[1].state, PatchState::Other("Quantum".into()));
    }

    #[test]
    fn words_that_nobody_knows_are_kept() {
        let told = json!({"status": "Pondering", "rebootStatus": "Twice", "error": null});
        let result = InstallResult::read(&node(), "a", &told);
        assert_eq!(result.status, InstallStatus::Other("Pondering".into()));
        assert_eq!(result.reboot, Some(RebootStatus::Other("Twice".into())));
        assert_eq!((result.error, result.started_at), (None, None));
    }

    #[test]
    fn errors_are_told_with_their_details_and_cut() {
        let details: Vec<Value> =
            (0..9).map(|n| json!({"code": "X", "message": format!("package {n}")})).collect();
        let error = json!({"code": "1", "message": "9 error/s reported.", "details": details});
        let told = errors(&json!({"error": error})).unwrap();
        assert!(told.starts_with("1: 9 error/s reported.; package 0; package 1"), "{told}");
        assert!(told.ends_with("package 4"), "{told}");
        assert_eq!(errors(&json!({"errorDetails": null})), None);
    }
}
