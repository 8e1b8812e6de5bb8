//! The tags of machines, by the Tags API alone: it does not touch the machine itself, and needs no more
//! rights than those on tags.

use azure_core::http::Method;
use patchkit_core::{NodeId, Result, TagChange, TagEdit, Tags};
use serde_json::json;

use crate::{
    UpdateManager,
    client::Client,
    convert,
    error::{Call, invalid},
    limit::Charge,
};

const GET: &str = "Tags_GetAtScope";
const UPDATE: &str = "Tags_UpdateAtScope";
const VERSION: &str = "2021-04-01";

/// As many as a resource can have ("Use tags to organize your Azure resources", limitations).
const MOST: usize = 50;

#[derive(Clone, Copy, Debug)]
enum Edit {
    Merge,
    Delete,
}

impl UpdateManager {
    pub(crate) async fn merge_node_tags(&self, node: &NodeId, tags: &Tags) -> Result<TagChange> {
        let now = self.client.node_tags(node).await?;
        let change = TagChange::between(node.clone(), &now, &spelled(tags, &now));
        let added = change.set.iter().filter(|edit| edit.before.is_none()).count();
        if now.len() + added > MOST {
            let message = format!("it would have {} tags, and can have {MOST}", now.len() + added);
            return Err(invalid("merge_tags", message).with_node(node.clone()));
        }
        let set: Tags = change.set.iter().map(|it| (it.key.clone(), it.after.clone())).collect();
        self.client.edit_tags(node, Edit::Merge, &set).await?;
        Ok(change)
    }

    /// A tag that has been given another value since is someone else's: it stays.
    pub(crate) async fn revert_node_tags(&self, change: &TagChange) -> Result<()> {
        let node = &change.node;
        self.client.machine("revert_tags", node)?;
        if change.is_empty() {
            return Ok(());
        }
        let now = self.client.node_tags(node).await?;
        let ours = |edit: &&TagEdit| now.get(&edit.key) == Some(&edit.after);
        let (mut set, mut gone) = (Tags::new(), Tags::new());
        for edit in change.set.iter().filter(ours) {
            match &edit.before {
                Some(before) => set.insert(edit.key.clone(), before.clone()),
                None => gone.insert(edit.key.clone(), edit.after.clone()),
            };
        }
        self.client.edit_tags(node, Edit::Merge, &set).await?;
        self.client.edit_tags(node, Edit::Delete, &gone).await
    }
}

/// The tags under the names that are there: Azure has one tag for all spellings of a name, keeps that
/// of the first, and would be asked to put back what was never there.
fn spelled(wanted: &Tags, now: &Tags) -> Tags {
    let known = |key: &String| now.keys().find(|it| it.eq_ignore_ascii_case(key)).cloned();
    let named = |(key, value): (&String, &String)| {
        (known(key).unwrap_or_else(|| key.clone()), value.clone())
    };
    wanted.iter().map(named).collect()
}

impl Client {
    pub(crate) async fn node_tags(&self, node: &NodeId) -> Result<Tags> {
        let machine = self.machine("tags", node)?;
        let url =
            self.url(&format!("{machine}/providers/Microsoft.Resources/tags/default"), VERSION);
        let reply = self.get(GET, Charge::door(&machine.subscription), url).await;
        let tags = reply
            .and_then(|reply| reply.value(GET))
            .and_then(|body| convert::node::tags(GET, &body["properties"]["tags"]));
        tags.map_err(|error| error.with_node(node.clone()))
    }

    /// Merges or deletes tags, which comes to the same when it is done again.
    async fn edit_tags(&self, node: &NodeId, edit: Edit, tags: &Tags) -> Result<()> {
        if tags.is_empty() {
            return Ok(());
        }
        let machine = self.machine("tags", node)?;
        let url =
            self.url(&format!("{machine}/providers/Microsoft.Resources/tags/default"), VERSION);
        let operation = match edit {
            Edit::Merge => "Merge",
            Edit::Delete => "Delete",
        };
        let body = json!({"operation": operation, "properties": {"tags": tags}});
        let charge = Charge::door(&machine.subscription);
        let sent = self.send_json(Call::Read(UPDATE), charge, Method::Patch, url, &body).await;
        sent.map(drop).map_err(|error| error.with_node(node.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_merged_under_the_name_that_it_has() {
        let tags = |pairs: [(&str, &str); 1]| -> Tags {
            pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
        };
        assert_eq!(
            spelled(&tags([("OWNER", "bob")]), &tags([("Owner", "alice")])),
            tags([("Owner", "bob")])
        );
        assert_eq!(
            spelled(&tags([("Cost", "1")]), &tags([("Owner", "alice")])),
            tags([("Cost", "1")])
        );
    }
}
