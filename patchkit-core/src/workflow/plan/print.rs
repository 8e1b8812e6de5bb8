//! Plans in words.

use std::{fmt, time::Duration};

use super::{PatchPlan, schedules};
use crate::{MachineLink, link::listed, operator::Plain, workflow::pace::Pace};

/// A link as a plan prints it.
struct LinkLine<'a>(&'a MachineLink);

impl fmt::Display for LinkLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            MachineLink::Host(link) => {
                let (name, scope) = (link.host.name(), link.host.scope());
                write!(f, "= {name} in {scope}, linked by {}", listed(&link.evidence))?;
                if !link.schedules.is_empty() {
                    write!(f, "; patched there too, by {}", schedules(link))?;
                }
                Ok(())
            }
            MachineLink::Unresolved { reason } => {
                write!(f, "? may be patched as another node too: {reason}")
            }
        }
    }
}

impl fmt::Display for PatchPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rollout = &self.options.rollout;
        writeln!(f, "{} plan {}", self.workflow, &self.hash()[..12])?;
        writeln!(f, "  made      {}", self.created_at)?;
        writeln!(f, "  nodes     {} ({} skipped)", self.nodes.len(), self.skipped.len())?;
        for failure in &self.unlisted {
            writeln!(f, "  {failure}")?;
        }
        for version in &self.baselines {
            writeln!(f, "  baseline  {} in {}: {version}", version.id, version.scope)?;
        }
        if let Some(estimate) = &self.estimate {
            writeln!(f, "  takes     {estimate}")?;
        }
        writeln!(f, "  selector  {}", self.options.selector)?;
        match &self.options.start {
            Some(start) => writeln!(f, "  starts    off nodes of: {start}")?,
            None => writeln!(f, "  starts    nothing")?,
        }
        writeln!(f, "  reboot    {}", self.options.reboot)?;
        writeln!(
            f,
            "  budgets   {} of a wave out of work at once, {} failures",
            rollout.disruption.0, rollout.errors.0
        )?;
        if let Some(window) = &self.options.window {
            writeln!(f, "  window    {} to {}", window.opens, window.closes())?;
        }
        write!(f, "{}", Pace(self))?;
        for (at, wave) in self.waves.iter().enumerate() {
            write!(f, "wave {} {:?}: {} nodes", at + 1, wave.name, wave.nodes.len())?;
            write!(f, ", {} at once", self.disruption(wave.nodes.len()))?;
            if wave.bake > Duration::ZERO {
                write!(f, ", then {} s of watching", wave.bake.as_secs())?;
            }
            writeln!(f)?;
            let mut scope = None;
            for id in &wave.nodes {
                let Some(node) = self.node(id) else { continue };
                if scope != Some(id.scope()) {
                    writeln!(f, "  {}", id.scope())?;
                    scope = Some(id.scope());
                }
                let steps: Vec<String> = node.steps.iter().map(ToString::to_string).collect();
                writeln!(
                    f,
                    "    {:20} {:11} {:13} {:>3} missing  {}",
                    id.name(),
                    node.power,
                    node.status,
                    node.missing,
                    steps.join(" → ")
                )?;
                if let Some(expected) = self.expected.get(id) {
                    let patches: Vec<_> =
                        expected.patches.iter().map(ToString::to_string).collect();
                    writeln!(f, "      expects {}", Plain(&patches.join(", ")))?;
                    if let Some(problem) = &expected.problem {
                        writeln!(f, "      expects more, not known: {}", Plain(problem))?;
                    }
                }
                if let Some(link) = &node.link {
                    writeln!(f, "      {}", LinkLine(link))?;
                }
            }
        }
        if !self.skipped.is_empty() {
            writeln!(f, "skipped:")?;
        }
        for skipped in &self.skipped {
            let id = &skipped.node.id;
            let place = format!("{} {}", id.scope(), id.name());
            writeln!(f, "  {place}  {}: {}", skipped.outcome, skipped.reason)?;
        }
        Ok(())
    }
}
