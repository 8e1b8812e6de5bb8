//! Notifications made of reports: short, and free of what others' words could do to a reader.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Notification, NotificationKind};
use crate::{
    ComplianceStatus, NodeId, RunId,
    workflow::{Outcome, RunReport, ScanReport},
};

/// How many nodes, failed undos and problems the body lists, and how many nodes the text.
const LISTED: usize = 100;
const NAMED: usize = 10;

/// The longest of others' sentences, and how many of them a node has.
const SENTENCE: usize = 200;
const NOTES: usize = 3;

/// Room for the line that says how many more there are.
const MORE: usize = 64;

/// The body, for programs.
#[derive(Serialize)]
struct Body {
    id: String,
    event: NotificationKind,
    run: RunId,
    at: Timestamp,
    counts: Vec<(&'static str, usize)>,
    nodes: Vec<Row>,
    undo_failed: Vec<String>,
    problems: Vec<String>,
    /// How many nodes, failed undos and problems there was no room for.
    omitted: usize,
}

#[derive(Serialize)]
struct Row {
    id: NodeId,
    status: ComplianceStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl Notification {
    /// Tells that a run ended, and of the nodes that did not end well.
    pub fn run_ended(report: &RunReport) -> Self {
        let bad: Vec<_> =
            report.nodes.iter().filter(|node| !node.outcome.outcome.is_good()).collect();
        let rows = bad.iter().take(LISTED).map(|node| Row {
            id: node.node.clone(),
            status: node.status_after,
            outcome: Some(node.outcome.outcome),
            notes: sentences(&node.outcome.notes, NOTES),
        });
        let undos = report.undo_failed.iter();
        let undos = undos.map(|it| format!("{} on {}: {}", it.step, it.node, it.error));
        let undos: Vec<String> = undos.collect();
        let verdict = if report.is_clean() { "ended well" } else { "needs a look" };
        let counts = report.tally();
        let body = Body {
            id: id(&NotificationKind::RunEnded, &report.run, report.ended_at),
            event: NotificationKind::RunEnded,
            run: report.run.clone(),
            at: report.ended_at,
            counts: counts.iter().map(|(outcome, count)| (outcome.as_str(), *count)).collect(),
            nodes: rows.collect(),
            undo_failed: sentences(&undos, LISTED),
            problems: sentences(&report.problems, LISTED),
            omitted: [bad.len(), undos.len(), report.problems.len()]
                .into_iter()
                .map(|all| all.saturating_sub(LISTED))
                .sum(),
        };
        made(&format!("Patch run {} {verdict}", report.run), body)
    }

    /// Tells of the nodes that a scan found not compliant; `None` where there are none.
    pub fn nodes_non_compliant(report: &ScanReport) -> Option<Self> {
        let bad: Vec<_> = report.non_compliant().collect();
        if bad.is_empty() {
            return None;
        }
        let rows = bad.iter().take(LISTED).map(|node| Row {
            id: node.node.clone(),
            status: node.compliance.status,
            outcome: None,
            notes: node.reason.iter().map(|reason| plain(reason, SENTENCE)).collect(),
        });
        let count = |status: ComplianceStatus| {
            let nodes = report.nodes.iter();
            (status.as_str(), nodes.filter(|node| node.compliance.status == status).count())
        };
        let body = Body {
            id: id(&NotificationKind::NodesNonCompliant, &report.run, report.started_at),
            event: NotificationKind::NodesNonCompliant,
            run: report.run.clone(),
            at: report.started_at,
            counts: [
                ComplianceStatus::Compliant,
                ComplianceStatus::NonCompliant,
                ComplianceStatus::Unknown,
            ]
            .map(count)
            .into(),
            nodes: rows.collect(),
            undo_failed: Vec::new(),
            problems: sentences(&report.problems, LISTED),
            omitted: bad.len().saturating_sub(LISTED)
                + report.problems.len().saturating_sub(LISTED),
        };
        Some(made(&format!("{} nodes are not compliant", bad.len()), body))
    }
}

fn made(subject: &str, mut body: Body) -> Notification {
    let subject: String = subject
        .chars()
        .map(|char| if char.is_ascii_graphic() || char == ' ' { char } else { '?' })
        .take(Notification::MAX_SUBJECT)
        .collect();
    let text = text(&subject, &body);
    loop {
        // Every field is plain data with string keys, which JSON always takes.
        let json = serde_json::to_value(&body).unwrap_or_default();
        if json.to_string().len() <= Notification::MAX_BODY || !body.shorten() {
            let Body { id, event: kind, run, at, .. } = body;
            return Notification { id, kind, at, run: Some(run), subject, text, body: json };
        }
    }
}

impl Body {
    /// Leaves half of the longest list out; false where there is nothing left to leave out.
    fn shorten(&mut self) -> bool {
        fn halve<T>(list: &mut Vec<T>) -> usize {
            let before = list.len();
            list.truncate(before / 2);
            before - list.len()
        }
        let longest = self.nodes.len().max(self.undo_failed.len()).max(self.problems.len());
        // Failed undos are looked at first, so they go last.
        let gone = if self.nodes.len() == longest {
            halve(&mut self.nodes)
        } else if self.problems.len() == longest {
            halve(&mut self.problems)
        } else {
            halve(&mut self.undo_failed)
        };
        self.omitted += gone;
        gone > 0
    }
}

fn text(subject: &str, body: &Body) -> String {
    let counts: Vec<String> =
        body.counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let mut lines = vec![subject.to_owned(), counts.join(", ")];
    lines.extend(body.undo_failed.iter().take(NAMED).map(|it| format!("UNDO FAILED {it}")));
    lines.extend(body.nodes.iter().take(NAMED).map(|row| {
        let why = row.notes.first().map_or_else(String::new, |note| format!(": {note}"));
        format!("{} {}{why}", row.id, row.outcome.map_or(row.status.as_str(), Outcome::as_str))
    }));
    lines.extend(body.problems.iter().take(NAMED).map(|problem| format!("problem: {problem}")));
    let listed = [&body.nodes.len(), &body.undo_failed.len(), &body.problems.len()];
    let mut more: usize = listed.into_iter().map(|all| all.saturating_sub(NAMED)).sum();
    let room = Notification::MAX_TEXT - MORE;
    while lines.iter().map(|line| line.len() + 1).sum::<usize>() > room && lines.len() > 2 {
        lines.pop();
        more += 1;
    }
    if more + body.omitted > 0 {
        lines.push(format!("and {} more", more + body.omitted));
    }
    lines.join("\n")
}

/// The same for the same run's end: a notification that is made again after a crash is known.
fn id(kind: &NotificationKind, run: &RunId, at: Timestamp) -> String {
    let digest = Sha256::digest(format!("{kind}\n{run}\n{at}"));
    digest.iter().take(16).fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn sentences(texts: &[String], most: usize) -> Vec<String> {
    texts.iter().take(most).map(|text| plain(text, SENTENCE)).collect()
}

/// Others' words on one line, at most `most` characters of them. A character that moves the cursor or
/// turns the direction of text is shown by its number.
fn plain(text: &str, most: usize) -> String {
    let mut plain = String::with_capacity(text.len().min(most));
    for (at, char) in text.chars().enumerate() {
        if at >= most {
            plain.push('…');
            break;
        }
        if char.is_control() || is_format(char) {
            plain.extend(char.escape_default());
        } else {
            plain.push(char);
        }
    }
    plain
}

/// Marks of direction and width, which hide or reorder what is read
/// (<https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing>), and breaks of lines.
fn is_format(char: char) -> bool {
    matches!(
        char,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        PowerState,
        workflow::{NodeOutcome, NodeReport, UndoFailure},
    };

    fn report(nodes: usize, note: &str) -> RunReport {
        let node = |at| NodeReport {
            node: format!("aws/111122223333/eu-west-1/i-{at:017x}").parse().unwrap(),
            group: None,
            power_before: PowerState::Running,
            power_after: PowerState::Running,
            status_before: ComplianceStatus::NonCompliant,
            status_after: ComplianceStatus::NonCompliant,
            outcome: NodeOutcome::new(Outcome::Failed).because(note),
        };
        RunReport {
            run: RunId::new("weekly").unwrap(),
            started_at: Timestamp::UNIX_EPOCH,
            ended_at: Timestamp::UNIX_EPOCH,
            nodes: (0..nodes).map(node).collect(),
            undo_failed: Vec::new(),
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_notification_of_many_nodes_is_small_and_says_how_many_it_leaves_out() {
        let mut ended = report(20_000, &"\"\\ü".repeat(500));
        ended.undo_failed = (0..200)
            .map(|at| UndoFailure::new(ended.nodes[at].node.clone(), "start", "x".repeat(900)))
            .collect();
        ended.problems = vec!["y".repeat(900); 300];
        let told = Notification::run_ended(&ended);
        let size = told.body.to_string().len();
        assert!(size <= Notification::MAX_BODY, "{size}");
        assert!(told.text.len() <= Notification::MAX_TEXT, "{}", told.text.len());
        assert!(told.subject.len() <= Notification::MAX_SUBJECT);
        let listed = |name: &str| told.body[name].as_array().unwrap().len();
        let omitted = usize::try_from(told.body["omitted"].as_u64().unwrap()).unwrap();
        let all = listed("nodes") + listed("undo_failed") + listed("problems") + omitted;
        assert_eq!(all, 20_000 + 200 + 300);
        assert!(told.text.contains("20000 failed") && told.text.contains("more"), "{}", told.text);
    }

    #[test]
    fn others_words_are_plain_wherever_they_stand() {
        let note = "yum said\u{1b}[31m\nno \u{202e}evil\u{2028}";
        let mut ended = report(1, note);
        ended.problems.push(note.to_owned());
        let told = Notification::run_ended(&ended);
        for text in [&told.text, &told.subject, &told.body.to_string()] {
            let harmful = |char: char| char.is_control() && char != '\n' || is_format(char);
            assert!(!text.contains(harmful), "{text:?}");
        }
        assert_eq!(told.text.lines().count(), 4, "{}", told.text);
    }

    #[test]
    fn the_same_end_of_a_run_has_the_same_id_and_another_one_has_not() {
        let mut ended = report(1, "");
        let told = Notification::run_ended(&ended);
        assert_eq!(Notification::run_ended(&ended), told);
        assert_eq!(told.body["id"], told.id);
        ended.ended_at = Timestamp::MAX;
        assert_ne!(Notification::run_ended(&ended).id, told.id);
    }
}
