//! The documented inventory types and their attributes.

use std::{cmp::Ordering, convert::Infallible, fmt, hash, mem, str::FromStr};

/// One documented attribute of an inventory type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Attribute {
    /// Its name as documented; rows are matched without regard to case.
    pub name: &'static str,
    /// What its values are.
    pub kind: AttributeKind,
}

/// What the values of an attribute are, by the documentation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AttributeKind {
    /// Text.
    Text,
    /// A number; the service sends it as a string of digits, which is as good.
    Number,
}

const fn text(name: &'static str) -> Attribute {
    Attribute { name, kind: AttributeKind::Text }
}

const fn number(name: &'static str) -> Attribute {
    Attribute { name, kind: AttributeKind::Number }
}

/// What the service adds to every row, and the partition names that some tools copy into it.
const COMMON: &[Attribute] = &[
    text("resourceId"),
    text("captureTime"),
    text("schemaVersion"),
    text("accountId"),
    text("region"),
    text("resourceType"),
];

macro_rules! inventory_types {
    ($(
        $(#[$doc:meta])*
        $variant:ident => $text:literal { $($kind:ident: $($name:literal)+;)+ }
    )+) => {
        /// The type of an inventory row: `AWS:Application`, `Custom:Rack`; unknown ones are kept.
        ///
        /// Compared without regard to case.
        ///
        /// ```
        /// use patchkit_inventory::InventoryType;
        ///
        /// let Ok(ty) = "aws:application".parse::<InventoryType>();
        /// assert_eq!(ty, InventoryType::Application);
        /// assert_eq!("Custom:Rack".parse::<InventoryType>().unwrap().as_str(), "Custom:Rack");
        /// ```
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum InventoryType {
            $($(#[$doc])* $variant,)+
            /// A custom type, or one that PatchKit does not know, as it was spelled.
            Other(Box<str>),
        }

        impl InventoryType {
            /// Every documented type.
            pub const KNOWN: &[Self] = &[$(Self::$variant),+];

            /// The type's name.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }

            /// The attributes that are documented for this type; none for a custom or unknown one.
            pub fn attributes(&self) -> &'static [Attribute] {
                match self {
                    $(Self::$variant => const { &[$($($kind($name)),+),+] },)+
                    Self::Other(_) => &[],
                }
            }
        }
    };
}

// AWS user guide, "Metadata collected by inventory"; attributes seen elsewhere (IamRole, the
// operation's counts by severity, KernelVersion) are in the same lists.
inventory_types! {
    /// The node itself: platform, agent, and whether it still exists.
    InstanceInformation => "AWS:InstanceInformation" {
        text: "AgentType" "AgentVersion" "ComputerName" "InstanceId" "IpAddress" "IamRole"
            "PlatformName" "PlatformType" "PlatformVersion" "ResourceType" "AgentStatus"
            "InstanceStatus";
    }
    /// Installed packages and programs.
    Application => "AWS:Application" {
        text: "Name" "ApplicationType" "Publisher" "Version" "Release" "Epoch" "InstalledTime"
            "Architecture" "URL" "Summary" "PackageId";
    }
    /// AWS's own components.
    AwsComponent => "AWS:AWSComponent" {
        text: "Name" "ApplicationType" "Publisher" "Version" "InstalledTime" "Architecture" "URL";
    }
    /// Network interfaces.
    Network => "AWS:Network" {
        text: "Name" "SubnetMask" "Gateway" "DHCPServer" "DNSServer" "MacAddress" "IPV4" "IPV6";
    }
    /// Installed Windows updates.
    WindowsUpdate => "AWS:WindowsUpdate" {
        text: "HotFixId" "Description" "InstalledTime" "InstalledBy";
    }
    /// Processors and kernel.
    InstanceDetailedInformation => "AWS:InstanceDetailedInformation" {
        text: "CPUModel" "CPUHyperThreadEnabled" "OSServicePack" "KernelVersion";
        number: "CPUCores" "CPUs" "CPUSpeedMHz" "CPUSockets";
    }
    /// Services (Windows).
    Service => "AWS:Service" {
        text: "Name" "DisplayName" "ServiceType" "Status" "DependentServices"
            "ServicesDependedOn" "StartType";
    }
    /// Roles and features (Windows).
    WindowsRole => "AWS:WindowsRole" {
        text: "Name" "DisplayName" "Path" "FeatureType" "DependsOn" "Description" "Installed"
            "InstalledState" "SubFeatures" "ServerComponentDescriptor" "Parent";
    }
    /// Registry values (Windows).
    WindowsRegistry => "AWS:WindowsRegistry" {
        text: "KeyPath" "ValueName" "ValueType" "Value";
    }
    /// Files.
    File => "AWS:File" {
        text: "Name" "Size" "Description" "FileVersion" "InstalledDate" "ModificationTime"
            "LastAccessTime" "ProductName" "InstalledDir" "ProductLanguage" "CompanyName"
            "ProductVersion";
    }
    /// Processes.
    Process => "AWS:Process" {
        text: "StartTime" "CommandLine" "User" "FileName" "FileVersion" "FileDescription"
            "FileSize" "CompanyName" "ProductName" "ProductVersion" "InstalledDate"
            "InstalledDir" "UsageId";
    }
    /// Tags of the node.
    Tag => "AWS:Tag" {
        text: "Key" "Value";
    }
    /// Resource groups that the node is in.
    ResourceGroup => "AWS:ResourceGroup" {
        text: "Name" "Arn";
    }
    /// Billing products.
    BillingInfo => "AWS:BillingInfo" {
        text: "BillingProductId";
    }
    /// The outcome of the last patch operation, in counts.
    PatchSummary => "AWS:PatchSummary" {
        text: "PatchGroup" "BaselineId" "SnapshotId" "OwnerInformation" "OperationType"
            "OperationStartTime" "OperationEndTime" "InstallOverrideList" "RebootOption"
            "LastNoRebootInstallOperationTime" "ExecutionId" "NonCompliantSeverity";
        number: "InstalledCount" "InstalledPendingRebootCount" "InstalledOtherCount"
            "InstalledRejectedCount" "NotApplicableCount" "UnreportedNotApplicableCount"
            "MissingCount" "FailedCount" "AvailableSecurityUpdateCount"
            "SecurityNonCompliantCount" "CriticalNonCompliantCount" "OtherNonCompliantCount";
    }
    /// Patches of the node, in the older form.
    PatchCompliance => "AWS:PatchCompliance" {
        text: "Title" "KBId" "Classification" "Severity" "State" "InstalledTime";
    }
    /// One patch, association or custom check a row.
    ComplianceItem => "AWS:ComplianceItem" {
        text: "ComplianceType" "ExecutionId" "ExecutionType" "ExecutionTime" "Id" "Title" "Status"
            "Severity" "DocumentName" "DocumentVersion" "Classification" "PatchBaselineId"
            "PatchSeverity" "PatchState" "PatchGroup" "InstalledTime" "InstallOverrideList"
            "DetailedText" "DetailedLink" "CVEIds";
    }
    /// One kind of compliance a row: the verdict and its counts.
    ComplianceSummary => "AWS:ComplianceSummary" {
        text: "ComplianceType" "PatchGroup" "PatchBaselineId" "Status" "OverallSeverity"
            "ExecutionId" "ExecutionType" "ExecutionTime";
        number: "CompliantCriticalCount" "CompliantHighCount" "CompliantMediumCount"
            "CompliantLowCount" "CompliantInformationalCount" "CompliantUnspecifiedCount"
            "NonCompliantCriticalCount" "NonCompliantHighCount" "NonCompliantMediumCount"
            "NonCompliantLowCount" "NonCompliantInformationalCount"
            "NonCompliantUnspecifiedCount";
    }
}

impl InventoryType {
    /// Whether `segment` of a key names a type: `AWS:…` or `Custom:…`.
    pub(crate) fn is_type_segment(segment: &str) -> bool {
        segment.split_once(':').is_some_and(|(owner, name)| {
            !name.is_empty()
                && (owner.eq_ignore_ascii_case("AWS") || owner.eq_ignore_ascii_case("Custom"))
        })
    }

    /// Whether the type's attributes are documented, so that others can be told.
    pub fn is_documented(&self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// The documented attribute of that name, without regard to case.
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes()
            .iter()
            .chain(COMMON)
            .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    }

    fn folded(&self) -> impl Iterator<Item = u8> {
        self.as_str().bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl FromStr for InventoryType {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let known = Self::KNOWN.iter().find(|ty| ty.as_str().eq_ignore_ascii_case(text));
        Ok(known.cloned().unwrap_or_else(|| Self::Other(text.into())))
    }
}

impl PartialEq for InventoryType {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(_), _) | (_, Self::Other(_)) => {
                self.as_str().eq_ignore_ascii_case(other.as_str())
            }
            // Documented ones have texts of their own.
            _ => mem::discriminant(self) == mem::discriminant(other),
        }
    }
}

impl Eq for InventoryType {}

impl PartialOrd for InventoryType {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InventoryType {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl hash::Hash for InventoryType {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.folded().for_each(|byte| state.write_u8(byte));
    }
}

impl fmt::Display for InventoryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_unknown_ones_survive() {
        for ty in InventoryType::KNOWN {
            assert_eq!(ty.as_str().to_uppercase().parse::<InventoryType>().unwrap(), *ty);
            assert!(InventoryType::is_type_segment(ty.as_str()));
        }
        let other: InventoryType = "AWS:Future".parse().unwrap();
        assert_eq!(other.to_string(), "AWS:Future");
        assert_eq!(other, "aws:future".parse().unwrap());
        assert!(!other.is_documented());
    }

    #[test]
    fn only_aws_and_custom_name_types() {
        for text in ["AWS:", "aws", "GCP:Tag", "", ":Tag"] {
            assert!(!InventoryType::is_type_segment(text), "{text}");
        }
    }

    #[test]
    fn attributes_are_found_without_case() {
        let ty = InventoryType::PatchSummary;
        assert_eq!(ty.attribute("missingcount").unwrap().kind, AttributeKind::Number);
        assert_eq!(ty.attribute("RESOURCEID").unwrap().name, "resourceId");
        assert!(ty.attribute("Future").is_none());
    }
}
