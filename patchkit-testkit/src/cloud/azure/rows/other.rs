//! The rows that are of no machine: scale sets, containers, maintenance.

use std::ops::ControlFlow;

use serde_json::{Value, json};

use super::{Each, INSTALLATIONS, World};
use crate::cloud::{
    azure::{
        graph::{Field, Hints, Record, Table},
        scale_set, tags,
    },
    world::clock::earlier,
};

const SET: &str = "microsoft.compute/virtualmachinescalesets";
const CONFIGURATION: &str = "microsoft.maintenance/maintenanceconfigurations";

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

    /// Whether a resource is in one of the subscriptions.
    fn holds(&self, id: &str, hints: &Hints) -> bool {
        let subscription = id.split('/').nth(2).unwrap_or_default();
        let named =
            |asked: &Vec<String>| asked.iter().any(|it| it.eq_ignore_ascii_case(subscription));
        hints.subscriptions.as_ref().is_none_or(named)
            && self
                .subscriptions
                .iter()
                .any(|at| self.state.subscription(*at).id.eq_ignore_ascii_case(subscription))
    }

    /// Scale sets and maintenance configurations, if they are wanted.
    pub(super) fn documents<'a>(
        &'a self,
        table: Table,
        hints: &'a Hints,
    ) -> impl Iterator<Item = &'a Value> {
        let wanted =
            table == Table::Resources && (hints.wants_type(SET) || hints.wants_type(CONFIGURATION));
        let all = wanted.then(|| {
            self.documents.get_or_init(|| {
                let sets = scale_set::documents(&self.state).into_iter().map(|it| (it, SET));
                let schedules = self.state.azure.schedules.documents(&self.state).into_iter();
                let all = sets.chain(schedules.map(|it| (it, CONFIGURATION)));
                let all = all.map(|(mut document, kind)| {
                    let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
                    let (id, name) = (text("id"), text("name"));
                    let mut row = self.document(&id, &name, kind, document["properties"].take());
                    for key in ["location", "tags", "sku"] {
                        row[key] = document[key].take();
                    }
                    row
                });
                all.collect()
            })
        });
        all.into_iter()
            .flatten()
            .filter(|it| self.holds(it["id"].as_str().unwrap_or_default(), hints))
    }

    pub(super) fn containers<'a>(&'a self, hints: &Hints, each: Each<'_, 'a>) -> ControlFlow<()> {
        let state = &self.state;
        let [of_subscription, of_group] = [
            "microsoft.resources/subscriptions",
            "microsoft.resources/subscriptions/resourcegroups",
        ];
        for at in &self.subscriptions {
            let subscription = state.subscription(*at);
            let id = format!("/subscriptions/{}", subscription.id);
            if !self.holds(&id, hints) {
                continue;
            }
            if hints.wants_type(of_subscription) {
                let properties = json!({"state": "Enabled", "managedByTenants": []});
                let mut row = self.document(&id, &subscription.name, of_subscription, properties);
                row["tags"] = tags::document(&subscription.tags);
                each(&Made(row))?;
            }
            if hints.wants_type(of_group) {
                for (n, group) in (0u16..).zip(&subscription.groups) {
                    let properties = json!({"provisioningState": "Succeeded"});
                    let id = state.group_id(*at, n);
                    let mut row = self.document(&id, &group.name, of_group, properties);
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
            if !self.holds(&id, hints) {
                return ControlFlow::Continue(());
            }
            each(&Made(self.document(&id, &name, kind, document["properties"].take())))
        };
        let kind = "microsoft.maintenance/configurationassignments";
        if hints.wants_type(kind) {
            for it in state.azure.schedules.assignments.values() {
                give(it.document(), kind)?;
            }
        }
        let kind = "microsoft.maintenance/applyupdates";
        if hints.wants_type(kind) {
            let oldest = earlier(state.now, INSTALLATIONS);
            let runs = state.azure.schedules.runs.iter();
            for it in runs.filter(|it| it.started >= oldest) {
                give(it.document(state), kind)?;
            }
        }
        ControlFlow::Continue(())
    }
}
