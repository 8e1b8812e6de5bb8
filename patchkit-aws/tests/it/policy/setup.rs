//! Setups and resource data syncs.

use std::time::Duration;

use futures::TryStreamExt;
use patchkit_aws::{
    LakeDestination, LakeExpectation, LakeOwner, LakeSyncCreation, ManagedRule, RuleRemediation,
    SetupOptions, SetupReport, SetupState, StepResult, TagGroup,
};

use super::{Scene, Told, told};
use crate::support::{ACCOUNT, REGION};

fn lake() -> LakeDestination {
    LakeDestination::new("central-lake", REGION.parse().unwrap()).with_prefix("inventory")
}

/// All that a setup can have.
async fn options(scene: &Scene) -> SetupOptions {
    let ec2 = aws_sdk_ec2::Client::new(&scene.free);
    let vpcs = ec2.describe_vpcs().send().await.unwrap();
    let lake = LakeOwner::new(ACCOUNT.parse().unwrap(), LakeExpectation::new(lake()));
    let role = "arn:aws:iam::111122223333:role/remediator";
    let start = RuleRemediation::new(ManagedRule::ManagedByAgent, "AWS-StartEC2Instance", role);
    SetupOptions::new()
        .with_log_bucket("logs-{account}-{region}")
        .with_lake(lake)
        .with_role("fleet-node")
        .with_hybrid_role("hybrid-fleet")
        .with_vpc(vpcs.vpcs()[0].vpc_id().unwrap())
        .with_group(TagGroup::new("web", "PatchGroup", ["web".to_owned()]))
        .with_topic("patching")
        .with_rule(ManagedRule::PatchCompliance)
        .with_remediation(start)
        .with_inventory("rate(12 hours)")
}

/// Fails for the first item that could not be read.
fn read(report: SetupReport) -> Told<SetupReport> {
    for finding in &report.findings {
        if let SetupState::Unknown { error } | SetupState::Wrong { why: error } = &finding.state {
            return Err(format!("{}: {error}", finding.item));
        }
    }
    Ok(report)
}

/// What is there costs other calls than what is missing.
pub(super) async fn check(scene: &Scene) -> Told {
    let options = options(scene).await;
    let missing = read(scene.ssm.check_setup(&options).await)?;
    assert!(!missing.is_complete());
    let free = scene.free().await;
    let made = free.fix_setup(&free.check_setup(&options).await).await.unwrap();
    let failed = |result: &StepResult| matches!(result, StepResult::Failed { .. });
    assert!(!made.iter().any(|it| failed(&it.result)), "{made:#?}");
    // What a role allows is known for half a minute.
    scene.world.advance(Duration::from_mins(1));
    let report = read(scene.ssm.check_setup(&options).await)?;
    assert!(report.is_complete(), "{report:#?}");
    Ok(())
}

pub(super) async fn fix(scene: &Scene) -> Told {
    let ec2 = aws_sdk_ec2::Client::new(&scene.free);
    let endpoints = ec2.describe_vpc_endpoints().send().await.unwrap();
    let ids = endpoints.vpc_endpoints().iter().filter_map(|it| it.vpc_endpoint_id.clone());
    ec2.delete_vpc_endpoints().set_vpc_endpoint_ids(Some(ids.collect())).send().await.unwrap();
    let config = aws_sdk_config::Client::new(&scene.free);
    for rule in config.describe_config_rules().send().await.unwrap().config_rules() {
        let name = rule.config_rule_name().unwrap();
        config.delete_config_rule().config_rule_name(name).send().await.unwrap();
    }
    scene.world.advance(Duration::from_hours(1));
    let options = options(scene).await;
    let report = read(scene.ssm.check_setup(&options).await)?;
    for finding in &report.findings {
        assert_eq!(finding.state, SetupState::Missing, "{finding:?}");
    }
    for outcome in told(scene.ssm.fix_setup(&report).await)? {
        if let StepResult::Failed { error } = outcome.result {
            return Err(format!("{}: {error}", outcome.item));
        }
    }
    let report = read(scene.ssm.check_setup(&options).await)?;
    assert!(report.is_complete(), "{report:#?}");
    Ok(())
}

pub(super) async fn syncs(scene: &Scene) -> Told {
    told(scene.ssm.lake_syncs().try_collect::<Vec<_>>().await).map(drop)
}

pub(super) async fn make_syncs(scene: &Scene) -> Told {
    scene.world.ensure_bucket("central-lake").unwrap();
    for came in [LakeSyncCreation::Made, LakeSyncCreation::AlreadyThere] {
        assert_eq!(told(scene.ssm.create_lake_sync("central", &lake()).await)?, came);
    }
    told(scene.ssm.delete_lake_sync("central").await)
}
