use super::*;
use crate::{Advisory, advisory::Read};

fn affected(json: &str) -> AffectedPackage {
    let json = format!(
        r#"{{"id":"X","affected":[{{"package":{{"ecosystem":"Debian","name":"a"}},{json}}}]}}"#
    );
    match Advisory::read(&json) {
        Ok(Read::Taken(mut advisory)) => advisory.affected.remove(0),
        _ => panic!("{json}"),
    }
}

/// Ranges of the ecosystem with these events each.
fn ranges(events: &[&str]) -> AffectedPackage {
    let range = |events: &&str| format!(r#"{{"type":"ECOSYSTEM","events":[{events}]}}"#);
    let ranges: Vec<_> = events.iter().map(range).collect();
    affected(&format!(r#""ranges":[{}]"#, ranges.join(",")))
}

fn judge(scheme: VersionScheme, affected: &AffectedPackage, version: &str) -> Verdict {
    affected.judge(scheme, &scheme.parse(version), None)
}

fn hit(fixed: Option<&str>) -> Verdict {
    Verdict::Affected { fixed: fixed.map(Into::into) }
}

#[test]
fn a_range_begins_with_introduced_and_ends_before_fixed() {
    use VersionScheme::Deb;
    let one = ranges(&[r#"{"introduced":"2.0-1"},{"fixed":"2.0-1+deb12u2"}"#]);
    assert_eq!(judge(Deb, &one, "1.9-9"), Verdict::NotAffected);
    assert_eq!(judge(Deb, &one, "2.0~rc1-1"), Verdict::NotAffected);
    assert_eq!(judge(Deb, &one, "2.0-1"), hit(Some("2.0-1+deb12u2")));
    assert_eq!(judge(Deb, &one, "2.0-1+deb12u1"), hit(Some("2.0-1+deb12u2")));
    assert_eq!(judge(Deb, &one, "2.0-1+deb12u2"), Verdict::NotAffected);
    assert_eq!(judge(Deb, &one, "1:0.1-1"), Verdict::NotAffected);
}

#[test]
fn zero_is_before_every_version() {
    let all = ranges(&[r#"{"introduced":"0"}"#]);
    assert_eq!(judge(VersionScheme::Deb, &all, "0~~1"), hit(None));
    assert_eq!(judge(VersionScheme::Rpm, &all, "0~1-1"), hit(None));
}

#[test]
fn events_may_come_in_any_order_and_more_than_once() {
    let events = r#"{"fixed":"1.5"},{"introduced":"2.0"},{"introduced":"0"},{"fixed":"2.4"}"#;
    let twice = ranges(&[events]);
    for (version, verdict) in [
        ("1.0", hit(Some("1.5"))),
        ("1.5", Verdict::NotAffected),
        ("2.0", hit(Some("2.4"))),
        ("2.4", Verdict::NotAffected),
    ] {
        assert_eq!(judge(VersionScheme::Windows, &twice, version), verdict, "{version}");
        let apart = ranges(&[
            r#"{"introduced":"0"},{"fixed":"1.5"}"#,
            r#"{"introduced":"2.0"},{"fixed":"2.4"}"#,
        ]);
        assert_eq!(judge(VersionScheme::Windows, &apart, version), verdict, "{version}");
    }
}

#[test]
fn of_events_at_one_version_the_order_is_the_advisorys() {
    let never = ranges(&[r#"{"introduced":"0"},{"fixed":"0"}"#]);
    assert_eq!(judge(VersionScheme::Deb, &never, "1.0-1"), Verdict::NotAffected);
    let events = r#"{"introduced":"0"},{"fixed":"1-1"},{"introduced":"1-1"},{"fixed":"2-1"}"#;
    assert_eq!(judge(VersionScheme::Deb, &ranges(&[events]), "1-1"), hit(Some("2-1")));
}

#[test]
fn the_last_affected_version_is_affected() {
    let last = ranges(&[r#"{"introduced":"0"},{"last_affected":"3.0.7"}"#]);
    assert_eq!(judge(VersionScheme::Windows, &last, "3.0.7"), hit(None));
    assert_eq!(judge(VersionScheme::Windows, &last, "3.0.7.1"), Verdict::NotAffected);
    // Of a version without a release, every release is meant.
    assert_eq!(judge(VersionScheme::Rpm, &last, "3.0.7-28.el9"), hit(None));
}

#[test]
fn what_is_beyond_every_limit_is_not_affected() {
    let limited = ranges(&[r#"{"introduced":"0"},{"limit":"2.0"}"#]);
    assert_eq!(judge(VersionScheme::Deb, &limited, "1.0-1"), hit(None));
    assert_eq!(judge(VersionScheme::Deb, &limited, "2.0-1"), Verdict::NotAffected);
    let free = ranges(&[r#"{"introduced":"0"},{"limit":"*"}"#]);
    assert_eq!(judge(VersionScheme::Deb, &free, "2.0-1"), hit(None));
}

#[test]
fn versions_may_be_listed() {
    let listed = affected(r#""versions":["1.0-1","1.0-2"]"#);
    assert_eq!(judge(VersionScheme::Deb, &listed, "01.0-2"), hit(None));
    assert_eq!(judge(VersionScheme::Deb, &listed, "1.0-3"), Verdict::NotAffected);
    let both =
        affected(r#""versions":["0.9"],"ranges":[{"type":"GIT","events":[{"introduced":"0"}]}]"#);
    assert_eq!(judge(VersionScheme::Deb, &both, "1.0-3"), Verdict::NotAffected);
}

#[test]
fn an_advisory_without_an_epoch_means_the_package_whatever_its_epoch() {
    let plain = ranges(&[r#"{"introduced":"0"},{"fixed":"3.0.7-28.el9"}"#]);
    assert_eq!(judge(VersionScheme::Rpm, &plain, "1:3.0.7-18.el9"), hit(Some("3.0.7-28.el9")));
    assert_eq!(judge(VersionScheme::Rpm, &plain, "1:3.0.7-28.el9"), Verdict::NotAffected);
    let with = ranges(&[r#"{"introduced":"0"},{"fixed":"1:3.0.7-28.el9"}"#]);
    assert_eq!(judge(VersionScheme::Rpm, &with, "3.2.2-1.el9"), hit(Some("1:3.0.7-28.el9")));
}

#[test]
fn a_row_without_a_release_is_decided_by_its_version_alone() {
    let fixed = ranges(&[r#"{"introduced":"0"},{"fixed":"3.0.7-28.el9"}"#]);
    assert_eq!(judge(VersionScheme::Rpm, &fixed, "3.0.1"), hit(Some("3.0.7-28.el9")));
    assert_eq!(judge(VersionScheme::Rpm, &fixed, "3.2.2"), Verdict::NotAffected);
    let unknown = Verdict::Undecided(Undecidable::InstalledRelease);
    assert_eq!(judge(VersionScheme::Rpm, &fixed, "3.0.7"), unknown);
    let epoch = ranges(&[r#"{"introduced":"0"},{"fixed":"1:3.0.7-28.el9"}"#]);
    assert_eq!(judge(VersionScheme::Rpm, &epoch, "3.0.1"), unknown);
}

#[test]
fn what_cannot_be_compared_is_undecided() {
    use VersionScheme::{Deb, Rpm};
    let undecided = |reason| Verdict::Undecided(reason);
    let fixed = ranges(&[r#"{"introduced":"0"},{"fixed":"1.0-1"}"#]);
    assert_eq!(judge(Deb, &fixed, "unknown"), undecided(Undecidable::InstalledVersion));
    assert_eq!(judge(Deb, &fixed, ""), undecided(Undecidable::InstalledVersion));
    let word = ranges(&[r#"{"introduced":"0"},{"fixed":"<unfixed>"}"#]);
    let reason = Undecidable::AdvisoryVersion("<unfixed>".into());
    assert_eq!(judge(Deb, &word, "1.0-1"), undecided(reason));
    assert_eq!(judge(Deb, &affected(r#""versions":[]"#), "1"), undecided(Undecidable::NoVersions));
    let git = affected(r#""ranges":[{"type":"GIT","events":[{"introduced":"0"}]}]"#);
    assert_eq!(judge(Deb, &git, "1"), undecided(Undecidable::RangeKind("GIT".into())));
    let strange = ranges(&[r#"{"introduced":"0","since":"1"},{"until":"2"}"#]);
    assert!(matches!(judge(Deb, &strange, "1"), Verdict::Undecided(Undecidable::RangeKind(_))));
    let module = ranges(&[r#"{"introduced":"0"},{"fixed":"18.1-1.module+el8.9+1"}"#]);
    assert_eq!(judge(Rpm, &module, "16.1-1.module+el8.8+1"), undecided(Undecidable::ModuleStream));
    assert_eq!(judge(Rpm, &module, "20.1-1.module+el8.9+9"), Verdict::NotAffected);
}

#[test]
fn one_range_that_hits_outweighs_one_that_is_not_understood() {
    let both = affected(
        r#""ranges":[{"type":"SEMVER","events":[]},
        {"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2-1"}]}]"#,
    );
    assert_eq!(judge(VersionScheme::Deb, &both, "1-1"), hit(Some("2-1")));
    assert!(matches!(judge(VersionScheme::Deb, &both, "3-1"), Verdict::Undecided(_)));
}

#[test]
fn the_packages_own_version_stands_in_for_that_of_its_source() {
    let fixed = ranges(&[r#"{"introduced":"0"},{"fixed":"5.0-1"}"#]);
    let judge = |version: &str| {
        let scheme = VersionScheme::Deb;
        fixed.judge(scheme, &scheme.parse(version), Some("2:1.5-1"))
    };
    assert_eq!(judge("2:1.4-1"), hit(Some("2:1.5-1")));
    assert_eq!(judge("2:1.5-1"), Verdict::NotAffected);
}
