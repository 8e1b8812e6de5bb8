//! Queries of groups: the type `TAG_FILTERS_1_0`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        AwsError,
        resource::{Resource, TagFilter},
    },
    bad_request,
};

const TAG_FILTERS: &str = "TAG_FILTERS_1_0";
/// Every type of resource that groups know.
const ALL: &str = "AWS::AllSupported";

/// Which resources are in a group: those of its types that have all of its tags.
#[derive(Debug)]
pub(super) struct Query {
    /// As it was given: it is given back so.
    text: String,
    pub(super) types: Vec<String>,
    tags: Vec<TagFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Text {
    resource_type_filters: Vec<String>,
    #[serde(default)]
    tag_filters: Vec<TagFilter>,
}

impl Query {
    /// Reads a `ResourceQuery`.
    ///
    /// # Errors
    /// `BadRequestException` where its type is another one, or its text none of the type.
    pub(super) fn read(query: &Value) -> Result<Self, AwsError> {
        let kind = query["Type"].as_str().unwrap_or_default();
        if kind != TAG_FILTERS {
            let message = format!("the simulator does not serve queries of the type {kind}");
            return Err(bad_request(message));
        }
        let text = query["Query"].as_str().unwrap_or_default().to_owned();
        let read: Text = serde_json::from_str(&text)
            .map_err(|error| bad_request(format!("Query not valid: {error}")))?;
        let Text { resource_type_filters: types, tag_filters: tags } = read;
        if types.is_empty() {
            return Err(bad_request("Query not valid: ResourceTypeFilters is empty"));
        }
        if let Some(name) = types.iter().find(|it| !is_type(it)) {
            return Err(bad_request(format!("Query not valid: {name} is not a resource type")));
        }
        // The limits of the tagging API's GetResources, which such a query is (API reference,
        // ResourceQuery).
        if tags.len() > 50 || tags.iter().any(|it| it.values.len() > 20) {
            return Err(bad_request("Query not valid: too many tag filters or values"));
        }
        if tags.iter().any(|it| it.key.is_empty()) {
            return Err(bad_request("Query not valid: a tag filter has no key"));
        }
        if tags.is_empty() && types.iter().any(|it| it == ALL) {
            return Err(bad_request(format!("Query not valid: {ALL} needs TagFilters")));
        }
        Ok(Self { text, types, tags })
    }

    pub(super) fn finds(&self, resource: &Resource<'_>) -> bool {
        self.has(resource.kind.name()) && self.tags.iter().all(|it| it.passes(&resource.aws.tags))
    }

    /// Whether resources of a type can be in the group.
    pub(super) fn has(&self, kind: &str) -> bool {
        self.types.iter().any(|it| it == kind || it == ALL)
    }

    pub(super) fn value(&self) -> Value {
        json!({"Type": TAG_FILTERS, "Query": self.text})
    }
}

/// Whether a text is of the form of a type's name: `AWS::EC2::Instance`.
fn is_type(name: &str) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    let word = |it: &&str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric());
    name == ALL || parts.len() == 3 && parts[0] == "AWS" && parts.iter().all(word)
}
