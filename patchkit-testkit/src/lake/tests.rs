use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use patchkit_core::ComplianceStatus;
use serde_json::Value;

use super::*;

fn lake() -> SampleLake {
    SampleLake::new().with_seed(7).with_nodes(300).with_accounts(3).with_regions(2)
}

/// Rows by type, account, Region and node.
type Rows = BTreeMap<(String, String, String, String), Vec<Value>>;

/// Reads a folder with as little thought as will do; what does not parse is left out.
fn read(folder: &Path) -> Rows {
    let mut rows = Rows::new();
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::<PathBuf>::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { &mut folders } else { &mut files }.push(path);
        }
    }
    for path in files {
        let key = path.strip_prefix(folder).unwrap().to_str().unwrap();
        let segments: Vec<&str> = key.split('/').collect();
        let &[kind, account, region, _, file] = segments.as_slice() else { continue };
        if !kind.contains(':') {
            continue;
        }
        let part = |segment: &str| segment.split_once('=').unwrap().1.to_owned();
        let id = file.trim_end_matches(".json").to_owned();
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let parsed = text
            .trim_start_matches('\u{feff}')
            .trim_end_matches('\0')
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        rows.insert((kind.to_owned(), part(account), part(region), id), parsed);
    }
    rows
}

/// Counts again from what was written.
fn recount(rows: &Rows, takes: impl Fn(&str) -> bool) -> Vec<GroupAnswer> {
    let mut groups = BTreeMap::<_, GroupAnswer>::new();
    for ((kind, account, region, id), found) in rows {
        if kind != "AWS:InstanceInformation" || !takes(id) {
            continue;
        }
        let group = groups.entry((account.clone(), region.clone())).or_insert_with(|| {
            let (account, region) = (account.clone(), region.clone());
            GroupAnswer { account, region, ..GroupAnswer::default() }
        });
        let key = ("AWS:ComplianceSummary".into(), account.clone(), region.clone(), id.clone());
        let summaries = rows.get(&key).map(Vec::as_slice).unwrap_or_default();
        let patch = summaries.iter().find(|row| row["ComplianceType"] == "Patch");
        let verdict = patch.map(|row| ComplianceStatus::from_wire(row["Status"].as_str().unwrap()));
        match (found[0]["InstanceStatus"].as_str().unwrap(), verdict) {
            ("Stopped", _) => group.not_live.stopped += 1,
            ("Terminated", _) => group.not_live.terminated += 1,
            (_, Some(ComplianceStatus::Compliant)) => group.compliant += 1,
            (_, Some(ComplianceStatus::NonCompliant)) => group.non_compliant += 1,
            _ => group.unknown += 1,
        }
    }
    groups.into_values().collect()
}

/// Good enough for the versions in the catalogue: epoch and release off, then number by number.
fn below_3_0_7(version: &str) -> bool {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let version = version.split('-').next().unwrap();
    let number = |part: &str| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap_or(0)
    };
    let parts: Vec<u32> = version.split('.').take(3).map(number).collect();
    parts < vec![3, 0, 7] || (parts == [3, 0, 7] && version.contains('~'))
}

#[test]
fn one_seed_gives_the_same_bytes_and_another_gives_others() {
    let objects = |seed| lake().with_seed(seed).with_nodes(60).objects().collect::<Vec<_>>();
    assert_eq!(objects(7), objects(7));
    assert_ne!(objects(7), objects(8));
    let dirty = || lake().with_dirt(&Dirt::ALL, 20);
    assert_eq!(dirty().answer_key(), dirty().answer_key());
}

#[test]
fn the_key_equals_a_recount_of_the_written_files() {
    let folder = tempfile::tempdir().unwrap();
    let key = lake().write(folder.path()).unwrap();
    let rows = read(folder.path());
    assert_eq!(key.groups, recount(&rows, |_| true));
    assert_eq!(key.groups.len(), 6);
    assert_eq!(key, lake().answer_key());

    let live: BTreeSet<&str> = key
        .nodes
        .iter()
        .filter(|node| node.instance_status.is_live())
        .map(|node| node.id.as_str())
        .collect();
    let mut old = BTreeMap::<String, u64>::new();
    let mut types = BTreeMap::<String, TypeAnswer>::new();
    for ((kind, _, _, id), rows) in rows.iter().filter(|(_, rows)| !rows.is_empty()) {
        let counted = types.entry(kind.clone()).or_default();
        counted.objects += 1;
        counted.rows += rows.len() as u64;
        for row in rows.iter().filter(|_| kind == "AWS:Application" && live.contains(&**id)) {
            let name = row["Name"].as_str().unwrap().to_lowercase();
            if name.starts_with("openssl") && below_3_0_7(row["Version"].as_str().unwrap()) {
                *old.entry(id.clone()).or_default() += 1;
            }
        }
    }
    assert_eq!(key.openssl.nodes, old.keys().cloned().collect::<Vec<_>>());
    assert_eq!(key.openssl.rows, old.values().sum::<u64>());
    assert!(key.openssl.rows > 0);
    assert_eq!(key.types, types);
}

#[test]
fn the_compliance_types_of_a_node_agree() {
    let folder = tempfile::tempdir().unwrap();
    let key = lake().write(folder.path()).unwrap();
    let rows = read(folder.path());
    let number = |value: &Value| {
        value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok())).unwrap()
    };
    for node in &key.nodes {
        let of = |kind: &str| {
            rows.get(&(kind.into(), node.account.clone(), node.region.clone(), node.id.clone()))
        };
        let items = of("AWS:ComplianceItem").map(Vec::as_slice).unwrap_or_default();
        let patches = || items.iter().filter(|row| row["ComplianceType"] == "Patch");
        let wrong = patches().filter(|row| {
            let status = row["Status"].as_str().unwrap();
            ComplianceStatus::from_wire(status) == ComplianceStatus::NonCompliant
        });
        assert_eq!(wrong.count(), node.counts.non_compliant() as usize, "{}", node.id);
        let ids: BTreeSet<&str> = patches().map(|row| row["Id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), patches().count(), "{}", node.id);
        let Some(summary) = of("AWS:PatchSummary") else {
            assert_eq!(node.status, ComplianceStatus::Unknown);
            continue;
        };
        assert_eq!(number(&summary[0]["MissingCount"]), u64::from(node.counts.missing));
        assert_eq!(number(&summary[0]["InstalledCount"]), u64::from(node.counts.installed));
    }
}

#[test]
fn thirty_two_nodes_have_every_kind() {
    for seed in 0..10 {
        let lake = SampleLake::new().with_seed(seed).with_nodes(32);
        let key = lake.answer_key();
        for status in InstanceStatus::ALL {
            assert!(key.nodes.iter().any(|node| node.instance_status == status));
        }
        for status in [ComplianceStatus::Compliant, ComplianceStatus::NonCompliant] {
            assert!(key.nodes.iter().any(|node| node.status == status));
        }
        let unknown: Vec<_> =
            key.nodes.iter().filter(|n| n.status == ComplianceStatus::Unknown).collect();
        assert_eq!(unknown.len(), 3);
        assert!(key.nodes.iter().any(|node| node.id.starts_with("mi-")));
        let windows = |node: &&NodeTruth| node.platform_name.contains("Windows");
        assert!((1..32).contains(&key.nodes.iter().filter(windows).count()));
        assert_eq!(key.not_data.len(), 3);
        assert!(key.types.contains_key("Custom:RackInfo"));
        let text: Vec<u8> = lake.objects().flat_map(|object| object.bytes).collect();
        let text = String::from_utf8(text).unwrap();
        for spelling in
            ["\"Missing\"", "\"MISSING\"", "\"NonCompliant\"", "\"NON_COMPLIANT\"", "\"\""]
        {
            assert!(text.contains(spelling), "seed {seed}: {spelling}");
        }
        assert!(text.contains("\"FailedCount\":0") && text.contains("\"FailedCount\":\"0\""));
    }
}

#[test]
fn ids_are_unique_and_account_numbers_are_whole() {
    let lake = SampleLake::new().with_accounts(100);
    let nodes: Vec<NodeTruth> = (0..5_000).map(|i| Node::draw(&lake, i).truth).collect();
    let ids: BTreeSet<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids.len(), 5_000);
    assert!(nodes.iter().all(|node| node.account.len() == 12));
    assert!(nodes.iter().any(|node| node.account.starts_with('0')));
    let accounts: BTreeSet<String> = (0..100).map(node::account).collect();
    assert_eq!(accounts.len(), 100);
}

#[test]
fn a_prefix_goes_before_every_key() {
    let lake = lake().with_nodes(20).with_prefix("/sync/prod/").with_dirt(&[Dirt::WrongKey], 30);
    let keys: Vec<String> = lake.objects().map(|object| object.key).collect();
    assert!(keys.iter().all(|key| key.starts_with("sync/prod/")), "{keys:?}");
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
}

#[test]
fn dirt_is_listed_and_spoils_nothing_else() {
    let dirty = lake().with_dirt(&Dirt::ALL, 10);
    let key = dirty.answer_key();
    let kinds: BTreeSet<Dirt> = key.dirt.iter().map(|dirt| dirt.kind).collect();
    assert_eq!(kinds.len(), Dirt::ALL.len());
    let listed: BTreeMap<&str, &DirtAnswer> =
        key.dirt.iter().map(|dirt| (dirt.key.as_str(), dirt)).collect();
    assert_eq!(listed.len(), key.dirt.len());
    let clean = lake().answer_key();
    assert_eq!((&key.nodes, &key.groups, &key.types), (&clean.nodes, &clean.groups, &clean.types));
    let (mut spoiled, mut same) = (0, 0);
    for (before, after) in lake().objects().zip(dirty.objects()) {
        let Some(dirt) = listed.get(&*after.key) else {
            same += 1;
            assert_eq!(before, after);
            continue;
        };
        spoiled += 1;
        assert_ne!(before, after, "{dirt:?}");
        if let Some(line) = dirt.line {
            assert!(line <= before.bytes.split(|b| *b == b'\n').count() as u64);
        }
    }
    assert_eq!(spoiled, key.dirt.len());
    assert!(same > spoiled * 5);
}

#[test]
fn a_lost_line_is_no_row_and_a_kept_one_is() {
    let dirty = lake().with_dirt(&Dirt::ALL, 10);
    let key = dirty.answer_key();
    let listed: BTreeMap<&str, &DirtAnswer> =
        key.dirt.iter().map(|dirt| (dirt.key.as_str(), dirt)).collect();
    for object in dirty.objects() {
        let Some(dirt) = listed.get(&*object.key) else { continue };
        let text = String::from_utf8_lossy(&object.bytes);
        let text = text.trim_start_matches('\u{feff}').trim_end_matches('\0');
        for (line, number) in text.lines().zip(1..) {
            let parses = serde_json::from_str::<Value>(line).is_ok();
            let lost = dirt.data_lost && dirt.line == Some(number);
            assert_eq!(parses, !lost, "{dirt:?} line {number}");
        }
    }
}

#[test]
fn without_the_nodes_that_lost_data_the_answers_stand() {
    let folder = tempfile::tempdir().unwrap();
    let key = lake().with_dirt(&Dirt::ALL, 10).write(folder.path()).unwrap();
    let lost = key.nodes_with_loss(&["AWS:InstanceInformation", "AWS:ComplianceSummary"]);
    assert!(!lost.is_empty());
    let whole = |id: &str| !lost.contains(id);
    assert_eq!(key.counts_of(|node| whole(&node.id)), recount(&read(folder.path()), whole),);
}

#[test]
fn the_key_survives_json() {
    let key = lake().with_nodes(40).with_dirt(&Dirt::ALL, 30).answer_key();
    let text = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<AnswerKey>(&text).unwrap(), key);
    assert_eq!(key.taken_at.to_string(), "2026-11-20T06:00:00Z");
}
