//! How bad an advisory is.

use std::fmt;

use cvss::Cvss;
use serde::{Deserialize, Serialize};

/// A word for how bad it is, by the scale of CVSS.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Rating {
    None,
    Low,
    Medium,
    High,
    Critical,
}

/// How bad an advisory is, as its issuer tells.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Weight {
    /// The word for it, where one is told or follows from the score.
    pub rating: Option<Rating>,
    /// The score by CVSS, from 0 to 10.
    pub score: Option<f64>,
    /// What the issuer wrote: a vector, or a word of his own.
    pub given: Box<str>,
}

impl Rating {
    /// The word used in reports and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Reads an issuer's word: Red Hat's `Important`, Ubuntu's `negligible`, Debian's `unimportant`.
    fn from_word(word: &str) -> Option<Self> {
        Some(match word.trim().to_ascii_lowercase().as_str() {
            "none" => Self::None,
            "low" | "minor" | "negligible" | "unimportant" => Self::Low,
            "medium" | "moderate" => Self::Medium,
            "high" | "important" => Self::High,
            "critical" => Self::Critical,
            _ => return None,
        })
    }
}

impl fmt::Display for Rating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Weight {
    pub(crate) fn in_words(given: &str) -> Self {
        Self { rating: Rating::from_word(given), score: None, given: given.into() }
    }

    fn of(wire: &Wire) -> Self {
        let Ok(vector) = wire.score.parse::<Cvss>() else { return Self::in_words(&wire.score) };
        let rating = match vector.severity() {
            cvss::Severity::None => Rating::None,
            cvss::Severity::Low => Rating::Low,
            cvss::Severity::Medium => Rating::Medium,
            cvss::Severity::High => Rating::High,
            cvss::Severity::Critical => Rating::Critical,
        };
        Self { rating: Some(rating), score: Some(vector.score()), given: wire.score.clone() }
    }
}

/// One entry of OSV's `severity`; its `type` is told by the vector too.
#[derive(Deserialize)]
pub(crate) struct Wire {
    score: Box<str>,
}

/// The worst of what is told.
pub(crate) fn heaviest(told: &[Wire]) -> Option<Weight> {
    told.iter().map(Weight::of).max_by(|a, b| {
        a.rating.cmp(&b.rating).then(a.score.unwrap_or(0.0).total_cmp(&b.score.unwrap_or(0.0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(score: &str) -> Weight {
        Weight::of(&Wire { score: score.into() })
    }

    #[test]
    fn vectors_of_each_edition_have_a_score() {
        for (vector, rating, score) in [
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Rating::Critical, 9.8),
            ("CVSS:3.0/AV:L/AC:H/PR:L/UI:N/S:U/C:N/I:N/A:L", Rating::Low, 2.5),
            (
                "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
                Rating::Critical,
                9.3,
            ),
            ("AV:N/AC:L/Au:N/C:P/I:P/A:P", Rating::High, 7.5),
        ] {
            let weight = weight(vector);
            assert_eq!((weight.rating, weight.score), (Some(rating), Some(score)), "{vector}");
        }
    }

    #[test]
    fn words_are_read_and_unknown_ones_kept() {
        assert_eq!(weight("Important").rating, Some(Rating::High));
        assert_eq!(weight("negligible").rating, Some(Rating::Low));
        let strange = weight("not yet assigned");
        assert_eq!((strange.rating, &*strange.given), (None, "not yet assigned"));
    }

    #[test]
    fn the_worst_counts() {
        let told = ["low", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "?"];
        let told = told.map(|score| Wire { score: score.into() });
        assert_eq!(heaviest(&told).unwrap().rating, Some(Rating::Critical));
    }
}
