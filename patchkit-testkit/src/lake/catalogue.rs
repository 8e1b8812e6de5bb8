//! What the nodes of a sample lake run and have installed.

/// How a platform's packages are written in `AWS:Application`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Packages {
    Rpm,
    Deb,
    Windows,
}

#[derive(Debug)]
pub(super) struct Platform {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) packages: Packages,
    /// The release's tail: `28.el9`, `1ubuntu2.3`.
    pub(super) tail: &'static str,
    pub(super) baseline: &'static str,
    pub(super) openssl: &'static [OpenSsl],
}

/// A version of OpenSSL, and whether it is older than 3.0.7: said here by hand, so that the answer
/// owes nothing to the code that it checks.
#[derive(Debug)]
pub(super) struct OpenSsl {
    pub(super) epoch: &'static str,
    pub(super) version: &'static str,
    pub(super) release: &'static str,
    pub(super) age: Age,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Age {
    Old,
    Fixed,
}

const fn ssl(
    epoch: &'static str,
    version: &'static str,
    release: &'static str,
    age: Age,
) -> OpenSsl {
    OpenSsl { epoch, version, release, age }
}

pub(super) const PLATFORMS: &[Platform] = &[
    Platform {
        name: "Amazon Linux",
        version: "2",
        packages: Packages::Rpm,
        tail: "amzn2",
        baseline: "pb-0a10000000000001a",
        openssl: &[ssl("1", "1.0.2k", "24.amzn2.0.13", Age::Old)],
    },
    Platform {
        name: "Amazon Linux",
        version: "2023",
        packages: Packages::Rpm,
        tail: "amzn2023.0.2",
        baseline: "pb-0a10000000000002a",
        openssl: &[
            ssl("1", "3.0.8", "1.amzn2023.0.14", Age::Fixed),
            ssl("1", "3.0.5", "1.amzn2023.0.3", Age::Old),
            // 10 is more than 7, whatever the letters say.
            ssl("1", "3.0.10", "1.amzn2023.0.1", Age::Fixed),
        ],
    },
    Platform {
        name: "Red Hat Enterprise Linux",
        version: "8.10",
        packages: Packages::Rpm,
        tail: "el8_10",
        baseline: "pb-0a10000000000003a",
        openssl: &[ssl("1", "1.1.1k", "12.el8_9", Age::Old)],
    },
    Platform {
        name: "Red Hat Enterprise Linux",
        version: "9.4",
        packages: Packages::Rpm,
        tail: "el9_4",
        baseline: "pb-0a10000000000003a",
        openssl: &[
            ssl("1", "3.0.1", "43.el9_0", Age::Old),
            ssl("1", "3.0.7", "28.el9_4", Age::Fixed),
            ssl("1", "3.0.7", "6.el9_2", Age::Fixed),
            ssl("1", "3.0.7~beta1", "1.el9", Age::Old),
            ssl("(none)", "3.0.7^20221101git1", "1.el9", Age::Fixed),
        ],
    },
    Platform {
        name: "SLES",
        version: "15.5",
        packages: Packages::Rpm,
        tail: "150500.3.1",
        baseline: "pb-0a10000000000004a",
        openssl: &[
            ssl("(none)", "1.1.1l", "150500.17.28.2", Age::Old),
            ssl("0", "3.0.8", "150500.5.33.1", Age::Fixed),
        ],
    },
    Platform {
        name: "Ubuntu",
        version: "22.04",
        packages: Packages::Deb,
        tail: "ubuntu0.22.04.1",
        baseline: "pb-0a10000000000005a",
        openssl: &[
            ssl("", "3.0.2-0ubuntu1.15", "", Age::Old),
            ssl("", "3.0.2", "0ubuntu1.18", Age::Old),
            // Its epoch is no part of the question.
            ssl("", "1:3.0.2-0ubuntu1.15", "", Age::Old),
            ssl("", "3.0.13-0ubuntu3.4", "", Age::Fixed),
        ],
    },
    Platform {
        name: "Debian GNU/Linux",
        version: "12",
        packages: Packages::Deb,
        tail: "deb12u1",
        baseline: "pb-0a10000000000006a",
        openssl: &[
            ssl("", "3.0.15-1~deb12u1", "", Age::Fixed),
            ssl("", "3.0.11", "1~deb12u2", Age::Fixed),
            // The revision is no part of the question either.
            ssl("", "3.0.7-1~deb12u1", "", Age::Fixed),
            ssl("", "3.0.7~rc1-1", "", Age::Old),
        ],
    },
    Platform {
        name: "Microsoft Windows Server 2019 Datacenter",
        version: "10.0.17763",
        packages: Packages::Windows,
        tail: "",
        baseline: "pb-0a10000000000007a",
        openssl: &[
            ssl("", "1.1.1w", "", Age::Old),
            ssl("", "3.0.5", "", Age::Old),
            ssl("", "3.0.7", "", Age::Fixed),
        ],
    },
    Platform {
        name: "Microsoft Windows Server 2022 Datacenter",
        version: "10.0.20348",
        packages: Packages::Windows,
        tail: "",
        baseline: "pb-0a10000000000007a",
        openssl: &[
            ssl("", "3.0.7.0", "", Age::Fixed),
            ssl("", "3.1.4", "", Age::Fixed),
            ssl("", "3.0.16", "", Age::Fixed),
        ],
    },
];

/// Names of packages on Linux; none matches `openssl*`.
pub(super) const LINUX_PACKAGES: &[&str] = &[
    "bash",
    "bind-utils",
    "bzip2",
    "ca-certificates",
    "chrony",
    "containerd",
    "coreutils",
    "cronie",
    "curl",
    "dbus",
    "docker",
    "expat",
    "gawk",
    "git",
    "glibc",
    "gnutls",
    "grep",
    "gzip",
    "haproxy",
    "httpd",
    "iproute",
    "kernel",
    "krb5-libs",
    "less",
    "libssh",
    "libxml2",
    "lvm2",
    "ncurses",
    "nginx",
    "nodejs",
    "openssh-server",
    "pam",
    "perl",
    "polkit",
    "python3",
    "redis",
    "rsyslog",
    "sqlite",
    "sudo",
    "systemd",
    "tar",
    "vim-minimal",
    "xz",
    "zlib",
];

/// Names and publishers of programs on Windows.
pub(super) const WINDOWS_PROGRAMS: &[(&str, &str)] = &[
    ("7-Zip (x64)", "Igor Pavlov"),
    ("AWS PV Drivers", "Amazon Web Services"),
    ("AWS Tools for Windows", "Amazon Web Services"),
    ("Amazon SSM Agent", "Amazon Web Services"),
    ("CrowdStrike Windows Sensor", "CrowdStrike, Inc."),
    ("Dell OpenManage \"Server\" Administrator", "Dell Technologies®"),
    ("Git", "The Git Development Community"),
    ("Google Chrome", "Google LLC"),
    ("IIS URL Rewrite Module 2", "Microsoft Corporation"),
    ("Java 8 Update 411 (64-bit)", "Oracle Corporation"),
    ("Microsoft .NET Runtime - 8.0.8 (x64)", "Microsoft Corporation"),
    ("Microsoft ODBC Driver 17 for SQL Server", "Microsoft Corporation"),
    ("Microsoft SQL Server 2019 (64-bit)", "Microsoft Corporation"),
    ("Microsoft Visual C++ 2015-2022 Redistributable (x64)", "Microsoft Corporation"),
    ("Mozilla Firefox ESR (x64 cs)", "Mozilla"),
    ("Notepad++ (64-bit x64)", "Notepad++ Team"),
    ("PuTTY release 0.81 (64-bit)", "Simon Tatham"),
    ("Python 3.12.4 Core Interpreter (64-bit)", "Python Software Foundation"),
    ("Splunk Universal Forwarder", "Splunk, Inc."),
    ("VMware Tools", "VMware, Inc."),
    ("WinSCP 6.3.4", "Martin Prikryl"),
    ("Zabbix Agent (64-bit)", "Zabbix SIA"),
    ("Záložní agent", "Škoda Auto a.s."),
    ("資産管理エージェント", "株式会社サンプル"),
];

pub(super) const REGIONS: [&str; 8] = [
    "eu-west-1",
    "us-east-1",
    "eu-central-1",
    "us-west-2",
    "ap-southeast-1",
    "ca-central-1",
    "sa-east-1",
    "eu-north-1",
];
