//! What AWS carries out by itself: windows, associations, runbooks.

use futures::TryStreamExt;
use patchkit_aws::{
    PatchAssociation, PatchRunbook, PatchTask, PatchWindow, RunbookRun, RunbookTarget,
    ScheduleTarget, StopMode,
};
use patchkit_core::PatchAction;

use super::{Scene, Told, told};

const ROLE: &str = "arn:aws:iam::111122223333:role/patchkit-hybrid-node";

pub(super) async fn schedule(scene: &Scene) -> Told {
    let ssm = &scene.ssm;
    let scan = || PatchTask::new(PatchAction::Scan);
    let web = || ScheduleTarget::patch_group("web");
    let window = PatchWindow::new("scan-web", "cron(0 4 ? * SUN *)".parse().unwrap(), scan())
        .with_role(ROLE)
        .with_target(web());
    let id = told(ssm.create_window(&window, &"one".parse().unwrap()).await)?;
    assert_eq!(told(ssm.window(&id).await)?.window, window);
    told(ssm.windows().try_collect::<Vec<_>>().await)?;
    told(ssm.delete_window(&id).await)?;

    let daily = PatchAssociation::new("scan-web", web(), scan())
        .with_schedule("cron(15 4 ? * * *)".parse().unwrap());
    let id = told(ssm.create_association(&daily).await)?;
    assert_eq!(told(ssm.association(&id).await)?, daily);
    told(ssm.delete_association(&id).await)
}

/// With a role: what the runbook itself does is done under that role's policies.
pub(super) async fn automate(scene: &Scene) -> Told {
    let ssm = &scene.ssm;
    let runbook = PatchRunbook::new(PatchAction::Scan).render().unwrap();
    for _ in 0..2 {
        told(ssm.register_runbook(&runbook).await)?;
    }
    let target = RunbookTarget::nodes([scene.running.clone()]);
    let run = RunbookRun::new(&runbook, "one".parse().unwrap(), target).with_role(ROLE);
    let id = told(ssm.start_runbook(&run).await)?;
    told(ssm.automation(&id).await)?;
    told(ssm.automation_steps(&id).try_collect::<Vec<_>>().await)?;
    told(ssm.automation_children(&id).try_collect::<Vec<_>>().await)?;
    told(ssm.stop_automation(&id, StopMode::Now).await)?;
    told(ssm.deregister_runbook(&runbook).await)
}
