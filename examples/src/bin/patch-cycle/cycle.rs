//! The cycle itself, against PatchKit's traits.

use std::{io::Write, time::Duration};

use jiff::Timestamp;
use patchkit_core::{
    AccessGrant, Amount, ComplianceStatus, NodeSelector, Rollout, RunId, VirtualClock, Wave,
    WaveMembers,
    memory::{MemoryCloud, MemoryJournal},
    workflow::{
        AccessMode, AccessOutcome, AccessReport, CancelToken, PatchOptions, PatchPlan,
        RequiredTags, RunReport, Runner, ScanReport, TagMode, TagOutcome, TagReport,
    },
};
use patchkit_examples::{Exit, printable};

use super::{Args, Format, progress::Bars, report};

/// When the fleet in memory begins to live.
const BEGINNING: &str = "2026-11-24T02:00:00Z";

/// What the cycle works on, and how far it goes.
pub(crate) struct Scene {
    pub(crate) runner: Runner,
    pub(crate) bars: Bars,
    pub(crate) options: PatchOptions,
    /// As many nodes as there are, or as are known of.
    pub(crate) nodes: usize,
    pub(crate) access: AccessMode,
    pub(crate) tags: TagMode,
    pub(crate) before_plan: BeforePlan,
    pub(crate) after_plan: AfterPlan,
    /// When the cycle began, where its runs are kept beside those of others.
    pub(crate) began: Option<Timestamp>,
}

/// What became of a cycle.
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    /// What was found before anything was done.
    #[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "nobody is told"))]
    pub(crate) scan: Option<ScanReport>,
    /// The run, where the plan was carried out.
    #[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "nobody is told"))]
    pub(crate) patched: Option<RunReport>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BeforePlan {
    Look,
    /// A saved plan says what was found.
    #[cfg_attr(
        not(any(feature = "aws", feature = "azure")),
        expect(dead_code, reason = "the fleet in memory is a new one each time")
    )]
    Nothing,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AfterPlan {
    Stop,
    Patch,
}

pub(crate) async fn in_memory(
    args: &Args,
    out: &mut impl Write,
) -> Result<Exit, Box<dyn std::error::Error>> {
    let clock = VirtualClock::automatic(BEGINNING.parse()?);
    let nodes = usize::try_from(args.nodes)?;
    let fleet = MemoryCloud::builder().seed(args.seed).nodes(nodes).clock(clock.clone()).build();
    let journal = MemoryJournal::new(clock.clone());
    let bars = Bars::new();
    let runner = Runner::new(fleet.clone(), fleet, journal, clock);
    let grant = AccessGrant::new("PatchKitNode").with_policy("AmazonSSMManagedInstanceCore");
    let after_plan = if args.plan_only { AfterPlan::Stop } else { AfterPlan::Patch };
    // What a reviewed plan does not say is not done.
    let (access, tags) = if args.plan_only || args.saved.applies() {
        (AccessMode::Check, TagMode::Check)
    } else {
        (AccessMode::Fix(grant), TagMode::Merge)
    };
    let options = options(NodeSelector::all(), Duration::from_mins(15));
    // This fleet is made anew by each process, and nobody has looked at it before.
    let before_plan = BeforePlan::Look;
    let began = None;
    let scene =
        Scene { runner, bars, options, nodes, access, tags, before_plan, after_plan, began };
    Ok(scene.run(args, out).await?.exit)
}

impl Scene {
    pub(crate) async fn run(
        self,
        args: &Args,
        out: &mut impl Write,
    ) -> Result<Ended, Box<dyn std::error::Error>> {
        let Self { runner, bars, options, nodes, access, tags, before_plan, after_plan, began } =
            self;
        let name = |workflow: &str| match began {
            Some(at) => RunId::new(format!("{workflow}-{}", at.strftime("%Y%m%dT%H%M%SZ"))),
            None => RunId::new(workflow),
        };
        let cancel = CancelToken::new();
        let runner = runner.with_observer(bars.observer()).with_cancel(cancel.clone());
        cancel_on_interrupt(cancel, &bars);
        let everyone = options.selector.clone();

        let mut scan = None;
        if before_plan == BeforePlan::Look {
            bars.phase("scan", nodes);
            let found = Box::pin(runner.scan(&name("scan")?, &everyone)).await?;
            bars.say(&scan_line(&found));
            scan = Some(found);

            bars.phase("access check", nodes);
            let run = name("access")?;
            let found = Box::pin(runner.check_access(&run, &everyone, &access)).await?;
            bars.say(&access_line(&found));

            bars.phase("tag check", nodes);
            let required =
                RequiredTags::new().with_default("Environment", "unassigned").with_name("Owner");
            let run = name("tags")?;
            let found = Box::pin(runner.check_tags(&run, &everyone, &required, tags)).await?;
            bars.say(&tag_line(&found));
        }

        let saved = args.saved.plan()?;
        let is_saved = saved.is_some();
        let plan = match saved {
            Some(plan) => plan,
            None => Box::pin(runner.plan_patch(&options)).await?,
        };
        show(args, out, &plan)?;
        args.saved.keep(&plan, &bars)?;
        if after_plan == AfterPlan::Stop {
            if is_saved {
                say_drift(&runner, &plan, &bars).await?;
            }
            bars.finish();
            if args.format == Format::Json {
                report::json(out, &plan, None)?;
            }
            return Ok(Ended { exit: Exit::Clean, scan, patched: None });
        }

        let run = name("patch")?;
        let ended = if is_saved {
            Box::pin(args.saved.apply(&runner, &run, &plan)).await?
        } else {
            let patched = Box::pin(runner.patch(&run, &plan)).await?;
            let again = Box::pin(plan_again(&runner, &options, &patched)).await?;
            if again.nodes.is_empty() {
                patched
            } else {
                show(args, out, &again)?;
                let report = Box::pin(runner.patch(&name("remediate")?, &again)).await?;
                bars.say(&format!("remediated: {} nodes were tried again", again.nodes.len()));
                report::merge(patched, report)
            }
        };
        bars.finish();
        match args.format {
            Format::Json => report::json(out, &plan, Some(&ended))?,
            Format::Table => report::tables(out, &ended)?,
        }
        let exit = if report::is_clean(&ended) { Exit::Clean } else { Exit::Findings };
        Ok(Ended { exit, scan, patched: Some(ended) })
    }
}

/// How the fleet differs from a saved plan.
pub(crate) async fn say_drift(
    runner: &Runner,
    plan: &PatchPlan,
    bars: &Bars,
) -> patchkit_core::Result<()> {
    let drift = Box::pin(runner.drift(plan)).await?;
    for line in drift.to_string().lines() {
        bars.say(&printable(line));
    }
    Ok(())
}

fn access_line(access: &AccessReport) -> String {
    let with = |outcome| access.nodes.iter().filter(|node| node.outcome == outcome).count();
    format!(
        "access: {} granted, {} fixed, {} missing, {} failed or unknown",
        with(AccessOutcome::Granted),
        with(AccessOutcome::Fixed),
        with(AccessOutcome::Missing),
        with(AccessOutcome::Failed) + with(AccessOutcome::Unknown),
    )
}

fn tag_line(tags: &TagReport) -> String {
    let with = |outcome| tags.nodes.iter().filter(|node| node.outcome == outcome).count();
    format!(
        "tags: {} complete, {} merged, {} missing, {} failed; {} tags in the export",
        with(TagOutcome::Complete),
        with(TagOutcome::Merged),
        with(TagOutcome::Missing),
        with(TagOutcome::Failed),
        tags.rows().count(),
    )
}

/// Two waves; what is off and tagged for it is started, and stopped again.
pub(crate) fn options(selector: NodeSelector, bake: Duration) -> PatchOptions {
    let canary = Wave::new("canary", WaveMembers::Amount(Amount::Percent(20))).with_bake(bake);
    let rollout = Rollout::new()
        .with_wave(canary)
        .with_wave(Wave::new("fleet", WaveMembers::Rest))
        .with_disruption(Amount::Percent(50))
        .with_errors(Amount::Percent(20));
    PatchOptions::new(selector)
        .with_start(NodeSelector::all().with_tag("PatchStart", ["yes"]))
        .with_rollout(rollout)
}

/// No plan is carried out before it was shown.
pub(crate) fn show(args: &Args, out: &mut impl Write, plan: &PatchPlan) -> std::io::Result<()> {
    if args.format == Format::Table {
        writeln!(out, "{}", report::plan(plan))?;
        out.flush()?;
    }
    Ok(())
}

/// Plans to patch once more what the run left not compliant.
async fn plan_again(
    runner: &Runner,
    options: &PatchOptions,
    ended: &RunReport,
) -> patchkit_core::Result<PatchPlan> {
    let left = ended
        .nodes
        .iter()
        .filter(|node| node.status_after == ComplianceStatus::NonCompliant)
        .map(|node| node.node.clone());
    let mut again = options.clone();
    again.selector = NodeSelector::ids(left);
    runner.plan_remediation(&again).await
}

fn scan_line(scan: &ScanReport) -> String {
    let with = |status| scan.nodes.iter().filter(|node| node.compliance.status == status).count();
    format!(
        "scan: {} compliant, {} not compliant, {} unknown",
        with(ComplianceStatus::Compliant),
        with(ComplianceStatus::NonCompliant),
        with(ComplianceStatus::Unknown),
    )
}

/// The first Ctrl-C stops the run in good order: what it started is put back.
fn cancel_on_interrupt(cancel: CancelToken, bars: &Bars) {
    let bars = bars.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            bars.say("stopping: what was started is put back");
            cancel.cancel();
        }
    });
}
