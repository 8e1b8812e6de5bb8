//! A plan that is saved, looked at, and carried out later.

use std::{fs, path::PathBuf};

use clap::Args as ClapArgs;
use patchkit_core::{
    Amount, RunId,
    workflow::{Applied, ApplyOptions, PatchPlan, RunReport, Runner},
};
use patchkit_examples::Failure;

use super::progress::Bars;

/// Plan today, apply what was approved tomorrow.
#[derive(Debug, ClapArgs)]
pub(crate) struct SavedArgs {
    /// Save the plan; `plan show FILE` prints it, `plan diff A B` compares two
    #[arg(long, value_name = "FILE", help_heading = "Plans", conflicts_with = "apply")]
    save_plan: Option<PathBuf>,
    /// Carry this saved plan out instead of a new one, where the fleet is still as it says. Nothing that
    /// is not in it is done
    #[arg(long, value_name = "FILE", help_heading = "Plans", requires = "hash")]
    apply: Option<PathBuf>,
    /// The hash of the plan that was approved
    #[arg(long, value_name = "HASH", help_heading = "Plans", requires = "apply")]
    hash: Option<String>,
    /// How many of the plan's nodes may differ from it by now: 5, or 10%
    #[arg(
        long,
        value_name = "AMOUNT",
        default_value = "0",
        help_heading = "Plans",
        requires = "apply"
    )]
    tolerance: Amount,
}

impl SavedArgs {
    /// Whether a saved plan is carried out.
    pub(crate) fn applies(&self) -> bool {
        self.apply.is_some()
    }

    /// Saves a new plan where that is asked for.
    pub(crate) fn keep(&self, plan: &PatchPlan, bars: &Bars) -> Result<(), Failure> {
        let Some(path) = &self.save_plan else { return Ok(()) };
        let text = plan.to_file().map_err(|error| Failure::new(error.report()))?;
        fs::write(path, text)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        bars.say(&format!("the plan is in {}; its hash is {}", path.display(), plan.hash()));
        Ok(())
    }

    /// The saved plan that is to be carried out.
    pub(crate) fn plan(&self) -> Result<Option<PatchPlan>, Failure> {
        let Some(path) = &self.apply else { return Ok(None) };
        let shown = path.display();
        let text =
            fs::read_to_string(path).map_err(|error| Failure::new(format!("{shown}: {error}")))?;
        let plan = PatchPlan::from_file(&text);
        plan.map(Some).map_err(|error| Failure::new(format!("{shown}: {}", error.report())))
    }

    /// Carries a saved plan out, or says how the fleet differs from it.
    pub(crate) async fn apply(
        &self,
        runner: &Runner,
        run: &RunId,
        plan: &PatchPlan,
    ) -> Result<RunReport, Box<dyn std::error::Error>> {
        let hash = self.hash.as_deref().unwrap_or_default();
        let options = ApplyOptions::new(hash).with_tolerance(self.tolerance);
        match Box::pin(runner.apply(run, plan, &options)).await? {
            Applied::Ran { report } => Ok(report),
            // Nobody is asked here who could.
            undecided => {
                Err(Failure::new(format!("the plan was not carried out: {undecided:?}")).into())
            }
        }
    }
}
