//! The row of a machine.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::cloud::{
    azure::{
        graph::{Field, Path, Piece, Record, Table, write_text},
        hybrid, tags,
        template::{self, NAME},
        vm, vm_view,
    },
    world::{
        State,
        machine::{AzureSide, MachineIx, SubIx},
    },
};

/// Rows of one type.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) is_vm: bool,
}

const fn of_vm(name: &'static str) -> Class {
    Class { name, is_vm: true }
}

const fn of_arc(name: &'static str) -> Class {
    Class { name, is_vm: false }
}

static RESOURCES: [Class; 2] =
    [of_vm("microsoft.compute/virtualmachines"), of_arc("microsoft.hybridcompute/machines")];
static ASSESSMENTS: [Class; 4] = [
    of_vm("microsoft.compute/virtualmachines/patchassessmentresults"),
    of_vm("microsoft.compute/virtualmachines/patchassessmentresults/softwarepatches"),
    of_arc("microsoft.hybridcompute/machines/patchassessmentresults"),
    of_arc("microsoft.hybridcompute/machines/patchassessmentresults/softwarepatches"),
];
static INSTALLATIONS: [Class; 4] = [
    of_vm("microsoft.compute/virtualmachines/patchinstallationresults"),
    of_vm("microsoft.compute/virtualmachines/patchinstallationresults/softwarepatches"),
    of_arc("microsoft.hybridcompute/machines/patchinstallationresults"),
    of_arc("microsoft.hybridcompute/machines/patchinstallationresults/softwarepatches"),
];

impl Class {
    /// The classes of a table's machine rows; none where it has no such rows. Those of virtual
    /// machines come first, and results before their patches.
    pub(super) fn of(table: Table) -> &'static [Self] {
        match table {
            Table::Resources => &RESOURCES,
            Table::PatchAssessmentResources => &ASSESSMENTS,
            Table::PatchInstallationResources => &INSTALLATIONS,
            Table::ResourceContainers | Table::MaintenanceResources => &[],
        }
    }
}

/// What all rows of a class in a resource group have in common.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) state: &'a State,
    pub(super) tenant: &'a str,
    pub(super) subscription: SubIx,
    pub(super) group: usize,
    pub(super) class: &'static Class,
}

impl<'a> Block<'a> {
    /// One of the columns that they share.
    pub(super) fn column(&self, name: &str) -> Field<'a> {
        let subscription = self.state.subscription(self.subscription);
        let group = subscription.groups.get(self.group);
        match name {
            "type" => Field::text(self.class.name),
            "tenantId" => Field::text(self.tenant),
            "kind" | "managedBy" => Field::text(""),
            "location" => Field::text(group.map_or("", |it| &it.location)),
            "resourceGroup" => Field::text(group.map_or("", |it| &it.name).to_lowercase()),
            "subscriptionId" => Field::text(&*subscription.id),
            _ => Field::None,
        }
    }

    /// Writes one of them, as an answer shows it.
    pub(super) fn write(&self, name: &str, out: &mut Vec<u8>) -> bool {
        match self.column(name) {
            Field::Text(text) => return write_text(&text, out),
            _ => out.extend_from_slice(b"null"),
        }
        true
    }

    /// The id of the resource group, as JSON without quotes.
    pub(super) fn group_id(&self) -> Vec<u8> {
        let group = u16::try_from(self.group).unwrap_or(u16::MAX);
        template::inner(&self.state.group_id(self.subscription, group))
    }

    /// What is before the name in the ids of the machines.
    pub(super) fn id_head(&self) -> String {
        let group = u16::try_from(self.group).unwrap_or(u16::MAX);
        let kind = if self.class.is_vm { vm::KIND } else { hybrid::KIND };
        format!("{}/providers/{kind}/", self.state.group_id(self.subscription, group))
    }

    /// Tells the id of one of the machines, whose name is the first of its own values, and what is
    /// behind it.
    pub(super) fn id_pieces(&self, behind: &str, each: &mut dyn FnMut(Piece<'_>)) {
        each(Piece::Text(b"\""));
        each(Piece::Text(&template::inner(&self.id_head())));
        each(Piece::Own(NAME));
        each(Piece::Text(behind.as_bytes()));
        each(Piece::Text(b"\""));
    }

    /// Tells what it writes.
    pub(super) fn piece(&self, name: &str, each: &mut dyn FnMut(Piece<'_>)) -> bool {
        let mut json = Vec::new();
        let written = self.write(name, &mut json);
        if written {
            each(Piece::Text(&json));
        }
        written
    }

    /// What rows have in common that are written alike, each from a form.
    pub(super) fn stencil(&self, form: usize) -> [usize; 3] {
        let block = (usize::from(self.subscription.0) << 16) | self.group;
        [form, block, std::ptr::from_ref(self.class).addr()]
    }
}

impl<'a> Record<'a> for Block<'a> {
    fn column(&self, name: &'static str) -> Field<'a> {
        Block::column(self, name)
    }
}

/// The row of a machine; rows about the machine have some of it in common with it.
#[derive(Clone, Copy)]
pub(super) struct MachineRow<'a> {
    pub(super) state: &'a State,
    tenant: &'a str,
    pub(super) at: MachineIx,
    pub(super) azure: &'a AzureSide,
    class: &'static Class,
}

impl<'a> MachineRow<'a> {
    pub(super) fn new(
        state: &'a State,
        tenant: &'a str,
        at: MachineIx,
        azure: &'a AzureSide,
        class: &'static Class,
    ) -> Self {
        Self { state, tenant, at, azure, class }
    }

    fn block(&self) -> Block<'a> {
        let Self { state, tenant, azure, class, .. } = *self;
        let group = usize::from(azure.group);
        Block { state, tenant, subscription: azure.subscription, group, class }
    }

    pub(super) fn properties(&self) -> Value {
        if !self.class.is_vm {
            return hybrid::shown(self.state, self.at, self.azure);
        }
        let mut properties = vm::shown(self.state, self.at, self.azure);
        properties["extended"] = json!({"instanceView": self.extended()});
        properties
    }

    fn extended(&self) -> Value {
        let machine = self.state.machine(self.at);
        let [word, words] = vm_view::power(machine.power);
        let mut view = json!({
            "powerState": {"code": format!("PowerState/{word}"), "level": "Info", "displayStatus": words},
            "hyperVGeneration": "V2",
        });
        if self.state.answers_azure(self.at) {
            let system = self.state.system_of(self.at);
            view["computerName"] = json!(&*machine.name);
            view["osName"] = json!(vm_view::os_name(system.name));
            view["osVersion"] = json!(system.version);
        }
        view
    }
}

impl<'a> Record<'a> for MachineRow<'a> {
    fn column(&self, name: &'static str) -> Field<'a> {
        let (state, azure) = (self.state, self.azure);
        match name {
            "id" => Field::text(state.vm_resource_id(azure)),
            "name" => Field::text(&*azure.name),
            "tags" => Field::Document(Cow::Owned(tags::document(&azure.tags))),
            "properties" => Field::Document(Cow::Owned(self.properties())),
            _ => self.block().column(name),
        }
    }

    fn member(&self, name: &'static str, path: &Path) -> Field<'a> {
        match name {
            "tags" => {
                let [key] = &**path else { return self.column(name).at(path) };
                let found = self.azure.tags.iter().find(|(name, _)| **name == **key);
                found.map_or(Field::None, |(_, it)| Field::Document(Cow::Owned(json!(&**it))))
            }
            _ => self.column(name).at(path),
        }
    }
}
