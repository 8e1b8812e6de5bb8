use patchkit_core::{ErrorKind, RebootPolicy};

use super::*;
use crate::{CommandNotification, OutputBucket, PatchHooks};

fn install() -> PatchRunbook {
    PatchRunbook::new(PatchAction::Install(RebootPolicy::IfRequired))
}

#[test]
fn the_runbook_that_installs_is_this_text() {
    let options = CommandOptions::default()
        .with_output(OutputBucket::new("patch-logs").with_prefix("runs"))
        .with_delivery_timeout(Duration::from_mins(10));
    let runbook = install().with_options(options).render().unwrap();
    insta::assert_snapshot!(runbook.content);
}

#[test]
fn the_runbook_that_scans_what_runs_is_this_text() {
    let scan = PatchRunbook::new(PatchAction::Scan).with_stopped(StoppedInstances::Leave);
    insta::assert_snapshot!(scan.render().unwrap().content);
}

#[test]
fn another_content_has_another_name_and_the_same_has_the_same() {
    let one = install().render().unwrap();
    assert_eq!(install().render().unwrap(), one);
    let other = install().with_command_timeout(Duration::from_hours(1)).render().unwrap();
    assert_ne!(other.name, one.name);
    // A document's name (service model, `DocumentName`).
    let legal = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    assert!(one.name.len() <= 128 && one.name.chars().all(legal), "{}", one.name);
}

#[test]
fn steps_lead_to_steps_that_are_there() {
    for stopped in [StoppedInstances::Start, StoppedInstances::Leave] {
        for action in [PatchAction::Scan, PatchAction::Install(RebootPolicy::Never)] {
            let runbook = PatchRunbook::new(action).with_stopped(stopped);
            let steps = runbook.steps().unwrap();
            for step in &steps {
                let failed = step.on_failure.and_then(|it| it.strip_prefix("step:"));
                for named in [failed, step.next].into_iter().flatten() {
                    assert!(steps.iter().any(|it| it.name == named), "{named}");
                }
            }
            assert!(steps.last().is_some_and(|it| it.is_end == Some(true)));
        }
    }
}

#[test]
fn what_a_runbook_cannot_keep_is_refused() {
    let options = CommandOptions::default;
    let notification = CommandNotification::new("arn:aws:sns:::t", "arn:aws:iam:::role/r");
    for wrong in [
        PatchRunbook::new(PatchAction::UpdateAgent),
        PatchRunbook::new(PatchAction::Scan)
            .with_options(options().with_hooks(PatchHooks::default())),
        install().with_options(options().with_notification(notification)),
        install().with_options(
            options().with_output(OutputBucket::new("logs").with_region("eu-west-1")),
        ),
        install().with_options(options().with_agent_version("{{ global:REGION }}")),
        install()
            .with_options(options().with_output(OutputBucket::new("logs").with_prefix("{{x}}"))),
        install().with_online_timeout(Duration::from_secs(1)),
        install().with_command_timeout(Duration::from_millis(60_500)),
    ] {
        assert_eq!(wrong.render().unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong:?}");
    }
}
