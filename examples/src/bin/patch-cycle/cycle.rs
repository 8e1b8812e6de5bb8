//! The cycle itself, against PatchKit's traits.

use std::{io::Write, time::Duration};

use patchkit_core::{
    AccessGrant, Amount, ComplianceStatus, NodeSelector, Rollout, RunId, VirtualClock, Wave,
    WaveMembers,
    memory::{MemoryCloud, MemoryJournal},
    workflow::{
        AccessMode, AccessOutcome, CancelToken, PatchOptions, PatchPlan, RequiredTags, RunReport,
        Runner, ScanReport, TagMode, TagOutcome,
    },
};
use patchkit_examples::Exit;

use super::{Args, Format, progress::Bars, report};

/// When the fleet in memory begins to live.
const BEGINNING: &str = "2026-11-24T02:00:00Z";

pub(crate) async fn run(
    args: &Args,
    out: &mut impl Write,
) -> Result<Exit, Box<dyn std::error::Error>> {
    let clock = VirtualClock::automatic(BEGINNING.parse()?);
    let nodes = usize::try_from(args.nodes)?;
    let fleet = MemoryCloud::builder().seed(args.seed).nodes(nodes).clock(clock.clone()).build();
    let journal = MemoryJournal::new(clock.clone());
    let bars = Bars::new();
    let cancel = CancelToken::new();
    let runner = Runner::new(fleet.clone(), fleet, journal, clock)
        .with_observer(bars.observer())
        .with_cancel(cancel.clone());
    cancel_on_interrupt(cancel, &bars);

    let everyone = NodeSelector::all();
    bars.phase("scan", nodes);
    let scan = runner.scan(&RunId::new("scan")?, &everyone).await?;
    bars.say(&scan_line(&scan));

    bars.phase("access check", nodes);
    let mode = if args.plan_only {
        AccessMode::Check
    } else {
        let grant = AccessGrant::new("PatchKitNode").with_policy("AmazonSSMManagedInstanceCore");
        AccessMode::Fix(grant)
    };
    let access = runner.check_access(&RunId::new("access")?, &everyone, &mode).await?;
    let with = |outcome| access.nodes.iter().filter(|node| node.outcome == outcome).count();
    bars.say(&format!(
        "access: {} granted, {} fixed, {} missing, {} failed or unknown",
        with(AccessOutcome::Granted),
        with(AccessOutcome::Fixed),
        with(AccessOutcome::Missing),
        with(AccessOutcome::Failed) + with(AccessOutcome::Unknown),
    ));

    bars.phase("tag check", nodes);
    let required = RequiredTags::new().with_default("Environment", "unassigned").with_name("Owner");
    let mode = if args.plan_only { TagMode::Check } else { TagMode::Merge };
    let tags = runner.check_tags(&RunId::new("tags")?, &everyone, &required, mode).await?;
    let with = |outcome| tags.nodes.iter().filter(|node| node.outcome == outcome).count();
    bars.say(&format!(
        "tags: {} complete, {} merged, {} missing, {} failed; {} tags in the export",
        with(TagOutcome::Complete),
        with(TagOutcome::Merged),
        with(TagOutcome::Missing),
        with(TagOutcome::Failed),
        tags.rows().count(),
    ));

    let options = options(everyone);
    let plan = runner.plan_patch(&options).await?;
    show(args, out, &plan)?;
    if args.plan_only {
        bars.finish();
        if args.format == Format::Json {
            report::json(out, &plan, None)?;
        }
        return Ok(Exit::Clean);
    }

    let patched = runner.patch(&RunId::new("patch")?, &plan).await?;
    let again = plan_again(&runner, &options, &patched).await?;
    let ended = if again.nodes.is_empty() {
        patched
    } else {
        show(args, out, &again)?;
        let report = runner.patch(&RunId::new("remediate")?, &again).await?;
        bars.say(&format!("remediated: {} nodes were tried again", again.nodes.len()));
        report::merge(patched, report)
    };
    bars.finish();
    match args.format {
        Format::Json => report::json(out, &plan, Some(&ended))?,
        Format::Table => report::tables(out, &ended)?,
    }
    Ok(if report::is_clean(&ended) { Exit::Clean } else { Exit::Findings })
}

/// Two waves; what is off and tagged for it is started, and stopped again.
fn options(selector: NodeSelector) -> PatchOptions {
    let canary = Wave::new("canary", WaveMembers::Amount(Amount::Percent(20)))
        .with_bake(Duration::from_mins(15));
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
fn show(args: &Args, out: &mut impl Write, plan: &PatchPlan) -> std::io::Result<()> {
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
