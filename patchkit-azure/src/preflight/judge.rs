//! The judgement of one machine: pure, of what was read.

use std::collections::BTreeMap;

use patchkit_core::{PowerState, Reachability};

use super::{PatchIntent, PreflightFinding, survey::Survey};
use crate::{AssessmentMode, Assignment, Machine, MachineKind, PatchMode, maintenance::key_of};

/// What stands in the way of a machine's being patched as it is meant to be.
pub(super) fn judge(
    machine: &Machine,
    intent: &PatchIntent,
    survey: &Survey,
) -> Vec<PreflightFinding> {
    let node = &machine.node;
    let mut findings = Vec::new();
    if machine.kind == MachineKind::ScaleSetInstance {
        findings.push(PreflightFinding::Unpatchable);
    }
    // Azure does not know the power of an Arc machine.
    let vm = machine.kind != MachineKind::Arc;
    if vm && node.power != PowerState::Running {
        findings.push(PreflightFinding::NotRunning { power: node.power });
    } else if node.reachability != Reachability::Online {
        let reachability = node.reachability;
        findings.push(PreflightFinding::AgentNotReady { reachability });
    }
    if machine.kind == MachineKind::Vm {
        findings.extend(settings(machine, intent));
    }
    if machine.kind != MachineKind::ScaleSetInstance {
        if machine.patching.assessment != Some(AssessmentMode::AutomaticByPlatform) && vm {
            findings.push(PreflightFinding::NoPeriodicAssessment);
        }
        schedules(machine, intent, survey, &mut findings);
    }
    findings.extend(survey.extensions(node.id.resource()).iter().cloned());
    findings.extend(survey.unread().iter().cloned());
    findings
}

/// Whether a VM's patch settings are those that the intent needs. An Arc machine needs none (Update
/// Manager, "Scheduling recurring updates").
fn settings(machine: &Machine, intent: &PatchIntent) -> Option<PreflightFinding> {
    let patching = &machine.patching;
    match (intent, &patching.mode) {
        _ if patching.has_own_schedules() => None,
        (PatchIntent::Schedule(_), Some(PatchMode::AutomaticByPlatform)) => {
            Some(PreflightFinding::PlatformSchedules)
        }
        (PatchIntent::Schedule(_), mode) => {
            Some(PreflightFinding::PatchMode { mode: mode.clone() })
        }
        (PatchIntent::OnDemand, Some(PatchMode::AutomaticByPlatform)) => {
            Some(PreflightFinding::PatchedByPlatform)
        }
        (PatchIntent::OnDemand, Some(PatchMode::AutomaticByOs)) => {
            Some(PreflightFinding::PatchedBySystem)
        }
        (PatchIntent::OnDemand, _) => None,
    }
}

fn schedules(
    machine: &Machine,
    intent: &PatchIntent,
    survey: &Survey,
    findings: &mut Vec<PreflightFinding>,
) {
    let attached = match survey.attached(&machine.node) {
        Ok(attached) => attached,
        Err(error) => {
            findings.push(PreflightFinding::unread("its schedules", &error));
            return;
        }
    };
    // A machine may have one by several assignments.
    let mut attached: BTreeMap<String, &Assignment> =
        attached.into_iter().map(|it| (it.configuration_key(), it)).collect();
    if let PatchIntent::Schedule(meant) = intent {
        let configuration = meant.clone();
        match attached.remove(&key_of(meant)) {
            None => findings.push(PreflightFinding::NotScheduled { configuration }),
            Some(own) if !own.timing.is_live() => {
                findings.push(PreflightFinding::NeverOpens { configuration });
            }
            Some(_) => {}
        }
    }
    let others = attached.into_values().filter(|it| it.timing.is_live());
    let others = others.map(|it| it.configuration.clone());
    findings.extend(others.map(|configuration| PreflightFinding::OtherSchedule { configuration }));
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use patchkit_core::{ManagedNode, OperatingSystem};

    use super::*;
    use crate::{Assignments, PatchSettings, Schedules, preflight::PreflightVerdict};

    /// A machine that runs, whose agent answers, and of whose patch settings nothing is said.
    fn vm(name: &str) -> Machine {
        let id = format!(
            "azure/s-1/westeurope//subscriptions/s-1/resourceGroups/web/providers\
             /Microsoft.Compute/virtualMachines/{name}"
        );
        let mut node =
            ManagedNode::new(id.parse().unwrap(), OperatingSystem::Ubuntu, Timestamp::UNIX_EPOCH);
        (node.power, node.reachability) = (PowerState::Running, Reachability::Online);
        Machine {
            node,
            kind: MachineKind::Vm,
            resource_group: "web".to_owned(),
            hardware_id: None,
            scale_set: None,
            priority: None,
            patching: PatchSettings {
                assessment: Some(AssessmentMode::AutomaticByPlatform),
                ..PatchSettings::default()
            },
        }
    }

    fn nothing() -> Survey {
        Survey::new(Ok(Assignments::default()))
    }

    fn nightly() -> PatchIntent {
        PatchIntent::Schedule("/x/nightly".to_owned())
    }

    fn found(machine: &Machine, intent: &PatchIntent) -> Vec<PreflightFinding> {
        let findings = judge(machine, intent, &nothing());
        let attached = |it: &PreflightFinding| !matches!(it, PreflightFinding::NotScheduled { .. });
        findings.into_iter().filter(attached).collect()
    }

    #[test]
    fn settings_are_judged_by_what_the_machine_is_meant_for() {
        use PreflightFinding as It;
        let mode = |mode: PatchMode| It::PatchMode { mode: Some(mode) };
        for (set, schedules, on_demand, scheduled) in [
            (None, Schedules::Platform, None, Some(It::PatchMode { mode: None })),
            (
                Some(PatchMode::AutomaticByPlatform),
                Schedules::Platform,
                Some(It::PatchedByPlatform),
                Some(It::PlatformSchedules),
            ),
            (Some(PatchMode::AutomaticByPlatform), Schedules::Own, None, None),
            (
                Some(PatchMode::AutomaticByOs),
                Schedules::Platform,
                Some(It::PatchedBySystem),
                Some(mode(PatchMode::AutomaticByOs)),
            ),
            (Some(PatchMode::Manual), Schedules::Own, None, Some(mode(PatchMode::Manual))),
            (
                Some(PatchMode::ImageDefault),
                Schedules::Platform,
                None,
                Some(mode(PatchMode::ImageDefault)),
            ),
        ] {
            let mut machine = vm("vm1");
            (machine.patching.mode, machine.patching.schedules) = (set.clone(), schedules);
            let one = |finding: Option<It>| finding.into_iter().collect::<Vec<_>>();
            assert_eq!(found(&machine, &PatchIntent::OnDemand), one(on_demand), "{set:?}");
            assert_eq!(found(&machine, &nightly()), one(scheduled), "{set:?}");
            machine.kind = MachineKind::Arc;
            assert_eq!(found(&machine, &nightly()), [], "an Arc machine needs none");
        }
    }

    #[test]
    fn a_machine_that_is_off_says_so_and_nothing_of_its_agent() {
        let mut machine = vm("vm1");
        for (power, reachability, verdict) in [
            (PowerState::Running, Reachability::Online, PreflightVerdict::Ready),
            (PowerState::Deallocated, Reachability::Inactive, PreflightVerdict::Blocked),
            (PowerState::Running, Reachability::Lost, PreflightVerdict::Blocked),
            (PowerState::Running, Reachability::Unknown, PreflightVerdict::Unclear),
            (PowerState::Unknown, Reachability::Online, PreflightVerdict::Unclear),
        ] {
            (machine.node.power, machine.node.reachability) = (power, reachability);
            let findings = found(&machine, &PatchIntent::OnDemand);
            let gravest = findings.iter().map(PreflightFinding::verdict).max();
            assert_eq!(gravest.unwrap_or(PreflightVerdict::Ready), verdict, "{findings:?}");
            assert!(findings.len() <= 1, "{findings:?}");
        }
    }

    #[test]
    fn an_instance_of_a_uniform_scale_set_is_not_patched() {
        let mut machine = vm("vm1");
        machine.kind = MachineKind::ScaleSetInstance;
        assert_eq!(judge(&machine, &nightly(), &nothing()), [PreflightFinding::Unpatchable]);
    }
}
