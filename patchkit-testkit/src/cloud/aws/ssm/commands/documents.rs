//! The command documents that nodes can run here, with their parameters and steps.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use super::{super::documents, State, own};
use crate::cloud::world::machine::ScopeIx;

/// A command document.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) name: String,
    pub(crate) platforms: &'static [Platform],
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) steps: Cow<'static, [Step]>,
}

/// `PlatformType`. No node of a world is a Mac: what is for Macs alone is skipped, and reports that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Platform {
    Linux,
    Windows,
    MacOs,
}

#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// None: it must be given.
    pub(crate) usual: Option<String>,
    pub(crate) rule: Rule,
}

/// Which values a parameter takes.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Any,
    /// A list of any length; the others hold one value.
    Many,
    OneOf(Vec<String>),
    Matches(String),
}

/// One step, where it runs and what it does.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: Cow<'static, str>,
    /// Where its output lies, below the node's folder.
    pub(crate) folder: Cow<'static, str>,
    /// None: on every platform.
    pub(crate) on: Option<Platform>,
    pub(crate) does: Does,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Does {
    /// A scan or an install, by the document's `Operation`.
    Patch,
    /// What RunPatchBaselineWithHooks does, in this order.
    HookedScan,
    PreInstallHook,
    InstallNoReboot,
    PostInstallHook,
    Reboot,
    OnExitHook,
    UpdateAgent,
    RefreshAssociations,
    Inventory,
    /// The lines of the parameter `commands`.
    Script,
    /// Lines of the document's own, with names of parameters in them.
    Lines(Vec<String>),
    /// An action that is not modelled: the step fails, by its name.
    Unmodelled(String),
    Nothing,
}

impl Document {
    /// A document by its name or its ARN: AWS's, or the account's own.
    ///
    /// # Errors
    /// What is wrong with it, or that there is none.
    pub(crate) fn find(state: &State, scope: ScopeIx, name: &str) -> Result<Arc<Self>, String> {
        let found = documents::find(state, scope, name, None)
            .ok_or_else(|| format!("Document with name {name} does not exist."))?;
        if found.owner == "Amazon"
            && let Some(modelled) = MODELLED.iter().find(|it| it.name == found.name)
        {
            return Ok(Arc::clone(modelled));
        }
        own::read(&found.name, &found.content.text).map(Arc::new)
    }

    pub(crate) fn runs_on(&self, platform: Platform) -> bool {
        self.platforms.contains(&platform)
    }
}

/// AWS's own whose steps are modelled, with the parameters that their contents have.
static MODELLED: LazyLock<Vec<Arc<Document>>> = LazyLock::new(|| {
    let modelled = STEPS.iter().filter_map(|(name, platforms, steps)| {
        let content = &documents::provided().get(*name)?.content.value;
        Some(Arc::new(Document {
            name: (*name).to_owned(),
            platforms,
            parameters: own::parameters(content["parameters"].as_object()),
            steps: Cow::Borrowed(steps),
        }))
    });
    modelled.collect()
});

pub(super) const ANY: &[Platform] = &[Platform::Linux, Platform::Windows, Platform::MacOs];

const PATCH_STEPS: &[Step] = &[
    Step {
        name: Cow::Borrowed("PatchWindows"),
        folder: Cow::Borrowed("awsrunPowerShellScript/PatchWindows"),
        on: Some(Platform::Windows),
        does: Does::Patch,
    },
    Step {
        name: Cow::Borrowed("PatchLinux"),
        folder: Cow::Borrowed("awsrunShellScript/PatchLinux"),
        on: Some(Platform::Linux),
        does: Does::Patch,
    },
    Step {
        name: Cow::Borrowed("PatchMacOS"),
        folder: Cow::Borrowed("awsrunShellScript/PatchMacOS"),
        on: Some(Platform::MacOs),
        does: Does::Patch,
    },
];

const fn step(name: &'static str, folder: &'static str, does: Does) -> Step {
    Step { name: Cow::Borrowed(name), folder: Cow::Borrowed(folder), on: None, does }
}

/// What the steps of AWS's own documents do, and on which platforms they run. One that is not here
/// fails by the action of its first step.
const STEPS: &[(&str, &[Platform], &[Step])] = &[
    ("AWS-RunPatchBaseline", ANY, PATCH_STEPS),
    ("AWS-RunPatchBaselineAssociation", ANY, PATCH_STEPS),
    // The order is the user guide's, the names of the steps are this world's own.
    (
        "AWS-RunPatchBaselineWithHooks",
        &[Platform::Linux, Platform::Windows],
        &[
            step("Scan", "awsrunDocument/Scan", Does::HookedScan),
            step("PreInstallHook", "awsrunDocument/PreInstallHook", Does::PreInstallHook),
            step("InstallNoReboot", "awsrunDocument/InstallNoReboot", Does::InstallNoReboot),
            step("PostInstallHook", "awsrunDocument/PostInstallHook", Does::PostInstallHook),
            step("Reboot", "awsrunDocument/Reboot", Does::Reboot),
            step("OnExitHook", "awsrunDocument/OnExitHook", Does::OnExitHook),
        ],
    ),
    (
        "AWS-UpdateSSMAgent",
        ANY,
        &[step("updateSSMAgent", "awsupdateSsmAgent/updateSSMAgent", Does::UpdateAgent)],
    ),
    (
        "AWS-RefreshAssociation",
        ANY,
        &[step(
            "refreshAssociation",
            "awsrefreshAssociation/refreshAssociation",
            Does::RefreshAssociations,
        )],
    ),
    (
        "AWS-RunShellScript",
        &[Platform::Linux, Platform::MacOs],
        &[step("aws:runShellScript", "awsrunShellScript/0.awsrunShellScript", Does::Script)],
    ),
    (
        "AWS-RunPowerShellScript",
        ANY,
        &[step(
            "aws:runPowerShellScript",
            "awsrunPowerShellScript/0.awsrunPowerShellScript",
            Does::Script,
        )],
    ),
    (
        "AWS-GatherSoftwareInventory",
        ANY,
        &[step(
            "collectSoftwareInventoryItems",
            "awssoftwareInventory/collectSoftwareInventoryItems",
            Does::Inventory,
        )],
    ),
    ("AWS-Noop", ANY, &[step("noop", "awsrunDocument/noop", Does::Nothing)]),
];
