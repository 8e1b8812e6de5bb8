//! Hybrid nodes: the activations by which machines elsewhere become `mi-` nodes, and how nodes that
//! have fallen silent for good are given up.

mod identity;
mod stale;

use std::{sync::Arc, time::Duration};

use aws_sdk_ssm::types::{Activation, Tag};
use aws_smithy_types::DateTime;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use patchkit_core::{Result, Scope, Secret, Tags, listing::sound, paginate};
use serde::{Deserialize, Serialize};
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};

pub use self::stale::StaleNode;
use crate::{
    Ssm,
    convert::timestamp,
    error::{PROVIDER, invalid, malformed},
};

const CREATE: &str = "CreateActivation";
const DELETE: &str = "DeleteActivation";
const LIST: &str = "DescribeActivations";

/// Most items on a page (botocore ssm model: MaxResults 1..50).
const PAGE: (i32, i32) = (1, 50);

// botocore ssm model, CreateActivation.
const MOST_REGISTRATIONS: u32 = 1_000;
const LONGEST: Duration = Duration::from_hours(30 * 24);
const ROLE_CHARS: usize = 64;
const TEXT_CHARS: usize = 256;
const TAG_KEY_CHARS: usize = 128;
/// Tags of a resource (Systems Manager user guide, "Tagging Systems Manager resources").
const MOST_TAGS: usize = 50;

/// What machines register with: `amazon-ssm-agent -register -id … -code … -region …`.
///
/// The code is told once, here; no later call reads it. Neither `Debug` nor an error shows it, and an
/// activation does not serialise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HybridActivation {
    /// Its id.
    pub id: String,
    /// What proves that a machine may register.
    pub code: Secret,
    /// The account and Region that machines register in.
    pub scope: Scope,
    /// Until when they can.
    pub expires_at: Timestamp,
}

/// An activation to be made.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use patchkit_aws::ActivationRequest;
///
/// let request = ActivationRequest::new("service-role/hybrid-node")
///     .with_name("azure-web")
///     .with_limit(25)
///     .with_lifetime(Duration::from_hours(72))
///     .with_tag("PatchGroup", "web")
///     .with_tag("AzureVmId", "0f8fad5b-d9cb-469f-a165-70867728950e");
/// # let _ = request;
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ActivationRequest {
    /// The role that nodes take; it trusts `ssm.amazonaws.com`.
    pub role: String,
    /// The name that all nodes of the activation get.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// How many machines can register.
    pub limit: u32,
    /// For how long they can.
    pub lifetime: Duration,
    /// The tags that nodes get as they register: a patch group, and what links them to the machine
    /// that another cloud knows.
    pub tags: Tags,
}

/// An activation as it is listed: without its code.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ListedActivation {
    /// Its id.
    pub id: String,
    /// The name that its nodes get.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The role that its nodes take.
    pub role: Option<String>,
    /// How many machines can register.
    pub limit: u32,
    /// How many have.
    pub registrations: u32,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Until when machines can register.
    pub expires_at: Option<Timestamp>,
    /// Whether that is past, as the service says.
    pub expired: bool,
    /// The tags that its nodes get.
    pub tags: Tags,
}

impl ActivationRequest {
    /// One machine within a day, as the service has it by itself.
    pub fn new(role: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            name: None,
            description: None,
            limit: 1,
            lifetime: Duration::from_hours(24),
            tags: Tags::new(),
        }
    }

    /// Sets the name that all nodes of the activation get.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Says what it is for.
    #[must_use]
    pub fn with_description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Sets how many machines can register: 1 to 1000.
    #[must_use]
    pub fn with_limit(mut self, machines: u32) -> Self {
        self.limit = machines;
        self
    }

    /// Sets for how long machines can register: 30 days at most.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Adds a tag that nodes get as they register.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    fn check(&self) -> Result<()> {
        let long = |text: &Option<String>| text.as_ref().is_some_and(|it| chars(it) > TEXT_CHARS);
        if self.role.is_empty() || chars(&self.role) > ROLE_CHARS {
            return Err(invalid(CREATE, "a role's name has 1 to 64 characters"));
        }
        if long(&self.name) || long(&self.description) {
            return Err(invalid(CREATE, "a name and a description have 256 characters at most"));
        }
        if !(1..=MOST_REGISTRATIONS).contains(&self.limit) {
            let message = format!("1 to 1000 machines can register, not {}", self.limit);
            return Err(invalid(CREATE, message));
        }
        if self.lifetime < Duration::from_secs(1) || self.lifetime > LONGEST {
            return Err(invalid(CREATE, "an activation lasts for a second to 30 days"));
        }
        if self.tags.len() > MOST_TAGS {
            return Err(invalid(CREATE, "there are 50 tags at most"));
        }
        for (key, value) in &self.tags {
            if key.is_empty() || chars(key) > TAG_KEY_CHARS || chars(value) > TEXT_CHARS {
                let message = format!(
                    "the tag {key:?} is too long: a key has 1 to 128 characters, a value 256"
                );
                return Err(invalid(CREATE, message));
            }
            if key.to_ascii_lowercase().starts_with("aws:") {
                return Err(invalid(CREATE, format!("the tag {key:?} is AWS's own")));
            }
        }
        Ok(())
    }
}

impl Ssm {
    /// Makes an activation by which machines outside of EC2 become managed nodes.
    ///
    /// # Behavior
    /// - It is sent once. Where the answer is lost, the code is lost with it: an activation may be
    ///   listed that nobody can use, to be [deleted](Self::delete_activation).
    /// - The code is in the answer alone: the SDK's traces of this one call go nowhere.
    ///
    /// # Errors
    /// `InvalidInput` for a limit outside of 1 to 1000, a lifetime of more than 30 days, tags that the
    /// service would refuse, or a role that Systems Manager cannot take; `PermissionDenied`;
    /// `Timeout` where the answer was lost.
    pub async fn create_activation(&self, request: &ActivationRequest) -> Result<HybridActivation> {
        request.check()?;
        let lifetime = SignedDuration::try_from(request.lifetime)
            .map_err(|error| invalid(CREATE, error.to_string()))?;
        let expires_at = self.client.now() + lifetime;
        let limit = i32::try_from(request.limit).map_err(|_| invalid(CREATE, "the limit"))?;
        let tag = |(key, value): (&String, &String)| {
            let tag = Tag::builder().key(key).value(value).build();
            tag.map_err(|error| invalid(CREATE, error.to_string()))
        };
        let tags = request.tags.iter().map(tag).collect::<Result<Vec<_>>>()?;
        let call = self
            .client
            .ssm_once()
            .create_activation()
            .iam_role(&request.role)
            .set_default_instance_name(request.name.clone())
            .set_description(request.description.clone())
            .registration_limit(limit)
            .expiration_date(DateTime::from_secs(expires_at.as_second()))
            .set_tags((!tags.is_empty()).then_some(tags));
        // The SDK traces whole answers, and the model does not mark the code as sensitive.
        let unseen = call.send().with_subscriber(NoSubscriber::default());
        let answer = self.client.write(CREATE, unseen).await?;
        match (answer.activation_id, answer.activation_code) {
            (Some(id), Some(code)) => Ok(HybridActivation {
                id,
                code: Secret::new(code),
                scope: self.scope().clone(),
                expires_at,
            }),
            _ => Err(malformed(CREATE, "the answer lacks the activation's id or its code")),
        }
    }

    /// Lists the activations, those that have expired too.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`. A row that cannot be read costs no other: it is an error at
    /// the end.
    pub fn activations(&self) -> BoxStream<'static, Result<ListedActivation>> {
        let client = Arc::clone(&self.client);
        let rows = paginate(PROVIDER, LIST, move |token| {
            let client = Arc::clone(&client);
            async move {
                let request = client
                    .ssm()
                    .describe_activations()
                    .max_results(client.page.within(PAGE.0, PAGE.1))
                    .set_next_token(token);
                let page = client.read(LIST, request.send()).await?;
                let list = page.activation_list.unwrap_or_default();
                Ok((list.into_iter().map(listed).collect(), page.next_token))
            }
        });
        sound(PROVIDER, LIST, rows)
    }

    /// Deletes an activation: no machine can register by it any more. Its nodes stay.
    ///
    /// # Errors
    /// `NotFound` where there is none of this id; `PermissionDenied`.
    pub async fn delete_activation(&self, id: &str) -> Result<()> {
        let request = self.client.ssm().delete_activation().activation_id(id);
        self.client.read(DELETE, request.send()).await.map(drop)
    }
}

fn listed(activation: Activation) -> Result<ListedActivation> {
    let id = activation.activation_id.ok_or_else(|| malformed(LIST, "an activation has no id"))?;
    let count = |number: Option<i32>| number.and_then(|it| u32::try_from(it).ok());
    Ok(ListedActivation {
        id,
        name: activation.default_instance_name,
        description: activation.description,
        role: activation.iam_role,
        limit: count(activation.registration_limit).unwrap_or(1),
        registrations: count(activation.registrations_count).unwrap_or_default(),
        created_at: activation.created_date.as_ref().and_then(timestamp),
        expires_at: activation.expiration_date.as_ref().and_then(timestamp),
        expired: activation.expired,
        tags: activation
            .tags
            .unwrap_or_default()
            .into_iter()
            .map(|it| (it.key, it.value))
            .collect(),
    })
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_outside_of_the_limits_is_refused() {
        let good = || ActivationRequest::new("role");
        assert!(good().with_limit(1_000).with_lifetime(LONGEST).check().is_ok());
        for bad in [
            ActivationRequest::new(""),
            ActivationRequest::new("r".repeat(65)),
            good().with_limit(0),
            good().with_limit(1_001),
            good().with_lifetime(Duration::ZERO),
            good().with_lifetime(LONGEST + Duration::from_secs(1)),
            good().with_name("n".repeat(257)),
            good().with_tag("", "value"),
            good().with_tag("AWS:owner", "value"),
            good().with_tag("key", "v".repeat(257)),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
