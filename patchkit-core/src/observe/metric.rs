//! Events counted, through the `metrics` facade.

use metrics::{counter, histogram};

use super::RunEventKind;
use crate::PatchAction;

pub(super) fn count(event: &RunEventKind) {
    match event {
        RunEventKind::RunStarted { workflow, .. } => {
            counter!("patchkit_runs_started_total", "workflow" => workflow.clone()).increment(1);
        }
        RunEventKind::RunFinished { workflow, seconds } => {
            let workflow = workflow.clone();
            histogram!("patchkit_run_seconds", "workflow" => workflow.clone())
                .record(exact(*seconds));
            counter!("patchkit_runs_finished_total", "workflow" => workflow).increment(1);
        }
        RunEventKind::WaveStarted { .. } => counter!("patchkit_waves_started_total").increment(1),
        RunEventKind::NodeStep { step, .. } => {
            let step = step.to_string().replace(' ', "_");
            counter!("patchkit_node_steps_total", "step" => step).increment(1);
        }
        RunEventKind::NodeFinished { report } => {
            let outcome = report.outcome.outcome.as_str();
            counter!("patchkit_nodes_finished_total", "outcome" => outcome).increment(1);
        }
        RunEventKind::OperationStarted { action, .. } => {
            let action = word(*action);
            counter!("patchkit_operations_started_total", "action" => action).increment(1);
        }
        RunEventKind::OperationEnded { action, succeeded, failed, unknown, seconds, .. } => {
            let action = word(*action);
            histogram!("patchkit_operation_seconds", "action" => action).record(exact(*seconds));
            for (end, nodes) in
                [("succeeded", *succeeded), ("failed", *failed), ("unknown", *unknown)]
            {
                counter!("patchkit_operation_nodes_total", "action" => action, "end" => end)
                    .increment(nodes as u64);
            }
        }
        RunEventKind::Problem { .. } => counter!("patchkit_problems_total").increment(1),
        RunEventKind::RunResumed { .. }
        | RunEventKind::RunPaused
        | RunEventKind::RunUnpaused
        | RunEventKind::Waiting { .. }
        | RunEventKind::Checked { .. }
        | RunEventKind::Other(_) => {}
    }
}

/// Seconds as histograms take them; beyond `u32` a run has lasted 136 years.
fn exact(seconds: u64) -> f64 {
    f64::from(u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// A label without the reboot policy: one series for all installs.
fn word(action: PatchAction) -> &'static str {
    match action {
        PatchAction::Scan => "scan",
        PatchAction::Install(_) => "install",
        PatchAction::UpdateAgent => "update_agent",
        PatchAction::RefreshAssociations => "refresh_associations",
    }
}
