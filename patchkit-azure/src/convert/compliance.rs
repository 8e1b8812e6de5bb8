//! What Azure knows of a machine's patches, as the core's compliance.

use jiff::{SignedDuration, Timestamp};
use patchkit_core::{ComplianceStatus, NodeCompliance, NodeId, PatchCounts, Result};
use serde_json::Value;

use super::{
    node::text,
    patch::{Effect, Urgency},
};
use crate::error::malformed;

/// How long assessments are kept ("Query logs" of Azure Update Manager): an older one says nothing.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What a machine lacked when it was looked at last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assessment {
    at: Timestamp,
    outcome: Outcome,
    reboot: Reboot,
    available: Option<Available>,
}

/// Whether an assessment came to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Whole,
    /// It failed, goes on, or ended in a way that PatchKit does not know.
    Partial,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reboot {
    Pending,
    NotPending,
    /// Nobody says.
    Untold,
}

/// How many patches there are to be had.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Available {
    critical: u32,
    security: u32,
    other: u32,
}

impl Assessment {
    /// Reads the columns of a machine's row; none where there is no assessment.
    ///
    /// # Errors
    /// `Malformed` for a time that is none, and for counts that are no numbers.
    pub(crate) fn read(operation: &'static str, row: &Value) -> Result<Option<Self>> {
        let Some(at) = time(operation, row, "/assessedAt")? else { return Ok(None) };
        let outcome = match text(row, "/assessment") {
            // It found what is missing, and something else went wrong besides.
            Some(status) if is(status, "Succeeded") || is(status, "CompletedWithWarnings") => {
                Outcome::Whole
            }
            _ => Outcome::Partial,
        };
        let reboot = match row["rebootPending"].as_bool() {
            Some(true) => Reboot::Pending,
            Some(false) => Reboot::NotPending,
            None => Reboot::Untold,
        };
        let available = Available::read(operation, &row["available"])?;
        Ok(Some(Self { at, outcome, reboot, available }))
    }

    /// Whether it tells all that makes a machine compliant.
    pub(crate) fn is_whole(&self) -> bool {
        self.outcome == Outcome::Whole && self.available.is_some() && self.reboot != Reboot::Untold
    }

    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether it is young enough for Azure to keep what it found.
    pub(crate) fn is_kept(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) <= KEPT
    }

    /// Whether it came to its end, so that what it did not find is not there.
    pub(crate) fn is_over(&self) -> bool {
        self.outcome == Outcome::Whole
    }
}

impl Available {
    fn read(operation: &'static str, value: &Value) -> Result<Option<Self>> {
        let classes = match value {
            Value::Null => return Ok(None),
            Value::Object(classes) => classes,
            _ => return Err(malformed(operation, "the counts of an assessment are no object")),
        };
        let mut all = Self::default();
        for (class, count) in classes {
            let slot = match class.as_str() {
                class if is(class, "critical") => &mut all.critical,
                class if Urgency::of(class) == Urgency::Urgent => &mut all.security,
                _ => &mut all.other,
            };
            *slot = slot.saturating_add(number(operation, count)?);
        }
        Ok(Some(all))
    }
}

/// What was last installed on a machine, or tried to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Installation {
    /// The end of its resource's id.
    activity: String,
    began: Timestamp,
    changed: Timestamp,
    progress: Progress,
    /// Whether a reboot that it needs has not been seen to be over.
    reboot: Reboot,
    installed: u32,
    failed: u32,
    pending: u32,
    /// Left out, by name or by class.
    left: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    Over,
    Running,
}

impl Installation {
    /// Reads a row of the last installations.
    ///
    /// # Errors
    /// `Malformed` for a row without id or time, and for counts that are no numbers.
    pub(crate) fn read(operation: &'static str, row: &Value) -> Result<Self> {
        let lost = |what: &str| malformed(operation, format!("an installation has no {what}"));
        let activity = text(row, "/id").and_then(|id| id.rsplit('/').next());
        let began = time(operation, row, "/began")?.ok_or_else(|| lost("time"))?;
        let running = |status| is(status, "InProgress") || is(status, "NotStarted");
        let waits =
            |status| is(status, "Required") || is(status, "Started") || is(status, "Failed");
        let count = |name: &str| number(operation, &row[name]);
        Ok(Self {
            activity: activity.ok_or_else(|| lost("id"))?.to_owned(),
            began,
            changed: time(operation, row, "/changed")?.unwrap_or(began),
            progress: if text(row, "/status").is_some_and(running) {
                Progress::Running
            } else {
                Progress::Over
            },
            reboot: if text(row, "/reboot").is_some_and(waits) {
                Reboot::Pending
            } else {
                Reboot::NotPending
            },
            installed: count("installed")?,
            failed: count("failed")?,
            pending: count("pending")?,
            left: count("excluded")?.saturating_add(count("notSelected")?),
        })
    }

    pub(crate) fn activity(&self) -> &str {
        &self.activity
    }
}

/// All that Azure knows of a machine's patches.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Findings {
    pub(crate) assessment: Option<Assessment>,
    pub(crate) installation: Option<Installation>,
}

/// Who has the say on a machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Say<'f> {
    /// The assessment; the installation tells only what it brought.
    Assessment(&'f Assessment),
    /// The installation: nobody has looked at the machine since it began.
    Installation(&'f Installation),
    Nobody,
}

impl Findings {
    /// Who has the say.
    ///
    /// An installation ends with an assessment, before it is marked as over (Azure/LinuxPatchExtension,
    /// `CoreMain`): what failed or was left out and is still missing is among what that one found. One
    /// that is older than the beginning of an installation which brought something is out of date.
    pub(crate) fn say(&self, now: Timestamp) -> Say<'_> {
        let kept = |it: &&Assessment| it.is_kept(now);
        match (self.assessment.as_ref().filter(kept), self.installation.as_ref()) {
            (Some(assessment), Some(installation)) if !installation.outdates(assessment) => {
                Say::Assessment(assessment)
            }
            (Some(assessment), None) => Say::Assessment(assessment),
            (_, Some(installation)) => Say::Installation(installation),
            (None, None) => Say::Nobody,
        }
    }

    /// When what the last installation brought takes effect.
    pub(crate) fn effect(&self) -> Effect {
        let Some(installation) = &self.installation else { return Effect::Now };
        // Who has looked since knows whether the machine was booted since.
        let booted = self.assessment.as_ref().is_some_and(|assessment| {
            assessment.at >= installation.began && assessment.reboot == Reboot::NotPending
        });
        if installation.reboot == Reboot::Pending && !booted {
            Effect::AfterReboot
        } else {
            Effect::Now
        }
    }

    /// Whether the machine waits for a reboot, as far as anyone knows.
    pub(crate) fn is_waiting(&self, now: Timestamp) -> bool {
        let told = match self.say(now) {
            Say::Assessment(assessment) => assessment.reboot == Reboot::Pending,
            Say::Installation(_) | Say::Nobody => false,
        };
        told || self.effect() == Effect::AfterReboot
    }

    /// The compliance of a node by Azure's own counts.
    pub(crate) fn summary(&self, node: NodeId, now: Timestamp) -> NodeCompliance {
        let mut known = NodeCompliance::unknown(node);
        known.counts = self.brought();
        let counts = &mut known.counts;
        match self.say(now) {
            Say::Nobody => {}
            Say::Assessment(assessment) => {
                let available = assessment.available.unwrap_or_default();
                counts.missing = available.critical.saturating_add(available.security);
                counts.other = available.other;
                counts.critical_non_compliant = available.critical;
                counts.security_non_compliant = available.security;
                known.observed_at = Some(assessment.at);
                known.status = if counts.missing > 0 || self.is_waiting(now) {
                    ComplianceStatus::NonCompliant
                } else if assessment.is_whole() {
                    ComplianceStatus::Compliant
                } else {
                    ComplianceStatus::Unknown
                };
            }
            Say::Installation(installation) => {
                counts.failed = installation.failed;
                counts.other = installation.pending.saturating_add(installation.left);
                let behind = installation.failed.saturating_add(installation.pending);
                counts.other_non_compliant = counts.other_non_compliant.saturating_add(behind);
                known.observed_at = Some(installation.changed);
                if behind > 0 || self.is_waiting(now) {
                    known.status = ComplianceStatus::NonCompliant;
                }
            }
        }
        known
    }

    /// What the last installation brought.
    pub(crate) fn brought(&self) -> PatchCounts {
        let mut counts = PatchCounts::default();
        let installed = self.installation.as_ref().map_or(0, |it| it.installed);
        match self.effect() {
            Effect::Now => counts.installed = installed,
            Effect::AfterReboot => {
                counts.installed_pending_reboot = installed;
                counts.other_non_compliant = installed;
            }
        }
        counts
    }
}

impl Installation {
    fn outdates(&self, assessment: &Assessment) -> bool {
        self.progress == Progress::Over && self.installed > 0 && assessment.at < self.began
    }
}

fn is(text: &str, word: &str) -> bool {
    text.eq_ignore_ascii_case(word)
}

/// A time; none where there is none.
fn time(operation: &'static str, row: &Value, path: &str) -> Result<Option<Timestamp>> {
    match row.pointer(path) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(value) => {
            let at = value.as_str().and_then(|at| at.parse().ok());
            at.map(Some).ok_or_else(|| malformed(operation, "a time of its patches is none"))
        }
    }
}

/// A count, which queries may have made a text; none is zero.
fn number(operation: &'static str, value: &Value) -> Result<u32> {
    let count = match value {
        Value::Null => Some(0),
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64().map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
    };
    count.ok_or_else(|| malformed(operation, "a count of its patches is no number"))
}

#[cfg(test)]
mod tests;
