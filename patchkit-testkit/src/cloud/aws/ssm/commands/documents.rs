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
    pub(crate) name: Cow<'static, str>,
    pub(crate) platforms: &'static [Platform],
    pub(crate) parameters: Cow<'static, [Parameter]>,
    pub(crate) steps: Cow<'static, [Step]>,
}

/// `PlatformType`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Platform {
    Linux,
    Windows,
    MacOs,
}

#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: Cow<'static, str>,
    /// None: it must be given.
    pub(crate) usual: Option<Cow<'static, str>>,
    pub(crate) rule: Rule,
}

/// Which values a parameter takes.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Any,
    /// A list of any length; the others hold one value.
    Many,
    OneOf(&'static [&'static str]),
    OneOfThese(Vec<String>),
    Matches(Cow<'static, str>),
    /// A whole number of this range.
    Number(u32, u32),
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
        let name = bare(name);
        if let Some(provided) = PROVIDED.iter().find(|it| it.name == name) {
            return Ok(Arc::clone(provided));
        }
        let text = own_text(state, scope, name)
            .ok_or_else(|| format!("Document with name {name} does not exist."))?;
        own::read(name, text).map(Arc::new)
    }

    pub(crate) fn runs_on(&self, platform: Platform) -> bool {
        self.platforms.contains(&platform)
    }
}

/// The content of a document of the account's own: JSON or YAML.
pub(crate) fn own_text<'s>(state: &'s State, scope: ScopeIx, name: &str) -> Option<&'s str> {
    let document = documents::find(state, scope, name, None);
    document.filter(|it| it.owner != "Amazon").map(|it| it.content.text.as_str())
}

/// The last part of an ARN; a name as it is.
pub(crate) fn bare(name: &str) -> &str {
    name.rsplit_once(":document/").map_or(name, |(_, name)| name)
}

static PROVIDED: LazyLock<Vec<Arc<Document>>> =
    LazyLock::new(|| DOCUMENTS.iter().cloned().map(Arc::new).collect());

pub(super) const ANY: &[Platform] = &[Platform::Linux, Platform::Windows, Platform::MacOs];

const fn parameter(name: &'static str, usual: Option<&'static str>, rule: Rule) -> Parameter {
    let usual = match usual {
        Some(usual) => Some(Cow::Borrowed(usual)),
        None => None,
    };
    Parameter { name: Cow::Borrowed(name), usual, rule }
}

const OPERATION: Parameter = parameter("Operation", None, Rule::OneOf(&["Scan", "Install"]));
const REBOOT: Parameter =
    parameter("RebootOption", Some("RebootIfNeeded"), Rule::OneOf(&["RebootIfNeeded", "NoReboot"]));
const SNAPSHOT: Parameter = parameter(
    "SnapshotId",
    Some(""),
    Rule::Matches(Cow::Borrowed(
        "^$|^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
    )),
);
const OVERRIDE_LIST: Parameter = parameter(
    "InstallOverrideList",
    Some(""),
    Rule::Matches(Cow::Borrowed("^$|^https://.+$|^s3://([^/]+)/(.*?([^/]+))$")),
);
/// The file's name may hold no backtick, quote or dollar sign (user guide, "Using the
/// BaselineOverride parameter").
const BASELINE_OVERRIDE: Parameter = parameter(
    "BaselineOverride",
    Some(""),
    Rule::Matches(Cow::Borrowed("^$|^https://[^`'\"$]+$|^s3://([^/]+)/([^`'\"$]*?([^/`'\"$]+))$")),
);
const ASSOCIATION: Parameter = parameter(
    "AssociationId",
    Some(""),
    Rule::Matches(Cow::Borrowed(
        "^$|^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
    )),
);
const STEP_TIMEOUT: Parameter =
    parameter("StepTimeoutSeconds", Some("3600"), Rule::Number(1, 36_000));

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

const SCRIPT_PARAMETERS: &[Parameter] = &[
    parameter("commands", None, Rule::Many),
    parameter("workingDirectory", Some(""), Rule::Any),
    parameter("executionTimeout", Some("3600"), Rule::Number(1, 172_800)),
];

const fn hook(name: &'static str) -> Parameter {
    parameter(name, Some("AWS-Noop"), Rule::Any)
}

const DOCUMENTS: &[Document] = &[
    Document {
        name: Cow::Borrowed("AWS-RunPatchBaseline"),
        platforms: ANY,
        parameters: Cow::Borrowed(&[
            OPERATION,
            REBOOT,
            SNAPSHOT,
            OVERRIDE_LIST,
            BASELINE_OVERRIDE,
            ASSOCIATION,
            STEP_TIMEOUT,
        ]),
        steps: Cow::Borrowed(PATCH_STEPS),
    },
    Document {
        name: Cow::Borrowed("AWS-RunPatchBaselineAssociation"),
        platforms: ANY,
        parameters: Cow::Borrowed(&[
            OPERATION,
            REBOOT,
            OVERRIDE_LIST,
            parameter(
                "AssociationId",
                None,
                Rule::Matches(Cow::Borrowed(
                    "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
                )),
            ),
            parameter("BaselineTags", Some(""), Rule::Any),
        ]),
        steps: Cow::Borrowed(PATCH_STEPS),
    },
    Document {
        name: Cow::Borrowed("AWS-RunPatchBaselineWithHooks"),
        platforms: &[Platform::Linux, Platform::Windows],
        parameters: Cow::Borrowed(&[
            OPERATION,
            REBOOT,
            SNAPSHOT,
            hook("PreInstallHookDocName"),
            hook("PostInstallHookDocName"),
            hook("OnExitHookDocName"),
            STEP_TIMEOUT,
        ]),
        // The order is the user guide's, the names of the steps are this world's own.
        steps: Cow::Borrowed(&[
            step("Scan", "awsrunDocument/Scan", Does::HookedScan),
            step("PreInstallHook", "awsrunDocument/PreInstallHook", Does::PreInstallHook),
            step("InstallNoReboot", "awsrunDocument/InstallNoReboot", Does::InstallNoReboot),
            step("PostInstallHook", "awsrunDocument/PostInstallHook", Does::PostInstallHook),
            step("Reboot", "awsrunDocument/Reboot", Does::Reboot),
            step("OnExitHook", "awsrunDocument/OnExitHook", Does::OnExitHook),
        ]),
    },
    Document {
        name: Cow::Borrowed("AWS-UpdateSSMAgent"),
        platforms: ANY,
        parameters: Cow::Borrowed(&[
            parameter(
                "version",
                Some(""),
                Rule::Matches(Cow::Borrowed(r"^$|^latest$|^[0-9]+(\.[0-9]+){3}$")),
            ),
            parameter("allowDowngrade", Some("false"), Rule::OneOf(&["true", "false"])),
        ]),
        steps: Cow::Borrowed(&[step(
            "updateSSMAgent",
            "awsupdateSsmAgent/updateSSMAgent",
            Does::UpdateAgent,
        )]),
    },
    Document {
        name: Cow::Borrowed("AWS-RefreshAssociation"),
        platforms: ANY,
        parameters: Cow::Borrowed(&[parameter("associationIds", Some(""), Rule::Many)]),
        steps: Cow::Borrowed(&[step(
            "refreshAssociation",
            "awsrefreshAssociation/refreshAssociation",
            Does::RefreshAssociations,
        )]),
    },
    Document {
        name: Cow::Borrowed("AWS-RunShellScript"),
        platforms: &[Platform::Linux, Platform::MacOs],
        parameters: Cow::Borrowed(SCRIPT_PARAMETERS),
        steps: Cow::Borrowed(&[step(
            "aws:runShellScript",
            "awsrunShellScript/0.awsrunShellScript",
            Does::Script,
        )]),
    },
    Document {
        name: Cow::Borrowed("AWS-RunPowerShellScript"),
        platforms: ANY,
        parameters: Cow::Borrowed(SCRIPT_PARAMETERS),
        steps: Cow::Borrowed(&[step(
            "aws:runPowerShellScript",
            "awsrunPowerShellScript/0.awsrunPowerShellScript",
            Does::Script,
        )]),
    },
    Document {
        name: Cow::Borrowed("AWS-GatherSoftwareInventory"),
        platforms: ANY,
        parameters: Cow::Borrowed(&[
            parameter("applications", Some("Enabled"), SWITCH),
            parameter("awsComponents", Some("Enabled"), SWITCH),
            parameter("files", Some(""), Rule::Any),
            parameter("networkConfig", Some("Enabled"), SWITCH),
            parameter("windowsUpdates", Some("Enabled"), SWITCH),
            parameter("instanceDetailedInformation", Some("Enabled"), SWITCH),
            parameter("services", Some("Enabled"), SWITCH),
            parameter("windowsRegistry", Some(""), Rule::Any),
            parameter("windowsRoles", Some("Enabled"), SWITCH),
            parameter("customInventory", Some("Enabled"), SWITCH),
            parameter("billingInfo", Some("Enabled"), SWITCH),
        ]),
        steps: Cow::Borrowed(&[step(
            "collectSoftwareInventoryItems",
            "awssoftwareInventory/collectSoftwareInventoryItems",
            Does::Inventory,
        )]),
    },
    Document {
        name: Cow::Borrowed("AWS-Noop"),
        platforms: ANY,
        parameters: Cow::Borrowed(&[]),
        steps: Cow::Borrowed(&[step("noop", "awsrunDocument/noop", Does::Nothing)]),
    },
];

const SWITCH: Rule = Rule::OneOf(&["Enabled", "Disabled"]);
