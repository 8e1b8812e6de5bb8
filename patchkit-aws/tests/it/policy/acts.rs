//! What commands print and tell, compliance of other kinds, groups and hybrid nodes.

use std::time::Duration;

use futures::TryStreamExt;
use patchkit_aws::{
    ActivationRequest, CommandNotification, CommandOptions, ComplianceEntry, ComplianceKind,
    ComplianceUpload, OutputBucket, OutputSource,
};
use patchkit_core::{
    ComplianceStatus, Fleet, NodeId, NodeSelector, PatchAction, PatchRequest, SubmitToken,
    workflow::RunReport,
};
use patchkit_testkit::cloud::{Agent, NodeChange};
use serde_json::json;

use super::{Scene, Told, told};

const DAY: Duration = Duration::from_hours(24);
const ROLE: &str = "arn:aws:iam::111122223333:role/patchkit-hybrid-node";

fn scan(mark: &str, node: &NodeId) -> PatchRequest {
    PatchRequest::new(SubmitToken::new(mark).unwrap(), vec![node.clone()], PatchAction::Scan)
}

async fn topic(scene: &Scene) -> String {
    let sns = aws_sdk_sns::Client::new(&scene.free);
    sns.create_topic().name("patching").send().await.unwrap().topic_arn.unwrap()
}

/// A command's output lies in its bucket; without one Systems Manager keeps the beginning.
pub(super) async fn output(scene: &Scene) -> Told {
    scene.world.ensure_bucket("patch-logs").unwrap();
    let stored = CommandOptions::default().with_output(OutputBucket::new("patch-logs"));
    for (mark, options, source) in [
        ("kept", CommandOptions::default(), OutputSource::Service),
        ("stored", stored, OutputSource::Bucket),
    ] {
        let ssm = scene.ssm.with_command_options(options);
        let id = told(ssm.submit(scan(mark, &scene.running)).await)?;
        scene.world.advance(Duration::from_hours(1));
        assert!(told(ssm.operation(&id).await)?.status.is_final());
        assert_eq!(told(ssm.output(&id, &scene.running).await)?.source, source);
    }
    Ok(())
}

pub(super) async fn notified(scene: &Scene) -> Told {
    let notification = CommandNotification::new(topic(scene).await, ROLE);
    let options = CommandOptions::default().with_notification(notification);
    let ssm = scene.ssm.with_command_options(options);
    told(ssm.submit(scan("told", &scene.running)).await).map(drop)
}

pub(super) async fn notify(scene: &Scene) -> Told {
    let at = "2026-11-24T02:00:00Z";
    let report = json!({
        "run": "r-1", "started_at": at, "ended_at": at, "nodes": [], "undo_failed": [],
        "problems": ["one scope was away"],
    });
    let report: RunReport = serde_json::from_value(report).unwrap();
    let topic = told(scene.ssm.topic(topic(scene).await))?;
    told(topic.run_ended(&report).await).map(drop)
}

pub(super) async fn other_compliance(scene: &Scene) -> Told {
    let (ssm, node) = (&scene.ssm, &scene.running);
    let kind = ComplianceKind::custom("Antivirus").unwrap();
    let entry = ComplianceEntry::new("engine", ComplianceStatus::Compliant);
    let upload = ComplianceUpload::new(kind.clone(), [entry], scene.world.now());
    told(ssm.put_compliance(node, upload).await)?;
    told(ssm.compliance_items(node, &kind).try_collect::<Vec<_>>().await)?;
    told(ssm.compliance_by_kind(&NodeSelector::all()).try_collect::<Vec<_>>().await)?;
    let rules = told(ssm.config_rules().try_collect::<Vec<_>>().await)?;
    told(ssm.rule_results(&rules[0].name).try_collect::<Vec<_>>().await).map(drop)
}

pub(super) async fn group(scene: &Scene) -> Told {
    use aws_sdk_resourcegroups::types::{QueryType, ResourceQuery};

    let query = json!({
        "ResourceTypeFilters": ["AWS::EC2::Instance"],
        "TagFilters": [{"Key": "PatchGroup", "Values": ["web"]}],
    });
    let query = ResourceQuery::builder().r#type(QueryType::TagFilters10).query(query.to_string());
    let groups = aws_sdk_resourcegroups::Client::new(&scene.free);
    let made = groups.create_group().name("web").resource_query(query.build().unwrap());
    made.send().await.unwrap();
    let members: Vec<NodeId> = told(scene.ssm.resource_group_nodes("web").try_collect().await)?;
    assert_eq!(members, std::slice::from_ref(&scene.running));
    Ok(())
}

pub(super) async fn history(scene: &Scene) -> Told {
    let since = scene.world.now();
    scene.world.advance(DAY);
    let records = scene.ssm.compliance_history(&scene.running, since).try_collect::<Vec<_>>().await;
    told(records).map(drop)
}

pub(super) async fn hybrid(scene: &Scene) -> Told {
    told(scene.ssm.activations().try_collect::<Vec<_>>().await)?;
    told(scene.ssm.stale_nodes(DAY).try_collect::<Vec<_>>().await)?;
    let hybrid = std::slice::from_ref(&scene.hybrid);
    let answers = scene.ssm.identities(hybrid, "Custom:AzureInstance").await;
    answers.into_iter().try_for_each(|(_, answer)| told(answer).map(drop))
}

pub(super) async fn activate(scene: &Scene) -> Told {
    let request = ActivationRequest::new("patchkit-hybrid-node");
    let made = told(scene.ssm.create_activation(&request).await)?;
    told(scene.ssm.delete_activation(&made.id).await)?;
    let silent = NodeChange::new().with_agent(Agent::ConnectionLost);
    assert!(scene.world.change_node(scene.hybrid.resource(), &silent));
    scene.world.advance(3 * DAY);
    let answers = scene.ssm.deregister_stale(std::slice::from_ref(&scene.hybrid), DAY).await;
    answers.into_iter().try_for_each(|(_, answer)| told(answer))
}
