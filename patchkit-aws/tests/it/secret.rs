//! What is secret is in no log, no error and no `Debug`.

use std::{error::Error as StdError, sync::Arc};

use futures::{StreamExt, TryStreamExt};
use patchkit_aws::{Accounts, CallBudget, Ssm};
use patchkit_core::{Error, Fleet, NodeSelector, PatchAction, PatchRequest};
use patchkit_testkit::cloud::{Fault, FaultKind, NodeSpec, World};

use crate::{
    log::Log,
    support::{ACCOUNT, REGION, one_scope, sdk},
    wire::Wire,
};

const OTHER_ACCOUNT: &str = "222233334444";
const EXTERNAL_ID: &str = "hush-external-id-7f3c";

/// All that an error shows: itself, its causes and what `Debug` makes of it.
fn shown(error: &Error) -> String {
    let mut text = vec![format!("{error} {error:?} {error:#?} {}", error.report())];
    let mut cause = error.source();
    while let Some(it) = cause {
        text.push(format!("{it} {it:?}"));
        cause = it.source();
    }
    text.join("\n")
}

/// What stands between two marks of an answer.
fn between(bodies: &[String], from: &str, to: &str) -> Vec<String> {
    let found = bodies.iter().filter_map(|body| body.split_once(from)?.1.split_once(to));
    found.map(|(text, _)| text.to_owned()).collect()
}

async fn world() -> Arc<World> {
    let world = one_scope(0).aws_account(OTHER_ACCOUNT).start().await.unwrap();
    for account in [ACCOUNT, OTHER_ACCOUNT] {
        let spec = NodeSpec::ec2(patchkit_core::OperatingSystem::Ubuntu, account, REGION);
        world.add_node(&spec).unwrap();
    }
    Arc::new(world)
}

/// Opens accounts, lists, sends, and meets what goes wrong on each of these ways; everything that
/// could show a secret is kept as text.
async fn show_everything(world: &Arc<World>, wire: &Wire) -> String {
    let sdk = sdk(world, REGION).to_builder().http_client(wire.clone()).build();
    let ssm = Ssm::builder(&sdk).with_clock(world.clock()).with_budget(CallBudget::unlimited());
    let mut shows = vec![format!("{ssm:?} {ssm:#?}")];
    let accounts = Accounts::from_builder(ssm)
        .with_role("patchkit")
        .with_external_id(EXTERNAL_ID)
        .with_accounts([ACCOUNT, OTHER_ACCOUNT].map(|it| it.parse().unwrap()))
        .with_regions([REGION.parse().unwrap()]);
    shows.push(format!("{accounts:?} {accounts:#?}"));
    for kind in [FaultKind::Truncate, FaultKind::Deny, FaultKind::FailAfter, FaultKind::CutAfter] {
        let number = world.add_fault(Fault::new(kind).on("AssumeRole")).unwrap();
        let opened = accounts.clone().open().await.unwrap();
        assert_eq!(opened.failures.len(), 1, "{kind:?}");
        shows.push(format!("{} {:?} {opened:?}", opened.failures[0], opened.failures[0]));
        world.remove_fault(number);
    }
    let opened = accounts.open().await.unwrap();
    assert!(opened.failures.is_empty(), "{:?}", opened.failures);
    shows.push(format!("{opened:?} {:?}", opened.scopes));
    let nodes = opened.estate.nodes(&NodeSelector::all());
    let nodes: Vec<_> = nodes.map_ok(|node| node.id).try_collect().await.unwrap();
    assert_eq!(nodes.len(), 2);
    for kind in [FaultKind::Deny, FaultKind::Truncate, FaultKind::CutAfter, FaultKind::Throttle] {
        let number = world.add_fault(Fault::new(kind)).unwrap();
        let mut rows = opened.estate.nodes(&NodeSelector::all());
        while let Some(row) = rows.next().await {
            shows.push(shown(&row.unwrap_err()));
        }
        world.remove_fault(number);
        let number = world.add_fault(Fault::new(kind).on("SendCommand")).unwrap();
        for node in &nodes {
            let token = format!("{kind:?}-{}", node.resource()).parse().unwrap();
            let scan = PatchRequest::new(token, vec![node.clone()], PatchAction::Scan);
            shows.push(shown(&opened.estate.submit(scan).await.unwrap_err()));
        }
        world.remove_fault(number);
    }
    shows.join("\n")
}

#[tokio::test]
async fn no_key_no_token_and_no_external_id_is_in_a_log_an_error_or_a_debug() {
    let world = world().await;
    let (wire, log) = (Wire::new(|_| ()), Log::default());
    let shows = {
        let _guard = tracing::subscriber::set_default(log.clone());
        show_everything(&world, &wire).await
    };
    let logged = log.text();
    assert!(logged.contains("SendCommand") && logged.len() > 10_000, "{}", logged.len());
    let keys = between(&wire.bodies(), "<SecretAccessKey>", "</SecretAccessKey>");
    let mut secrets = wire.tokens();
    assert!(!keys.is_empty() && !secrets.is_empty());
    secrets.extend(keys);
    secrets.push(world.endpoints().credentials[0].secret_access_key.clone());
    secrets.push(EXTERNAL_ID.to_owned());
    secrets.sort();
    secrets.dedup();
    for secret in &secrets {
        assert!(secret.len() >= 16, "{secret}");
        assert!(!shows.contains(secret.as_str()), "{secret} is shown");
        let line = logged.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "{secret} is logged");
    }
}
