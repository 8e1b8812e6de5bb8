//! Accounts of an organization.

use patchkit_aws::{Accounts, OpenedEstate};

use super::{Scene, Told, told};
use crate::support::builder;

/// Fails for the first scope that was not opened.
fn whole(opened: &OpenedEstate) -> Told {
    if let Some(failure) = opened.failures.first() {
        return Err(failure.to_string());
    }
    assert_eq!(opened.scopes.len(), 2);
    Ok(())
}

/// All of them, and those of a unit; their Regions are those that are enabled.
pub(super) async fn open(scene: &Scene) -> Told {
    let organizations = aws_sdk_organizations::Client::new(&scene.free);
    let roots = organizations.list_roots().send().await.unwrap();
    let root = roots.roots()[0].id().unwrap();
    let base = Accounts::from_builder(builder(&scene.world)).with_role("patchkit");
    whole(&told(base.clone().with_organization().open().await)?)?;
    whole(&told(base.with_unit(root).open().await)?)
}
