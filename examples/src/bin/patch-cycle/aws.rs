//! The cycle on AWS: accounts and Regions as one estate.

mod time;

use std::{io::Write, net::IpAddr, sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, SdkConfig, meta::region::RegionProviderChain};
use clap::Args as ClapArgs;
use patchkit_aws::{Accounts, CommandOptions, OpenedEstate, OutputBucket, Ssm, Topic};
use patchkit_core::{
    AccessGrant, AccountId, Clock, NodeSelector, Region, SystemClock,
    memory::MemoryJournal,
    workflow::{AccessMode, Limits, PatchPlan, Runner, TagMode},
};
use patchkit_examples::{Exit, printable};

use self::time::SimulatedTime;
use super::{
    Args, Format,
    cycle::{AfterPlan, Ended, Scene, options, show},
    progress::Bars,
    report,
};

/// AWS in place of the fleet in memory, by the usual credential chain.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "AWS")]
pub(crate) struct AwsArgs {
    /// Patch AWS accounts. The plan is printed first; without --yes that is all that is done, except
    /// on a simulator, which is an --endpoint-url of http:// on this machine
    #[arg(long, conflicts_with_all = ["seed", "nodes"])]
    pub(crate) aws: bool,
    /// Patch: machines are started, updated, and reboot
    #[arg(long, requires = "aws", conflicts_with = "plan_only")]
    yes: bool,
    /// The endpoint of all services but S3
    #[arg(long, value_name = "URL", requires = "aws")]
    endpoint_url: Option<String>,
    /// The endpoint of S3
    #[arg(long, value_name = "URL", requires = "aws")]
    s3_endpoint_url: Option<String>,
    /// sim-cloud's control endpoint: time is then that of the simulated world, at its speed. Without
    /// it a simulator is given a sixtieth of the usual time for each step
    #[arg(long, value_name = "URL", requires = "endpoint_url")]
    control_url: Option<String>,
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
    /// Only nodes with this tag; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag, requires = "aws")]
    tag: Vec<(String, String)>,
    /// Which stopped instances are started, and stopped again afterwards
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag, default_value = "PatchStart=yes")]
    start_tag: (String, String),
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
    /// How long the first wave is watched before the second; 15, and 0 on a simulator
    #[arg(long, value_name = "MINUTES", requires = "aws")]
    bake: Option<u64>,
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a tag is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl AwsArgs {
    /// Whether the other end can only be a simulator: AWS takes no plain HTTP.
    fn is_simulated(&self) -> bool {
        let uri = self.endpoint_url.as_deref().and_then(|url| url.strip_prefix("http://"));
        let authority = uri.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }

    async fn sdk(&self) -> SdkConfig {
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

    async fn open(
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
    async fn topic(&self, sdk: &SdkConfig) -> Result<Option<Topic>, Box<dyn std::error::Error>> {
        let Some(arn) = &self.topic else { return Ok(None) };
        let region = arn.split(':').nth(3).filter(|region| !region.is_empty());
        let region = region.ok_or_else(|| format!("--topic: {arn:?} is no ARN of an SNS topic"))?;
        let there = sdk.to_builder().region(aws_config::Region::new(region.to_owned())).build();
        Ok(Some(Box::pin(Ssm::builder(&there).build()).await?.topic(arn)?))
    }
}

pub(crate) async fn run(
    args: &Args,
    out: &mut impl Write,
) -> Result<Exit, Box<dyn std::error::Error>> {
    let aws = &args.aws;
    let bars = Bars::new();
    let clock: Arc<dyn Clock> = match &aws.control_url {
        Some(url) => Arc::new(SimulatedTime::ask(url)?),
        None => Arc::new(SystemClock),
    };
    let sdk = aws.sdk().await;
    // A topic that cannot be told is known before anything is done.
    let topic = aws.topic(&sdk).await?;
    let opened = aws.open(&sdk, &clock).await?;
    for failure in &opened.failures {
        bars.say(&printable(&failure.to_string()));
    }
    bars.say(&format!("{} scopes", opened.scopes.len()));

    let chosen = aws
        .tag
        .iter()
        .fold(NodeSelector::all(), |chosen, (key, value)| chosen.with_tag(key, [value]));
    let bake = aws.bake.unwrap_or(if aws.is_simulated() { 0 } else { 15 });
    let (key, value) = &aws.start_tag;
    let options = options(chosen, Duration::from_secs(bake.saturating_mul(60)))
        .with_start(NodeSelector::all().with_tag(key, [value]));
    let estate = opened.estate;
    let journal = MemoryJournal::new(Arc::clone(&clock));
    let mut runner = Runner::new(estate.clone(), estate, journal, clock);
    if aws.is_simulated() && aws.control_url.is_none() {
        runner = runner.with_limits(hurried());
    }

    // What is known already makes a plan, and finding it out changes nothing.
    let plan: PatchPlan = Box::pin(runner.plan_patch(&options)).await?;
    show(args, out, &plan)?;
    let nodes = plan.nodes.len() + plan.skipped.len();
    if args.plan_only || !(aws.yes || aws.is_simulated()) {
        if args.format == Format::Json {
            report::json(out, &plan, None)?;
        }
        if !args.plan_only {
            bars.say("nothing was done; --yes does it");
        }
        return Ok(Exit::Clean);
    }
    let access = match &aws.instance_profile {
        Some(profile) => {
            AccessMode::Fix(AccessGrant::new(profile).with_policy("AmazonSSMManagedInstanceCore"))
        }
        None => AccessMode::Check,
    };
    let scene = Scene {
        runner,
        bars,
        options,
        nodes,
        access,
        // A tag decides who patches, pays and gets access: an example adds none.
        tags: TagMode::Check,
        after_plan: AfterPlan::Patch,
    };
    let ended = scene.run(args, out).await?;
    let mut clean = opened.failures.is_empty();
    if let Some(topic) = topic {
        clean &= tell(&topic, &ended).await;
    }
    Ok(if clean { ended.exit } else { Exit::Findings })
}

/// Whether the topic was told all that there is to tell. What was done is done: a message that
/// did not get through changes the exit code, no more.
async fn tell(topic: &Topic, ended: &Ended) -> bool {
    let mut told = vec![topic.scan_ended(&ended.scan).await.map(drop)];
    if let Some(report) = &ended.patched {
        told.push(topic.run_ended(report).await.map(drop));
    }
    for error in told.iter().filter_map(|it| it.as_ref().err()) {
        eprintln!("the topic was not told: {}", printable(&error.report()));
    }
    told.iter().all(Result::is_ok)
}

/// The usual limits by a clock that does not know that the world's goes sixty times as fast, as
/// `sim-cloud`'s does unless it is told otherwise.
fn hurried() -> Limits {
    let mut limits = Limits::default();
    let Limits { start, reachable, scan, update_agent, install, stop, consistency, .. } =
        &mut limits;
    for limit in [start, reachable, scan, update_agent, install, stop, consistency] {
        *limit = (*limit / 60).max(Duration::from_secs(20));
    }
    limits
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn simulated(url: &str) -> bool {
        let arguments = ["patch-cycle", "--aws", "--endpoint-url", url];
        Args::try_parse_from(arguments).unwrap().aws.is_simulated()
    }

    #[test]
    fn only_plain_http_on_this_machine_is_a_simulator() {
        assert!(simulated("http://127.0.0.1:4000"));
        assert!(simulated("http://localhost:4000/"));
        assert!(simulated("http://[::1]:4000"));
        assert!(!simulated("https://127.0.0.1:4000"));
        assert!(!simulated("https://vpce-1.ssm.eu-west-1.vpce.amazonaws.com"));
        assert!(!simulated("http://127.0.0.1.example.com"));
        assert!(!simulated("http://localhost.example.com:80"));
        assert!(!simulated("http://10.0.0.1:4000"));
        assert!(!Args::try_parse_from(["patch-cycle", "--aws"]).unwrap().aws.is_simulated());
    }

    #[test]
    fn a_plan_alone_and_yes_exclude_each_other() {
        assert!(Args::try_parse_from(["patch-cycle", "--aws", "--yes", "--plan-only"]).is_err());
        assert!(Args::try_parse_from(["patch-cycle", "--yes"]).is_err());
        assert!(Args::try_parse_from(["patch-cycle", "--aws", "--seed", "3"]).is_err());
    }
}
