//! Our order of versions, held against the tools whose order it is to be: `cargo xtask versions`.
//!
//! Every tool is asked in one process of its own, or in one shell, for thousands of pairs.

use std::{
    cmp::Ordering,
    fmt::Write as _,
    io::Write as _,
    process::{Command, Stdio},
};

use patchkit_inventory::VersionScheme;
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

/// `rpm` answers them all in a moment.
const RPM_PAIRS: usize = 30_000;

/// `dpkg` is started for each, by one shell: some milliseconds a pair.
const DPKG_PAIRS: usize = 5_000;

#[test]
#[ignore = "needs rpm: cargo xtask versions"]
fn rpm_orders_versions_alike() {
    let pairs = pairs(RPM_PAIRS, rpm_text);
    // rpm 4.16 and later compare epoch, version and release here (rpm.org, "Lua in rpm"). Blanks are
    // found plainly: rpm would take the patterns of Lua for macros.
    let script = "%{lua: for line in io.lines() do \
                  local at = line:find(' ', 1, true) \
                  print(rpm.vercmp(line:sub(1, at - 1), line:sub(at + 1)) .. ' ') end}";
    let asked = pairs.iter().fold(String::new(), |mut text, (a, b)| {
        let _ = writeln!(text, "{a} {b}");
        text
    });
    let said = answer(Command::new("rpm").args(["--eval", script]), asked);
    let said: Vec<_> = said.split_whitespace().collect();
    assert_eq!(said.len(), pairs.len(), "rpm answers each pair");
    let wrong: Vec<_> = pairs
        .iter()
        .zip(said)
        .map(|((a, b), said)| (a, b, ours(VersionScheme::Rpm, a, b), said))
        .filter(|(_, _, ours, said)| sign(*ours) != *said)
        .collect();
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), pairs.len(), first(&wrong));
}

#[test]
#[ignore = "needs dpkg: cargo xtask versions"]
fn dpkg_orders_versions_alike() {
    let pairs = pairs(DPKG_PAIRS, deb_text);
    let script = r#"while read -r a op b; do
        dpkg --compare-versions "$a" "$op" "$b" </dev/null || echo "$a $op $b"
    done
    echo end"#;
    let asked = pairs.iter().fold(String::new(), |mut text, (a, b)| {
        let op = match ours(VersionScheme::Deb, a, b) {
            Ordering::Less => "lt",
            Ordering::Equal => "eq",
            Ordering::Greater => "gt",
        };
        let _ = writeln!(text, "{a} {op} {b}");
        text
    });
    let said = answer(Command::new("sh").args(["-c", script]), asked);
    let refused: Vec<_> = said.lines().filter(|line| *line != "end").collect();
    assert!(said.ends_with("end\n"), "the shell reaches its end");
    assert!(refused.is_empty(), "{} of {}: {:#?}", refused.len(), pairs.len(), first(&refused));
}

fn ours(scheme: VersionScheme, a: &str, b: &str) -> Ordering {
    scheme.compare(&scheme.parse(a), &scheme.parse(b))
}

fn sign(order: Ordering) -> &'static str {
    match order {
        Ordering::Less => "-1",
        Ordering::Equal => "0",
        Ordering::Greater => "1",
    }
}

fn first<T>(all: &[T]) -> &[T] {
    &all[..all.len().min(20)]
}

/// What a tool writes for what it reads.
fn answer(command: &mut Command, input: String) -> String {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().expect("the tool is installed");
    let mut stdin = process.stdin.take().expect("it is piped");
    // From a thread of its own: a tool that answers while it reads would wait for us.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = process.wait_with_output().expect("the tool ends");
    writer.join().expect("no panic").expect("the tool reads all of it");
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).expect("versions are ASCII")
}

/// Pairs that differ in little: there is where orders err. The same ones on each run.
fn pairs(count: usize, text: fn() -> BoxedStrategy<String>) -> Vec<(String, String)> {
    let alike = (text(), text(), text(), text(), 0..4_u8).prop_map(|(head, a, b, tail, form)| {
        let near = |between: &str| format!("1{head}{between}{tail}");
        let (far, near) = ([format!("1{a}"), format!("1{b}")], [near(&a), near(&b)]);
        match form {
            // Of versions that are the same the rest decides.
            0 => [format!("1{head}-{}", far[0]), format!("1{head}-{}", far[1])],
            1 => [format!("{}-{tail}1", near[0]), near[1].clone()],
            2 => far,
            _ => near,
        }
    });
    let pair = (alike, epoch(), epoch()).prop_map(|([a, b], of_a, of_b)| (of_a + &a, of_b + &b));
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| pair.new_tree(&mut runner).expect("a pair").current()).collect()
}

fn epoch() -> BoxedStrategy<String> {
    prop_oneof![6 => Just(String::new()), 1 => "0{0,2}[0-2]:".boxed()].boxed()
}

/// Numbers with zeros in front, letters of either case, and what rpm treats of its own: `~` and `^`.
fn rpm_text() -> BoxedStrategy<String> {
    let parts = prop_oneof![
        4 => "[0-9a-cAZ.]{0,4}",
        2 => "[.~^_+]{0,3}[0-9a]{0,2}",
        1 => "(rc|beta|el|fc|git)?0{0,3}[0-9]{0,12}",
    ];
    proptest::collection::vec(parts, 0..3).prop_map(|parts| parts.concat()).boxed()
}

/// What the policy manual allows in a version, hyphens too: the last one begins the revision.
fn deb_text() -> BoxedStrategy<String> {
    let parts = prop_oneof![
        4 => "[0-9a-cAZ.]{0,4}",
        2 => "[.~+]{0,3}[0-9a]{0,2}",
        1 => "(rc|ubuntu|deb|dfsg|really)?0{0,3}[0-9]{0,12}",
    ];
    proptest::collection::vec(parts, 0..3).prop_map(|parts| parts.concat()).boxed()
}
