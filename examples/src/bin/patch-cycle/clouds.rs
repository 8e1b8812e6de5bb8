//! The cycle on real clouds, or on their simulators: AWS, Azure, or both as one fleet.

mod time;

use std::{io::Write, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Args as ClapArgs;
use futures::TryStreamExt;
#[cfg(feature = "azure")]
use patchkit_azure::Addresses;
use patchkit_core::{
    Clock, ErrorKind, Estate, Journal, NodeSelector, RunLine, RunState, Runs, SystemClock,
    memory::MemoryJournal,
    workflow::{AccessMode, Limits, PatchPlan, Runner, TagMode},
};
#[cfg(all(feature = "aws", feature = "azure"))]
use patchkit_core::{LinkedFleet, workflow::OtherPatchers};
use patchkit_examples::{Exit, Failure, printable};
use patchkit_journal::SqliteJournal;

use self::time::SimulatedTime;
#[cfg(feature = "aws")]
use super::aws::{self, AwsArgs};
#[cfg(feature = "azure")]
use super::azure::AzureArgs;
use super::{
    Args, Format,
    cycle::{AfterPlan, BeforePlan, Scene, options, say_drift, show},
    progress::Bars,
    report,
};

/// A fleet of a cloud in place of the one in memory. The plan is printed first; without --yes that is
/// all that is done, except on a simulator, which is an endpoint of http:// on this machine.
#[derive(Debug, ClapArgs)]
pub(crate) struct CloudArgs {
    #[cfg(feature = "aws")]
    #[command(flatten)]
    aws: AwsArgs,
    #[cfg(feature = "azure")]
    #[command(flatten)]
    azure: AzureArgs,
    /// Patch: machines are started, updated, and reboot. Without it the plan is printed, and that is
    /// all that is done, except on a simulator: an endpoint of http:// on this machine
    #[arg(long, requires = "clouds", conflicts_with = "plan_only", help_heading = "Clouds")]
    yes: bool,
    /// sim-cloud's control endpoint: time is then that of the simulated world, at its speed. Without
    /// it a simulator is given a sixtieth of the usual time for each step
    #[arg(long, value_name = "URL", requires = "clouds", help_heading = "Clouds")]
    control_url: Option<String>,
    /// Where what is done is written down before it is done: a SQLite file, patch-cycle.db where none is
    /// named; for simulators memory
    #[arg(long, value_name = "FILE", requires = "clouds", help_heading = "Clouds")]
    journal: Option<PathBuf>,
    /// Carry runs of the journal that died to their end, and do nothing else
    #[arg(long, requires = "clouds", conflicts_with = "plan_only", help_heading = "Clouds")]
    resume: bool,
    /// Only nodes with this tag; may be given several times
    #[arg(
        long,
        value_name = "KEY=VALUE",
        value_parser = tag,
        requires = "clouds",
        help_heading = "Clouds"
    )]
    tag: Vec<(String, String)>,
    /// Which stopped machines are started, and stopped again afterwards
    #[arg(
        long,
        value_name = "KEY=VALUE",
        value_parser = tag,
        default_value = "PatchStart=yes",
        help_heading = "Clouds"
    )]
    start_tag: (String, String),
    /// Patch a machine as a node of one cloud although the other may patch it too: by a schedule there,
    /// or because it cannot be told whether they are one. Without it such a machine is left alone
    #[cfg(all(feature = "aws", feature = "azure"))]
    #[arg(long, requires_all = ["aws", "azure"], help_heading = "Clouds")]
    allow_other_patchers: bool,
    /// How long the first wave is watched before the second; 15, and 0 on a simulator
    #[arg(long, value_name = "MINUTES", requires = "clouds", help_heading = "Clouds")]
    bake: Option<u64>,
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a tag is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Whether plain HTTP leads no further than to this machine.
pub(crate) fn is_on_this_machine(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

impl CloudArgs {
    /// Whether a cloud is asked for at all.
    pub(crate) fn any(&self) -> bool {
        self.asked().iter().any(|(asked, _)| *asked)
    }

    /// Whether no real machine is behind any endpoint.
    fn is_simulated(&self) -> bool {
        self.asked().iter().all(|(asked, simulated)| !asked || *simulated)
    }

    /// Of each cloud, whether it is asked for, and whether it is a simulator.
    fn asked(&self) -> Vec<(bool, bool)> {
        vec![
            #[cfg(feature = "aws")]
            (self.aws.aws, self.aws.is_simulated()),
            #[cfg(feature = "azure")]
            (self.azure.azure, self.azure.is_simulated()),
        ]
    }

    /// Beside AWS, the addresses of Azure's machines tell which of them are nodes there too.
    #[cfg(feature = "azure")]
    fn addresses(&self) -> Addresses {
        #[cfg(feature = "aws")]
        if self.aws.aws {
            return Addresses::OfInterfaces;
        }
        Addresses::default()
    }

    fn open_journal(&self, clock: &Arc<dyn Clock>) -> patchkit_core::Result<Arc<dyn Journal>> {
        let default = (!self.is_simulated()).then(|| PathBuf::from("patch-cycle.db"));
        Ok(match self.journal.clone().or(default) {
            Some(path) => Arc::new(SqliteJournal::open(&path, Arc::clone(clock))?),
            None => Arc::new(MemoryJournal::new(Arc::clone(clock))),
        })
    }

    fn access(&self) -> AccessMode {
        #[cfg(feature = "aws")]
        if self.aws.aws {
            return self.aws.access();
        }
        AccessMode::Check
    }
}

/// What could not be opened is told, and changes the exit code.
struct Opened {
    /// AWS, then Azure.
    estates: [Option<Estate>; 2],
    whole: bool,
}

impl Opened {
    fn take(
        &mut self,
        side: usize,
        estate: Estate,
        failures: impl IntoIterator<Item = String>,
        bars: &Bars,
    ) {
        for failure in failures {
            bars.say(&printable(&failure));
            self.whole = false;
        }
        bars.say(&format!("{} scopes", estate.scopes().count()));
        if let Some(place) = self.estates.get_mut(side) {
            *place = Some(estate);
        }
    }
}

pub(crate) async fn run(
    args: &Args,
    out: &mut impl Write,
) -> Result<Exit, Box<dyn std::error::Error>> {
    let clouds = &args.clouds;
    let bars = Bars::new();
    let clock: Arc<dyn Clock> = match &clouds.control_url {
        Some(url) => Arc::new(SimulatedTime::ask(url)?),
        None => Arc::new(SystemClock),
    };
    let mut opened = Opened { estates: [None, None], whole: true };
    #[cfg(feature = "aws")]
    let mut topic = None;
    #[cfg(all(feature = "aws", feature = "azure"))]
    let mut identities = Vec::new();
    #[cfg(feature = "aws")]
    if clouds.aws.aws {
        let sdk = clouds.aws.sdk().await;
        // A topic that cannot be told is known before anything is done.
        topic = clouds.aws.topic(&sdk).await?;
        let aws = clouds.aws.open(&sdk, &clock).await?;
        #[cfg(feature = "azure")]
        if let Some(type_name) = &clouds.aws.inventory_type {
            identities = aws::identities(&aws.scopes, type_name, &bars).await;
        }
        opened.take(0, aws.estate, aws.failures.iter().map(ToString::to_string), &bars);
    }
    #[cfg(feature = "azure")]
    if clouds.azure.azure {
        let azure = clouds.azure.open(&clock, clouds.addresses()).await?;
        opened.take(1, azure.estate, azure.failures.iter().map(ToString::to_string), &bars);
    }

    let journal = clouds.open_journal(&clock)?;
    let runs = Runs::new(Arc::clone(&journal), Arc::clone(&clock));
    let began = clock.now();
    let mut runner = match opened.estates {
        #[cfg(all(feature = "aws", feature = "azure"))]
        [Some(aws), Some(azure)] => {
            let fleet = LinkedFleet::new(aws, azure).with_inventory(identities);
            tell_links(&fleet, &bars).await?;
            Runner::new(fleet.clone(), fleet, journal, clock)
        }
        [Some(estate), _] | [None, Some(estate)] => {
            Runner::new(estate.clone(), estate, journal, clock)
        }
        [None, None] => return Ok(Exit::Clean),
    };
    if clouds.is_simulated() && clouds.control_url.is_none() {
        runner = runner.with_limits(hurried());
    }

    if let Some(exit) = left_over(&runs, &runner, clouds, &bars).await? {
        return Ok(exit);
    }
    let chosen = clouds
        .tag
        .iter()
        .fold(NodeSelector::all(), |chosen, (key, value)| chosen.with_tag(key, [value]));
    let bake = clouds.bake.unwrap_or(if clouds.is_simulated() { 0 } else { 15 });
    let (key, value) = &clouds.start_tag;
    let options = options(chosen, Duration::from_secs(bake.saturating_mul(60)))
        .with_start(NodeSelector::all().with_tag(key, [value]));
    #[cfg(all(feature = "aws", feature = "azure"))]
    let options = if clouds.allow_other_patchers {
        options.with_other_patchers(OtherPatchers::Allow)
    } else {
        options
    };
    let before_plan = if args.saved.applies() { BeforePlan::Nothing } else { BeforePlan::Look };
    // What is known already makes a plan, and finding it out changes nothing.
    let plan: PatchPlan = match args.saved.plan()? {
        Some(plan) => plan,
        None => Box::pin(runner.plan_patch(&options)).await?,
    };
    let nodes = plan.nodes.len() + plan.skipped.len();
    if args.plan_only || !(clouds.yes || clouds.is_simulated()) {
        show(args, out, &plan)?;
        return tell_plan(args, out, &runner, &plan, &bars).await;
    }
    if before_plan == BeforePlan::Look {
        show(args, out, &plan)?;
    }
    let scene = Scene {
        runner,
        bars,
        options,
        nodes,
        access: clouds.access(),
        // A tag decides who patches, pays and gets access: an example adds none.
        tags: TagMode::Check,
        before_plan,
        after_plan: AfterPlan::Patch,
        began: Some(began),
    };
    let ended = scene.run(args, out).await?;
    let clean = opened.whole;
    #[cfg(feature = "aws")]
    let clean = match topic {
        Some(topic) => aws::tell(&topic, &ended).await && clean,
        None => clean,
    };
    Ok(if clean { ended.exit } else { Exit::Findings })
}

/// Ends with a plan that is not carried out.
async fn tell_plan(
    args: &Args,
    out: &mut impl Write,
    runner: &Runner,
    plan: &PatchPlan,
    bars: &Bars,
) -> Result<Exit, Box<dyn std::error::Error>> {
    args.saved.keep(plan, bars)?;
    if args.saved.applies() {
        say_drift(runner, plan, bars).await?;
    }
    if args.format == Format::Json {
        report::json(out, plan, None)?;
    }
    if !args.plan_only {
        bars.say("nothing was done; --yes does it");
    }
    Ok(Exit::Clean)
}

/// What runs of this journal that died have left: carried to its end where that is asked for, and
/// otherwise nothing is begun beside it.
async fn left_over(
    runs: &Runs,
    runner: &Runner,
    clouds: &CloudArgs,
    bars: &Bars,
) -> Result<Option<Exit>, Box<dyn std::error::Error>> {
    let lines: Vec<RunLine> = runs.list().try_collect().await?;
    let dead: Vec<&RunLine> = lines.iter().filter(|line| line.state == RunState::Dead).collect();
    if !clouds.resume {
        let Some(line) = dead.first() else { return Ok(None) };
        let message = format!("run {} died and holds its nodes: --resume ends it", line.head.run);
        return Err(Failure::new(message).into());
    }
    let mut exit = Exit::Clean;
    for line in &dead {
        let run = &line.head.run;
        let whole = match Box::pin(runner.resume(run)).await {
            Ok(report) => {
                bars.say(&printable(&report.to_string()));
                report.is_clean()
            }
            // A scan or a check: it is ended, and the next one finds what it did not.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                let recovery = Box::pin(runner.recover(run)).await?;
                bars.say(&format!("run {run} was ended"));
                recovery.undo_failed.is_empty()
            }
            Err(error) => return Err(error.into()),
        };
        if !whole {
            exit = Exit::Findings;
        }
    }
    bars.say(&format!("{} runs were dead", dead.len()));
    Ok(Some(exit))
}

/// Which machines are known to both clouds, and which may be.
#[cfg(all(feature = "aws", feature = "azure"))]
async fn tell_links(fleet: &LinkedFleet, bars: &Bars) -> patchkit_core::Result<()> {
    let survey = fleet.links().await?;
    let links = &survey.links;
    bars.say(&format!(
        "{} machines are nodes of both clouds; {} may be, {} are ambiguous, {} links are out of date",
        links.linked.len(),
        links.candidates.len(),
        links.ambiguous.len(),
        links.stale.len(),
    ));
    Ok(())
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

    #[test]
    fn only_plain_http_on_this_machine_is_a_simulator() {
        assert!(is_on_this_machine("http://127.0.0.1:4000"));
        assert!(is_on_this_machine("http://localhost:4000/"));
        assert!(is_on_this_machine("http://[::1]:4000"));
        assert!(!is_on_this_machine("https://127.0.0.1:4000"));
        assert!(!is_on_this_machine("https://vpce-1.ssm.eu-west-1.vpce.amazonaws.com"));
        assert!(!is_on_this_machine("http://127.0.0.1.example.com"));
        assert!(!is_on_this_machine("http://localhost.example.com:80"));
        assert!(!is_on_this_machine("http://10.0.0.1:4000"));
    }

    fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(["patch-cycle"].iter().chain(arguments))
    }

    #[cfg(feature = "aws")]
    #[test]
    fn a_plan_alone_and_yes_exclude_each_other() {
        assert!(parse(&["--aws", "--yes", "--plan-only"]).is_err());
        assert!(parse(&["--yes"]).is_err());
        assert!(parse(&["--aws", "--seed", "3"]).is_err());
        assert!(!parse(&["--aws"]).unwrap().clouds.is_simulated());
    }

    #[cfg(all(feature = "aws", feature = "azure"))]
    #[test]
    fn one_real_cloud_makes_the_fleet_real() {
        let local = ["--endpoint-url", "http://127.0.0.1:1"];
        let both = [&["--aws", "--azure"], &local[..]].concat();
        assert!(!parse(&both).unwrap().clouds.is_simulated());
        let both = [&both[..], &["--azure-endpoint", "http://127.0.0.1:2"]].concat();
        assert!(parse(&both).unwrap().clouds.is_simulated());
    }

    #[cfg(feature = "azure")]
    #[test]
    fn azure_alone_is_a_fleet() {
        let args = parse(&["--azure", "--azure-endpoint", "http://127.0.0.1:2"]).unwrap();
        assert!(args.clouds.any() && args.clouds.is_simulated());
        assert!(parse(&["--subscriptions", "one"]).is_err());
        assert!(!parse(&[]).unwrap().clouds.any());
    }
}
