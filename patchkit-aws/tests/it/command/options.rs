//! What is set for the commands of a handle: output, notification, overrides, hooks.

use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use patchkit_aws::{
    CommandEvent, CommandNotification, CommandOptions, NotifyPer, OutputBucket, OutputSource,
    PatchHooks,
};
use patchkit_core::{ErrorKind, Fleet, OperationStatus, PatchRequest};
use patchkit_testkit::cloud::World;

use super::{INSTALL, commands, ended, online, parameter, scan, token};
use crate::support::{REGION, one_scope, sdk, ssm};

fn s3(world: &Arc<World>) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(&sdk(world, REGION))
        .endpoint_url(&world.endpoints().s3_endpoint)
        .force_path_style(true)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

async fn put(world: &Arc<World>, bucket: &str, key: &str, text: &str) {
    world.ensure_bucket(bucket).unwrap();
    let body = ByteStream::from(text.as_bytes().to_vec());
    s3(world).put_object().bucket(bucket).key(key).body(body).send().await.unwrap();
}

#[tokio::test]
async fn output_is_read_back_from_the_bucket_that_the_command_was_sent_with() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    world.ensure_bucket("patch-logs").unwrap();
    let nodes = online(&world);
    let plain = ssm(&world).await;
    let output = OutputBucket::new("patch-logs").with_prefix("runs/2026").with_region(REGION);
    let logging = plain.with_command_options(CommandOptions::default().with_output(output));
    let id = logging.submit(scan("logged", &nodes[..2])).await.unwrap();
    ended(&world, &logging, &id).await;
    // The command itself tells where its output lies: any handle reads it.
    for ssm in [&logging, &plain] {
        for node in &nodes[..2] {
            let told = ssm.output(&id, node).await.unwrap();
            assert_eq!(told.source, OutputSource::Bucket);
            let summary = format!("Patch Summary for {}", node.resource());
            let step = told.steps.iter().find(|it| it.stdout.text.contains(&summary));
            let step = step.unwrap_or_else(|| panic!("{told:?}"));
            assert!(["PatchLinux", "PatchWindows", "PatchMacOS"].contains(&step.name.as_str()));
            assert!(!step.stdout.truncated);
        }
    }
}

#[tokio::test]
async fn output_without_a_bucket_is_what_the_service_keeps() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let ssm = ssm(&world).await;
    let id = ssm.submit(scan("kept", &nodes[..2])).await.unwrap();
    let error = ssm.output(&id, &nodes[0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "not told of yet: {}", error.report());
    ended(&world, &ssm, &id).await;
    let told = ssm.output(&id, &nodes[0]).await.unwrap();
    assert_eq!(told.source, OutputSource::Service);
    let summary = format!("Patch Summary for {}", nodes[0].resource());
    assert!(told.steps.iter().any(|it| it.stdout.text.contains(&summary)), "{told:?}");
    assert!(told.steps.iter().all(|it| !it.stdout.truncated && !it.stderr.truncated));
    let error = ssm.output(&id, &nodes[5]).await.unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::NotFound, Some(&nodes[5])));
}

#[tokio::test]
async fn output_that_could_not_be_stored_is_read_from_the_service() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    world.ensure_bucket("empty").unwrap();
    let ssm = ssm(&world).await;
    let options = CommandOptions::default().with_output(OutputBucket::new("empty"));
    let logging = ssm.with_command_options(options);
    let id = logging.submit(scan("unstored", &nodes[..1])).await.unwrap();
    ended(&world, &logging, &id).await;
    let client = s3(&world);
    let stored = client.list_objects_v2().bucket("empty").send().await.unwrap();
    for key in stored.contents().iter().filter_map(|it| it.key()) {
        client.delete_object().bucket("empty").key(key).send().await.unwrap();
    }
    assert_eq!(ssm.output(&id, &nodes[0]).await.unwrap().source, OutputSource::Service);
}

#[tokio::test]
async fn an_install_override_list_brings_what_it_names_and_nothing_else() {
    let world = Arc::new(one_scope(60).start().await.unwrap());
    let lacking = |id: &str| world.node(id).unwrap().absent;
    let nodes = online(&world);
    let node = nodes.iter().find(|it| lacking(it.resource()).len() > 2).unwrap();
    let before = lacking(node.resource());
    put(&world, "lists", "one.yaml", &format!("patches:\n  - id: '{}'\n", before[0])).await;
    let options = CommandOptions::default().with_install_override_list("s3://lists/one.yaml");
    let ssm = ssm(&world).await.with_command_options(options);
    let request = PatchRequest::new(token("list"), vec![node.clone()], INSTALL);
    let id = ssm.submit(request).await.unwrap();
    let end = ended(&world, &ssm, &id).await;
    assert_eq!(end.status, OperationStatus::Succeeded, "{end:?}");
    let after = lacking(node.resource());
    let brought: Vec<_> = before.iter().filter(|it| !after.contains(it)).collect();
    assert_eq!(brought, [&before[0]]);
}

#[tokio::test]
async fn overrides_and_hooks_go_where_they_belong() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let plain = ssm(&world).await;
    let baseline = CommandOptions::default().with_baseline_override("s3://lists/baselines.json");
    let hooks = CommandOptions::default()
        .with_hooks(PatchHooks::default().with_pre_install("AWS-Noop").with_on_exit("AWS-Noop"));
    for (mark, options) in [("baseline", baseline), ("hooks", hooks)] {
        let ssm = plain.with_command_options(options);
        ssm.submit(scan(&format!("{mark}-scan"), &nodes[..1])).await.unwrap();
        let install = format!("{mark}-install");
        let request = PatchRequest::new(token(&install), nodes[1..2].to_vec(), INSTALL);
        ssm.submit(request).await.unwrap();
    }
    let sent = commands(&world).await;
    let told: Vec<_> = sent
        .iter()
        .rev()
        .map(|it| {
            (
                it.document_name().unwrap(),
                parameter(it, "BaselineOverride").is_some(),
                parameter(it, "OnExitHookDocName").is_some(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("AWS-RunPatchBaseline", true, false),
            ("AWS-RunPatchBaseline", true, false),
            ("AWS-RunPatchBaseline", false, false),
            ("AWS-RunPatchBaselineWithHooks", false, true),
        ]
    );
}

#[tokio::test]
async fn a_topic_is_told_of_commands_as_asked() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let topics = aws_sdk_sns::Client::new(&sdk(&world, REGION));
    let topic = topics.create_topic().name("patching").send().await.unwrap().topic_arn.unwrap();
    let tells =
        CommandNotification::new(&topic, "arn:aws:iam::111122223333:role/patchkit-notifications")
            .with_events([CommandEvent::Success])
            .with_per(NotifyPer::Node);
    let options = CommandOptions::default().with_notification(tells);
    let ssm = ssm(&world).await.with_command_options(options);
    let id = ssm.submit(scan("told", &nodes[..3])).await.unwrap();
    ended(&world, &ssm, &id).await;
    let messages = world.messages();
    assert_eq!(messages.len(), 3, "{messages:?}");
}

#[tokio::test]
async fn an_agent_is_brought_to_the_version_that_is_set() {
    let world = Arc::new(one_scope(20).start().await.unwrap());
    let nodes = online(&world);
    let options = CommandOptions::default().with_agent_version("3.3.1230.0");
    let ssm = ssm(&world).await.with_command_options(options);
    let update = patchkit_core::PatchAction::UpdateAgent;
    ssm.submit(PatchRequest::new(token("agent"), nodes[..1].to_vec(), update)).await.unwrap();
    let sent = commands(&world).await;
    assert_eq!(parameter(&sent[0], "version").as_deref(), Some("3.3.1230.0"));
}
