//! The accounts of an organization.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use aws_sdk_organizations::types::{Account, AccountState, AccountStatus};
use futures::{TryStreamExt, stream::BoxStream};
use patchkit_core::{AccountId, Result, paginate};

use crate::{client::Client, error::PROVIDER};

/// Which accounts of the organization.
#[derive(Clone, Debug)]
pub(super) enum Members {
    /// All of them.
    All,
    /// Those in a root or an organizational unit, and in the units below it.
    Under(String),
}

/// API reference, ListAccounts.
const MOST: i32 = 20;

/// The active accounts.
pub(super) async fn accounts(client: &Arc<Client>, members: &Members) -> Result<Vec<AccountId>> {
    let all: Vec<Account> = match members {
        Members::All => every_account(client).try_collect().await?,
        Members::Under(parent) => {
            let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
            let mut left = VecDeque::from([parent.clone()]);
            while let Some(parent) = left.pop_front() {
                if seen.insert(parent.clone()) {
                    all.extend(accounts_of(client, &parent).try_collect::<Vec<_>>().await?);
                    left.extend(units_of(client, &parent).try_collect::<Vec<_>>().await?);
                }
            }
            all
        }
    };
    let active = all.iter().filter(|it| is_active(it));
    active.filter_map(Account::id).map(AccountId::new).collect()
}

/// `Status` is retired, and in older partitions alone.
fn is_active(account: &Account) -> bool {
    match account.state() {
        Some(state) => *state == AccountState::Active,
        None => account.status() == Some(&AccountStatus::Active),
    }
}

fn every_account(client: &Arc<Client>) -> BoxStream<'static, Result<Account>> {
    let client = Arc::clone(client);
    paginate(PROVIDER, "ListAccounts", move |token| {
        let client = Arc::clone(&client);
        async move {
            let most = client.page.within(1, MOST);
            let request = client.organizations().list_accounts().max_results(most);
            let request = request.set_next_token(token).send();
            let page = client.read("ListAccounts", request).await?;
            Ok((page.accounts.unwrap_or_default(), page.next_token))
        }
    })
}

fn accounts_of(client: &Arc<Client>, parent: &str) -> BoxStream<'static, Result<Account>> {
    let (client, parent) = (Arc::clone(client), parent.to_owned());
    paginate(PROVIDER, "ListAccountsForParent", move |token| {
        let (client, parent) = (Arc::clone(&client), parent.clone());
        async move {
            let most = client.page.within(1, MOST);
            let request = client.organizations().list_accounts_for_parent().max_results(most);
            let request = request.parent_id(parent).set_next_token(token).send();
            let page = client.read("ListAccountsForParent", request).await?;
            Ok((page.accounts.unwrap_or_default(), page.next_token))
        }
    })
}

fn units_of(client: &Arc<Client>, parent: &str) -> BoxStream<'static, Result<String>> {
    let (client, parent) = (Arc::clone(client), parent.to_owned());
    paginate(PROVIDER, "ListOrganizationalUnitsForParent", move |token| {
        let (client, parent) = (Arc::clone(&client), parent.clone());
        async move {
            let most = client.page.within(1, MOST);
            let units = client.organizations().list_organizational_units_for_parent();
            let request = units.max_results(most).parent_id(parent).set_next_token(token).send();
            let page = client.read("ListOrganizationalUnitsForParent", request).await?;
            let units = page.organizational_units.unwrap_or_default();
            Ok((units.into_iter().filter_map(|unit| unit.id).collect(), page.next_token))
        }
    })
}
