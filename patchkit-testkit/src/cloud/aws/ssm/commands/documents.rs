//! The command documents that nodes can run here, with their parameters and steps.

/// A command document.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) name: &'static str,
    pub(crate) platforms: &'static [Platform],
    pub(crate) parameters: &'static [Parameter],
    pub(crate) steps: &'static [Step],
}

/// `PlatformType`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Platform {
    Linux,
    Windows,
    MacOs,
}

#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// None: it must be given.
    pub(crate) usual: Option<&'static str>,
    pub(crate) rule: Rule,
}

/// Which values a parameter takes.
#[derive(Debug)]
pub(crate) enum Rule {
    Any,
    /// A list of any length; the others hold one value.
    Many,
    OneOf(&'static [&'static str]),
    Matches(&'static str),
    /// A whole number of this range.
    Number(u32, u32),
}

/// One step, where it runs and what it does.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// Where its output lies, below the node's folder.
    pub(crate) folder: &'static str,
    /// None: on every platform.
    pub(crate) on: Option<Platform>,
    pub(crate) does: Does,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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
    Script,
    Nothing,
}

impl Document {
    /// A document by its name or its ARN.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        let name = match name.strip_prefix("arn:") {
            Some(arn) => arn.rsplit_once("document/").map_or(name, |(_, name)| name),
            None => name,
        };
        DOCUMENTS.iter().find(|it| it.name == name)
    }

    pub(crate) fn runs_on(&self, platform: Platform) -> bool {
        self.platforms.contains(&platform)
    }
}

const ANY: &[Platform] = &[Platform::Linux, Platform::Windows, Platform::MacOs];

const fn parameter(name: &'static str, usual: Option<&'static str>, rule: Rule) -> Parameter {
    Parameter { name, usual, rule }
}

const OPERATION: Parameter = parameter("Operation", None, Rule::OneOf(&["Scan", "Install"]));
const REBOOT: Parameter =
    parameter("RebootOption", Some("RebootIfNeeded"), Rule::OneOf(&["RebootIfNeeded", "NoReboot"]));
const SNAPSHOT: Parameter = parameter(
    "SnapshotId",
    Some(""),
    Rule::Matches(
        "^$|^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
    ),
);
const OVERRIDE_LIST: Parameter = parameter(
    "InstallOverrideList",
    Some(""),
    Rule::Matches("^$|^https://.+$|^s3://([^/]+)/(.*?([^/]+))$"),
);
/// The file's name may hold no backtick, quote or dollar sign (user guide, "Using the
/// BaselineOverride parameter").
const BASELINE_OVERRIDE: Parameter = parameter(
    "BaselineOverride",
    Some(""),
    Rule::Matches("^$|^https://[^`'\"$]+$|^s3://([^/]+)/([^`'\"$]*?([^/`'\"$]+))$"),
);
const ASSOCIATION: Parameter = parameter(
    "AssociationId",
    Some(""),
    Rule::Matches(
        "^$|^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
    ),
);
const STEP_TIMEOUT: Parameter =
    parameter("StepTimeoutSeconds", Some("3600"), Rule::Number(1, 36_000));

const PATCH_STEPS: &[Step] = &[
    Step {
        name: "PatchWindows",
        folder: "awsrunPowerShellScript/PatchWindows",
        on: Some(Platform::Windows),
        does: Does::Patch,
    },
    Step {
        name: "PatchLinux",
        folder: "awsrunShellScript/PatchLinux",
        on: Some(Platform::Linux),
        does: Does::Patch,
    },
    Step {
        name: "PatchMacOS",
        folder: "awsrunShellScript/PatchMacOS",
        on: Some(Platform::MacOs),
        does: Does::Patch,
    },
];

const fn step(name: &'static str, folder: &'static str, does: Does) -> Step {
    Step { name, folder, on: None, does }
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
        name: "AWS-RunPatchBaseline",
        platforms: ANY,
        parameters: &[
            OPERATION,
            REBOOT,
            SNAPSHOT,
            OVERRIDE_LIST,
            BASELINE_OVERRIDE,
            ASSOCIATION,
            STEP_TIMEOUT,
        ],
        steps: PATCH_STEPS,
    },
    Document {
        name: "AWS-RunPatchBaselineAssociation",
        platforms: ANY,
        parameters: &[
            OPERATION,
            REBOOT,
            OVERRIDE_LIST,
            parameter(
                "AssociationId",
                None,
                Rule::Matches(
                    "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
                ),
            ),
            parameter("BaselineTags", Some(""), Rule::Any),
        ],
        steps: PATCH_STEPS,
    },
    Document {
        name: "AWS-RunPatchBaselineWithHooks",
        platforms: &[Platform::Linux, Platform::Windows],
        parameters: &[
            OPERATION,
            REBOOT,
            SNAPSHOT,
            hook("PreInstallHookDocName"),
            hook("PostInstallHookDocName"),
            hook("OnExitHookDocName"),
            STEP_TIMEOUT,
        ],
        // The order is the user guide's, the names of the steps are this world's own.
        steps: &[
            step("Scan", "awsrunDocument/Scan", Does::HookedScan),
            step("PreInstallHook", "awsrunDocument/PreInstallHook", Does::PreInstallHook),
            step("InstallNoReboot", "awsrunDocument/InstallNoReboot", Does::InstallNoReboot),
            step("PostInstallHook", "awsrunDocument/PostInstallHook", Does::PostInstallHook),
            step("Reboot", "awsrunDocument/Reboot", Does::Reboot),
            step("OnExitHook", "awsrunDocument/OnExitHook", Does::OnExitHook),
        ],
    },
    Document {
        name: "AWS-UpdateSSMAgent",
        platforms: ANY,
        parameters: &[
            parameter("version", Some(""), Rule::Matches(r"^$|^latest$|^[0-9]+(\.[0-9]+){3}$")),
            parameter("allowDowngrade", Some("false"), Rule::OneOf(&["true", "false"])),
        ],
        steps: &[step("updateSSMAgent", "awsupdateSsmAgent/updateSSMAgent", Does::UpdateAgent)],
    },
    Document {
        name: "AWS-RefreshAssociation",
        platforms: ANY,
        parameters: &[parameter("associationIds", Some(""), Rule::Many)],
        steps: &[step(
            "refreshAssociation",
            "awsrefreshAssociation/refreshAssociation",
            Does::RefreshAssociations,
        )],
    },
    Document {
        name: "AWS-RunShellScript",
        platforms: &[Platform::Linux, Platform::MacOs],
        parameters: SCRIPT_PARAMETERS,
        steps: &[step("aws:runShellScript", "awsrunShellScript/0.awsrunShellScript", Does::Script)],
    },
    Document {
        name: "AWS-RunPowerShellScript",
        platforms: ANY,
        parameters: SCRIPT_PARAMETERS,
        steps: &[step(
            "aws:runPowerShellScript",
            "awsrunPowerShellScript/0.awsrunPowerShellScript",
            Does::Script,
        )],
    },
    Document {
        name: "AWS-GatherSoftwareInventory",
        platforms: ANY,
        parameters: &[
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
        ],
        steps: &[step(
            "collectSoftwareInventoryItems",
            "awssoftwareInventory/collectSoftwareInventoryItems",
            Does::Inventory,
        )],
    },
    Document {
        name: "AWS-Noop",
        platforms: ANY,
        parameters: &[],
        steps: &[step("noop", "awsrunDocument/noop", Does::Nothing)],
    },
];

const SWITCH: Rule = Rule::OneOf(&["Enabled", "Disabled"]);
