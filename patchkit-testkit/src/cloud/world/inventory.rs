//! What the inventory holds of a node: rows of texts, by type.
//!
//! The same rows are read by the API and written into lakes. All values are texts, also where the
//! schema says number: so the agents send them (ListInventoryEntries of a real node, aws/aws-sdk
//! issue 640).

pub(crate) mod compliance;

use std::borrow::Cow;

use jiff::Timestamp;
use patchkit_core::OperationKind;
use serde_json::{Map, Value};

use super::{
    State,
    machine::{AwsKind, AwsSide, MachineIx, Power},
};

/// A row of the inventory: attributes with their texts.
pub(crate) type Row = Map<String, Value>;

/// The rows of one type of a node.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) schema: &'static str,
    pub(crate) captured: Timestamp,
    pub(crate) rows: Vec<Row>,
}

/// A type that the agents report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    InstanceInformation,
    Tag,
    PatchSummary,
    PatchCompliance,
    ComplianceItem,
    ComplianceSummary,
    Application,
    AwsComponent,
    Network,
    WindowsUpdate,
    InstanceDetailedInformation,
    Service,
}

impl Kind {
    pub(crate) const ALL: [Self; 12] = [
        Self::InstanceInformation,
        Self::Tag,
        Self::PatchSummary,
        Self::PatchCompliance,
        Self::ComplianceItem,
        Self::ComplianceSummary,
        Self::Application,
        Self::AwsComponent,
        Self::Network,
        Self::WindowsUpdate,
        Self::InstanceDetailedInformation,
        Self::Service,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InstanceInformation => "AWS:InstanceInformation",
            Self::Tag => "AWS:Tag",
            Self::PatchSummary => "AWS:PatchSummary",
            Self::PatchCompliance => "AWS:PatchCompliance",
            Self::ComplianceItem => "AWS:ComplianceItem",
            Self::ComplianceSummary => "AWS:ComplianceSummary",
            Self::Application => "AWS:Application",
            Self::AwsComponent => "AWS:AWSComponent",
            Self::Network => "AWS:Network",
            Self::WindowsUpdate => "AWS:WindowsUpdate",
            Self::InstanceDetailedInformation => "AWS:InstanceDetailedInformation",
            Self::Service => "AWS:Service",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The version of its schema.
    fn version(self) -> &'static str {
        match self {
            Self::Application => "1.1",
            _ => "1.0",
        }
    }
}

/// The attributes of AWS:InstanceInformation.
pub(crate) const INSTANCE_INFORMATION: [&str; 12] = [
    "AgentType",
    "AgentVersion",
    "ComputerName",
    "IamRole",
    "InstanceId",
    "IpAddress",
    "PlatformName",
    "PlatformType",
    "PlatformVersion",
    "ResourceType",
    "AgentStatus",
    "InstanceStatus",
];

impl State {
    /// What the inventory holds of a managed node; none where it holds nothing of this type.
    pub(crate) fn inventory(&self, at: MachineIx, kind: Kind) -> Option<Content> {
        let aws = self.machine(at).aws.as_ref()?;
        aws.registered?;
        let scanned = aws.scan.as_ref().map(|scan| scan.ended);
        let (captured, rows) = match kind {
            Kind::InstanceInformation => (self.reported(at), vec![self.instance_information(at)]),
            Kind::Tag => (self.reported(at), tags(aws)),
            Kind::PatchSummary => (scanned?, vec![self.patch_summary(at)?]),
            Kind::PatchCompliance => (scanned?, self.patch_compliance(at)),
            Kind::ComplianceItem => self.compliance_items(at)?,
            Kind::ComplianceSummary => self.compliance_summaries(at)?,
            Kind::Application => (self.gathered(at)?, self.applications(at)),
            Kind::AwsComponent => (self.gathered(at)?, self.components(at)),
            Kind::Network => (self.gathered(at)?, vec![self.network(at)]),
            Kind::WindowsUpdate => (self.gathered(at)?, self.windows_updates(at)),
            Kind::InstanceDetailedInformation => (self.gathered(at)?, vec![self.hardware(at)]),
            Kind::Service => (self.gathered(at)?, self.services(at)),
        };
        (!rows.is_empty()).then(|| Content { schema: kind.version(), captured, rows })
    }

    /// One attribute of AWS:InstanceInformation; empty where a node has none.
    pub(crate) fn instance_attribute(&self, at: MachineIx, name: &str) -> Option<Cow<'_, str>> {
        let machine = self.machine(at);
        let aws = machine.aws.as_ref()?;
        let system = self.system_of(at);
        Some(match name {
            "AgentType" => "amazon-ssm-agent".into(),
            "AgentVersion" => (&*aws.agent_version).into(),
            "ComputerName" => self.computer_name(at).into(),
            "IamRole" => match &aws.side {
                AwsKind::Hybrid(hybrid) => (&*hybrid.role).into(),
                AwsKind::Ec2(_) => "".into(),
            },
            "InstanceId" => (&*aws.id).into(),
            "IpAddress" => machine.address().into(),
            "PlatformName" => system.name.into(),
            "PlatformType" => system.platform_type().into(),
            "PlatformVersion" => system.version.into(),
            "ResourceType" => aws.side.resource_type().into(),
            "AgentStatus" => if self.answers(at) { "Active" } else { "Inactive" }.into(),
            "InstanceStatus" => self.instance_status(at).into(),
            _ => return None,
        })
    }

    /// Stopped and Terminated follow the power of an EC2 instance; only hybrid nodes are ever
    /// ConnectionLost (user guide, "Metadata collected by inventory"; AWS's patch reporting
    /// samples).
    pub(crate) fn instance_status(&self, at: MachineIx) -> &'static str {
        let machine = self.machine(at);
        match machine.aws.as_ref().map(|aws| &aws.side) {
            Some(AwsKind::Hybrid(_)) if !self.answers(at) => "ConnectionLost",
            Some(AwsKind::Ec2(_)) => match machine.power {
                Power::Stopped | Power::Deallocated => "Stopped",
                Power::Terminated => "Terminated",
                _ => "Active",
            },
            _ => "Active",
        }
    }

    fn instance_information(&self, at: MachineIx) -> Row {
        let names = INSTANCE_INFORMATION.into_iter();
        row(names.map(|name| (name, self.instance_attribute(at, name).unwrap_or_default())))
    }

    /// When the service last heard of a node: agents report themselves every five minutes.
    fn reported(&self, at: MachineIx) -> Timestamp {
        let machine = self.machine(at);
        let Some(aws) = &machine.aws else { return self.now };
        let heard = if self.answers(at) { self.grid(at, 300) } else { aws.last_heard };
        heard.max(aws.registered.unwrap_or(heard))
    }

    fn patch_summary(&self, at: MachineIx) -> Option<Row> {
        let scan = self.machine(at).aws.as_ref()?.scan.as_deref()?;
        let counts = &scan.verdict.counts;
        let mut row = row([
            ("PatchGroup", scan.group.as_deref().unwrap_or_default()),
            ("BaselineId", scan.baseline_id()),
            ("SnapshotId", &scan.snapshot),
            ("ExecutionId", &scan.execution),
            ("OwnerInformation", ""),
            ("RebootOption", scan.reboot_option),
            (
                "OperationType",
                match scan.operation {
                    OperationKind::Scan => "Scan",
                    OperationKind::Install => "Install",
                },
            ),
        ]);
        let mut put = |name: &str, text: String| row.insert(name.to_owned(), text.into());
        for (name, count) in [
            ("InstalledCount", counts.installed),
            ("InstalledPendingRebootCount", counts.installed_pending_reboot),
            ("InstalledOtherCount", counts.installed_other),
            ("InstalledRejectedCount", counts.installed_rejected),
            ("NotApplicableCount", counts.not_applicable),
            ("UnreportedNotApplicableCount", 0),
            ("MissingCount", counts.missing),
            ("FailedCount", counts.failed),
            ("CriticalNonCompliantCount", counts.critical_non_compliant),
            ("SecurityNonCompliantCount", counts.security_non_compliant),
            ("OtherNonCompliantCount", counts.other_non_compliant),
        ] {
            put(name, count.to_string());
        }
        if self.system_of(at).is_windows() {
            put("AvailableSecurityUpdateCount", counts.available_security_update.to_string());
        }
        put("OperationStartTime", stamp(scan.started));
        put("OperationEndTime", stamp(scan.ended));
        if let Some(list) = &scan.install_override {
            put("InstallOverrideList", list.to_string());
        }
        if let Some(last) = scan.last_no_reboot_install {
            put("LastNoRebootInstallOperationTime", stamp(last));
        }
        if let Some(level) = scan.verdict.level {
            put("NonCompliantSeverity", level.as_str().to_owned());
        }
        Some(row)
    }
}

fn tags(aws: &AwsSide) -> Vec<Row> {
    aws.tags.iter().map(|(key, value)| row([("Key", &**key), ("Value", &**value)])).collect()
}

/// A row of these attributes.
pub(crate) fn row<'a, T: Into<Cow<'a, str>>>(
    attributes: impl IntoIterator<Item = (&'a str, T)>,
) -> Row {
    let attributes = attributes.into_iter();
    attributes.map(|(name, text)| (name.to_owned(), text.into().into_owned().into())).collect()
}

/// A time as the agents write it: whole seconds.
pub(crate) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
