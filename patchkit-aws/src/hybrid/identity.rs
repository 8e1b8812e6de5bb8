//! What hybrid nodes' own inventory tells of the machines behind them.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use aws_sdk_ssm::operation::list_inventory_entries::ListInventoryEntriesError;
use futures::{StreamExt, TryStreamExt, stream};
use patchkit_core::{Error, MachineIdentity, NodeId, PerNode, Result, paginate};

use crate::{
    Ssm,
    client::Client,
    error::{PROVIDER, malformed},
};

const LIST: &str = "ListInventoryEntries";

/// Most items on a page (botocore ssm model: MaxResults 1..50).
const PAGE: (i32, i32) = (1, 50);

/// How many nodes are read at once. The budget paces the calls; this bounds memory.
const AT_ONCE: usize = 4;

type Rows = Vec<HashMap<String, String>>;

impl Ssm {
    /// Reads which machines nodes are out of an inventory type of one's own, which is evidence of
    /// the links of a [`LinkedFleet`](patchkit_core::LinkedFleet::with_inventory).
    ///
    /// The type's attributes are those of Azure's instance metadata: `vmId`, `vmUuid` (the uuid that
    /// the firmware shows; compared for Arc machines), `resourceId`.
    ///
    /// # Behavior
    /// - One call for each node: no operation returns a custom type of many nodes (GetInventory: "not
    ///   supported. Supported type names are: AWS:InstanceInformation, AWS:PatchSummary").
    /// - The identity of a node that does not report the type is empty.
    ///
    /// # Errors
    /// Per node: `Malformed` (what it reports cannot be read, or two rows say different things),
    /// `NotFound` (the node is not managed here), `PermissionDenied`, `Throttled`.
    pub async fn identities(&self, nodes: &[NodeId], type_name: &str) -> PerNode<MachineIdentity> {
        let nodes: Vec<NodeId> = nodes.to_vec();
        stream::iter(nodes)
            .map(|node| async {
                let identity = self.identity(&node, type_name).await;
                let identity = identity.map_err(|error| error.with_node(node.clone()));
                (node, identity)
            })
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    async fn identity(&self, node: &NodeId, type_name: &str) -> Result<MachineIdentity> {
        if node.scope() != self.scope() {
            return Err(Error::not_found(PROVIDER, LIST, "the node"));
        }
        let rows = self.client.inventory_rows(node.resource(), type_name).await?;
        let mut identity = MachineIdentity::default();
        for row in &rows {
            agree(&mut identity.vm_id, row, "vmId")?;
            agree(&mut identity.smbios_uuid, row, "vmUuid")?;
            agree(&mut identity.resource_id, row, "resourceId")?;
        }
        Ok(identity)
    }
}

impl Client {
    async fn inventory_rows(self: &Arc<Self>, id: &str, type_name: &str) -> Result<Rows> {
        let client = Arc::clone(self);
        let (id, type_name) = (id.to_owned(), type_name.to_owned());
        let rows = paginate(PROVIDER, LIST, move |token| {
            let client = Arc::clone(&client);
            let request = client
                .ssm()
                .list_inventory_entries()
                .instance_id(&id)
                .type_name(&type_name)
                .max_results(client.page.within(PAGE.0, PAGE.1))
                .set_next_token(token);
            async move {
                let page = client.read(LIST, async {
                    match request.send().await {
                        Ok(page) => Ok(Some(page)),
                        // No node of the account reports the type.
                        Err(error)
                            if error.as_service_error().is_some_and(
                                ListInventoryEntriesError::is_invalid_type_name_exception,
                            ) =>
                        {
                            Ok(None)
                        }
                        Err(error) => Err(error),
                    }
                });
                let Some(page) = page.await? else { return Ok((Vec::new(), None)) };
                Ok((page.entries.unwrap_or_default(), page.next_token))
            }
        });
        rows.try_collect().await
    }
}

/// Takes an attribute; a node that says two different things of itself is believed in neither.
fn agree<T: FromStr + PartialEq>(
    known: &mut Option<T>,
    row: &HashMap<String, String>,
    attribute: &str,
) -> Result<()> {
    let Some(text) = row.get(attribute).filter(|text| !text.is_empty()) else { return Ok(()) };
    let unreadable = |why: &str| {
        let shown: String = text.chars().take(64).collect();
        malformed(LIST, format!("{attribute} {shown:?} {why}"))
    };
    let told = text.parse().map_err(|_| unreadable("cannot be read"))?;
    match known {
        Some(known) if *known != told => Err(unreadable("is not what another row says")),
        _ => {
            *known = Some(told);
            Ok(())
        }
    }
}
