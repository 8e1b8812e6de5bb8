use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

/// Chains of versions, each older than the next.
fn assert_ascending(scheme: VersionScheme, chains: &[&[&str]]) {
    for chain in chains {
        for (i, a) in chain.iter().enumerate() {
            for (j, b) in chain.iter().enumerate() {
                let order = scheme.compare(&scheme.parse(a), &scheme.parse(b));
                assert_eq!(order, i.cmp(&j), "{scheme:?}: {a} and {b}");
            }
        }
    }
}

/// Groups of spellings of one version.
fn assert_equal(scheme: VersionScheme, groups: &[&[&str]]) {
    for group in groups {
        for (a, b) in group.iter().flat_map(|a| group.iter().map(move |b| (a, b))) {
            let order = scheme.compare(&scheme.parse(a), &scheme.parse(b));
            assert_eq!(order, Ordering::Equal, "{scheme:?}: {a} and {b}");
        }
    }
}

#[test]
fn rpm_orders_as_rpmvercmp_does() {
    assert_ascending(
        VersionScheme::Rpm,
        &[
            &["1.0", "2.0", "2.0.1"],
            &["5.5p1", "5.5p2", "5.5p10", "5.6p1", "6.5p1"],
            &["10xyz", "10.1xyz"],
            &["xyz10", "xyz10.1"],
            &["xyz.4", "2", "8"],
            &["1.0a", "1.0aa", "1.0b", "1.0.1"],
            // Letters are older than digits, however high the letter.
            &["5.z", "5.0"],
            &["4.999.9", "5.0"],
            &["20101121", "20101122", "201011220"],
            &["1b.fc17", "1.fc17", "1g.fc17"],
            &["3.0.7", "3.0.8", "3.0.10", "3.2.2"],
            &["1.1.1", "1.1.1f", "1.1.1k", "3.0.1"],
        ],
    );
}

#[test]
fn rpm_ignores_leading_zeros_and_the_kind_of_separator() {
    assert_equal(
        VersionScheme::Rpm,
        &[
            &["2_0", "2.0", "2+0", "2..0"],
            &["10.0001", "10.1", "10.01"],
            &["a", "a+", "a_", "+a", "a.é."],
            &["0:3.0.7-28", "3.0.7-28", ":3.0.7-28"],
        ],
    );
}

#[test]
fn an_rpm_tilde_is_before_the_end_and_a_caret_after_it() {
    assert_ascending(
        VersionScheme::Rpm,
        &[
            &["1.0~rc1~git123", "1.0~rc1", "1.0~rc2", "1.0"],
            &["1.0", "1.0^", "1.0^git1", "1.0^git2", "1.01"],
            &["1.0^20160101", "1.0^20160101^git1", "1.0^20160102", "1.0.1"],
            &["1.0~rc1", "1.0~rc1^git1", "1.0^git1~pre", "1.0^git1"],
            &["1.0~", "1.0", "1.0^", "1.0a"],
        ],
    );
}

#[test]
fn deb_orders_as_dpkg_does() {
    assert_ascending(
        VersionScheme::Deb,
        &[
            // The policy manual's own chain.
            &["~~", "~~a", "~", "0", "a"],
            &["1.0~beta1~svn1245", "1.0~beta1", "1.0"],
            &["1.2.3", "1.2.3a", "1.2.3b", "1.2.3+", "1.2.3.1"],
            &["1.0-1~bpo11+1", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0-2", "1.0-10"],
            // Letters are older than anything else but `~`.
            &["1.0~a", "1.0", "1.0a", "1.0+a", "1.0.a"],
            &["9:9.9-9", "10:0.1-1"],
            &["3.0.2-0ubuntu1.15", "3.0.2-0ubuntu1.18", "3.0.11-1~deb12u2", "3.0.11-1"],
            &["1.1.1f-1ubuntu2.22", "1.1.1w-0+deb11u1", "3.0.2-0ubuntu1"],
            &["2.0-1-1", "2.0-2-1", "2.0-2-2"],
        ],
    );
    assert_equal(
        VersionScheme::Deb,
        &[
            &["1.0", "0:1.0", "1.0-0", "01.00", "1.0-"],
            &["1.0a", "1.0a0"],
            &["1.00000000000000000000000000007", "1.7"],
        ],
    );
}

#[test]
fn any_release_is_newer_than_none_as_rpm_has_it() {
    assert_ascending(VersionScheme::Rpm, &[&["1.0", "1.0-~1", "1.0-0", "1.0-1", "1.1"]]);
}

#[test]
fn dotted_versions_are_compared_place_by_place() {
    assert_ascending(
        VersionScheme::Windows,
        &[
            &["10.0.14393", "10.0.17763", "10.0.20348.1", "10.0.20348.12", "10.0.26100"],
            &["3.9", "3.12", "3.12.1"],
            &["1.1.1", "1.1.1k", "1.1.1w", "1.1.2"],
            &["2.0-alpha1", "2.0-beta1", "2.0 RC 1", "2.0", "2.0a", "2.0.1"],
            &["14.29.30133", "14.40.33810.0"],
            &["", "0.1"],
        ],
    );
    assert_equal(
        VersionScheme::Windows,
        &[
            &["3.12", "3.12.0", "v3.12", "3,12", "03.12", " 3.12 "],
            &["1.0A", "1.0a"],
            &["5.0.0", "5"],
            &["", "0", "0.0", "..."],
        ],
    );
}

#[test]
fn an_epoch_beats_the_version_and_the_version_the_release() {
    for scheme in [VersionScheme::Rpm, VersionScheme::Deb] {
        assert_ascending(scheme, &[&["9.0-1", "1:0.5-9", "1:3.0.7-1", "1:3.0.7-28", "2:0.1-1"]]);
    }
}

#[test]
fn texts_are_taken_apart() {
    for (scheme, text, epoch, version, release) in [
        (VersionScheme::Rpm, "1:3.0.7-28.el9", "1", "3.0.7", "28.el9"),
        (VersionScheme::Rpm, " 3.0.7 ", "", "3.0.7", ""),
        (VersionScheme::Rpm, ":3.0.7", "0", "3.0.7", ""),
        (VersionScheme::Deb, "3.0-rc-2-1", "", "3.0-rc-2", "1"),
        (VersionScheme::Deb, "x:3.0", "", "x:3.0", ""),
        (VersionScheme::Windows, "1.2.3-4", "", "1.2.3-4", ""),
        (VersionScheme::Windows, "1:1.2.3", "", "1.2.3", ""),
    ] {
        assert_eq!(scheme.parse(text), PackageVersion { epoch, version, release }, "{text}");
    }
}

#[test]
fn rows_may_be_split_or_whole() {
    let rpm = |e, v, r| VersionScheme::Rpm.row(e, v, r).to_string();
    assert_eq!(rpm("1", "3.0.7", "28.el9"), "1:3.0.7-28.el9");
    assert_eq!(rpm("(none)", "3.0.7", "28.el9"), "3.0.7-28.el9");
    assert_eq!(rpm("0", "3.0.7", "28.el9"), "0:3.0.7-28.el9");
    let deb = |e, v, r| VersionScheme::Deb.row(e, v, r);
    let whole = deb("", "1:3.0.2-0ubuntu1.15", "");
    assert_eq!(whole, deb("1", "3.0.2", "0ubuntu1.15"));
    assert_eq!(whole, deb("1", "1:3.0.2-0ubuntu1.15", ""));
    assert_eq!(whole, deb("", "1:3.0.2", "0ubuntu1.15"));
    assert_eq!(deb("", "3.0-rc", "1").version, "3.0-rc");
    assert_eq!(VersionScheme::Windows.row("1", "3.0.7", "2").to_string(), "3.0.7");
}

#[test]
fn only_the_parts_that_were_given_are_compared() {
    for (scheme, limit, (epoch, version, release), below) in [
        (VersionScheme::Rpm, "3.0.7", ("1", "3.0.7", "18.el9"), false),
        (VersionScheme::Rpm, "3.0.7", ("1", "3.0.1", "43.el9"), true),
        (VersionScheme::Rpm, "3.0.7", ("1", "3.0.10", "1.el9"), false),
        (VersionScheme::Rpm, "3.0.7", ("(none)", "1.1.1k", "12.el8"), true),
        (VersionScheme::Rpm, "3.0.7", ("1", "3.0.7~rc1", "1"), true),
        (VersionScheme::Rpm, "3.0.7-28.el9", ("1", "3.0.7", "18.el9"), true),
        (VersionScheme::Rpm, "3.0.7-28.el9", ("1", "3.0.7", "28.el9"), false),
        (VersionScheme::Rpm, "1:3.0.7-28.el9", ("1", "3.0.7", "18.el9"), true),
        (VersionScheme::Rpm, "1:3.0.7-28.el9", ("", "3.2.2", "6.el9"), true),
        (VersionScheme::Rpm, "0:3.0.7-28.el9", ("1", "3.0.1", "43.el9"), false),
        (VersionScheme::Rpm, "1:3.0.7", ("1", "3.0.7", "1.el9"), false),
        (VersionScheme::Deb, "3.0.7", ("", "1:3.0.2-0ubuntu1.15", ""), true),
        (VersionScheme::Deb, "3.0.7", ("", "3.0.7-1~deb12u1", ""), false),
        (VersionScheme::Deb, "3.0.7-1", ("", "3.0.7-1~deb12u1", ""), true),
        (VersionScheme::Deb, "3.0.7", ("", "3.0.7~rc1", "1"), true),
        (VersionScheme::Windows, "3.0.7", ("", "3.0.5", ""), true),
        (VersionScheme::Windows, "3.0.7", ("9", "3.0.7.0", "1"), false),
        (VersionScheme::Windows, "3.0.7", ("", "1.1.1w", ""), true),
    ] {
        let answer = Below::parse(scheme, limit).unwrap().is_below(epoch, version, release);
        assert_eq!(answer, Some(below), "{epoch}:{version}-{release} below {limit}");
    }
}

#[test]
fn a_row_without_a_version_is_neither_below_nor_not() {
    for scheme in [VersionScheme::Rpm, VersionScheme::Deb, VersionScheme::Windows] {
        let below = Below::parse(scheme, "3.0.7").unwrap();
        for version in ["", "  ", "(none)", "unknown"] {
            assert_eq!(below.is_below("1", version, "2"), None);
        }
    }
}

#[test]
fn a_limit_without_a_number_is_refused() {
    for text in ["", "latest", "1:", "-3", "1:-3"] {
        assert!(Below::parse(VersionScheme::Rpm, text).is_err(), "{text:?}");
    }
}

#[test]
fn every_family_has_a_scheme() {
    assert_eq!(VersionScheme::for_family(PackageFamily::Zypper), VersionScheme::Rpm);
    assert_eq!(VersionScheme::for_os(&OperatingSystem::Raspbian), VersionScheme::Deb);
    assert_eq!(VersionScheme::for_os(&OperatingSystem::MacOs), VersionScheme::Windows);
    assert_eq!(VersionScheme::for_family(PackageFamily::Other), VersionScheme::Windows);
}

fn scheme() -> impl Strategy<Value = VersionScheme> {
    prop_oneof![Just(VersionScheme::Rpm), Just(VersionScheme::Deb), Just(VersionScheme::Windows)]
}

/// Short texts over few characters, so that equal and near-equal ones are common.
fn version_like() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[01ab.~^+:é-]{0,7}", 1 => "(rc|beta|0|00|1|[.-]){0,4}", 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_scheme_is_a_total_order(
        scheme in scheme(),
        [a, b, c] in [version_like(), version_like(), version_like()],
    ) {
        let compare = |a: &str, b: &str| scheme.compare(&scheme.parse(a), &scheme.parse(b));
        prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        if compare(&a, &b) == compare(&b, &c) {
            prop_assert_eq!(compare(&a, &c), compare(&a, &b));
        }
        // Equal versions compare alike with every other one.
        if compare(&a, &b).is_eq() {
            prop_assert_eq!(compare(&a, &c), compare(&b, &c));
        }
    }

    #[test]
    fn no_text_is_too_strange(
        scheme in scheme(),
        limit in any::<String>(),
        [epoch, version, release] in [version_like(), version_like(), version_like()],
    ) {
        let row = scheme.row(&epoch, &version, &release);
        prop_assert_eq!(scheme.compare(&row, &row), Ordering::Equal);
        if let Ok(below) = Below::parse(scheme, &limit) {
            let _answered = below.is_below(&epoch, &version, &release);
        }
    }
}
