//! The accounts of an organization as one estate.

use std::collections::BTreeSet;

use patchkit_aws::OpenedEstate;
use patchkit_core::{AccountId, ErrorKind, Fleet, FleetExt, PowerTarget, Tags};

use crate::server::{ACCOUNT, REGION, Server};

// One test of it: at moto there is one organization, and making another one is refused.
on_both!(its_accounts_are_opened_by_a_role_and_worked_on, without_a_role_it_is_ones_own_account);

/// Moto has it, and does not let it be used without being asked; the simulated cloud has it not.
const NOT_ENABLED: &str = "ap-east-1";

fn accounts(opened: &OpenedEstate) -> Vec<AccountId> {
    let scopes: BTreeSet<AccountId> =
        opened.estate.scopes().map(|it| it.account().clone()).collect();
    assert_eq!(scopes.len(), opened.scopes.len(), "each once");
    scopes.into_iter().collect()
}

async fn its_accounts_are_opened_by_a_role_and_worked_on(server: &Server) {
    let organization = server.organization().await;
    let regions = [REGION.parse().unwrap(), NOT_ENABLED.parse().unwrap()];
    let asked = || server.accounts().with_external_id("hush").with_regions(regions.clone());
    let opened = asked().with_unit(&organization.unit).open().await.unwrap();
    assert_eq!(accounts(&opened), organization.in_unit);
    let opened = asked().with_organization().open().await.unwrap();
    assert_eq!(accounts(&opened), organization.accounts);
    let shut: Vec<_> = opened.failures.iter().map(|it| (it.account.clone(), it.kind)).collect();
    let each = organization.accounts.iter().map(|it| (it.clone(), ErrorKind::NotFound));
    assert_eq!(shut, each.collect::<Vec<_>>(), "{:?}", opened.failures);

    // A node of another account is reached by the role's session alone.
    let node = server.instance_in(&organization.in_unit[0], &[("Stage", "new")]).await;
    let tags: Tags = [("Stage".to_owned(), "patched".to_owned())].into();
    let change = opened.estate.merge_tags(&node, &tags).await.unwrap();
    assert_eq!(server.tags(&node).await, [("Stage".to_owned(), "patched".to_owned())]);
    opened.estate.revert_tags(&change).await.unwrap();
    assert_eq!(server.tags(&node).await, [("Stage".to_owned(), "new".to_owned())]);
    opened.estate.power(&node, PowerTarget::Stopped).await.unwrap();
    server.settle();
    assert_eq!(server.state(&node).await, "stopped");
    let here = format!("aws/{ACCOUNT}/{REGION}/{}", node.resource()).parse().unwrap();
    let error = opened.estate.power(&here, PowerTarget::Running).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "it is no node of the own account: {error}");
}

async fn without_a_role_it_is_ones_own_account(server: &Server) {
    assert_eq!(server.ssm().await.scope().account().as_str(), ACCOUNT);
    let opened = server.accounts().open().await.unwrap();
    assert!(opened.failures.is_empty(), "{:?}", opened.failures);
    let scopes: Vec<String> = opened.estate.scopes().map(ToString::to_string).collect();
    assert!(scopes.contains(&format!("aws/{ACCOUNT}/{REGION}")), "{scopes:?}");
    // DescribeRegions of moto lists what is not enabled too, where AWS's does not.
    assert!(!scopes.contains(&format!("aws/{ACCOUNT}/{NOT_ENABLED}")), "{scopes:?}");
    assert!(scopes.iter().all(|it| it.starts_with(&format!("aws/{ACCOUNT}/"))));
}
