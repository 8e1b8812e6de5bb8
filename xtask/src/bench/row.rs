//! Paired rounds of one work, and the row that they come to.

use std::fmt;

use serde_json::{Value, json};

use super::run::Run;

/// One work, ours and a peer's.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) work: &'static str,
    pub(crate) peer: String,
    pub(crate) ours_wall: f64,
    pub(crate) peer_wall: f64,
    /// The peer's by ours, the median of the rounds.
    pub(crate) wall_ratio: f64,
    pub(crate) cpu_ratio: f64,
    pub(crate) ours_peak: f64,
    pub(crate) peer_peak: f64,
    /// Whether the answers are equal; `None` where the peer has none.
    pub(crate) agree: Option<bool>,
    pub(crate) peer_error: Option<String>,
}

impl Row {
    /// Of rounds in which ours came first and the peer at once behind it.
    pub(crate) fn of(work: &'static str, peer: &str, rounds: &[(Run, Run)]) -> Self {
        let median_of = |of: fn(&(Run, Run)) -> f64| median(rounds.iter().map(of));
        let most_of = |of: fn(&(Run, Run)) -> f64| rounds.iter().map(of).fold(0.0, f64::max);
        let peer_error = rounds.iter().find_map(|(_, peer)| peer.answer.clone().err());
        let agree = peer_error.is_none().then(|| rounds.iter().all(|(a, b)| says_same(a, b)));
        Self {
            work,
            peer: peer.to_owned(),
            ours_wall: median_of(|(ours, _)| ours.wall),
            peer_wall: median_of(|(_, peer)| peer.wall),
            wall_ratio: median_of(|(ours, peer)| peer.wall / ours.wall),
            cpu_ratio: median_of(|(ours, peer)| peer.cpu / ours.cpu),
            ours_peak: most_of(|(ours, _)| ours.peak_mib),
            peer_peak: most_of(|(_, peer)| peer.peak_mib),
            agree,
            peer_error,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "work": self.work,
            "peer": self.peer,
            "ours_wall_s": rounded(self.ours_wall),
            "peer_wall_s": rounded(self.peer_wall),
            "wall_ratio": rounded(self.wall_ratio),
            "cpu_ratio": rounded(self.cpu_ratio),
            "ours_peak_mib": rounded(self.ours_peak),
            "peer_peak_mib": rounded(self.peer_peak),
            "agree": self.agree,
            "peer_error": self.peer_error,
        })
    }

    pub(crate) fn head() -> String {
        format!(
            "{:9} {:22} {:>9} {:>9} {:>7} {:>7} {:>9} {:>9}  answers",
            "work", "peer", "ours s", "peer s", "times", "CPU", "ours MiB", "peer MiB"
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:9} {:22} {:9.3} {:9.3} {:7.2} {:7.2} {:9.1} {:9.1}  ",
            self.work,
            self.peer,
            self.ours_wall,
            self.peer_wall,
            self.wall_ratio,
            self.cpu_ratio,
            self.ours_peak,
            self.peer_peak
        )?;
        match (self.agree, &self.peer_error) {
            (Some(true), _) => f.write_str("agree"),
            (Some(false), _) => f.write_str("DIFFER"),
            (None, error) => write!(f, "none: {}", error.as_deref().unwrap_or_default()),
        }
    }
}

/// Whether two answers are equal in all that the peer's says: ours also tells what was lost.
fn says_same(ours: &Run, peer: &Run) -> bool {
    match (&ours.answer, &peer.answer) {
        (Ok(Value::Object(ours)), Ok(Value::Object(peer))) => {
            !peer.is_empty() && peer.iter().all(|(name, value)| ours.get(name) == Some(value))
        }
        _ => false,
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(wall: f64, answer: Result<Value, String>) -> Run {
        Run { wall, cpu: wall, peak_mib: 1.0, answer }
    }

    #[test]
    fn ratios_are_those_of_the_pairs() {
        let answer = || Ok(json!({"nodes": 1}));
        let rounds: Vec<_> = [(1.0, 9.0), (2.0, 10.0), (1.0, 2.0)]
            .map(|(ours, peer)| (run(ours, answer()), run(peer, answer())))
            .into();
        let row = Row::of("q1", "peer", &rounds);
        assert!((row.wall_ratio - 5.0).abs() < 1e-9);
        assert_eq!(row.agree, Some(true));
    }

    #[test]
    fn a_peer_without_an_answer_agrees_with_nobody() {
        let rounds = [(run(1.0, Ok(json!({"n": 1}))), run(1.0, Err("it broke".to_owned())))];
        let row = Row::of("dirty", "peer", &rounds);
        assert_eq!((row.agree, row.peer_error.as_deref()), (None, Some("it broke")));
        let rounds = [(run(1.0, Ok(json!({"n": 1}))), run(1.0, Ok(json!({"n": 2}))))];
        assert_eq!(Row::of("dirty", "peer", &rounds).agree, Some(false));
    }
}
