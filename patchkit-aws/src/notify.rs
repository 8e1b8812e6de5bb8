//! Notifications through SNS: a line for people, and the whole as JSON for programs.

use async_trait::async_trait;
use aws_sdk_sns::types::MessageAttributeValue;
use patchkit_core::{
    ComplianceStatus, NodeId, Result,
    notify::{Notification, Notifier},
    workflow::{Outcome, RunReport, ScanReport},
};
use serde::Serialize;

use crate::{Ssm, error::invalid, error::malformed};

const OPERATION: &str = "Publish";

/// Most bytes of a message, its attributes included (SNS API reference, Publish: 256 KiB). Some are
/// left for the attributes and the envelope.
const MESSAGE_BYTES: usize = 256 * 1024 - 2_048;

/// Most characters of a subject (SNS API reference, Publish: fewer than 100, ASCII, no line break).
const SUBJECT_CHARS: usize = 99;

/// How many nodes the line for people names.
const NAMED: usize = 10;

/// Tells a topic of runs that ended and of nodes that are not compliant.
///
/// # Behavior
/// - A subscription by e-mail, SMS or chat gets a few lines; one by Lambda, SQS or HTTP the JSON.
/// - A message that would be larger than SNS takes lists fewer nodes, and says how many it leaves out.
/// - A scan that found every node compliant is not worth a message: nothing is sent.
/// - A message is sent once: where the answer is lost, the error is `Timeout`, and the message may have
///   gone out.
/// - As a [`Notifier`] behind an outbox it is sent again until the answer came; the notification's id
///   is in the JSON and in the message's attribute `id`.
///
/// # Example
/// ```no_run
/// # async fn example(ssm: patchkit_aws::Ssm, ended: patchkit_core::workflow::RunReport)
/// # -> patchkit_core::Result<()> {
/// let topic = ssm.topic("arn:aws:sns:eu-west-1:111122223333:patching")?;
/// topic.run_ended(&ended).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Topic {
    ssm: Ssm,
    arn: String,
}

/// The JSON of a message.
#[derive(Serialize)]
struct Body<'a> {
    event: &'static str,
    run: &'a str,
    at: String,
    counts: Vec<(&'static str, usize)>,
    nodes: Vec<Row<'a>>,
    /// How many nodes there was no room for.
    omitted: usize,
    undo_failed: Vec<String>,
    problems: &'a [String],
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a NodeId,
    status: ComplianceStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<&'a str>,
}

impl Ssm {
    /// The topic of this ARN, reached with this provider's credentials.
    ///
    /// # Errors
    /// `InvalidInput` for what is no ARN of a topic in this Region.
    pub fn topic(&self, arn: impl Into<String>) -> Result<Topic> {
        let arn = arn.into();
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        match parts[..] {
            ["arn", _, "sns", region, _, name] if !name.is_empty() => {
                if region == self.scope().region().as_str() {
                    Ok(Topic { ssm: self.clone(), arn })
                } else {
                    Err(invalid("topic", format!("{arn} is not in {}", self.scope().region())))
                }
            }
            _ => Err(invalid("topic", format!("{arn:?} is no ARN of an SNS topic"))),
        }
    }
}

impl Topic {
    /// Tells that a run ended, and of every node that did not end well; returns the message's id.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `Throttled`, `Timeout`.
    pub async fn run_ended(&self, report: &RunReport) -> Result<String> {
        let bad = report.nodes.iter().filter(|node| !node.outcome.outcome.is_good());
        let rows = bad.map(|node| Row {
            id: &node.node,
            status: node.status_after,
            outcome: Some(node.outcome.outcome),
            notes: node.outcome.notes.iter().map(String::as_str).collect(),
        });
        let tally = report.tally();
        let body = Body {
            event: "run_ended",
            run: report.run.as_str(),
            at: report.ended_at.to_string(),
            counts: tally.iter().map(|(outcome, count)| (outcome.as_str(), *count)).collect(),
            nodes: rows.collect(),
            omitted: 0,
            undo_failed: report
                .undo_failed
                .iter()
                .map(|it| format!("{} on {}: {}", it.step, it.node, it.error))
                .collect(),
            problems: &report.problems,
        };
        let verdict = if report.is_clean() { "ended well" } else { "needs a look" };
        self.publish(&format!("Patch run {} {verdict}", report.run), body).await
    }

    /// Tells of the nodes that a scan found not compliant; `None` where there are none.
    ///
    /// # Errors
    /// As [`run_ended`](Self::run_ended).
    pub async fn scan_ended(&self, report: &ScanReport) -> Result<Option<String>> {
        let rows: Vec<Row<'_>> = report
            .non_compliant()
            .map(|node| Row {
                id: &node.node,
                status: node.compliance.status,
                outcome: None,
                notes: node.reason.iter().map(String::as_str).collect(),
            })
            .collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let with = |status| report.nodes.iter().filter(|it| it.compliance.status == status).count();
        let statuses = [
            ComplianceStatus::Compliant,
            ComplianceStatus::NonCompliant,
            ComplianceStatus::Unknown,
        ];
        let subject = format!("{} nodes are not compliant", rows.len());
        let body = Body {
            event: "nodes_non_compliant",
            run: report.run.as_str(),
            at: report.started_at.to_string(),
            counts: statuses.iter().map(|status| (status.as_str(), with(*status))).collect(),
            nodes: rows,
            omitted: 0,
            undo_failed: Vec::new(),
            problems: &report.problems,
        };
        self.publish(&subject, body).await.map(Some)
    }

    async fn publish(&self, subject: &str, mut body: Body<'_>) -> Result<String> {
        let envelope = fitting(subject, &mut body)?;
        self.send(subject, envelope, &[("event", body.event)]).await
    }

    async fn send(
        &self,
        subject: &str,
        envelope: String,
        attributes: &[(&str, &str)],
    ) -> Result<String> {
        let client = &self.ssm.client;
        let mut request = client
            .sns_once()
            .publish()
            .topic_arn(&self.arn)
            .subject(plain(subject))
            .message_structure("json")
            .message(envelope);
        for (name, value) in attributes {
            let attribute =
                MessageAttributeValue::builder().data_type("String").string_value(*value).build();
            let attribute = attribute.map_err(|error| invalid(OPERATION, error.to_string()))?;
            request = request.message_attributes(*name, attribute);
        }
        let answer = client.write(OPERATION, request.send()).await?;
        answer.message_id.ok_or_else(|| malformed(OPERATION, "the answer has no message id"))
    }
}

#[async_trait]
impl Notifier for Topic {
    fn name(&self) -> &str {
        &self.arn
    }

    async fn deliver(&self, notification: &Notification) -> Result<()> {
        let json = notification.body.to_string();
        let envelope = protocols(&notification.text, &json)?;
        let attributes = [("event", notification.kind.as_str()), ("id", notification.id.as_str())];
        self.send(&notification.subject, envelope, &attributes).await.map(drop)
    }
}

/// The message of each protocol, small enough for SNS: nodes are left out from the end until it is.
fn fitting(subject: &str, body: &mut Body<'_>) -> Result<String> {
    loop {
        let envelope = envelope(subject, body)?;
        if envelope.len() <= MESSAGE_BYTES {
            return Ok(envelope);
        }
        if body.nodes.is_empty() {
            // What else is there is free text; the counts stand.
            let most = body.undo_failed.len().max(body.problems.len());
            if most == 0 {
                return Err(invalid(OPERATION, "the message is larger than SNS takes"));
            }
            body.undo_failed.truncate(most / 2);
            body.problems = &body.problems[..body.problems.len().min(most / 2)];
            continue;
        }
        let left = body.nodes.len() / 2;
        body.omitted += body.nodes.len() - left;
        body.nodes.truncate(left);
    }
}

fn envelope(subject: &str, body: &Body<'_>) -> Result<String> {
    let wrong = |error: serde_json::Error| invalid(OPERATION, error.to_string());
    let json = serde_json::to_string(body).map_err(wrong)?;
    protocols(&lines(subject, body), &json)
}

/// The lines for people and the JSON for programs, each to the protocols of its readers.
fn protocols(lines: &str, json: &str) -> Result<String> {
    let wrong = |error: serde_json::Error| invalid(OPERATION, error.to_string());
    serde_json::to_string(&serde_json::json!({
        "default": lines,
        "email": lines,
        "email-json": json,
        "http": json,
        "https": json,
        "lambda": json,
        "sqs": json,
        "firehose": json,
    }))
    .map_err(wrong)
}

fn lines(subject: &str, body: &Body<'_>) -> String {
    let counts: Vec<String> =
        body.counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let mut lines = vec![plain(subject), counts.join(", ")];
    lines.extend(body.undo_failed.iter().map(|it| format!("UNDO FAILED {}", plain(it))));
    lines.extend(body.nodes.iter().take(NAMED).map(|row| {
        let why = row.notes.first().map_or_else(String::new, |note| format!(": {}", plain(note)));
        let word = row.outcome.map_or(row.status.as_str(), Outcome::as_str);
        format!("{} {word}{why}", row.id)
    }));
    let more = body.omitted + body.nodes.len().saturating_sub(NAMED);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.extend(body.problems.iter().map(|problem| format!("problem: {}", plain(problem))));
    lines.join("\n")
}

/// A subject is short ASCII on one line, and words of nodes are not to be trusted with more.
fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' })
        .take(SUBJECT_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body<'a>(ids: &'a [NodeId], note: &'a str) -> Body<'a> {
        let row = |id| Row {
            id,
            status: ComplianceStatus::NonCompliant,
            outcome: Some(Outcome::Failed),
            notes: vec![note],
        };
        Body {
            event: "run_ended",
            run: "r",
            at: String::new(),
            counts: vec![("failed", ids.len())],
            nodes: ids.iter().map(row).collect(),
            omitted: 0,
            undo_failed: Vec::new(),
            problems: &[],
        }
    }

    #[test]
    fn a_message_that_is_too_large_lists_fewer_nodes_and_says_so() {
        let ids: Vec<NodeId> = (0..20_000)
            .map(|at| format!("aws/111122223333/eu-west-1/i-{at:017x}").parse().unwrap())
            .collect();
        let mut body = body(&ids, "yum said \u{1b}[31mno");
        let envelope = fitting("Patch run r needs a look", &mut body).unwrap();
        assert!(envelope.len() <= MESSAGE_BYTES);
        assert_eq!(body.omitted + body.nodes.len(), 20_000);
        let parsed: serde_json::Value = serde_json::from_str(&envelope).unwrap();
        let text = parsed["default"].as_str().unwrap();
        assert!(text.contains("20000 failed"), "{text}");
        assert!(!text.contains('\u{1b}'), "no control character reaches a person's terminal");
        let json: serde_json::Value =
            serde_json::from_str(parsed["lambda"].as_str().unwrap()).unwrap();
        assert_eq!(json["omitted"], body.omitted);
    }

    #[test]
    fn the_largest_notification_of_an_outbox_fits_a_message() {
        // What is escaped once in the body is escaped twice in the envelope.
        let json = serde_json::json!({ "x": "\"".repeat(Notification::MAX_BODY / 2 - 8) });
        let json = json.to_string();
        assert!(json.len() <= Notification::MAX_BODY && json.len() > Notification::MAX_BODY / 2);
        let lines = "\"".repeat(Notification::MAX_TEXT);
        let envelope = protocols(&lines, &json).unwrap();
        assert!(envelope.len() <= MESSAGE_BYTES, "{}", envelope.len());
    }

    #[test]
    fn a_subject_is_short_ascii_on_one_line() {
        let subject = plain(&format!("run {}\nü", "x".repeat(300)));
        assert!(subject.len() < 100 && subject.is_ascii() && !subject.contains('\n'));
    }
}
