//! How a plan tells of its budgets and times.

use std::fmt;

use super::{PatchPlan, WhileFrozen, freeze::Frozen};
use crate::operator::Plain;

/// The lines of a plan about what holds it back; none where nothing does.
pub(super) struct Pace<'a>(pub(super) &'a PatchPlan);

impl fmt::Display for Pace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.0.options;
        for budget in &options.rollout.budgets {
            writeln!(f, "  budget    {budget}")?;
        }
        if let Some(ramp) = &options.rollout.ramp {
            writeln!(f, "  ramp      {ramp}")?;
        }
        if let Some(times) = &options.times {
            let otherwise = times.otherwise.as_secs().div_ceil(60);
            writeln!(f, "  estimate  {otherwise} min for a node of which nothing is known")?;
            for known in &times.known {
                writeln!(f, "            {known}")?;
            }
        }
        let Some(freezes) = &options.freezes else { return Ok(()) };
        let then = match freezes.during {
            WhileFrozen::End => "the run ends then",
            WhileFrozen::Wait => "the run waits then",
        };
        let calendar = &freezes.calendar;
        let clashes: Vec<_> = if let Some(window) = &options.window {
            calendar.clashes(window).collect()
        } else {
            calendar.freezes.iter().filter(|it| it.ends > self.0.created_at).collect()
        };
        let word = if options.window.is_some() { "CLASH   " } else { "freeze  " };
        for freeze in clashes {
            writeln!(f, "  {word}  {}; {then}", Frozen(freeze))?;
        }
        for problem in &freezes.calendar.problems {
            writeln!(f, "  UNREAD    of the freeze calendar: {}", Plain(problem))?;
        }
        Ok(())
    }
}
