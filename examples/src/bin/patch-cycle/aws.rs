//! The AWS side: accounts and Regions as one estate, and a topic that is told.

use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig, meta::region::RegionProviderChain};
use clap::Args as ClapArgs;
#[cfg(feature = "azure")]
use futures::StreamExt;
use patchkit_aws::{Accounts, CommandOptions, OpenedEstate, OutputBucket, Ssm, Topic};
use patchkit_core::{AccessGrant, AccountId, Clock, Region, workflow::AccessMode};
#[cfg(feature = "azure")]
use patchkit_core::{Fleet, MachineIdentity, NodeId, NodeOrigin, NodeSelector};
use patchkit_examples::printable;

#[cfg(feature = "azure")]
use super::progress::Bars;
use super::{clouds::is_on_this_machine, cycle::Ended};

/// AWS in place of the fleet in memory, by the usual credential chain.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "AWS")]
pub(crate) struct AwsArgs {
    /// Patch AWS accounts, by Systems Manager
    #[arg(long, group = "clouds", conflicts_with_all = ["seed", "nodes"])]
    pub(crate) aws: bool,
    /// The endpoint of all services but S3
    #[arg(long, value_name = "URL", requires = "aws")]
    endpoint_url: Option<String>,
    /// The endpoint of S3
    #[arg(long, value_name = "URL", requires = "aws")]
    s3_endpoint_url: Option<String>,
    /// The accounts; the caller's own where none is named
    #[arg(long, value_delimiter = ',', value_name = "ID,…", requires = "aws")]
    accounts: Vec<AccountId>,
    /// All active accounts of the caller's organization
    #[arg(long, requires = "aws")]
    organization: bool,
    /// The role that is assumed in every account but the caller's own
    #[arg(long, value_name = "NAME", requires = "aws")]
    role: Option<String>,
    /// The external id that the role asks for
    #[arg(long, value_name = "ID", requires = "aws")]
    external_id: Option<String>,
    /// The Regions; all that are enabled where none is named
    #[arg(long, value_delimiter = ',', value_name = "NAME,…", requires = "aws")]
    regions: Vec<Region>,
    /// The instance profile for instances that have none; roles that lack permissions then get
    /// AmazonSSMManagedInstanceCore. Without it access is only checked
    #[arg(long, value_name = "NAME", requires = "aws")]
    instance_profile: Option<String>,
    /// An SNS topic that is told of nodes that are not compliant, and of how the run ended
    #[arg(long, value_name = "ARN", requires = "aws")]
    topic: Option<String>,
    /// The S3 bucket that the output of scans and installs is written to, in full
    #[arg(long, value_name = "NAME", requires = "aws")]
    log_bucket: Option<String>,
    /// With --azure: an inventory type of hybrid nodes, such as Custom:AzureInstance, whose vmId,
    /// vmUuid and resourceId tell which machines they are. One call for each hybrid node
    #[cfg(feature = "azure")]
    #[arg(long, value_name = "TYPE", requires_all = ["aws", "azure"])]
    pub(crate) inventory_type: Option<String>,
}

impl AwsArgs {
    /// Whether the other end can only be a simulator: AWS takes no plain HTTP.
    pub(crate) fn is_simulated(&self) -> bool {
        self.endpoint_url.as_deref().is_some_and(is_on_this_machine)
    }

    pub(crate) async fn sdk(&self) -> SdkConfig {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(region) = self.regions.first() {
            loader = loader.region(aws_config::Region::new(region.as_str().to_owned()));
        } else if self.is_simulated() {
            // Any Region of a simulator tells which ones there are.
            loader = loader.region(RegionProviderChain::default_provider().or_else("us-east-1"));
        }
        Box::pin(loader.load()).await
    }

    pub(crate) async fn open(
        &self,
        sdk: &SdkConfig,
        clock: &Arc<dyn Clock>,
    ) -> patchkit_core::Result<OpenedEstate> {
        let mut ssm = Ssm::builder(sdk).with_clock(Arc::clone(clock));
        if let Some(url) = self.s3_endpoint_url.as_ref().or(self.endpoint_url.as_ref()) {
            ssm = ssm.with_s3_endpoint(url);
        }
        let mut accounts = Accounts::from_builder(ssm)
            .with_accounts(self.accounts.iter().cloned())
            .with_regions(self.regions.iter().cloned());
        if self.organization {
            accounts = accounts.with_organization();
        }
        if let Some(role) = &self.role {
            accounts = accounts.with_role(role);
        }
        if let Some(id) = &self.external_id {
            accounts = accounts.with_external_id(id);
        }
        if let Some(bucket) = &self.log_bucket {
            let output = OutputBucket::new(bucket).with_prefix("patch-cycle");
            accounts = accounts.with_command_options(CommandOptions::default().with_output(output));
        }
        Box::pin(accounts.open()).await
    }

    /// The topic, reached in its own Region with the caller's credentials.
    pub(crate) async fn topic(
        &self,
        sdk: &SdkConfig,
    ) -> Result<Option<Topic>, Box<dyn std::error::Error>> {
        let Some(arn) = &self.topic else { return Ok(None) };
        let region = arn.split(':').nth(3).filter(|region| !region.is_empty());
        let region = region.ok_or_else(|| format!("--topic: {arn:?} is no ARN of an SNS topic"))?;
        let there = sdk.to_builder().region(aws_config::Region::new(region.to_owned())).build();
        Ok(Some(Box::pin(Ssm::builder(&there).build()).await?.topic(arn)?))
    }

    /// What is done about instances without access.
    pub(crate) fn access(&self) -> AccessMode {
        match &self.instance_profile {
            Some(profile) => AccessMode::Fix(
                AccessGrant::new(profile).with_policy("AmazonSSMManagedInstanceCore"),
            ),
            None => AccessMode::Check,
        }
    }
}

/// What hybrid nodes' own inventory says of the machines that they are. What cannot be read is told:
/// such a node is linked by other evidence, or not at all.
#[cfg(feature = "azure")]
pub(crate) async fn identities(
    scopes: &[Ssm],
    type_name: &str,
    bars: &Bars,
) -> Vec<(NodeId, MachineIdentity)> {
    let mut known = Vec::new();
    for ssm in scopes {
        let nodes = ssm.nodes(&NodeSelector::all());
        let hybrid = nodes.filter_map(async |node| match node {
            Ok(node) => (node.origin == NodeOrigin::Hybrid).then_some(node.id),
            Err(error) => {
                bars.say(&printable(&error.report()));
                None
            }
        });
        let hybrid: Vec<NodeId> = hybrid.collect().await;
        for (node, identity) in ssm.identities(&hybrid, type_name).await {
            match identity {
                Ok(identity) => known.push((node, identity)),
                Err(error) => bars.say(&printable(&error.report())),
            }
        }
    }
    known
}

/// Whether the topic was told all that there is to tell. What was done is done: a message that
/// did not get through changes the exit code, no more.
pub(crate) async fn tell(topic: &Topic, ended: &Ended) -> bool {
    let mut told = Vec::new();
    if let Some(scan) = &ended.scan {
        told.push(topic.scan_ended(scan).await.map(drop));
    }
    if let Some(report) = &ended.patched {
        told.push(topic.run_ended(report).await.map(drop));
    }
    for error in told.iter().filter_map(|it| it.as_ref().err()) {
        eprintln!("the topic was not told: {}", printable(&error.report()));
    }
    told.iter().all(Result::is_ok)
}
