//! What a large simulated world costs: its start, its memory, a page, and requests a second.
//!
//! `cargo bench -p patchkit-testkit --bench cloud`, with `-- --nodes 100000 --patches 2000` as it is
//! without. The server is a process of its own, so that its CPU time and memory are its alone. Over
//! loopback the kernel's share has what the client's side of a connection does on receipt: most where
//! one client alone asks, for which a processor is then woken dozens of times in a large page.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use clap::Parser;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

#[derive(Debug, Parser)]
struct Args {
    #[arg(long, default_value_t = 100_000)]
    nodes: usize,
    #[arg(long, default_value_t = 2_000)]
    patches: usize,
    /// How many rows a page of Resource Graph has: a thousand at most, and where nobody says.
    #[arg(long, default_value_t = 100)]
    top: usize,
    /// How many clients ask at the same time, each over a connection of its own.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// How long each kind of request is repeated, in seconds.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Only what has this in its name.
    #[arg(default_value = "")]
    filter: String,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let begun = Instant::now();
    let server = Server::start(&args);
    println!(
        "start: {} nodes, {} patches in {:.2} s; {} MB",
        args.nodes,
        args.patches,
        begun.elapsed().as_secs_f64(),
        server.peak_megabytes()
    );
    for (name, query) in QUERIES.into_iter().filter(|(name, _)| name.contains(&args.filter)) {
        server.measure_query(name, query, Duration::from_secs_f64(args.seconds));
    }
    let requests = requests(&server).into_iter();
    for request in requests.filter(|it| it.name.contains(&args.filter)) {
        server.measure(&request, Duration::from_secs_f64(args.seconds));
    }
    println!("end: {} MB at most", server.peak_megabytes());
}

/// A request that is repeated.
struct Sample {
    name: &'static str,
    address: String,
    bytes: Vec<u8>,
}

fn requests(server: &Server) -> Vec<Sample> {
    let ids = server.node_ids();
    let ssm = |name, operation, input: &Value| {
        let head = [
            ("x-amz-target", format!("AmazonSSM.{operation}")),
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("authorization", authorization("ssm")),
        ];
        Sample { name, address: server.aws.clone(), bytes: post("/", &head, &input.to_string()) }
    };
    let ec2 = |name, body: &str| Sample {
        name,
        address: server.aws.clone(),
        bytes: post("/", &[("authorization", authorization("ec2"))], body),
    };
    let graph = |name, token: Option<&str>| Sample {
        name,
        address: server.azure.clone(),
        bytes: graph_request(QUERIES[0].1, server.top, token),
    };
    let token = server.graph_token();
    vec![
        graph("Resource Graph, the same first page", None),
        graph("Resource Graph, a later page", token.as_deref()),
        ssm(
            "DescribeInstanceInformation, page of 50",
            "DescribeInstanceInformation",
            &json!({"MaxResults": 50}),
        ),
        ssm(
            "DescribeInstancePatchStates, 50 nodes",
            "DescribeInstancePatchStates",
            &json!({"InstanceIds": ids, "MaxResults": 50}),
        ),
        ssm(
            "GetInventory AWS:PatchSummary, page of 50",
            "GetInventory",
            &json!({"ResultAttributes": [{"TypeName": "AWS:PatchSummary"}], "MaxResults": 50}),
        ),
        ec2(
            "DescribeInstances, page of 100",
            "Action=DescribeInstances&Version=2016-11-15&MaxResults=100",
        ),
    ]
}

/// The machines of both kinds, and the scale sets that stand for theirs, with what PatchKit reads.
macro_rules! machines {
    () => {
        "resources | where type =~ 'microsoft.compute/virtualmachines' or type =~ \
         'microsoft.hybridcompute/machines' or (type =~ \
         'microsoft.compute/virtualmachinescalesets' and \
         tostring(properties.orchestrationMode) !~ 'Flexible') \
         | project id, name, type, location, tags, zone = zones[0], vmId = properties.vmId, \
         vmUuid = properties.vmUuid, priority = properties.priority, \
         scaleSet = properties.virtualMachineScaleSet.id, \
         osType = properties.storageProfile.osDisk.osType, \
         image = properties.storageProfile.imageReference, \
         windows = properties.osProfile.windowsConfiguration.patchSettings, \
         linux = properties.osProfile.linuxConfiguration.patchSettings, \
         view = properties.extended.instanceView, computerName = properties.osProfile.computerName, \
         displayName = properties.displayName, arcStatus = properties.status, \
         agentVersion = properties.agentVersion, since = properties.lastStatusChange, \
         arcOsType = properties.osType, arcOsName = properties.osName, \
         arcOsVersion = properties.osVersion"
    };
}

/// Queries of Resource Graph: those whose pages are made one by one, and those that must know of
/// all rows before the first one can be told. The last looks at what each machine has of its own.
const QUERIES: [(&str, &str); 13] = [
    (
        "lazily, machines",
        "resources | where type =~ 'microsoft.compute/virtualmachines' \
         | project id, name, location, properties.osName, tags",
    ),
    ("as PatchKit lists machines", concat!(machines!(), " | order by id asc")),
    (
        "as PatchKit lists them with assessments",
        concat!(
            machines!(),
            " | extend key = tolower(id) | join kind=leftouter (patchassessmentresources | where type \
             in~ ('microsoft.compute/virtualmachines/patchassessmentresults', \
             'microsoft.hybridcompute/machines/patchassessmentresults') | project key = \
             tostring(split(tolower(id), '/patchassessmentresults/')[0]), assessedAt = \
             properties.lastModifiedDateTime, assessment = properties.status, rebootPending = \
             properties.rebootPending, available = \
             properties.availablePatchCountByClassification) on key | project-away key, key1 \
             | order by id asc"
        ),
    ),
    ("lazily, all columns", "resources | where type =~ 'microsoft.compute/virtualmachines'"),
    (
        "lazily, power",
        "resources | where type =~ 'microsoft.compute/virtualmachines' | extend power = \
         tostring(properties.extended.instanceView.powerState.code) \
         | project id, name, resourceGroup, power",
    ),
    (
        "lazily, assessments",
        "patchassessmentresources | where type =~ \
         'microsoft.compute/virtualmachines/patchassessmentresults' | project id, properties",
    ),
    (
        "lazily, missing patches",
        "patchassessmentresources | where type =~ \
         'microsoft.compute/virtualmachines/patchassessmentresults/softwarepatches'",
    ),
    (
        "lazily, updates of windows",
        "patchassessmentresources | where type endswith 'softwarepatches' | extend kb = \
         tostring(properties.kbId), class = tostring(properties.classifications[0]) \
         | project id, kb, class, properties.patchName, properties.publishedDateTime",
    ),
    (
        "all seen, order by",
        "resources | where type =~ 'microsoft.compute/virtualmachines' \
         | project id, name, location, properties.osName, tags | order by name asc",
    ),
    (
        "all seen, filter",
        "resources | where type =~ 'microsoft.compute/virtualmachines' and \
         properties.extended.instanceView.powerState.code == 'PowerState/running' \
         | project id, name, properties",
    ),
    (
        "all seen, summarize",
        "resources | where type =~ 'microsoft.compute/virtualmachines' | summarize count() by \
         tostring(properties.extended.instanceView.powerState.code), location",
    ),
    (
        "all seen, tag and id",
        "resources | where type =~ 'microsoft.compute/virtualmachines' and tags.Owner != '' \
         | project id, name, tags | order by id asc",
    ),
    (
        "each looked at",
        "resources | where type =~ 'microsoft.compute/virtualmachines' and name contains '7' \
         | project id, name, tags",
    ),
];

/// A page of a query.
fn graph_request(query: &str, top: usize, token: Option<&str>) -> Vec<u8> {
    let mut options = json!({"$top": top, "resultFormat": "objectArray"});
    if let Some(token) = token {
        options["$skipToken"] = json!(token);
    }
    let body = json!({"query": query, "options": options}).to_string();
    let path = "/providers/Microsoft.ResourceGraph/resources?api-version=2024-04-01";
    let head = [
        ("authorization", "Bearer any".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    post(path, &head, &body)
}

/// Not checked here: only its scope is read.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/us-east-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=0"
    )
}

fn post(path: &str, head: &[(&str, String)], body: &str) -> Vec<u8> {
    let mut text = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in head {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let _ = write!(text, "content-length: {}\r\n\r\n{body}", body.len());
    text.into_bytes()
}

struct Server {
    child: Child,
    aws: String,
    azure: String,
    control: String,
    top: usize,
    clients: u32,
}

impl Server {
    fn start(args: &Args) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sim-cloud"))
            .args(["--nodes", &args.nodes.to_string(), "--patches", &args.patches.to_string()])
            .args(["--throttles", "off", "--speed", "1"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("sim-cloud was built for this");
        let out = child.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("it says where it listens");
        let ready: Value = serde_json::from_str(&line).expect("it says so in JSON");
        let address = |name: &str| {
            let url = ready[name].as_str().unwrap_or_default();
            url.trim_start_matches("http://").to_owned()
        };
        Self {
            aws: address("aws_endpoint"),
            azure: address("azure_endpoint"),
            control: address("control_endpoint"),
            top: args.top,
            clients: args.clients,
            child,
        }
    }

    /// Managed nodes of the first account and Region, as its first page has them.
    fn node_ids(&self) -> Vec<String> {
        let head = [
            ("x-amz-target", "AmazonSSM.DescribeInstanceInformation".to_owned()),
            ("authorization", authorization("ssm")),
        ];
        let bytes = post("/", &head, r#"{"MaxResults": 50}"#);
        let mut connection = Connection::open(&self.aws);
        let body = connection.ask(&bytes).1;
        let page: Value = serde_json::from_slice(body).expect("a page is JSON");
        let list = page["InstanceInformationList"].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|it| Some(it["InstanceId"].as_str()?.to_owned())).collect()
    }

    /// The token of the second page of a query.
    fn graph_token(&self) -> Option<String> {
        let mut connection = Connection::open(&self.azure);
        let body = connection.ask(&graph_request(QUERIES[0].1, self.top, None)).1;
        let page: Value = serde_json::from_slice(body).expect("a page is JSON");
        Some(page["$skipToken"].as_str()?.to_owned())
    }

    /// What the first page of a query costs, and a page on the mean where all are asked for.
    fn measure_query(&self, name: &str, query: &str, time: Duration) {
        // The same query again would get the answer that is at hand.
        let numbers = AtomicU32::new(0);
        let opened = || {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            format!("let number = {number}; {query}")
        };
        let ask = |connection: &mut Connection, query: &str, token: Option<&str>| -> Page {
            let (status, body) = connection.ask(&graph_request(query, self.top, token));
            assert_eq!(status, 200, "{query}");
            serde_json::from_slice(body).expect("a page is JSON")
        };
        let first = self.cost(&self.azure, time, |connection| {
            ask(connection, &opened(), None);
            1
        });
        let total = AtomicUsize::new(0);
        let mean = self.cost(&self.azure, time, |connection| {
            let (query, mut pages) = (opened(), 1);
            let mut page = ask(connection, &query, None);
            total.store(page.total_records, Ordering::Relaxed);
            while let Some(token) = page.skip_token {
                page = ask(connection, &query, Some(&token));
                pages += 1;
            }
            pages
        });
        let (title, top, total) = (format!("Resource Graph {name}"), self.top, total.into_inner());
        let (mean, first) = (mean.0, first.0);
        println!("{title:56} {mean} for a page of {top}, {total} rows in all; first {first}");
    }

    /// Repeats a request, and prints what it cost the server.
    fn measure(&self, sample: &Sample, time: Duration) {
        let (cost, rate) = self.cost(&sample.address, time, |connection| {
            assert_eq!(connection.ask(&sample.bytes).0, 200, "{}", sample.name);
            1
        });
        println!("{:56} {cost} each, {rate:.0} requests/s", sample.name);
        // The record of requests is not what is measured.
        let forget = b"DELETE /calls HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
        Connection::open(&self.control).ask(forget);
    }

    /// What a request costs the server where clients make them for some time, and how many it answers in
    /// a second. Clients make some at a time, and tell how many.
    fn cost(
        &self,
        address: &str,
        time: Duration,
        ask: impl Fn(&mut Connection) -> u32 + Sync,
    ) -> (Cost, f64) {
        let (before, begun) = (self.cpu(), Instant::now());
        let client = || {
            let (mut connection, mut count) = (Connection::open(address), 0);
            while count == 0 || begun.elapsed() < time {
                count += ask(&mut connection);
            }
            count
        };
        let count: u32 = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..self.clients).map(|_| scope.spawn(client)).collect();
            clients.into_iter().map(|it| it.join().expect("a client ends well")).sum()
        });
        (
            Cost::of(self.cpu().since(before), count),
            f64::from(count) / begun.elapsed().as_secs_f64(),
        )
    }

    /// The CPU time of the server so far. The scheduler counts it in nanoseconds; how much of it was
    /// the kernel's is known in hundredths of a second.
    fn cpu(&self) -> Cpu {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let files = threads.into_iter().flatten().flatten().map(|it| it.path().join("schedstat"));
        let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
        let spent = texts.filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        // Behind the name in brackets, which may have anything in it.
        let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
        let mut ticks = ticks.map(|it| it.parse::<u32>().unwrap_or(0));
        let [own_ticks, kernel_ticks] = [(); 2].map(|()| ticks.next().unwrap_or(0));
        Cpu { spent: Duration::from_nanos(spent.sum()), own_ticks, kernel_ticks }
    }

    fn peak_megabytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let text = text.unwrap_or_default();
        let line = text.lines().find_map(|it| it.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1_024
    }
}

/// What is read of a page. Whoever made something of all its rows would take the processor's memory,
/// and time of its own from what is measured.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    total_records: usize,
    #[serde(rename = "data")]
    _rows: IgnoredAny,
    #[serde(rename = "$skipToken")]
    skip_token: Option<String>,
}

/// What a process has spent.
#[derive(Clone, Copy)]
struct Cpu {
    spent: Duration,
    own_ticks: u32,
    kernel_ticks: u32,
}

impl Cpu {
    fn since(self, before: Self) -> Self {
        Self {
            spent: self.spent.saturating_sub(before.spent),
            own_ticks: self.own_ticks.saturating_sub(before.own_ticks),
            kernel_ticks: self.kernel_ticks.saturating_sub(before.kernel_ticks),
        }
    }
}

/// The server's CPU time for one request, in milliseconds.
struct Cost {
    all: f64,
    kernel: f64,
}

impl Cost {
    fn of(cpu: Cpu, count: u32) -> Self {
        let all = cpu.spent.as_secs_f64() * 1_000.0 / f64::from(count);
        let ticks = (cpu.own_ticks + cpu.kernel_ticks).max(1);
        Self { all, kernel: all * f64::from(cpu.kernel_ticks) / f64::from(ticks) }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:6.3} ms of CPU ({:.2} in the kernel)", self.all, self.kernel)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A connection that is kept, with the last answer's body. A client library would take more CPU than
/// what is measured, and a new buffer for each answer more memory than is near to the processor.
struct Connection {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket takes its options");
        Self { stream: BufReader::new(stream), body: Vec::new() }
    }

    fn ask(&mut self, request: &[u8]) -> (u16, &[u8]) {
        self.stream.get_mut().write_all(request).expect("the server reads");
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the server answers");
        let status = line.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("the server answers");
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        self.body.resize(self.body.len().max(length), 0);
        let body = &mut self.body[..length];
        self.stream.read_exact(body).expect("the server answers to the end");
        (status, body)
    }
}
