//! Documents: AWS's own that this world knows, and those of the account.

mod content;

use std::{collections::BTreeMap, sync::OnceLock};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::content::{Content, Format};
use super::{
    super::{AwsError, Call, Operations, page::Page, seconds},
    tags::{TagStore, given, listed},
};
use crate::cloud::world::{State, machine::ScopeIx};

pub(super) const OPERATIONS: Operations = &[
    ("CreateDocument", create),
    ("DeleteDocument", delete),
    ("DescribeDocument", describe),
    ("GetDocument", get),
    ("ListDocuments", list),
];

/// "You can have at most 500 active SSM documents", of 64 KB each (service model).
const MOST: usize = 500;
const LARGEST: usize = 64 * 1_024;

/// The names that begin like this are AWS's (API reference, CreateDocument).
const RESERVED: [&str; 6] =
    ["aws", "amazon", "amzn", "awsec2", "awsconfigremediation", "awssupport"];

/// The documents of the account in one Region, by name.
#[derive(Debug, Default)]
pub(super) struct Store(BTreeMap<String, DocumentInfo>);

/// A document: whose it is, what kind, and what it holds.
#[derive(Clone, Debug)]
pub(crate) struct DocumentInfo {
    pub(crate) name: String,
    /// `Amazon`, or the twelve digits of an account.
    pub(crate) owner: String,
    /// `Command`, `Automation`, …
    pub(crate) kind: String,
    pub(crate) created: Timestamp,
    pub(crate) content: Content,
    /// `CloudProviders`, `DisplayName`, `Requires`, `TargetType` and `VersionName`, where they were
    /// given.
    given: Map<String, Value>,
}

/// A document of the account, or else one of AWS's, by name or ARN; none also where it has no such
/// version: each has one here.
pub(crate) fn find<'s>(
    state: &'s State,
    scope: ScopeIx,
    name: &str,
    version: Option<&str>,
) -> Option<&'s DocumentInfo> {
    let name = bare(name);
    let own = state.scope(scope).ssm.documents.0.get(name);
    own.or_else(|| provided().get(name)).filter(|_| is_version(version))
}

/// The last part of an ARN; a name as it is.
fn bare(name: &str) -> &str {
    name.rsplit_once(":document/").map_or(name, |(_, name)| name)
}

fn is_version(version: Option<&str>) -> bool {
    version.is_none_or(|it| ["", "1", "$DEFAULT", "$LATEST"].contains(&it))
}

/// AWS's own, by name.
pub(super) fn provided() -> &'static BTreeMap<String, DocumentInfo> {
    static PROVIDED: OnceLock<BTreeMap<String, DocumentInfo>> = OnceLock::new();
    PROVIDED.get_or_init(|| {
        let texts: BTreeMap<String, Value> =
            serde_json::from_str(include_str!("documents/provided.json")).unwrap_or_default();
        let read = texts.into_iter().filter_map(|(name, value)| {
            let kind = if value["schemaVersion"] == "0.3" { "Automation" } else { "Command" };
            let text = serde_json::to_string_pretty(&value).ok()?;
            let content = Content::read(text, Format::Json, kind).ok()?;
            let document = DocumentInfo {
                name: name.clone(),
                owner: "Amazon".to_owned(),
                kind: kind.to_owned(),
                // Any day before the world's begins.
                created: Timestamp::constant(1_640_995_200, 0),
                content,
                given: Map::new(),
            };
            Some((name, document))
        });
        read.collect()
    })
}

fn create(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let text = |name: &str| input[name].as_str();
    let name = text("Name").unwrap_or_default();
    let folded = name.to_lowercase();
    if RESERVED.iter().any(|it| folded.starts_with(it)) {
        let message = format!("Document name {name} begins as names reserved for AWS do.");
        return Err(AwsError::validation(message));
    }
    let documents = &call.here().ssm.documents.0;
    if documents.contains_key(name) {
        let message = "The specified document already exists.";
        return Err(AwsError::new("DocumentAlreadyExists", message));
    }
    if documents.len() >= MOST {
        let message = format!("The account has {MOST} documents in this Region, its limit.");
        return Err(AwsError::new("DocumentLimitExceeded", message));
    }
    let content = text("Content").unwrap_or_default();
    if content.len() > LARGEST {
        let message = "The size limit of a document is 64 KB.";
        return Err(AwsError::new("MaxDocumentSizeExceeded", message));
    }
    let kind = text("DocumentType").unwrap_or("Command");
    let format = match text("DocumentFormat") {
        Some("YAML") => Format::Yaml,
        Some("TEXT") => Format::Text,
        _ => Format::Json,
    };
    let content = Content::read(content.to_owned(), format, kind)?;
    let tags = given(&input);
    let given = ["CloudProviders", "DisplayName", "Requires", "TargetType", "VersionName"];
    let given = given.into_iter().filter(|name| !input[*name].is_null());
    let document = DocumentInfo {
        name: name.to_owned(),
        owner: call.account_id().to_owned(),
        kind: kind.to_owned(),
        created: call.state.now,
        content,
        given: given.map(|name| (name.to_owned(), input[name].clone())).collect(),
    };
    let store = &mut call.here_mut().ssm;
    *store.tags.of_mut("Document", name) = tags;
    let answer = json!({"DocumentDescription": document.described(&store.tags)});
    store.documents.0.insert(name.to_owned(), document);
    Ok(answer)
}

fn get(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let document = named(call, &input)?;
    // "JSON is the default format" (API reference, GetDocument), of what can be both.
    let format = match input["DocumentFormat"].as_str() {
        Some("YAML") => Format::Yaml,
        Some("TEXT") => Format::Text,
        _ => Format::Json,
    };
    let (content, format) = document.content.in_format(format)?;
    Ok(json!({
        "Name": document.name,
        "CreatedDate": seconds(document.created),
        "DisplayName": document.given.get("DisplayName"),
        "VersionName": document.given.get("VersionName"),
        "Requires": document.given.get("Requires"),
        "DocumentVersion": "1",
        "Status": "Active",
        "Content": content,
        "DocumentType": document.kind,
        "DocumentFormat": format.as_str(),
    }))
}

fn describe(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    Ok(json!({"Document": named(call, &input)?.described(&call.here().ssm.tags)}))
}

fn delete(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let document = named(call, &input)?;
    if document.owner == "Amazon" {
        let message = format!("Document {} is owned by Amazon.", document.name);
        return Err(AwsError::new("InvalidDocumentOperation", message));
    }
    let name = document.name.clone();
    let store = &mut call.here_mut().ssm;
    store.documents.0.remove(&name);
    store.tags.remove("Document", &name);
    Ok(json!({}))
}

fn list(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let filters = filters(&input)?;
    let page = Page::of(call, &input, 50)?;
    let mut all: BTreeMap<&str, &DocumentInfo> = BTreeMap::new();
    for (name, document) in provided().iter().chain(&call.here().ssm.documents.0) {
        all.insert(name, document);
    }
    let tags = &call.here().ssm.tags;
    let passes = |it: &&DocumentInfo| {
        filters.iter().all(|(key, values)| values.iter().any(|value| it.fits(tags, key, value)))
    };
    let (found, next) = page.cut(all.into_values().filter(passes));
    let identifiers = found.into_iter().map(|it| {
        let mut value = it.described(tags);
        let (author, told) = (value["Author"].take(), IDENTIFIER);
        let mut identifier: Map<String, Value> =
            told.iter().map(|name| ((*name).to_owned(), value[*name].take())).collect();
        identifier.insert("Author".to_owned(), author);
        Value::Object(identifier)
    });
    let identifiers: Vec<Value> = identifiers.collect();
    Ok(json!({"DocumentIdentifiers": identifiers, "NextToken": next}))
}

/// What a listing tells of a document.
const IDENTIFIER: [&str; 11] = [
    "CreatedDate",
    "DisplayName",
    "DocumentFormat",
    "DocumentType",
    "DocumentVersion",
    "Name",
    "Owner",
    "PlatformTypes",
    "Requires",
    "SchemaVersion",
    "Tags",
];

/// The filters of a listing, in the newer or the older form: keys with values, of which one fits.
fn filters(input: &Value) -> Result<Vec<(&str, Vec<&str>)>, AwsError> {
    let mut filters = Vec::new();
    for filter in input["Filters"].as_array().into_iter().flatten() {
        let values = filter["Values"].as_array().into_iter().flatten();
        let values = values.filter_map(Value::as_str).collect();
        filters.push((filter["Key"].as_str().unwrap_or_default(), values));
    }
    for filter in input["DocumentFilterList"].as_array().into_iter().flatten() {
        let values = filter["value"].as_str().into_iter().collect();
        filters.push((filter["key"].as_str().unwrap_or_default(), values));
    }
    let known = ["Name", "Owner", "PlatformTypes", "DocumentType", "TargetType"];
    let unknown = |(key, _): &&(&str, _)| !known.contains(key) && !key.starts_with("tag:");
    if let Some((key, _)) = filters.iter().find(unknown) {
        let message = format!("The specified key is not valid: {key}");
        return Err(AwsError::new("InvalidFilterKey", message));
    }
    Ok(filters)
}

/// The document that an input names, in the version that it names.
fn named<'s>(call: &'s Call<'_>, input: &Value) -> Result<&'s DocumentInfo, AwsError> {
    let name = input["Name"].as_str().unwrap_or_default();
    let document = find(call.state, call.scope, name, None).ok_or_else(|| {
        let message = format!("Document with name {name} does not exist.");
        AwsError::new("InvalidDocument", message)
    })?;
    let version = input["VersionName"].as_str();
    let same_name = version.is_none_or(|it| document.given.get("VersionName") == Some(&json!(it)));
    if is_version(input["DocumentVersion"].as_str()) && same_name {
        return Ok(document);
    }
    let message = "The document version is not valid or does not exist.";
    Err(AwsError::new("InvalidDocumentVersion", message))
}

impl DocumentInfo {
    /// Whether it has a value for a filter's key.
    fn fits(&self, tags: &TagStore, key: &str, value: &str) -> bool {
        let own = self.owner != "Amazon";
        match key {
            "Name" => self.name.starts_with(value),
            "Owner" => match value {
                "Amazon" | "Public" => !own,
                "Self" | "Private" => own,
                _ => false,
            },
            "PlatformTypes" => self.content.platforms.contains(&value),
            "DocumentType" => self.kind == value,
            "TargetType" => self.given.get("TargetType").is_some_and(|it| it == value),
            _ => {
                let tag = key.strip_prefix("tag:").unwrap_or_default();
                let mut tags = tags.of("Document", &self.name).iter();
                own && tags.any(|(key, it)| **key == *tag && **it == *value)
            }
        }
    }

    fn described(&self, tags: &TagStore) -> Value {
        let content = &self.content;
        let mut value = Value::Object(self.given.clone());
        let parameters = content.parameters.iter().map(|parameter| {
            json!({
                "Name": parameter.name,
                "Type": parameter.kind,
                "Description": parameter.description,
                "DefaultValue": parameter.usual,
            })
        });
        let more = json!({
            "Name": self.name,
            "Owner": self.owner,
            "Author": (self.owner != "Amazon").then_some(&self.owner),
            "CreatedDate": seconds(self.created),
            "Status": "Active",
            "DocumentVersion": "1",
            "DefaultVersion": "1",
            "LatestVersion": "1",
            "Hash": content.hash,
            "HashType": "Sha256",
            "Description": content.description,
            "Parameters": parameters.collect::<Vec<_>>(),
            "PlatformTypes": content.platforms,
            "DocumentType": self.kind,
            "SchemaVersion": content.schema,
            "DocumentFormat": content.format.as_str(),
            "Tags": (self.owner != "Amazon").then(|| listed(tags.of("Document", &self.name))),
        });
        if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
            value.extend(more);
        }
        value
    }
}

/// Enters a document of the account as it is, be it of no form at all.
#[cfg(test)]
pub(super) fn enter(state: &mut State, scope: ScopeIx, name: &str, text: &str) {
    let content = Content::read(text.to_owned(), Format::Text, "").unwrap();
    let document = DocumentInfo {
        name: name.to_owned(),
        owner: state.account_of(scope).id.to_string(),
        kind: "Command".to_owned(),
        created: state.now,
        content,
        given: Map::new(),
    };
    state.scope_mut(scope).ssm.documents.0.insert(name.to_owned(), document);
}

#[cfg(test)]
mod tests;
