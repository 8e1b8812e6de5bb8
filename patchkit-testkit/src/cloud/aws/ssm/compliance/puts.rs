//! PutComplianceItems, and what it put there.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use patchkit_core::{ComplianceLevel, ComplianceStatus};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        super::{AwsError, Call, input, seconds, time},
        Store,
        associations::AssociationItem,
    },
    MANAGED_INSTANCE,
    items::TIME,
    no_such_resource, no_such_type,
};
use crate::cloud::world::inventory::{
    Row,
    compliance::{LevelCounts, head, status_text},
    row, stamp,
};

/// The types of one node (botocore ssm model, `ComplianceTypeCountLimitExceededException`).
const CUSTOM_TYPES: usize = 10;
/// What an item, and what a request, may hold: the limit of inventory (general reference,
/// Systems Manager quotas).
const LARGEST: usize = 1_024 * 1_024;

/// What clients put there, by node and type.
#[derive(Debug, Default)]
pub(crate) struct Puts(BTreeMap<Box<str>, BTreeMap<Box<str>, Put>>);

impl Puts {
    fn of(&self, id: &str) -> impl Iterator<Item = &Put> {
        self.0.get(id).into_iter().flat_map(BTreeMap::values)
    }
}

/// The items of one type on one node.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    pub(crate) kind: Box<str>,
    /// When they came.
    pub(crate) at: Timestamp,
    pub(crate) executed: Timestamp,
    execution: Option<Box<str>>,
    execution_type: Option<Box<str>>,
    hash: Option<Box<str>>,
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
struct Item {
    id: Option<Box<str>>,
    title: Option<Box<str>>,
    status: ComplianceStatus,
    level: ComplianceLevel,
    details: BTreeMap<String, String>,
    /// The run that it is of, where that is another than that of all.
    run: Option<Run>,
}

#[derive(Clone, Debug)]
struct Run {
    at: Timestamp,
    id: Arc<str>,
    kind: &'static str,
}

impl Item {
    fn of_association(id: &str, item: &AssociationItem) -> Self {
        let details = item.details.iter().map(|(name, text)| ((*name).to_owned(), text.clone()));
        let kind = item.execution_type;
        Self {
            id: Some(id.into()),
            title: Some(item.title.clone()),
            status: item.status,
            level: ComplianceLevel::from_wire(&item.severity).unwrap_or_default(),
            details: details.collect(),
            run: Some(Run { at: item.executed, id: Arc::clone(&item.execution), kind }),
        }
    }
}

impl Run {
    fn summary(&self) -> Value {
        json!({
            "ExecutionTime": seconds(self.at),
            "ExecutionId": &*self.id,
            "ExecutionType": self.kind,
        })
    }
}

impl Store {
    /// What was put for a node, by type, with what its associations reported.
    pub(crate) fn puts_of(&self, id: &str) -> Vec<Cow<'_, Put>> {
        let mut puts: Vec<Cow<'_, Put>> = self.compliance.of(id).map(Cow::Borrowed).collect();
        let reported = self.association_compliance.range((Box::from(id), Arc::from(""))..);
        let mut reported = reported.take_while(|((node, _), _)| **node == *id).peekable();
        if reported.peek().is_none() {
            return puts;
        }
        let kind = "Association";
        let place = puts.iter().position(|put| *put.kind == *kind).unwrap_or_else(|| {
            let none = Put {
                kind: kind.into(),
                at: Timestamp::MIN,
                executed: Timestamp::MIN,
                execution: None,
                execution_type: None,
                hash: None,
                items: Vec::new(),
            };
            puts.insert(0, Cow::Owned(none));
            0
        });
        let put = puts[place].to_mut();
        for ((_, association), item) in reported {
            put.items.retain(|before| before.id.as_deref() != Some(association));
            put.items.push(Item::of_association(association, item));
            put.at = put.at.max(item.executed);
            if item.executed >= put.executed {
                put.executed = item.executed;
                put.execution = Some(Box::from(&*item.execution));
                put.execution_type = Some(item.execution_type.into());
            }
        }
        puts
    }
}

impl Put {
    pub(crate) fn levels(&self) -> LevelCounts {
        let mut counts = LevelCounts::default();
        for item in &self.items {
            counts.add(item.status, item.level);
        }
        counts
    }

    /// What its rows in the inventory begin with.
    pub(crate) fn head(&self) -> Row {
        let text = |it: &Option<Box<str>>| it.as_deref().unwrap_or_default().to_owned();
        let (execution, kind) = (text(&self.execution), text(&self.execution_type));
        head(&self.kind, &execution, &kind, self.executed)
    }

    pub(crate) fn item_rows(&self) -> impl Iterator<Item = Row> {
        self.items.iter().map(|item| {
            let mut it = match &item.run {
                Some(run) => head(&self.kind, &run.id, run.kind, run.at),
                None => self.head(),
            };
            it.extend(row([
                ("Id", item.id.as_deref().unwrap_or_default()),
                ("Title", item.title.as_deref().unwrap_or_default()),
                ("Status", status_text(item.status)),
                ("Severity", item.level.as_str()),
            ]));
            it.extend(item.details.iter().map(|(name, text)| (name.clone(), json!(text))));
            it
        })
    }

    pub(super) fn summary(&self) -> Value {
        json!({
            "ExecutionTime": seconds(self.executed),
            "ExecutionId": self.execution,
            "ExecutionType": self.execution_type,
        })
    }

    pub(super) fn items_of(&self, id: &str) -> impl Iterator<Item = Value> {
        self.items.iter().map(move |item| {
            json!({
                "ComplianceType": self.kind,
                "ResourceType": MANAGED_INSTANCE,
                "ResourceId": id,
                "Id": item.id,
                "Title": item.title,
                "Status": status_text(item.status),
                "Severity": item.level.as_str(),
                "ExecutionSummary": item.run.as_ref().map_or_else(|| self.summary(), Run::summary),
                "Details": item.details,
                TIME: stamp(item.run.as_ref().map_or(self.executed, |run| run.at)),
            })
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    compliance_type: String,
    execution_summary: Execution,
    item_content_hash: Option<Box<str>>,
    items: Vec<Entry>,
    resource_id: String,
    resource_type: String,
    upload_type: Option<String>,
}

#[derive(Deserialize)]
struct Execution {
    #[serde(rename = "ExecutionTime")]
    at: Value,
    #[serde(rename = "ExecutionId")]
    id: Option<Box<str>>,
    #[serde(rename = "ExecutionType")]
    kind: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: Option<Box<str>>,
    title: Option<Box<str>>,
    severity: String,
    status: String,
    #[serde(default)]
    details: BTreeMap<String, String>,
}

pub(super) fn put(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let input: Input = input(value)?;
    if input.resource_type != MANAGED_INSTANCE {
        return Err(no_such_type(&input.resource_type));
    }
    let id = input.resource_id.as_str();
    let at = call.state.managed(call, id).ok_or_else(|| no_such_resource(id))?;
    let custom = input.compliance_type.starts_with("Custom:");
    if !custom && input.compliance_type != "Association" {
        // Agents put patches there, and the simulated ones do so by themselves.
        return Err(invalid("ComplianceType must be Association or begin with Custom:."));
    }
    let partial = input.upload_type.as_deref() == Some("PARTIAL");
    if partial && custom {
        // botocore ssm model, `UploadType`: "only valid for association compliance".
        return Err(invalid("UploadType PARTIAL is only valid for association compliance."));
    }
    let executed =
        time(&input.execution_summary.at).ok_or_else(|| invalid("ExecutionTime is not a time."))?;
    let items = read(input.items)?;
    let now = call.state.now;
    let here = call.here_mut();
    let of_node = here.ssm.compliance.0.entry(id.into()).or_default();
    let kind: Box<str> = input.compliance_type.into();
    let types = of_node.keys().filter(|it| it.starts_with("Custom:")).count();
    if custom && types >= CUSTOM_TYPES && !of_node.contains_key(&kind) {
        return Err(AwsError::new(
            "ComplianceTypeCountLimitExceededException",
            format!("A resource can have {CUSTOM_TYPES} custom compliance types at most."),
        ));
    }
    let before = of_node.get(&kind);
    let hash = input.item_content_hash;
    // botocore ssm model, `ItemContentHash`: "If the content hashes match, the request to put
    // compliance information is ignored".
    if hash.is_some() && before.is_some_and(|before| before.hash == hash) {
        return Ok(json!({}));
    }
    let mut kept = Vec::new();
    if partial && let Some(before) = of_node.remove(&kind) {
        kept = before.items;
        kept.retain(|old| items.iter().all(|new| new.id != old.id));
    }
    kept.extend(items);
    let Execution { id: execution, kind: execution_type, .. } = input.execution_summary;
    let put =
        Put { kind: kind.clone(), at: now, executed, execution, execution_type, hash, items: kept };
    // A type without items is one that the node does not have.
    if put.items.is_empty() {
        of_node.remove(&kind);
    } else {
        of_node.insert(kind, put);
    }
    call.state.sync_node(at, crate::cloud::lake::Part::Compliance);
    Ok(json!({}))
}

fn read(entries: Vec<Entry>) -> Result<Vec<Item>, AwsError> {
    let mut total = 0;
    let mut items: Vec<Item> = Vec::with_capacity(entries.len());
    let mut ids = std::collections::HashSet::new();
    for Entry { id, title, severity, status, details } in entries {
        let texts = [id.as_deref(), title.as_deref()].into_iter().flatten().map(str::len);
        let more = details.iter().map(|(name, text)| name.len() + text.len());
        let size: usize = texts.chain(more).sum();
        total += size;
        if size > LARGEST {
            let message = "The compliance item size has exceeded the size limit.";
            return Err(AwsError::new("ItemSizeLimitExceededException", message));
        }
        if let Some(id) = &id
            && !ids.insert(id.clone())
        {
            return Err(invalid(format!("There are two items with the ID {id}.")));
        }
        let status = match status.as_str() {
            "COMPLIANT" => ComplianceStatus::Compliant,
            _ => ComplianceStatus::NonCompliant,
        };
        let level = ComplianceLevel::from_wire(&severity).unwrap_or_default();
        items.push(Item { id, title, status, level, details, run: None });
    }
    if total > LARGEST {
        let message = "The size of compliance data has exceeded the total size limit.";
        return Err(AwsError::new("TotalSizeLimitExceededException", message));
    }
    Ok(items)
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidItemContentException", message)
}
