//! The association by which nodes gather their inventory.

use std::sync::Arc;

use aws_sdk_ssm::types::{Association, AssociationFilter, AssociationFilterKey, Target};
use futures::TryStreamExt;
use patchkit_core::{Result, paginate};

use super::{SetupFinding, SetupItem, SetupStep};
use crate::{
    client::Client,
    error::{PROVIDER, invalid},
};

const DOCUMENT: &str = "AWS-GatherSoftwareInventory";
const LIST: &str = "ListAssociations";
const CREATE: &str = "CreateAssociation";

/// The name of an association that a fix makes.
pub(super) const ASSOCIATION: &str = "PatchKit-Inventory";

/// Most items on a page (botocore ssm model: MaxResults 1..50).
const PAGE: (i32, i32) = (1, 50);

pub(super) async fn find(client: &Arc<Client>, schedule: &str) -> SetupFinding {
    match associations(client).await {
        Ok(seen) => judge(&seen, schedule),
        Err(error) => SetupFinding::unknown(SetupItem::Inventory, error.report()),
    }
}

/// Pure: what the associations with the inventory's document are worth.
///
/// A node takes one of them; a second one for all would be skipped on the nodes that have one
/// (Systems Manager user guide, "Configuring inventory collection"). So none is made beside others.
fn judge(seen: &[Association], schedule: &str) -> SetupFinding {
    let item = SetupItem::Inventory;
    if seen.is_empty() {
        let step = SetupStep::AssociateInventory { schedule: schedule.to_owned() };
        return SetupFinding::missing(item, vec![step]);
    }
    let for_all = |target: &Target| {
        target.key() == Some("InstanceIds") && target.values().iter().any(|it| it == "*")
    };
    if seen.iter().any(|it| it.targets().iter().any(for_all)) {
        return SetupFinding::present(item);
    }
    let why = format!("{} associations gather it, and none is for all nodes", seen.len());
    SetupFinding::wrong(item, why)
}

pub(super) async fn associations(client: &Arc<Client>) -> Result<Vec<Association>> {
    let client = Arc::clone(client);
    paginate(PROVIDER, LIST, move |token| {
        let client = Arc::clone(&client);
        async move {
            let filter = AssociationFilter::builder()
                .key(AssociationFilterKey::Name)
                .value(DOCUMENT)
                .build()
                .map_err(|error| invalid(LIST, error.to_string()))?;
            let request = client
                .ssm()
                .list_associations()
                .association_filter_list(filter)
                .max_results(client.page.within(PAGE.0, PAGE.1))
                .set_next_token(token);
            let page = client.read(LIST, request.send()).await?;
            Ok((page.associations.unwrap_or_default(), page.next_token))
        }
    })
    .try_collect()
    .await
}

pub(super) async fn associate(client: &Client, schedule: &str) -> Result<()> {
    let request = client
        .ssm_once()
        .create_association()
        .name(DOCUMENT)
        .association_name(ASSOCIATION)
        .targets(Target::builder().key("InstanceIds").values("*").build())
        .schedule_expression(schedule);
    client.write(CREATE, request.send()).await.map(drop)
}
