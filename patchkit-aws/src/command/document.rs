//! Which document carries out an action, and with which parameters, limits and timeouts.

use std::{collections::HashMap, time::Duration};

use patchkit_core::{Amount, Error, ErrorKind, PatchAction, RebootPolicy, Result};
use uuid::Uuid;

use super::CommandOptions;
use crate::error::{PROVIDER, invalid};

/// A document of AWS's that an action is carried out with.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Document {
    RunPatchBaseline,
    RunPatchBaselineWithHooks,
    UpdateAgent,
    RefreshAssociation,
}

impl Document {
    pub(crate) const ALL: [Self; 4] = [
        Self::RunPatchBaseline,
        Self::RunPatchBaselineWithHooks,
        Self::UpdateAgent,
        Self::RefreshAssociation,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RunPatchBaseline => "AWS-RunPatchBaseline",
            Self::RunPatchBaselineWithHooks => "AWS-RunPatchBaselineWithHooks",
            Self::UpdateAgent => "AWS-UpdateSSMAgent",
            Self::RefreshAssociation => "AWS-RefreshAssociation",
        }
    }
}

pub(crate) type Parameters = HashMap<String, Vec<String>>;

/// The document and the parameters of an action.
pub(crate) fn of(
    action: PatchAction,
    options: &CommandOptions,
    snapshot: Uuid,
) -> Result<(Document, Parameters)> {
    let mut parameters = Parameters::new();
    let mut set = |name: &str, value: String| {
        parameters.insert(name.to_owned(), vec![value]);
    };
    let document = match action {
        PatchAction::Scan => {
            set("Operation", "Scan".to_owned());
            set("SnapshotId", snapshot.to_string());
            // The option is an install's; a scan says it too, so that it can boot nothing.
            set("RebootOption", "NoReboot".to_owned());
            if let Some(url) = &options.baseline_override {
                set("BaselineOverride", url.clone());
            }
            Document::RunPatchBaseline
        }
        PatchAction::Install(reboot) => {
            set("Operation", "Install".to_owned());
            set("SnapshotId", snapshot.to_string());
            set("RebootOption", reboot_option(reboot)?.to_owned());
            if let Some(url) = &options.install_override_list {
                set("InstallOverrideList", url.clone());
            }
            if let Some(url) = &options.baseline_override {
                set("BaselineOverride", url.clone());
            }
            match &options.hooks {
                None => Document::RunPatchBaseline,
                Some(hooks) => {
                    for (name, hook) in [
                        ("PreInstallHookDocName", &hooks.pre_install),
                        ("PostInstallHookDocName", &hooks.post_install),
                        ("OnExitHookDocName", &hooks.on_exit),
                    ] {
                        if let Some(document) = hook {
                            set(name, document.clone());
                        }
                    }
                    Document::RunPatchBaselineWithHooks
                }
            }
        }
        PatchAction::UpdateAgent => {
            if let Some(version) = &options.agent_version {
                set("version", version.clone());
            }
            Document::UpdateAgent
        }
        PatchAction::RefreshAssociations => {
            if !options.associations.is_empty() {
                parameters.insert("associationIds".to_owned(), options.associations.clone());
            }
            Document::RefreshAssociation
        }
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                PROVIDER,
                "SendCommand",
                format!("Systems Manager has no document for {other}"),
            ));
        }
    };
    Ok((document, parameters))
}

fn reboot_option(policy: RebootPolicy) -> Result<&'static str> {
    match policy {
        RebootPolicy::IfRequired => Ok("RebootIfNeeded"),
        RebootPolicy::Never => Ok("NoReboot"),
        other => Err(Error::new(
            ErrorKind::Unsupported,
            PROVIDER,
            "SendCommand",
            format!("Systems Manager has no reboot option {:?}", other.to_string()),
        )),
    }
}

/// The longest that a patch step may run (user guide, "AWS-RunPatchBaseline": `StepTimeoutSeconds`).
const LONGEST_STEP: u64 = 36_000;
/// How long a node has to take a command where nobody says. The service's own hour would outlast the
/// patience of a run, which then never hears that the node was not reached; an agent that was
/// throttled sleeps for a quarter of an hour (amazon-ssm-agent, issue 151).
const DELIVERY: u64 = 1_200;
/// What SendCommand takes (service model, `TimeoutSeconds`).
const DELIVERY_RANGE: (u64, u64) = (30, 2_592_000);

/// Splits the time that a node may take: returns the time for the delivery, and gives the document
/// the one for its work, where it knows such a thing.
pub(crate) fn split_timeout(
    timeout: Option<Duration>,
    document: Document,
    parameters: &mut Parameters,
    options: &CommandOptions,
) -> Result<Option<i32>> {
    let timeout = timeout.map(whole_seconds);
    if let Some(seconds) = timeout
        && document == Document::RunPatchBaseline
    {
        if seconds > LONGEST_STEP {
            return Err(invalid(
                "SendCommand",
                format!("AWS-RunPatchBaseline may take {LONGEST_STEP} s at most, not {seconds} s"),
            ));
        }
        let seconds = seconds.max(1).to_string();
        parameters.insert("StepTimeoutSeconds".to_owned(), vec![seconds]);
    }
    let delivery = match (options.delivery_timeout, timeout) {
        (Some(own), _) => Some(whole_seconds(own)),
        (None, Some(seconds)) => Some(seconds.min(DELIVERY)),
        (None, None) => Some(DELIVERY),
    };
    let (least, most) = DELIVERY_RANGE;
    Ok(delivery.and_then(|seconds| i32::try_from(seconds.clamp(least, most)).ok()))
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// `MaxConcurrency`. Of nodes that are named their number is known, and a share of them is
/// counted here, rounded up as everywhere in PatchKit; of nodes that AWS looks for it is not.
pub(crate) fn max_concurrency(
    amount: Option<Amount>,
    named: Option<usize>,
) -> Result<Option<String>> {
    let text = limit(amount, named);
    if text.as_deref().is_some_and(|it| it == "0" || it == "0%") {
        return Err(invalid("SendCommand", "a concurrency of no nodes never comes to an end"));
    }
    Ok(text)
}

/// `MaxErrors`: so many failures are borne, the one after stops the command, as with our own
/// budgets (user guide, "Using error controls").
pub(crate) fn max_errors(amount: Option<Amount>, named: Option<usize>) -> Option<String> {
    limit(amount, named)
}

fn limit(amount: Option<Amount>, named: Option<usize>) -> Option<String> {
    match (amount, named) {
        (Some(amount), Some(total)) => Some(amount.of(total).to_string()),
        // Seven characters is the most that the service takes.
        (Some(Amount::Fixed(n)), None) => Some(n.min(9_999_999).to_string()),
        (Some(Amount::Percent(p)), None) => Some(format!("{}%", p.min(100))),
        (None, Some(_)) => Some("100%".to_owned()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::PatchHooks;
    use super::*;

    const SNAPSHOT: Uuid = Uuid::from_u128(7);

    fn made(action: PatchAction, options: &CommandOptions) -> (Document, Vec<(String, String)>) {
        let (document, parameters) = of(action, options, SNAPSHOT).unwrap();
        let mut flat: Vec<_> =
            parameters.into_iter().map(|(name, values)| (name, values.join(","))).collect();
        flat.sort();
        (document, flat)
    }

    fn names(parameters: &[(String, String)]) -> Vec<&str> {
        parameters.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn a_scan_reboots_nothing_and_reads_no_install_list() {
        let options = CommandOptions::default()
            .with_install_override_list("s3://b/list.yaml")
            .with_agent_version("3.3.0.0");
        let (document, parameters) = made(PatchAction::Scan, &options);
        assert_eq!(document, Document::RunPatchBaseline);
        assert_eq!(names(&parameters), ["Operation", "RebootOption", "SnapshotId"]);
        assert_eq!(parameters[0].1, "Scan");
        assert_eq!(parameters[1].1, "NoReboot");
    }

    #[test]
    fn an_install_boots_as_told() {
        for (policy, option) in
            [(RebootPolicy::IfRequired, "RebootIfNeeded"), (RebootPolicy::Never, "NoReboot")]
        {
            let (_, parameters) = made(PatchAction::Install(policy), &CommandOptions::default());
            assert!(parameters.contains(&("RebootOption".to_owned(), option.to_owned())));
        }
        let always = PatchAction::Install(RebootPolicy::Always);
        let error = of(always, &CommandOptions::default(), SNAPSHOT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn hooks_are_an_installs_alone() {
        let hooks = PatchHooks::default().with_pre_install("Drain").with_on_exit("Undrain");
        let options = CommandOptions::default().with_hooks(hooks);
        let install = PatchAction::Install(RebootPolicy::IfRequired);
        let (document, parameters) = made(install, &options);
        assert_eq!(document, Document::RunPatchBaselineWithHooks);
        assert_eq!(
            names(&parameters),
            [
                "OnExitHookDocName",
                "Operation",
                "PreInstallHookDocName",
                "RebootOption",
                "SnapshotId"
            ]
        );
        assert_eq!(made(PatchAction::Scan, &options).0, Document::RunPatchBaseline);
    }

    #[test]
    fn an_agent_update_has_no_snapshot() {
        let options = CommandOptions::default().with_agent_version("3.3.0.0");
        let (document, parameters) = made(PatchAction::UpdateAgent, &options);
        assert_eq!(document, Document::UpdateAgent);
        assert_eq!(parameters, [("version".to_owned(), "3.3.0.0".to_owned())]);
    }

    #[test]
    fn a_timeout_is_the_documents_and_bounds_the_delivery() {
        let split = |timeout: Option<u64>, document, delivery: Option<u64>| {
            let mut options = CommandOptions::default();
            options.delivery_timeout = delivery.map(Duration::from_secs);
            let mut parameters = Parameters::new();
            let timeout = timeout.map(Duration::from_secs);
            let delivery = split_timeout(timeout, document, &mut parameters, &options).unwrap();
            let step = parameters.remove("StepTimeoutSeconds").map(|values| values.join(","));
            (delivery, step)
        };
        let patch = Document::RunPatchBaseline;
        assert_eq!(split(None, patch, None), (Some(1_200), None));
        assert_eq!(split(Some(7_200), patch, None), (Some(1_200), Some("7200".to_owned())));
        assert_eq!(split(Some(600), patch, None), (Some(600), Some("600".to_owned())));
        assert_eq!(split(Some(5), patch, None), (Some(30), Some("5".to_owned())));
        assert_eq!(split(Some(600), patch, Some(90)), (Some(90), Some("600".to_owned())));
        assert_eq!(split(None, patch, Some(90)), (Some(90), None));
        assert_eq!(split(Some(600), Document::UpdateAgent, None), (Some(600), None));
        let long = Some(Duration::from_secs(36_001));
        let options = CommandOptions::default();
        let error = split_timeout(long, patch, &mut Parameters::new(), &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn limits_of_named_nodes_are_counted_and_those_of_others_are_shares() {
        let some = |text: &str| Some(text.to_owned());
        for (amount, named, expected) in [
            (None, Some(50), some("100%")),
            (None, None, None),
            (Some(Amount::Percent(10)), Some(25), some("3")),
            (Some(Amount::Percent(10)), None, some("10%")),
            (Some(Amount::Percent(200)), None, some("100%")),
            (Some(Amount::Fixed(7)), Some(50), some("7")),
            (Some(Amount::Fixed(70)), Some(50), some("50")),
            (Some(Amount::Fixed(u32::MAX)), None, some("9999999")),
        ] {
            assert_eq!(max_errors(amount, named), expected, "{amount:?} of {named:?}");
            assert_eq!(max_concurrency(amount, named).unwrap(), expected);
        }
        assert_eq!(max_errors(Some(Amount::Fixed(0)), Some(50)), some("0"));
        for none in [Amount::Fixed(0), Amount::Percent(0)] {
            let error = max_concurrency(Some(none), Some(50)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    }
}
