//! The rows that are no machine's own: scale sets, containers, maintenance, extensions, network
//! interfaces.

use std::{cmp::Ordering, ops::ControlFlow, sync::OnceLock};

use serde_json::{Value, json};

use super::{Each, INSTALLATIONS, World, interface};
use crate::cloud::{
    azure::{
        census::Order,
        extension,
        graph::{Field, Hints, Record, Table},
        scale_set, side, tags,
    },
    world::{
        State,
        clock::earlier,
        machine::{AzureSide, SubIx},
    },
};

const SET: &str = "microsoft.compute/virtualmachinescalesets";
const CONFIGURATION: &str = "microsoft.maintenance/maintenanceconfigurations";
const VM_EXTENSION: &str = "microsoft.compute/virtualmachines/extensions";
const ARC_EXTENSION: &str = "microsoft.hybridcompute/machines/extensions";
const SUBSCRIPTION: &str = "microsoft.resources/subscriptions";
const GROUP: &str = "microsoft.resources/subscriptions/resourcegroups";
const ASSIGNMENT: &str = "microsoft.maintenance/configurationassignments";
const UPDATE: &str = "microsoft.maintenance/applyupdates";

/// The types of the rows that are made here.
pub(super) const KINDS: [&str; 9] = [
    SET,
    CONFIGURATION,
    VM_EXTENSION,
    ARC_EXTENSION,
    SUBSCRIPTION,
    GROUP,
    ASSIGNMENT,
    UPDATE,
    interface::KIND,
];
/// Those of them that are in the table of resources.
const RESOURCES: [&str; 4] = [SET, CONFIGURATION, VM_EXTENSION, ARC_EXTENSION];

/// Scale sets, maintenance configurations and extensions of all subscriptions, made once for what the
/// world is in one version.
#[derive(Debug, Default)]
pub(crate) struct Others {
    version: u64,
    all: OnceLock<Vec<Other>>,
}

impl Others {
    pub(super) fn new(version: u64) -> Self {
        Self { version, ..Self::default() }
    }

    pub(super) fn is_of(&self, version: u64) -> bool {
        self.version == version
    }
}

/// A resource that is no machine.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) row: Value,
    /// The subscription that it is in, and its type, if that is known.
    at: Option<SubIx>,
    kind: Option<&'static str>,
    places: OnceLock<[Place; 2]>,
    is_twin: OnceLock<bool>,
}

/// Where a text is among those of all machines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// How many different ones are before it.
    pub(super) before: usize,
    /// Whether a machine has it, too.
    pub(super) is_known: bool,
}

impl Other {
    fn new(state: &State, row: Value) -> Self {
        let text = |column: &str| row[column].as_str().unwrap_or_default();
        let subscription = text("id").split('/').nth(2).unwrap_or_default();
        let mut all = (0u16..).map(SubIx).zip(state.subscriptions.iter());
        let at = all.find(|(_, it)| it.id.eq_ignore_ascii_case(subscription)).map(|(at, _)| at);
        let kind = KINDS.into_iter().find(|it| *it == text("type"));
        Self { row, at, kind, places: OnceLock::new(), is_twin: OnceLock::new() }
    }

    /// Whether a machine has its id, whatever the case.
    pub(super) fn is_twin(&self, state: &State) -> bool {
        *self.is_twin.get_or_init(|| {
            let id = self.text("id").to_lowercase();
            state.azure.by_id.contains_key(&*id)
        })
    }

    pub(super) fn text(&self, column: &str) -> &str {
        self.row[column].as_str().unwrap_or_default()
    }

    /// Where its name and its id are among those of machines.
    pub(super) fn places(&self, state: &State) -> &[Place; 2] {
        self.places.get_or_init(|| {
            let Order { names, ids, .. } = state.azure.census.order(state);
            let (name, id) = (self.text("name"), self.text("id"));
            let by_name = Place::of(state, &names.firsts, |it| (*it.name).cmp(name));
            let by_id = Place::of(state, &ids.firsts, |it| (*state.vm_resource_id(it)).cmp(id));
            [by_name, by_id]
        })
    }
}

impl Place {
    /// Where something is among machines, by folder and place, that are in an order.
    fn of(state: &State, all: &[[usize; 2]], order: impl Fn(&AzureSide) -> Ordering) -> Self {
        let order = |[folder, place]: &[usize; 2]| {
            let at = *state.subscriptions.get(*folder)?.machines.get(*place)?;
            Some(order(side(state, at).ok()?))
        };
        let before = all.partition_point(|it| order(it) == Some(Ordering::Less));
        let is_known = all.get(before).and_then(order) == Some(Ordering::Equal);
        Self { before, is_known }
    }
}

/// A row that is made as a whole, and shown once.
struct Made(Value);

impl<'a> Record<'a> for Made {
    fn column(&self, name: &'static str) -> Field<'a> {
        match self.0.get(name) {
            None => Field::None,
            Some(Value::String(text)) => Field::text(text.clone()),
            Some(value) => Field::Document(std::borrow::Cow::Owned(value.clone())),
        }
    }
}

impl World {
    fn document(&self, id: &str, name: &str, kind: &str, properties: Value) -> Value {
        let mut parts = id.split('/');
        let subscription = parts.nth(2).unwrap_or_default();
        let group = parts.nth(1).unwrap_or_default().to_lowercase();
        let mut row = json!({
            "id": id,
            "name": name,
            "type": kind,
            "tenantId": self.tenant,
            "kind": "",
            "resourceGroup": group,
            "subscriptionId": subscription,
            "managedBy": "",
        });
        row["properties"] = properties;
        row
    }

    /// A document with the columns of a row.
    fn whole(&self, mut document: Value, kind: &str) -> Value {
        let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
        let (id, name) = (text("id"), text("name"));
        let mut row = self.document(&id, &name, kind, document["properties"].take());
        for key in ["location", "tags", "sku"] {
            row[key] = document[key].take();
        }
        row
    }

    /// Whether a resource is in one of the subscriptions, and of a type that is shown there.
    fn holds(&self, id: &str, kind: &str, hints: &Hints) -> bool {
        let subscription = id.split('/').nth(2).unwrap_or_default();
        let named =
            |asked: &Vec<String>| asked.iter().any(|it| it.eq_ignore_ascii_case(subscription));
        let is_it =
            |at: &&SubIx| self.state.subscription(**at).id.eq_ignore_ascii_case(subscription);
        let kind = KINDS.into_iter().find(|it| *it == kind);
        hints.subscriptions.as_ref().is_none_or(named)
            && self
                .subscriptions
                .iter()
                .find(is_it)
                .is_some_and(|at| kind.is_none_or(|kind| self.shows(*at, kind)))
    }

    /// Scale sets, maintenance configurations and extensions, if any is wanted; network interfaces where
    /// their type is.
    pub(super) fn others<'a, 'h>(
        &'a self,
        table: Table,
        hints: &'h Hints,
    ) -> impl Iterator<Item = &'a Other> + use<'a, 'h> {
        let wanted =
            table == Table::Resources && RESOURCES.into_iter().any(|it| hints.wants_type(it));
        let all = wanted.then(|| {
            self.state.azure.others.all.get_or_init(|| {
                let sets = scale_set::documents(&self.state).into_iter().map(|it| (it, SET));
                let schedules = self.state.azure.schedules.documents(&self.state).into_iter();
                let extensions = extension::documents(&self.state).into_iter().map(|it| {
                    let arc = it["type"] == ARC_EXTENSION;
                    (it, if arc { ARC_EXTENSION } else { VM_EXTENSION })
                });
                let all = sets.chain(schedules.map(|it| (it, CONFIGURATION))).chain(extensions);
                all.map(|(document, kind)| Other::new(&self.state, self.whole(document, kind)))
                    .collect()
            })
        });
        // Of these there are as many as machines: they are made for who names their type.
        let named = hints.types.is_some() && hints.wants_type(interface::KIND);
        let interfaces = (table == Table::Resources && named).then(|| {
            self.interfaces.get_or_init(|| {
                let all = interface::documents(&self.state).into_iter();
                all.map(|it| Other::new(&self.state, self.whole(it, interface::KIND))).collect()
            })
        });
        let all = all.into_iter().chain(interfaces).flatten();
        all.filter(move |it| {
            let here = it.at.filter(|at| self.here(hints).any(|it| it == at));
            here.is_some_and(|at| it.kind.is_none_or(|kind| self.shows(at, kind)))
        })
    }

    pub(super) fn containers<'a>(&'a self, hints: &Hints, each: Each<'_, 'a>) -> ControlFlow<()> {
        let state = &self.state;
        for at in &self.subscriptions {
            let subscription = state.subscription(*at);
            let id = format!("/subscriptions/{}", subscription.id);
            if hints.wants_type(SUBSCRIPTION) && self.holds(&id, SUBSCRIPTION, hints) {
                let properties = json!({"state": "Enabled", "managedByTenants": []});
                let mut row = self.document(&id, &subscription.name, SUBSCRIPTION, properties);
                row["tags"] = tags::document(&subscription.tags);
                each(&Made(row))?;
            }
            if hints.wants_type(GROUP) && self.holds(&id, GROUP, hints) {
                for (n, group) in (0u16..).zip(&subscription.groups) {
                    let properties = json!({"provisioningState": "Succeeded"});
                    let id = state.group_id(*at, n);
                    let mut row = self.document(&id, &group.name, GROUP, properties);
                    row["tags"] = tags::document(&group.tags);
                    row["location"] = json!(&*group.location);
                    each(&Made(row))?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    pub(super) fn maintenance<'a>(&'a self, hints: &Hints, each: Each<'_, 'a>) -> ControlFlow<()> {
        let state = &self.state;
        let mut give = |mut document: Value, kind: &str| {
            let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
            let (id, name) = (text("id"), text("name"));
            if !self.holds(&id, kind, hints) {
                return ControlFlow::Continue(());
            }
            each(&Made(self.document(&id, &name, kind, document["properties"].take())))
        };
        if hints.wants_type(ASSIGNMENT) {
            for it in state.azure.schedules.assignments.values() {
                give(it.document(), ASSIGNMENT)?;
            }
        }
        if hints.wants_type(UPDATE) {
            let oldest = earlier(state.now, INSTALLATIONS);
            let runs = state.azure.schedules.runs.iter();
            for it in runs.filter(|it| it.started >= oldest) {
                give(it.document(state), UPDATE)?;
            }
        }
        ControlFlow::Continue(())
    }
}
