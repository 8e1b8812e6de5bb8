//! The rows of what was found and done on a machine: results, and the patches in them.

use std::{borrow::Cow, cell::OnceCell, collections::BTreeMap};

use fixedbitset::FixedBitSet;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    machine::{Class, MachineRow},
    printed::{self, Document, Print},
};
use crate::cloud::{
    azure::{
        graph::{Field, Path, Record, write_text},
        patch_result,
        reply::stamp_z,
        vm,
    },
    world::{
        State,
        machine::{Assessment, Installation},
    },
};

/// What is behind the id of its machine in that of an assessment.
pub(super) const LATEST: &str = "/patchAssessmentResults/latest";

/// What was found or done on a machine at one time.
#[derive(Clone, Copy)]
pub(super) enum What<'a> {
    Assessment(&'a Assessment),
    Installation(&'a Installation),
}

/// The properties of an assessment's row.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssessmentProperties<'a> {
    assessment_activity_id: &'a str,
    reboot_pending: bool,
    patch_service_used: String,
    os_type: &'static str,
    start_date_time: String,
    last_modified_date_time: &'a str,
    started_by: &'static str,
    error_details: (),
    status: &'static str,
    available_patch_count_by_classification: BTreeMap<&'static str, usize>,
}

/// The properties of an installation's row.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstallationProperties<'a> {
    error_details: Value,
    excluded_patch_count: usize,
    failed_patch_count: usize,
    installation_activity_id: &'a str,
    installed_patch_count: usize,
    last_modified_date_time: &'a str,
    maintenance_run_id: &'a str,
    maintenance_window_exceeded: bool,
    not_selected_patch_count: usize,
    os_type: &'static str,
    pending_patch_count: usize,
    reboot_status: &'static str,
    start_date_time: String,
    started_by: &'static str,
    status: &'static str,
}

/// What the row of a result and those of its patches have in common, each thing made once.
pub(super) struct Outcome<'a> {
    machine: MachineRow<'a>,
    what: What<'a>,
    id: OnceCell<String>,
    /// The id as JSON, without its last quote.
    id_written: OnceCell<Vec<u8>>,
    /// When it was last modified.
    modified: OnceCell<String>,
}

impl<'a> Outcome<'a> {
    pub(super) fn new(machine: MachineRow<'a>, what: What<'a>) -> Self {
        let (id, id_written, modified) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { machine, what, id, id_written, modified }
    }

    fn state(&self) -> &'a State {
        self.machine.state
    }

    pub(super) fn id(&self) -> &str {
        self.id.get_or_init(|| {
            let mut id = self.state().vm_resource_id(self.machine.azure);
            match self.what {
                What::Assessment(_) => id.push_str(LATEST),
                What::Installation(it) => {
                    id.push_str("/patchInstallationResults/");
                    id.push_str(&it.activity);
                }
            }
            id
        })
    }

    /// Writes the id of a patch in it as JSON, of which the end is written already.
    fn write_id(&self, tail: &str, out: &mut Vec<u8>) {
        let head = self.id_written.get_or_init(|| {
            let mut json = Vec::new();
            write_text(self.id(), &mut json);
            json.pop();
            json
        });
        out.reserve(head.len() + tail.len() + 1);
        out.extend_from_slice(head);
        out.extend_from_slice(tail.as_bytes());
        out.push(b'"');
    }

    pub(super) fn activity(&self) -> &'a str {
        match self.what {
            What::Assessment(it) => &it.activity,
            What::Installation(it) => &it.activity,
        }
    }

    pub(super) fn modified(&self) -> &str {
        self.modified.get_or_init(|| {
            stamp_z(match self.what {
                What::Assessment(it) => it.ended,
                What::Installation(it) => it.ended.unwrap_or(self.state().now),
            })
        })
    }

    /// The properties of its row.
    pub(super) fn properties(&self) -> Value {
        match self.what {
            What::Assessment(it) => json!(self.assessment(it)),
            What::Installation(it) => json!(self.installation(it)),
        }
    }

    fn assessment<'i>(&'i self, it: &'i Assessment) -> AssessmentProperties<'i> {
        let (state, at) = (self.state(), self.machine.at);
        let counts = patch_result::count(state, at, &it.available);
        AssessmentProperties {
            assessment_activity_id: &it.activity,
            reboot_pending: it.reboot_pending,
            patch_service_used: patch_result::service(state, at, '-'),
            os_type: vm::os_type(state, at),
            start_date_time: stamp_z(it.started),
            last_modified_date_time: self.modified(),
            started_by: it.started_by,
            error_details: (),
            status: SUCCEEDED,
            available_patch_count_by_classification: counts
                .map(|(key, count)| (key, count.unwrap_or(0)))
                .collect(),
        }
    }

    fn installation<'i>(&'i self, it: &'i Installation) -> InstallationProperties<'i> {
        let count = |places: &FixedBitSet| places.count_ones(..);
        InstallationProperties {
            error_details: self.errors(it),
            excluded_patch_count: count(&it.excluded),
            failed_patch_count: count(&it.failed),
            installation_activity_id: &it.activity,
            installed_patch_count: count(&it.installed),
            last_modified_date_time: self.modified(),
            maintenance_run_id: &it.maintenance_run,
            maintenance_window_exceeded: it.window_exceeded,
            not_selected_patch_count: count(&it.not_selected),
            os_type: vm::os_type(self.state(), self.machine.at),
            pending_patch_count: count(&it.pending),
            reboot_status: it.reboot_status,
            start_date_time: stamp_z(it.started),
            started_by: it.started_by,
            status: it.status,
        }
    }

    fn errors(&self, it: &Installation) -> Value {
        let failures = patch_result::failures(self.state(), self.machine.at, it);
        if failures.is_empty() { Value::Null } else { patch_result::errors(&failures) }
    }

    /// A member of the properties of an installation, without the others.
    fn installed(&self, it: &Installation, key: &str) -> Option<Value> {
        let count = |places: &FixedBitSet| json!(places.count_ones(..));
        Some(match key {
            "errorDetails" => self.errors(it),
            "excludedPatchCount" => count(&it.excluded),
            "failedPatchCount" => count(&it.failed),
            "installationActivityId" => json!(it.activity),
            "installedPatchCount" => count(&it.installed),
            "lastModifiedDateTime" => json!(self.modified()),
            "maintenanceRunId" => json!(it.maintenance_run),
            "maintenanceWindowExceeded" => json!(it.window_exceeded),
            "notSelectedPatchCount" => count(&it.not_selected),
            "osType" => json!(vm::os_type(self.state(), self.machine.at)),
            "pendingPatchCount" => count(&it.pending),
            "rebootStatus" => json!(it.reboot_status),
            "startDateTime" => json!(stamp_z(it.started)),
            "startedBy" => json!(it.started_by),
            "status" => json!(it.status),
            _ => return None,
        })
    }
}

const SUCCEEDED: &str = "Succeeded";

/// The row of an installation.
pub(super) struct InstallationRow<'o, 'a> {
    pub(super) of: &'o Outcome<'a>,
    pub(super) it: &'a Installation,
    pub(super) class: &'static Class,
}

impl<'a> Record<'a> for InstallationRow<'_, 'a> {
    fn column(&self, name: &'static str) -> Field<'a> {
        match name {
            "id" => Field::text(self.of.id().to_owned()),
            "name" => Field::text(self.of.activity()),
            "type" => Field::text(self.class.name),
            "properties" => Field::Document(Cow::Owned(self.of.properties())),
            "tags" => Field::None,
            _ => self.of.machine.column(name),
        }
    }

    fn member(&self, name: &'static str, path: &Path) -> Field<'a> {
        let ("properties", [first, rest @ ..]) = (name, &**path) else {
            return self.column(name).at(path);
        };
        let value = self.of.installed(self.it, first);
        value.map_or(Field::None, |it| Field::Document(Cow::Owned(it)).at(rest))
    }

    fn write(&self, name: &'static str, path: &Path, out: &mut Vec<u8>) -> bool {
        match name {
            "properties" if path.is_empty() => {
                serde_json::to_writer(out, &self.of.installation(self.it)).is_ok()
            }
            "id" => write_text(self.of.id(), out),
            _ => false,
        }
    }
}

/// The row of a patch in a result.
pub(super) struct PatchRow<'o, 'a> {
    pub(super) of: &'o Outcome<'a>,
    pub(super) class: &'static Class,
    pub(super) place: usize,
    /// What came of it, by the number of the state; nothing of a patch that is missing.
    pub(super) treated: Option<usize>,
}

impl<'a> PatchRow<'_, 'a> {
    fn print(&self) -> Option<&'a Print> {
        let state = self.of.state();
        state.azure.census.prints().get(state.machine(self.of.machine.at).system, self.place)
    }

    /// Its properties as all rows of the patch in its state have them, where it is as those.
    fn document(&self) -> Cow<'a, Document> {
        let (state, at, place) = (self.of.state(), self.of.machine.at, self.place);
        let system = state.system_of(at);
        if let Some(treated) = self.treated {
            let known = self.print().and_then(|it| it.treated(system, place, treated));
            let word = || patch_result::WORDS.get(treated).copied().unwrap_or_default();
            let make = || Cow::Owned(Document::new(printed::treated(system, place, word())));
            return known.map_or_else(make, Cow::Borrowed);
        }
        match (state.machine(at).patches.strange(place), self.print()) {
            (None, Some(print)) => Cow::Borrowed(print.missing()),
            (word, _) => {
                let word = word.unwrap_or(patch_result::AVAILABLE);
                Cow::Owned(Document::new(printed::missing(system, place, word)))
            }
        }
    }

    fn id(&self) -> String {
        let of = self.of.id();
        let made;
        let tail = if let Some(print) = self.print() {
            print.tail()
        } else {
            made = printed::tail(self.of.state().system_of(self.of.machine.at), self.place);
            &made
        };
        let mut id = String::with_capacity(of.len() + tail.len());
        id.push_str(of);
        id.push_str(tail);
        id
    }

    fn name(&self) -> Cow<'a, str> {
        let make = || printed::id(self.of.state().system_of(self.of.machine.at), self.place);
        self.print().map_or_else(|| Cow::Owned(make()), |it| Cow::Borrowed(it.id()))
    }
}

impl<'a> Record<'a> for PatchRow<'_, 'a> {
    fn column(&self, name: &'static str) -> Field<'a> {
        match name {
            "id" => Field::text(self.id()),
            "name" => Field::Text(self.name()),
            "type" => Field::text(self.class.name),
            "properties" => Field::Document(Cow::Owned(self.document().whole(self.of.modified()))),
            "tags" => Field::None,
            _ => self.of.machine.column(name),
        }
    }

    fn member(&self, name: &'static str, path: &Path) -> Field<'a> {
        match (name, &**path) {
            ("properties", [first, rest @ ..]) if printed::is_time(first) => {
                Field::Document(Cow::Owned(json!(self.of.modified()))).at(rest)
            }
            ("properties", [_, ..]) => match self.document() {
                Cow::Borrowed(it) => Field::Document(Cow::Borrowed(it.timeless())),
                Cow::Owned(it) => Field::Document(Cow::Owned(it.into_timeless())),
            }
            .at(path),
            _ => self.column(name).at(path),
        }
    }

    fn write(&self, name: &'static str, path: &Path, out: &mut Vec<u8>) -> bool {
        let time = || self.of.modified();
        match (name, &**path) {
            ("properties", []) => {
                let mut json = Vec::new();
                write_text(time(), &mut json);
                self.document().write(&json, out);
            }
            ("properties", [first]) if printed::is_time(first) => return write_text(time(), out),
            ("id", _) => match self.print() {
                Some(print) => self.of.write_id(print.tail_written(), out),
                None => return false,
            },
            _ => return false,
        }
        true
    }
}
