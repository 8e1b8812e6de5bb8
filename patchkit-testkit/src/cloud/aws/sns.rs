//! Amazon SNS: topics, who subscribes to them, and what was published.
//!
//! Nothing is delivered: what was published is kept, and read by
//! [`World::messages`](crate::cloud::World::messages).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::{AwsError, Call, Operations, page::Page};
use crate::cloud::world::{State, machine::ScopeIx};

pub(super) const OPERATIONS: &[Operations] = &[&[
    ("CreateTopic", create_topic),
    ("DeleteTopic", delete_topic),
    ("GetTopicAttributes", get_topic_attributes),
    ("ListSubscriptionsByTopic", list_subscriptions),
    ("ListTopics", list_topics),
    ("Publish", publish),
    ("PublishBatch", publish_batch),
    ("SetTopicAttributes", set_topic_attributes),
    ("Subscribe", subscribe),
    ("Unsubscribe", unsubscribe),
]];

/// The topics of one account in one Region, by ARN.
#[derive(Debug, Default)]
pub(crate) struct Store {
    topics: BTreeMap<String, Topic>,
}

impl Store {
    #[cfg(test)]
    pub(super) fn add_topic(&mut self, arn: &str) {
        self.topics.entry(arn.to_owned()).or_default();
    }
}

#[derive(Debug, Default)]
struct Topic {
    attributes: BTreeMap<String, String>,
    subscriptions: Vec<Subscription>,
    messages: Vec<Message>,
}

#[derive(Clone, Debug)]
struct Subscription {
    arn: String,
    protocol: String,
    endpoint: String,
}

/// A message that was published to a topic.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Message {
    /// The world's time.
    pub at: Timestamp,
    /// The topic.
    pub topic: String,
    /// Its id.
    pub id: String,
    /// Its subject, if any.
    pub subject: Option<String>,
    /// What it says.
    pub message: String,
    /// Its attributes by name; those of bytes in base64.
    pub attributes: BTreeMap<String, String>,
}

/// What is to be published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Post<'a> {
    pub(crate) subject: Option<&'a str>,
    pub(crate) message: &'a str,
    /// As requests have them.
    pub(crate) attributes: &'a Value,
}

/// The longest message, with its attributes, in bytes (SNS quotas).
const LONGEST: usize = 262_144;

impl State {
    /// Publishes a message to a topic of an account's Region; none where there is no such topic.
    pub(crate) fn publish(
        &mut self,
        scope: ScopeIx,
        topic: &str,
        post: Post<'_>,
    ) -> Option<String> {
        let id = self.new_uuid();
        let at = self.now;
        let known = self.scope_mut(scope).sns.topics.get_mut(topic)?;
        known.messages.push(Message {
            at,
            topic: topic.to_owned(),
            id: id.clone(),
            subject: post.subject.map(ToOwned::to_owned),
            message: post.message.to_owned(),
            attributes: attributes(post.attributes),
        });
        Some(id)
    }

    /// Every message of every topic, in order of time.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let topics = self.scopes.iter().flat_map(|scope| scope.sns.topics.values());
        let mut messages: Vec<_> = topics.flat_map(|topic| topic.messages.clone()).collect();
        messages.sort_by_key(|it| it.at);
        messages
    }
}

fn attributes(given: &Value) -> BTreeMap<String, String> {
    let all = given.as_object().into_iter().flatten();
    let text =
        |it: &Value| it["StringValue"].as_str().or(it["BinaryValue"].as_str()).map(Into::into);
    all.filter_map(|(name, it)| Some((name.clone(), text(it)?))).collect()
}

fn create_topic(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let name = input["Name"].as_str().unwrap_or_default();
    let plain = name.strip_suffix(".fifo").unwrap_or(name);
    let letters = plain.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_'));
    if plain.is_empty() || name.len() > 256 || !letters {
        return Err(invalid("Invalid parameter: Topic Name"));
    }
    let arn = format!("arn:aws:sns:{}:{}:{name}", call.region(), call.account_id());
    let topic = call.here_mut().sns.topics.entry(arn.clone()).or_default();
    if let Value::Object(attributes) = &input["Attributes"] {
        let texts =
            attributes.iter().filter_map(|(k, it)| Some((k.clone(), it.as_str()?.to_owned())));
        topic.attributes.extend(texts);
    }
    Ok(json!({"TopicArn": arn}))
}

fn delete_topic(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    // A topic that is not there is deleted (API reference, DeleteTopic).
    call.here_mut().sns.topics.remove(input["TopicArn"].as_str().unwrap_or_default());
    Ok(json!({}))
}

fn get_topic_attributes(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (arn, topic) = topic(call, &input)?;
    let confirmed = topic.subscriptions.iter().filter(|it| is_confirmed(&it.protocol)).count();
    let pending = topic.subscriptions.len() - confirmed;
    let mut attributes = topic.attributes.clone();
    attributes.insert("TopicArn".to_owned(), arn.to_owned());
    attributes.insert("Owner".to_owned(), call.account_id().to_owned());
    attributes.insert("SubscriptionsConfirmed".to_owned(), confirmed.to_string());
    attributes.insert("SubscriptionsPending".to_owned(), pending.to_string());
    attributes.insert("SubscriptionsDeleted".to_owned(), "0".to_owned());
    Ok(json!({"Attributes": attributes}))
}

fn set_topic_attributes(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    const SETTABLE: [&str; 5] =
        ["DeliveryPolicy", "DisplayName", "KmsMasterKeyId", "Policy", "TracingConfig"];
    let name = input["AttributeName"].as_str().unwrap_or_default();
    if !SETTABLE.contains(&name) {
        return Err(invalid("Invalid parameter: AttributeName"));
    }
    let value = input["AttributeValue"].as_str().unwrap_or_default();
    topic_mut(call, &input)?.attributes.insert(name.to_owned(), value.to_owned());
    Ok(json!({}))
}

fn list_topics(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let page = page(call, &input)?;
    let topics = call.here().sns.topics.keys().map(|arn| json!({"TopicArn": arn}));
    let (topics, next) = page.cut(topics);
    Ok(json!({"Topics": topics, "NextToken": next}))
}

fn list_subscriptions(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let page = page(call, &input)?;
    let (arn, topic) = topic(call, &input)?;
    let shown = topic.subscriptions.iter().map(|it| {
        let confirmed = is_confirmed(&it.protocol);
        json!({
            "SubscriptionArn": if confirmed { it.arn.as_str() } else { "PendingConfirmation" },
            "Owner": call.account_id(),
            "Protocol": it.protocol,
            "Endpoint": it.endpoint,
            "TopicArn": arn,
        })
    });
    let (subscriptions, next) = page.cut(shown);
    Ok(json!({"Subscriptions": subscriptions, "NextToken": next}))
}

fn subscribe(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    const PROTOCOLS: [&str; 9] =
        ["application", "email", "email-json", "firehose", "http", "https", "lambda", "sms", "sqs"];
    let protocol = input["Protocol"].as_str().unwrap_or_default().to_owned();
    if !PROTOCOLS.contains(&protocol.as_str()) {
        return Err(invalid(&format!(
            "Invalid parameter: Amazon SNS does not support this protocol string: {protocol}"
        )));
    }
    let endpoint = input["Endpoint"].as_str().unwrap_or_default().to_owned();
    let number = call.state.new_uuid();
    let topic_arn = input["TopicArn"].as_str().unwrap_or_default().to_owned();
    let topic = topic_mut(call, &input)?;
    let same = |it: &&Subscription| it.protocol == protocol && it.endpoint == endpoint;
    let known = topic.subscriptions.iter().find(same).map(|it| it.arn.clone());
    let arn = known.unwrap_or_else(|| {
        let arn = format!("{topic_arn}:{number}");
        let subscription = Subscription {
            arn: arn.clone(),
            protocol: protocol.clone(),
            endpoint: endpoint.clone(),
        };
        topic.subscriptions.push(subscription);
        arn
    });
    let told = is_confirmed(&protocol) || input["ReturnSubscriptionArn"] == true;
    Ok(json!({"SubscriptionArn": if told { arn.as_str() } else { "pending confirmation" }}))
}

fn unsubscribe(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let arn = input["SubscriptionArn"].as_str().unwrap_or_default();
    for topic in call.here_mut().sns.topics.values_mut() {
        topic.subscriptions.retain(|it| it.arn != arn);
    }
    Ok(json!({}))
}

fn publish(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let arn = input["TopicArn"].as_str().or(input["TargetArn"].as_str());
    let Some(arn) = arn.map(ToOwned::to_owned) else {
        return Err(invalid(
            "Invalid parameter: TopicArn or TargetArn Reason: no value for required parameter",
        ));
    };
    let message = input["Message"].as_str().unwrap_or_default();
    if message.is_empty() {
        return Err(invalid("Invalid parameter: Empty message"));
    }
    if message.len() > LONGEST {
        return Err(invalid("Invalid parameter: Message too long"));
    }
    let subject = input["Subject"].as_str();
    if subject.is_some_and(|it| !is_subject(it)) {
        return Err(invalid("Invalid parameter: Subject"));
    }
    if input["MessageStructure"] == "json" {
        let parts: Option<Value> = serde_json::from_str(message).ok();
        if !parts.is_some_and(|it| it["default"].is_string()) {
            return Err(invalid(
                "Invalid parameter: Message Structure - No default entry in JSON message body",
            ));
        }
    }
    let post = Post { subject, message, attributes: &input["MessageAttributes"] };
    let id = call.state.publish(call.scope, &arn, post);
    id.map(|id| json!({"MessageId": id})).ok_or_else(missing)
}

/// Up to a hundred characters of ASCII on one line that begins with a letter, a digit or a mark
/// (API reference, Publish).
fn is_subject(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text.bytes().all(|it| matches!(it, b' '..=b'~'))
        && !text.starts_with(' ')
}

fn publish_batch(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let (arn, _) = topic(call, &input)?;
    let arn = arn.to_owned();
    let entries = input["PublishBatchRequestEntries"].as_array().cloned().unwrap_or_default();
    if entries.is_empty() {
        let message = "The batch request doesn't contain any entries.";
        return Err(AwsError::new("EmptyBatchRequestException", message));
    }
    // Ten at most (API reference, PublishBatch); the model does not say so.
    if entries.len() > 10 {
        let message = "The batch request contains more entries than permissible.";
        return Err(AwsError::new("TooManyEntriesInBatchRequestException", message));
    }
    let mut ids: Vec<&str> = entries.iter().filter_map(|it| it["Id"].as_str()).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair[0] == pair[1]) {
        let message = "Two or more batch entries in the request have the same Id.";
        return Err(AwsError::new("BatchEntryIdsNotDistinctException", message));
    }
    let (mut sent, mut failed) = (Vec::new(), Vec::new());
    for entry in &entries {
        let message = entry["Message"].as_str().unwrap_or_default();
        let invalid = if message.is_empty() || message.len() > LONGEST {
            Some("Message")
        } else {
            // Topics are no queues here.
            entry["MessageDeduplicationId"].is_string().then_some("MessageDeduplicationId")
        };
        let id = invalid
            .is_none()
            .then(|| {
                let (subject, attributes) =
                    (entry["Subject"].as_str(), &entry["MessageAttributes"]);
                call.state.publish(call.scope, &arn, Post { subject, message, attributes })
            })
            .flatten();
        match id {
            Some(id) => sent.push(json!({"Id": entry["Id"], "MessageId": id})),
            None => failed.push(json!({
                "Id": entry["Id"],
                "Code": "InvalidParameter",
                "Message": format!("Invalid parameter: {}", invalid.unwrap_or("Message")),
                "SenderFault": true,
            })),
        }
    }
    Ok(json!({"Successful": sent, "Failed": failed}))
}

fn page(call: &Call<'_>, input: &Value) -> Result<Page, AwsError> {
    // A hundred in a page, with no way to ask for another number (API reference, ListTopics).
    Page::of(call, input, 100).map_err(|_| invalid("Invalid parameter: NextToken"))
}

fn topic<'a, 'v>(call: &'a Call<'_>, input: &'v Value) -> Result<(&'v str, &'a Topic), AwsError> {
    let arn = input["TopicArn"].as_str().unwrap_or_default();
    call.here().sns.topics.get(arn).map(|topic| (arn, topic)).ok_or_else(missing)
}

fn topic_mut<'a>(call: &'a mut Call<'_>, input: &Value) -> Result<&'a mut Topic, AwsError> {
    let arn = input["TopicArn"].as_str().unwrap_or_default();
    call.here_mut().sns.topics.get_mut(arn).ok_or_else(missing)
}

/// People and web servers must confirm a subscription; AWS's own services need not.
fn is_confirmed(protocol: &str) -> bool {
    matches!(protocol, "sqs" | "lambda" | "firehose" | "sms" | "application")
}

fn invalid(message: &str) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

fn missing() -> AwsError {
    AwsError::new("NotFoundException", "Topic does not exist")
}
