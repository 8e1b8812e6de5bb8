//! What is on a node besides its patches: packages, programs, services and hardware, all of which
//! follow from the machine.

use fixedbitset::FixedBitSet;
use patchkit_core::{Classification, OperatingSystem, Package};

use super::{
    State,
    inventory::{Row, row, stamp},
    machine::{AwsKind, MachineIx},
};

/// Name, publisher and version.
const PROGRAMS: [(&str, &str, &str); 8] = [
    ("7-Zip 24.08 (x64)", "Igor Pavlov", "24.08"),
    ("Amazon CloudWatch Agent", "Amazon.com, Inc.", "1.300044.0"),
    ("AWS PV Drivers", "Amazon Web Services", "8.4.3"),
    ("Google Chrome", "Google LLC", "129.0.6668.90"),
    (
        "Microsoft Visual C++ 2015-2022 Redistributable (x64) - 14.40.33810",
        "Microsoft Corporation",
        "14.40.33810.0",
    ),
    ("Microsoft SQL Server 2019 (64-bit)", "Microsoft Corporation", "15.0.2000.5"),
    ("Notepad++ (64-bit x64)", "Notepad++ Team", "8.6.9"),
    ("OpenSSL 3.3.2 (64-bit)", "OpenSSL Win64 Installer Team", "3.3.2"),
];

/// Name, display name, what it depends on, and how it starts.
const SERVICES: [(&str, &str, &str, &str); 6] = [
    ("AmazonSSMAgent", "Amazon SSM Agent", "", "Automatic"),
    ("BITS", "Background Intelligent Transfer Service", "RpcSs", "Manual"),
    ("Dhcp", "DHCP Client", "NSI Afd", "Automatic"),
    ("EventLog", "Windows Event Log", "", "Automatic"),
    ("W32Time", "Windows Time", "", "Manual"),
    ("wuauserv", "Windows Update", "rpcss", "Manual"),
];

impl State {
    /// The packages of a Linux machine in the versions that are on it; the programs of a Windows
    /// machine.
    pub(super) fn applications(&self, at: MachineIx) -> Vec<Row> {
        if self.system_of(at).is_windows() {
            return self.programs(at);
        }
        let (machine, system) = (self.machine(at), self.system_of(at));
        let (patches, installed) = (&machine.patches, self.installed_when_gathered(at));
        let publisher = publisher(&system.os);
        let packages = patches.relevant.ones().filter_map(|place| {
            let package = system.patches.get(place)?.package.as_ref()?;
            let (version, when) = if installed.contains(place) {
                (package.version.clone(), self.installed_on(at, place))
            } else {
                (version_before(&package.version), stamp(machine.created))
            };
            Some(package_row(package, &version, &when, publisher))
        });
        let mut rows: Vec<Row> = packages.collect();
        rows.extend(self.components(at));
        rows
    }

    fn programs(&self, at: MachineIx) -> Vec<Row> {
        let created = stamp(self.machine(at).created);
        let chosen = PROGRAMS.iter().enumerate().filter(|(n, _)| {
            let bits = self.draw(at, 0xA99 ^ *n as u64);
            !bits.is_multiple_of(3)
        });
        let mut rows: Vec<Row> = chosen
            .map(|(_, (name, publisher, version))| {
                row([
                    ("Name", *name),
                    ("Publisher", publisher),
                    ("Version", version),
                    ("InstalledTime", &created),
                    ("Architecture", "x86_64"),
                    ("URL", ""),
                ])
            })
            .collect();
        rows.extend(self.components(at));
        rows
    }

    /// What comes from AWS: the agent.
    pub(super) fn components(&self, at: MachineIx) -> Vec<Row> {
        let machine = self.machine(at);
        let Some(aws) = &machine.aws else { return Vec::new() };
        let windows = self.system_of(at).is_windows();
        let installed = stamp(aws.registered.unwrap_or(machine.created));
        let version = aws.gathered.as_ref().map_or(&aws.agent_version, |it| &it.agent_version);
        vec![row([
            ("Name", if windows { "Amazon SSM Agent" } else { "amazon-ssm-agent" }),
            ("ApplicationType", if windows { "" } else { "Amazon/Tools" }),
            ("Publisher", if windows { "Amazon Web Services" } else { "Amazon.com" }),
            ("Version", version),
            ("InstalledTime", &installed),
            ("Architecture", "x86_64"),
            ("URL", "https://docs.aws.amazon.com/systems-manager/"),
        ])]
    }

    pub(super) fn windows_updates(&self, at: MachineIx) -> Vec<Row> {
        let system = self.system_of(at);
        if !system.is_windows() {
            return Vec::new();
        }
        let updates = self.installed_when_gathered(at).ones().filter_map(|place| {
            let patch = system.patches.get(place)?;
            let security = patch.classification.as_ref().is_some_and(Classification::is_security);
            Some(row([
                ("HotFixId", patch.id.as_str()),
                ("Description", if security { "Security Update" } else { "Update" }),
                ("InstalledTime", &self.installed_on(at, place)),
                ("InstalledBy", "NT AUTHORITY\\SYSTEM"),
            ]))
        });
        updates.collect()
    }

    pub(super) fn services(&self, at: MachineIx) -> Vec<Row> {
        if !self.system_of(at).is_windows() {
            return Vec::new();
        }
        let services = SERVICES.iter().map(|(name, display, needs, start)| {
            row([
                ("Name", *name),
                ("DisplayName", display),
                ("ServiceType", "Win32ShareProcess"),
                ("Status", if *start == "Automatic" { "Running" } else { "Stopped" }),
                ("DependentServices", ""),
                ("ServicesDependedOn", needs),
                ("StartType", start),
            ])
        });
        services.collect()
    }

    pub(super) fn network(&self, at: MachineIx) -> Row {
        let machine = self.machine(at);
        let [a, b, c, d] = machine.address;
        let windows = self.system_of(at).is_windows();
        let bits = self.draw(at, 0x3AC);
        row([
            ("Name", (if windows { "Ethernet" } else { "eth0" }).to_owned()),
            ("SubnetMask", "255.255.240.0".to_owned()),
            ("Gateway", format!("{a}.{b}.{}.1", c & 0xF0)),
            ("DHCPServer", format!("{a}.{b}.{}.1", c & 0xF0)),
            ("DNSServer", format!("{a}.{b}.0.2")),
            ("MacAddress", format!("02:{:02x}:{a:02x}:{b:02x}:{c:02x}:{d:02x}", bits & 0xFF)),
            ("IPV4", machine.address()),
            ("IPV6", format!("fe80::{:x}:{:x}", bits >> 48, bits >> 16 & 0xFFFF)),
        ])
    }

    pub(super) fn hardware(&self, at: MachineIx) -> Row {
        let kind = match self.machine(at).aws.as_ref().map(|aws| &aws.side) {
            Some(AwsKind::Ec2(ec2)) => ec2.kind,
            _ => "",
        };
        let (cores, threads) = match kind {
            "m6i.xlarge" => ("2", "4"),
            "c7g.large" => ("2", "2"),
            _ => ("1", "2"),
        };
        let os = &self.system_of(at).os;
        row([
            ("CPUModel", "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz"),
            ("CPUCores", cores),
            ("CPUs", threads),
            ("CPUSpeedMHz", "2900"),
            ("CPUSockets", "1"),
            ("CPUHyperThreadEnabled", if cores == threads { "false" } else { "true" }),
            ("OSServicePack", if *os == OperatingSystem::Windows { "0" } else { "" }),
            ("KernelVersion", kernel(os)),
        ])
    }

    fn installed_when_gathered(&self, at: MachineIx) -> &FixedBitSet {
        let machine = self.machine(at);
        let gathered = machine.aws.as_ref().and_then(|aws| aws.gathered.as_ref());
        gathered.map_or(&machine.patches.installed, |it| &it.installed)
    }

    fn installed_on(&self, at: MachineIx, place: usize) -> String {
        let known = self.machine(at).patches.installed_at.iter().rev();
        let known = known.into_iter().find(|(of, _)| usize::from(*of) == place);
        let second = known.and_then(|(_, at)| jiff::Timestamp::from_second(*at).ok());
        stamp(second.unwrap_or_else(|| self.installed_before(at, place)))
    }
}

fn package_row(package: &Package, version: &str, when: &str, publisher: &str) -> Row {
    let url = format!("https://packages.example.com/{}", package.name);
    let summary = format!("The {} package", package.name);
    row([
        ("Name", package.name.as_str()),
        ("ApplicationType", "System Environment/Base"),
        ("Publisher", publisher),
        ("Version", version),
        ("Release", &package.release),
        ("Epoch", &package.epoch),
        ("InstalledTime", when),
        ("Architecture", &package.arch),
        ("URL", &url),
        ("Summary", &summary),
        ("PackageId", &package.name),
    ])
}

fn publisher(os: &OperatingSystem) -> &'static str {
    match os {
        OperatingSystem::AmazonLinux2 | OperatingSystem::AmazonLinux2023 => "Amazon Linux",
        OperatingSystem::RedHatEnterpriseLinux => "Red Hat, Inc.",
        OperatingSystem::Suse => "SUSE LLC <https://www.suse.com/>",
        OperatingSystem::Ubuntu => "Ubuntu Developers <ubuntu-devel@lists.ubuntu.com>",
        _ => "Debian Developers",
    }
}

fn kernel(os: &OperatingSystem) -> &'static str {
    match os {
        OperatingSystem::AmazonLinux2 => "5.10.226-214.880.amzn2.x86_64",
        OperatingSystem::AmazonLinux2023 => "6.1.112-122.189.amzn2023.x86_64",
        OperatingSystem::RedHatEnterpriseLinux => "5.14.0-427.40.1.el9_4.x86_64",
        OperatingSystem::Suse => "5.14.21-150500.55.83-default",
        OperatingSystem::Ubuntu => "5.15.0-1071-aws",
        OperatingSystem::Windows => "",
        _ => "6.1.0-26-amd64",
    }
}

/// The version before this one: the last part that can be less is less by one.
fn version_before(version: &str) -> String {
    let mut parts: Vec<u64> = version.split('.').filter_map(|it| it.parse().ok()).collect();
    if let Some(last) = parts.iter_mut().rev().find(|part| **part > 0) {
        *last -= 1;
    }
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_before_another_is_less() {
        assert_eq!(version_before("3.4.5"), "3.4.4");
        assert_eq!(version_before("3.1.0"), "3.0.0");
        assert_eq!(version_before("1.0.0"), "0.0.0");
    }
}
