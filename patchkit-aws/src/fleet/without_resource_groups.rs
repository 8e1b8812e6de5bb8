//! What takes Resource Groups, where the crate is built without them: `Unsupported`, as the
//! capabilities say.

#![expect(clippy::unused_self, reason = "as with Resource Groups")]

use std::collections::BTreeSet;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{Error, ManagedNode, NodeSelector, ResourceGroupName, Result};

use crate::{Ssm, error::PROVIDER};

impl Ssm {
    pub(crate) fn in_resource_groups(
        &self,
        _: &BTreeSet<ResourceGroupName>,
        _: &NodeSelector,
    ) -> BoxStream<'static, Result<ManagedNode>> {
        stream::once(async { Err(Error::unsupported(PROVIDER, "resource groups")) }).boxed()
    }
}
