//! Every scheme orders all versions, and none panics.
//!
//! An input is three versions, one a line.
#![no_main]

use std::cmp::Ordering;

use libfuzzer_sys::fuzz_target;
use patchkit_inventory::{Below, PackageVersion, VersionScheme};

fn check(scheme: VersionScheme, [a, b, c]: [&PackageVersion<'_>; 3]) {
    let compare = |a, b| scheme.compare(a, b);
    assert_eq!(compare(a, a), Ordering::Equal);
    assert_eq!(compare(a, b), compare(b, a).reverse());
    if compare(a, b) == compare(b, c) {
        assert_eq!(compare(a, c), compare(a, b), "not transitive");
    }
    if compare(a, b).is_eq() {
        assert_eq!(compare(a, c), compare(b, c), "equal versions differ beside a third");
    }
}

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(3, '\n');
    let [a, b, c] = [(); 3].map(|()| lines.next().unwrap_or_default());
    for scheme in [VersionScheme::Rpm, VersionScheme::Deb, VersionScheme::Windows] {
        check(scheme, [&scheme.parse(a), &scheme.parse(b), &scheme.parse(c)]);
        // The same texts as the columns of rows.
        let rows = [scheme.row(a, b, c), scheme.row(b, c, a), scheme.row(c, a, b)];
        check(scheme, [&rows[0], &rows[1], &rows[2]]);

        if let Ok(below) = Below::parse(scheme, a) {
            assert_eq!(below.is_below("", a, ""), Some(false), "below itself");
            let _ = below.is_below(b, c, a);
            assert_eq!(Below::parse(scheme, &below.to_string()).as_ref().ok(), Some(&below));
        }
    }
});
