//! What a command printed on a node: from the bucket it was sent with, else from Systems Manager.

use aws_sdk_ssm::types::{CommandInvocation, CommandPlugin};
use patchkit_core::{Error, NodeId, OperationId, Result};

use crate::{
    Ssm,
    error::{PROVIDER, invalid},
};

/// How much Systems Manager keeps of what a step printed, in characters (API reference,
/// GetCommandInvocation).
const KEPT_STDOUT: usize = 24_000;
const KEPT_STDERR: usize = 8_000;

/// What a command printed on one node. It comes from the node: untrusted, escape before showing.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct CommandOutput {
    /// Where it was read.
    pub source: OutputSource,
    /// The steps of the document that printed anything, or whose silence is known.
    pub steps: Vec<StepOutput>,
}

/// Where output was read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum OutputSource {
    /// From the bucket that the command was sent with: all of it.
    Bucket,
    /// From Systems Manager, which keeps the first 24,000 characters of a step, and 8,000 of its
    /// errors, for thirty days.
    Service,
}

/// What one step of a document printed on one node.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct StepOutput {
    /// The step: `PatchLinux`.
    pub name: String,
    /// What it printed.
    pub stdout: OutputText,
    /// What it printed as errors.
    pub stderr: OutputText,
}

/// A text, and whether it is all there is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct OutputText {
    /// The text, from its beginning; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// Whether there was, or may have been, more.
    pub truncated: bool,
}

impl OutputText {
    /// A text of the service's, which is cut at so many characters without a word.
    fn of_service(text: Option<&str>, kept: usize) -> Self {
        let text = text.unwrap_or_default().to_owned();
        let truncated = text.chars().count() >= kept;
        Self { text, truncated }
    }
}

impl Ssm {
    /// Reads what a command printed on one of its nodes.
    ///
    /// # Behavior
    /// - Where the command was sent with a bucket and the feature `s3` is on, from there, 4 MiB of
    ///   each text at most. Where nothing lies there (the node may not write to it, or has not yet),
    ///   and otherwise, from Systems Manager.
    /// - Texts that were cut say so.
    ///
    /// # Errors
    /// `NotFound` (no such command, or not on this node, or not told of yet), `InvalidInput` (a node
    /// of another scope), `PermissionDenied`, `Throttled`.
    pub async fn output(&self, id: &OperationId, node: &NodeId) -> Result<CommandOutput> {
        if node.scope() != self.scope() {
            return Err(invalid(
                "GetCommandInvocation",
                format!("node {node} is of another scope"),
            ));
        }
        #[cfg(feature = "s3")]
        if let Some(steps) = Box::pin(self.stored_output(id, node)).await? {
            return Ok(CommandOutput { source: OutputSource::Bucket, steps });
        }
        let steps = self.kept_output(id, node).await?;
        Ok(CommandOutput { source: OutputSource::Service, steps })
    }

    async fn kept_output(&self, id: &OperationId, node: &NodeId) -> Result<Vec<StepOutput>> {
        let invocation = self.invocation(id, node).await?;
        let mut steps = Vec::new();
        // A step without a time has not run: it printed nothing.
        let ran = |step: &&CommandPlugin| step.response_start_date_time().is_some();
        for step in invocation.command_plugins().iter().filter(ran) {
            let request = self
                .client
                .ssm()
                .get_command_invocation()
                .command_id(id.as_str())
                .instance_id(node.resource())
                .set_plugin_name(step.name().map(str::to_owned))
                .send();
            let told = self
                .client
                .read("GetCommandInvocation", request)
                .await
                .map_err(|error| error.with_node(node.clone()))?;
            steps.push(StepOutput {
                name: step.name().unwrap_or_default().to_owned(),
                stdout: OutputText::of_service(told.standard_output_content(), KEPT_STDOUT),
                stderr: OutputText::of_service(told.standard_error_content(), KEPT_STDERR),
            });
        }
        Ok(steps)
    }

    /// The act on one node, with its steps.
    async fn invocation(&self, id: &OperationId, node: &NodeId) -> Result<CommandInvocation> {
        let request = self
            .client
            .ssm()
            .list_command_invocations()
            .command_id(id.as_str())
            .instance_id(node.resource())
            .details(true)
            .send();
        let answer = self
            .client
            .read("ListCommandInvocations", request)
            .await
            .map_err(|error| error.with_node(node.clone()))?;
        let mut rows = answer.command_invocations.unwrap_or_default().into_iter();
        rows.find(|row| row.instance_id() == Some(node.resource())).ok_or_else(|| {
            let what = format!("an invocation of command {id}");
            Error::not_found(PROVIDER, "ListCommandInvocations", what).with_node(node.clone())
        })
    }
}

#[cfg(feature = "s3")]
mod stored {
    use std::{collections::BTreeMap, sync::Arc};

    use aws_sdk_s3::config::{Builder, Region};
    use futures::TryStreamExt;
    use patchkit_core::{ErrorKind, NodeId, OperationId, Result, paginate};

    use super::{OutputText, StepOutput};
    use crate::{
        Ssm,
        error::{PROVIDER, malformed},
    };

    /// The most that is read of one text: a node may print without end.
    const MOST_BYTES: u64 = 4 * 1_024 * 1_024;

    impl Ssm {
        /// What lies in the command's bucket of this node; none where there is no bucket, or nothing.
        pub(super) async fn stored_output(
            &self,
            id: &OperationId,
            node: &NodeId,
        ) -> Result<Option<Vec<StepOutput>>> {
            let command = self.one_command(id).await?;
            let Some(bucket) = command.output_s3_bucket_name().filter(|name| !name.is_empty())
            else {
                return Ok(None);
            };
            let region = command.output_s3_region().filter(|name| !name.is_empty());
            let place = Place { bucket: bucket.to_owned(), region: region.map(str::to_owned) };
            let prefix = command.output_s3_key_prefix().unwrap_or_default().trim_matches('/');
            let slash = if prefix.is_empty() { "" } else { "/" };
            // `<prefix>/<command>/<node>/<plugin>/<step>/stdout`: user guide, "Run Command"; what
            // stands between the node and the name differs from document to document.
            let folder = format!("{prefix}{slash}{id}/{}/", node.resource());
            let mut steps: BTreeMap<String, StepOutput> = BTreeMap::new();
            let keys = match self.keys(&place, folder.clone()).await {
                // The bucket is gone by now.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                keys => keys?,
            };
            for key in keys {
                let Some((step, name)) = key[folder.len()..].rsplit_once('/') else { continue };
                if name != "stdout" && name != "stderr" {
                    continue;
                }
                let text = self.text(&place, &key).await?;
                let entry = steps.entry(step.to_owned()).or_insert_with(|| StepOutput {
                    name: step.rsplit('/').next().unwrap_or(step).to_owned(),
                    stdout: OutputText::default(),
                    stderr: OutputText::default(),
                });
                if name == "stdout" {
                    entry.stdout = text;
                } else {
                    entry.stderr = text;
                }
            }
            Ok(Some(steps.into_values().collect()).filter(|steps: &Vec<_>| !steps.is_empty()))
        }

        async fn keys(&self, place: &Place, folder: String) -> Result<Vec<String>> {
            let (client, place) = (Arc::clone(&self.client), place.clone());
            let listed = paginate(PROVIDER, "ListObjectsV2", {
                let folder = folder.clone();
                move |token| {
                    let client = Arc::clone(&client);
                    let request = client
                        .s3()
                        .list_objects_v2()
                        .bucket(&place.bucket)
                        .prefix(&folder)
                        .set_continuation_token(token)
                        .customize()
                        .config_override(place.config());
                    async move {
                        let answer = client.read("ListObjectsV2", request.send()).await?;
                        let token = answer.next_continuation_token;
                        Ok((answer.contents.unwrap_or_default(), token))
                    }
                }
            });
            let keys = listed.try_filter_map(|object| std::future::ready(Ok(object.key)));
            // What lies elsewhere was not asked for.
            keys.try_filter(|key| std::future::ready(key.starts_with(&folder))).try_collect().await
        }

        async fn text(&self, place: &Place, key: &str) -> Result<OutputText> {
            let request = self
                .client
                .s3()
                .get_object()
                .bucket(&place.bucket)
                .key(key)
                .range(format!("bytes=0-{}", MOST_BYTES - 1))
                .customize()
                .config_override(place.config());
            let answer = self.client.read("GetObject", request.send()).await?;
            // `bytes 0-4194303/9000000`
            let whole = answer.content_range().and_then(|range| range.rsplit_once('/'));
            let whole = whole.and_then(|(_, total)| total.parse::<u64>().ok());
            let body = answer.body.collect().await;
            let body = body.map_err(|error| {
                malformed("GetObject", "the object broke off").with_source(error)
            })?;
            let text = String::from_utf8_lossy(&body.into_bytes()).into_owned();
            Ok(OutputText { text, truncated: whole.is_some_and(|total| total > MOST_BYTES) })
        }
    }

    /// A bucket, and its Region where that is another than the client's.
    #[derive(Clone)]
    struct Place {
        bucket: String,
        region: Option<String>,
    }

    impl Place {
        fn config(&self) -> Builder {
            let config = aws_sdk_s3::Config::builder();
            match &self.region {
                Some(region) => config.region(Region::new(region.clone())),
                None => config,
            }
        }
    }
}
