//! A lake to read, made from a seed: in its types, in how many rows these have and how long, and in
//! what differs from row to row, like what Resource Data Sync leaves of a mixed fleet.

use std::{fmt::Write as _, fs, io, path::Path};

const ACCOUNTS: [&str; 4] = ["034439589175", "154335349840", "562270419308", "741520749048"];
const REGIONS: [&str; 4] = ["eu-central-1", "eu-west-1", "us-east-1", "us-west-2"];
const NAMES: [&str; 16] = [
    "audit", "bash", "kernel", "curl", "python3", "perl", "systemd", "glibc", "vim", "zlib",
    "openssh", "sudo", "libxml2", "krb5", "expat", "gnupg",
];
const PARTS: [&str; 8] = ["libs", "core", "devel", "common", "utils", "doc", "minimal", "tools"];
const SUMMARIES: [&str; 4] = [
    "A set of system\\\\configuration tools",
    "Development files, headers\\tand friends",
    "Shared libraries of the \\\"core\\\" set",
    "Common files",
];

/// SplitMix64: the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[usize::try_from(self.below(words.len() as u64)).unwrap_or(0)]
    }

    fn time(&mut self) -> String {
        let (month, day) = (1 + self.below(12), 1 + self.below(28));
        let (hour, minute, second) = (self.below(24), self.below(60), self.below(60));
        format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// One object while it is written.
struct Object<'a> {
    text: String,
    node: &'a str,
    at: &'a str,
}

impl Object<'_> {
    fn row(&mut self, fields: &[(&str, &str)]) {
        self.text.push('{');
        for (name, value) in fields {
            // A `String` takes whatever is written to it.
            let _written = write!(self.text, "\"{name}\":\"{value}\",");
        }
        let (node, at) = (self.node, self.at);
        let _written = writeln!(
            self.text,
            "\"resourceId\":\"{node}\",\"captureTime\":\"{at}\",\"schemaVersion\":\"1.0\"}}"
        );
    }
}

/// Writes the objects of so many nodes.
pub(crate) fn lake(folder: &Path, nodes: u64) -> io::Result<()> {
    for number in 0..nodes {
        let mut dice = Dice(number.wrapping_mul(0x1234_5678_9abc_def1));
        let place = (dice.of(&ACCOUNTS), dice.of(&REGIONS));
        let node = format!("i-{:017x}", dice.next() >> 4);
        let at = dice.time();
        let is_windows = dice.below(10) < 3;
        let mut put = |ty: &str, make: &mut dyn FnMut(&mut Object<'_>, &mut Dice)| {
            let mut object = Object { text: String::new(), node: &node, at: &at };
            make(&mut object, &mut dice);
            let (account, region) = place;
            let folder = folder.join(format!(
                "AWS:{ty}/accountid={account}/region={region}/resourcetype=ManagedInstanceInventory"
            ));
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(format!("{node}.json")), object.text)
        };
        put("Application", &mut applications)?;
        put("ComplianceItem", &mut items)?;
        put("ComplianceSummary", &mut summaries)?;
        put("InstanceInformation", &mut information)?;
        put("PatchSummary", &mut |object, dice| patch_summary(object, dice))?;
        put("Network", &mut |object, dice| {
            for n in 0..2 {
                let address = format!("10.{}.{}.{n}", dice.below(256), dice.below(256));
                object.row(&[("Name", "eth0"), ("IPV4", &address), ("Gateway", "10.0.0.1")]);
            }
        })?;
        put("Tag", &mut |object, dice| {
            for key in ["Name", "Patch Group", "Stage", "Owner", "CostCentre"] {
                let value = format!("value-{}", dice.below(40));
                object.row(&[("Key", key), ("Value", &value)]);
            }
        })?;
        if is_windows {
            put("Service", &mut |object, dice| {
                for n in 0..180 + dice.below(80) {
                    let (name, title) = (format!("svc{n}"), format!("Windows service number {n}"));
                    object.row(&[
                        ("Name", &name),
                        ("DisplayName", &title),
                        ("ServiceType", "Win32ShareProcess"),
                        ("Status", dice.of(&["Running", "Stopped"])),
                        ("DependentServices", ""),
                        ("ServicesDependedOn", dice.of(&["", "rpcss", "http nsi"])),
                        ("StartType", dice.of(&["Manual", "Automatic", "Disabled"])),
                    ]);
                }
            })?;
            put("WindowsUpdate", &mut |object, dice| {
                for _ in 0..10 + dice.below(80) {
                    let (id, at) =
                        (format!("KB{}", 4_000_000 + dice.below(1_000_000)), dice.time());
                    object.row(&[
                        ("HotFixId", &id),
                        ("Description", dice.of(&["Update", "Security Update"])),
                        ("InstalledTime", &at),
                        ("InstalledBy", "NT AUTHORITY\\\\SYSTEM"),
                    ]);
                }
            })?;
        }
    }
    Ok(())
}

fn applications(object: &mut Object<'_>, dice: &mut Dice) {
    for _ in 0..300 + dice.below(500) {
        // About one old one on every second node.
        let is_openssl = dice.below(400) == 0;
        let name = if is_openssl { "openssl" } else { dice.of(&NAMES) };
        let name = format!("{name}-{}", dice.of(&PARTS));
        let version = format!("{}.{}.{}", dice.below(6), dice.below(20), dice.below(30));
        let release = format!("{}.amzn2.0.{}", dice.below(100), dice.below(10));
        let (url, package) =
            (format!("https://www.{name}.org/"), format!("{name}-{version}-{release}.src.rpm"));
        let (summary, at) = (format!("{} for {name}", dice.of(&SUMMARIES)), dice.time());
        object.row(&[
            ("Name", &name),
            ("ApplicationType", dice.of(&["System Environment/Base", "Unspecified", "Libraries"])),
            ("Publisher", "Amazon Linux"),
            ("Version", &version),
            ("Release", &release),
            ("Epoch", dice.of(&["", "0", "1"])),
            ("Architecture", dice.of(&["x86_64", "aarch64", "noarch"])),
            ("URL", &url),
            ("Summary", &summary),
            ("PackageId", &package),
            ("InstalledTime", &at),
        ]);
    }
}

fn items(object: &mut Object<'_>, dice: &mut Dice) {
    let (execution, at) = (format!("{:032x}", u128::from(dice.next())), dice.time());
    for _ in 0..10 + dice.below(390) {
        let name = format!("{}-{}", dice.of(&NAMES), dice.of(&PARTS));
        let (id, title) = (format!("{name}.x86_64"), format!("{name}:0:{}.al2", dice.below(90)));
        let is_missing = dice.below(50) == 0;
        let installed = dice.time();
        let mut fields = vec![
            ("ComplianceType", "Patch"),
            ("ExecutionId", execution.as_str()),
            ("ExecutionType", "Command"),
            ("ExecutionTime", &at),
            ("Id", &id),
            ("Title", &title),
            ("Status", if is_missing { "NON_COMPLIANT" } else { "COMPLIANT" }),
            ("Severity", dice.of(&["LOW", "MEDIUM", "HIGH", "CRITICAL"])),
            ("Classification", dice.of(&["Security", "Bugfix", "Recommended", "Enhancement"])),
            ("PatchSeverity", dice.of(&["Low", "Medium", "Important", "Critical"])),
            ("PatchState", if is_missing { "Missing" } else { "Installed" }),
            ("InstalledTime", &installed),
            ("DocumentName", ""),
            ("DocumentVersion", ""),
            ("PatchBaselineId", "pb-0a1b2c3d4e5f6000d"),
            ("PatchGroup", "pci"),
        ];
        if is_missing {
            fields.push(("CVEIds", "CVE-2026-0001,CVE-2026-0002"));
        }
        object.row(&fields);
    }
}

fn summaries(object: &mut Object<'_>, dice: &mut Dice) {
    for kind in ["Patch", "Association"] {
        let at = dice.time();
        object.row(&[
            ("ComplianceType", kind),
            ("PatchGroup", "pci"),
            ("PatchBaselineId", "pb-0a1b2c3d4e5f6000d"),
            ("Status", dice.of(&["COMPLIANT", "COMPLIANT", "NON_COMPLIANT"])),
            ("OverallSeverity", "UNSPECIFIED"),
            ("ExecutionType", "Command"),
            ("ExecutionTime", &at),
            ("CompliantCriticalCount", "0"),
            ("CompliantHighCount", "12"),
            ("CompliantMediumCount", "40"),
            ("NonCompliantCriticalCount", "0"),
            ("NonCompliantHighCount", "1"),
        ]);
    }
}

fn information(object: &mut Object<'_>, dice: &mut Dice) {
    let name = format!("host-{}.example.com", dice.below(1_000_000));
    object.row(&[
        ("AgentType", "amazon-ssm-agent"),
        ("AgentVersion", "3.3.987.0"),
        ("ComputerName", &name),
        ("IpAddress", "10.0.0.7"),
        ("PlatformName", "Amazon Linux"),
        ("PlatformType", "Linux"),
        ("PlatformVersion", "2023"),
        ("ResourceType", "EC2Instance"),
        ("InstanceStatus", dice.of(&["Active", "Active", "Active", "Stopped", "Terminated"])),
    ]);
}

fn patch_summary(object: &mut Object<'_>, dice: &mut Dice) {
    let (missing, at) = (dice.below(5).to_string(), dice.time());
    object.row(&[
        ("PatchGroup", "pci"),
        ("BaselineId", "pb-0a1b2c3d4e5f6000d"),
        ("OperationType", "Scan"),
        ("OperationEndTime", &at),
        ("InstalledCount", "300"),
        ("MissingCount", &missing),
        ("FailedCount", "0"),
    ]);
}
