use proptest::prelude::*;

use super::*;
use crate::{Rating, SourceNames};

fn node(platform: &str, version: &str) -> NodeSoftware {
    let node = NodeSoftware::new("aws/111122223333/eu-west-1/i-0a".parse().unwrap());
    node.with_platform(platform, version)
}

fn rpm(name: &str, version: &str, source: &str) -> Package {
    let (version, release) = version.rsplit_once('-').unwrap();
    let package = Package::new(name).with_version(version).with_release(release);
    package.with_package_id(&format!("{source}-{version}-{release}.src.rpm"))
}

fn deb(name: &str, version: &str) -> Package {
    Package::new(name).with_version(version)
}

/// An advisory for each ecosystem and package, all fixed in a version.
fn advisories(of: &[(&str, &str, &str)]) -> Advisories {
    let mut advisories = Advisories::new();
    for (at, (ecosystem, name, fixed)) in of.iter().enumerate() {
        let json = format!(
            r#"{{"id":"X-{at}","aliases":["CVE-{at}"],"affected":[{{
            "package":{{"ecosystem":"{ecosystem}","name":"{name}"}},
            "ranges":[{{"type":"ECOSYSTEM","events":[{{"introduced":"0"}},{{"fixed":"{fixed}"}}]}}]}}]}}"#
        );
        advisories.parse("test", &json);
    }
    assert_eq!(advisories.problems(), []);
    advisories
}

fn ids(found: &NodeFindings) -> Vec<&str> {
    found.findings.iter().map(|finding| &*finding.advisory.id).collect()
}

fn reasons(found: &NodeFindings) -> Vec<&Undecidable> {
    found.undecided.iter().map(|undecided| &undecided.reason).collect()
}

#[test]
fn only_advisories_for_the_nodes_release_hit_it() {
    let advisories = advisories(&[
        ("Rocky Linux:9", "bash", "5.1.8-9.el9"),
        ("Rocky Linux:8", "bash", "9.0-1.el8"),
        ("AlmaLinux:9", "bash", "9.0-1.el9"),
        ("Rocky Linux", "bash", "5.1.8-7.el9"),
        ("Rocky Linux:9", "bash", "5.1.8-6.el9"),
        ("npm", "bash", "99"),
    ]);
    let packages = [rpm("bash", "5.1.8-6.el9", "bash")];
    let found = advisories.held_against(&node("Rocky Linux", "9.4").with_packages(packages));
    assert_eq!(ids(&found), ["X-0", "X-3"]);
    assert_eq!(found.reach, Reach::Held);
    assert_eq!(found.undecided, []);
    assert_eq!(&*found.findings[0].advisory.aliases[0], "CVE-0");
}

#[test]
fn names_have_a_case_but_for_windows() {
    let advisories = advisories(&[("Rocky Linux:9", "Bash", "9-1"), ("Windows", "7-zip", "24.0")]);
    let packages = [rpm("bash", "5-1", "bash")];
    let found = advisories.held_against(&node("Rocky Linux", "9.4").with_packages(packages));
    assert_eq!(ids(&found), [""; 0]);
    let windows = node("Microsoft Windows Server 2022", "10.0.20348");
    let found = advisories.held_against(&windows.with_packages([deb("7-Zip", "22.01")]));
    assert_eq!(ids(&found), ["X-1"]);
}

#[test]
fn an_rpm_is_found_by_its_source_too() {
    let advisories = advisories(&[("Rocky Linux:9", "openssl", "3.0.7-28.el9")]);
    let packages =
        [rpm("openssl-libs", "3.0.7-18.el9", "openssl"), rpm("openssl", "3.0.7-28.el9", "openssl")];
    let found = advisories.held_against(&node("Rocky Linux", "9.4").with_packages(packages));
    assert_eq!(found.findings.len(), 1);
    assert_eq!(&*found.findings[0].package, "openssl-libs");
    assert_eq!(found.findings[0].matched_by, MatchedBy::Source);
    assert_eq!(found.not_ruled_out, 0);
}

#[test]
fn debians_sources_are_not_in_the_inventory() {
    let of = [
        ("Debian:12", "openssl", "3.0.15-1"),
        ("Debian:12", "bash", "6-1"),
        ("Debian:11", "x", "1"),
    ];
    let node = node("Debian GNU/Linux", "12.5");
    let node = node.with_packages([deb("libssl3", "3.0.11-1"), deb("bash", "5.2.15-2")]);
    let found = advisories(&of).held_against(&node);
    assert_eq!(ids(&found), ["X-1"]);
    // Of openssl nothing is known to be there, and libssl3 may be it.
    assert_eq!(found.not_ruled_out, 1);
    let names = SourceNames::parse_packages("Package: libssl3\nSource: openssl\n\nPackage: bash\n");
    let found = advisories(&of).with_source_names(names).held_against(&node);
    assert_eq!(ids(&found), ["X-1", "X-0"]);
    assert_eq!(found.findings[1].matched_by, MatchedBy::Source);
    assert_eq!(found.not_ruled_out, 0);
}

#[test]
fn what_the_advisory_tells_of_binaries_is_taken() {
    let mut advisories = Advisories::new();
    advisories.parse(
        "usn",
        r#"{"id":"USN-1","affected":[
        {"package":{"ecosystem":"Ubuntu:22.04:LTS","name":"openssl"},
         "ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.2-0ubuntu1.18"}]}],
         "ecosystem_specific":{"binaries":[
            {"binary_name":"libssl3","binary_version":"3.0.2-0ubuntu1.18"},
            {"binary_name":"openssl","binary_version":"3.0.2-0ubuntu1.18"}]}},
        {"package":{"ecosystem":"Ubuntu:20.04:LTS","name":"openssl"},"versions":["3.0.2-0ubuntu1.15"],
         "ecosystem_specific":{"binaries":[{"binary_name":"libssl3"}]}}]}"#,
    );
    let node = node("Ubuntu", "22.04").with_packages([deb("libssl3", "3.0.2-0ubuntu1.15")]);
    let found = advisories.held_against(&node);
    assert_eq!(found.findings.len(), 1);
    let finding = &found.findings[0];
    assert_eq!(
        (finding.matched_by, finding.fixed.as_deref()),
        (MatchedBy::Binary, Some("3.0.2-0ubuntu1.18"))
    );
    assert_eq!(found.not_ruled_out, 0);
}

#[test]
fn what_is_not_known_of_a_node_leaves_it_undecided() {
    let of = [("Debian:12", "bash", "6-1")];
    let bash = [deb("bash", "5.2.15-2")];
    let found =
        advisories(&of).held_against(&node("Debian GNU/Linux", "").with_packages(bash.clone()));
    assert_eq!(reasons(&found), [&Undecidable::Release]);
    assert_eq!(found.reach, Reach::UnknownRelease);

    let nameless = NodeSoftware::new("aws/111122223333/eu-west-1/i-0a".parse().unwrap());
    let found = advisories(&of).held_against(&nameless.clone().with_packages(bash));
    assert_eq!(reasons(&found), [&Undecidable::System]);
    assert_eq!(found.reach, Reach::UnknownSystem);

    assert_eq!(advisories(&of).held_against(&nameless).reach, Reach::NoList);
    let fedora = node("Debian GNU/Linux", "11").with_packages([deb("bash", "5")]);
    assert_eq!(advisories(&of).held_against(&fedora).reach, Reach::NoAdvisories);
}

#[test]
fn a_product_that_a_node_may_have_is_undecided_where_it_would_hit() {
    let of = [("Red Hat:rhel_eus:9.4::baseos", "bash", "5.1.8-9.el9")];
    let rhel = || node("Red Hat Enterprise Linux", "9.4");
    let found =
        advisories(&of).held_against(&rhel().with_packages([rpm("bash", "5.1.8-6.el9", "bash")]));
    assert_eq!(reasons(&found), [&Undecidable::Product("rhel_eus:9.4::baseos".into())]);
    let found =
        advisories(&of).held_against(&rhel().with_packages([rpm("bash", "5.1.8-9.el9", "bash")]));
    assert_eq!(found.undecided, []);
    // A node of another release cannot have it.
    let old = node("Red Hat Enterprise Linux", "8.10");
    let found =
        advisories(&of).held_against(&old.with_packages([rpm("bash", "4.4-1.el8", "bash")]));
    assert_eq!(found.undecided, []);
}

#[test]
fn what_hits_for_the_release_is_not_in_doubt_for_a_product() {
    let mut advisories = Advisories::new();
    let entry = |ecosystem: &str, fixed: &str| {
        format!(
            r#"{{"package":{{"ecosystem":"{ecosystem}","name":"bash"}},"ranges":[{{"type":"ECOSYSTEM",
            "events":[{{"introduced":"0"}},{{"fixed":"{fixed}"}}]}}]}}"#
        )
    };
    let main = entry("Red Hat:enterprise_linux:9::baseos", "5.1.8-9.el9");
    let longer = entry("Red Hat:rhel_eus:9.4::baseos", "5.1.8-9.el9_4.1");
    advisories.parse("x", &format!(r#"{{"id":"X","affected":[{longer},{main}]}}"#));
    let held = |version| {
        let node =
            node("Red Hat Enterprise Linux", "9.4").with_packages([rpm("bash", version, "bash")]);
        let found = advisories.held_against(&node);
        (found.findings.len(), found.undecided.len(), found.is_clear())
    };
    assert_eq!(held("5.1.8-6.el9"), (1, 0, false));
    assert_eq!(held("5.1.8-9.el9"), (0, 1, false));
    assert_eq!(held("5.1.8-9.el9_4.1"), (0, 0, true));
}

#[test]
fn a_package_in_two_architectures_and_versions_is_found_with_each() {
    let advisories = advisories(&[("Rocky Linux:9", "kernel", "5.14-3")]);
    let packages = ["5.14-1", "5.14-2", "5.14-3"].map(|version| rpm("kernel", version, "kernel"));
    let found = advisories.held_against(&node("Rocky Linux", "9.4").with_packages(packages));
    let installed: Vec<_> = found.findings.iter().map(|it| it.installed.as_deref()).collect();
    assert_eq!(installed, [Some("5.14-1"), Some("5.14-2")]);
}

#[test]
fn the_worst_comes_first() {
    let mut advisories = advisories(&[("Debian:12", "a", "2")]);
    for (id, severity) in [("LOW", "low"), ("HIGH", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")]
    {
        advisories.parse(
            id,
            &format!(
                r#"{{"id":"{id}","severity":[{{"type":"X","score":"{severity}"}}],"affected":[
                {{"package":{{"ecosystem":"Debian:12","name":"a"}},"versions":["1"]}}]}}"#
            ),
        );
    }
    let found = advisories.held_against(&node("Debian", "12").with_packages([deb("a", "1")]));
    assert_eq!(ids(&found), ["HIGH", "LOW", "X-0"]);
    let rating = found.findings[0].weight.as_ref().and_then(|weight| weight.rating);
    assert_eq!(rating, Some(Rating::Critical));
}

fn strange() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9a-z.~:+-]{0,8}",
        "(0|bash|npm|Debian|Debian:12|ECOSYSTEM|GIT)",
        any::<String>()
    ]
}

/// One event of a range, of a kind that OSV has or not.
fn event() -> impl Strategy<Value = String> {
    let kind = prop_oneof!["(introduced|fixed|last_affected|limit|x)"];
    (kind, strange()).prop_map(|(kind, version)| serde_json::json!({kind: version}).to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_that_advisories_or_nodes_say_is_too_strange(
        [id, ecosystem, name, kind, listed, score] in
            [strange(), strange(), strange(), strange(), strange(), strange()],
        events in proptest::collection::vec(event(), 0..4),
        [package, version, release, platform] in [strange(), strange(), strange(), strange()],
        cut in any::<prop::sample::Index>(),
    ) {
        let affected = serde_json::json!({
            "package": {"ecosystem": ecosystem, "name": name}, "versions": [listed],
            "severity": [{"type": "x", "score": score}],
        });
        let range = format!(r#"{{"type":{},"events":[{}]}}"#, serde_json::json!(kind), events.join(","));
        let affected = affected.to_string().replacen('{', &format!(r#"{{"ranges":[{range}],"#), 1);
        let text = format!(r#"{{"id":{},"affected":[{affected}]}}"#, serde_json::json!(id));
        let mut advisories = Advisories::new();
        advisories.parse("whole", &text);
        let at = text.char_indices().map(|(at, _)| at).nth(cut.index(text.chars().count())).unwrap();
        advisories.parse("cut", &text[..at]);
        prop_assert!(advisories.iter().count() + advisories.problems().len() <= 2);
        let packages = [&package, &name].map(|it| Package::new(it).with_version(&version).with_release(&release));
        for node in [node("Debian GNU/Linux", "12"), node(&platform, &version)] {
            let found = advisories.held_against(&node.with_packages(packages.clone()));
            prop_assert!(found.findings.len() + found.undecided.len() <= 2);
        }
    }

    #[test]
    fn a_version_is_hit_from_where_it_begins_to_before_where_it_is_fixed(
        [begin, length, version] in [0..40_u32, 0..40, 0..90],
        shuffled in any::<bool>(),
    ) {
        let end = begin + length;
        let (begins, ends) = (format!(r#"{{"introduced":"1.{begin}-1"}}"#), format!(r#"{{"fixed":"1.{end}-1"}}"#));
        let events = if shuffled { format!("{ends},{begins}") } else { format!("{begins},{ends}") };
        let mut advisories = Advisories::new();
        advisories.parse("x", &format!(
            r#"{{"id":"X","affected":[{{"package":{{"ecosystem":"Debian:12","name":"a"}},
            "ranges":[{{"type":"ECOSYSTEM","events":[{events}]}}]}}]}}"#
        ));
        let node = node("Debian GNU/Linux", "12").with_packages([deb("a", &format!("1.{version}-1"))]);
        let found = advisories.held_against(&node);
        // What is fixed and introduced in one version is as its order says.
        let is_hit = version >= begin && (version < end || (length == 0 && shuffled));
        prop_assert_eq!(found.findings.len(), usize::from(is_hit));
    }
}
