//! What is written is CycloneDX by its own schemas, the same each time, and can be read back.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::sync::LazyLock;

use jsonschema::{Registry, Validator};
use patchkit_core::NodeId;
use patchkit_report::{NodeSoftware, Package, Sbom, SpecVersion, parse_sbom};
use proptest::prelude::*;
use serde_json::Value;

const SCHEMAS: [(SpecVersion, &str); 2] = [
    (SpecVersion::V1_6, include_str!("schema/bom-1.6.schema.json")),
    (SpecVersion::V1_7, include_str!("schema/bom-1.7.schema.json")),
];

const PARTS: [(&str, &str); 3] = [
    ("cryptography-defs", include_str!("schema/cryptography-defs.schema.json")),
    ("jsf-0.82", include_str!("schema/jsf-0.82.schema.json")),
    ("spdx", include_str!("schema/spdx.schema.json")),
];

/// Validators that also hold dates, links and ids against their formats.
static VALIDATORS: LazyLock<[(SpecVersion, Validator); 2]> = LazyLock::new(|| {
    let parse = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let at = |name: &str| format!("http://cyclonedx.org/schema/{name}.schema.json");
    let parts = PARTS.map(|(name, text)| (at(name), parse(text)));
    let registry = Registry::new().extend(parts).unwrap().prepare().unwrap();
    SCHEMAS.map(|(spec, schema)| {
        let options = jsonschema::options().should_validate_formats(true).with_registry(&registry);
        (spec, options.build(&parse(schema)).unwrap())
    })
});

fn assert_valid(validator: &Validator, text: &str) {
    let document: Value = serde_json::from_str(text).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{text}");
}

fn node() -> NodeSoftware {
    let id: NodeId = "aws/012345678901/eu-west-1/i-0a".parse().unwrap();
    NodeSoftware::new(id)
        .with_name("web-1")
        .with_captured_at("2026-11-29T04:00:00Z".parse().unwrap())
}

fn rhel() -> NodeSoftware {
    let openssl = Package::new("openssl-libs")
        .with_version("3.0.7")
        .with_release("28.el9")
        .with_epoch("1")
        .with_architecture("x86_64")
        .with_publisher("Red Hat, Inc.")
        .with_package_id("openssl-3.0.7-28.el9.src.rpm");
    let mut bash = Package::new("bash").with_version("5.1.8").with_release("9.el9");
    bash.url = Some("https://www.gnu.org/software/bash".into());
    bash.summary = Some("The GNU Bourne Again shell".into());
    bash.installed_at = Some("2026-01-02T03:04:05Z".parse().unwrap());
    node().with_platform("Red Hat Enterprise Linux", "9.4").with_packages([openssl, bash])
}

fn at() -> jiff::Timestamp {
    "2026-11-30T05:00:00Z".parse().unwrap()
}

#[test]
fn the_schemas_take_what_is_written_and_refuse_what_is_not_cyclonedx() {
    for (spec, validator) in &*VALIDATORS {
        let software = rhel();
        let text = Sbom::new(&software, at()).unwrap().with_spec(*spec).to_json();
        assert_valid(validator, &text);
        for (right, wrong) in [
            ("\"operating-system\",\n      \"bom-ref\"", "\"os\",\n      \"bom-ref\""),
            ("urn:uuid:", "uuid:"),
            ("2026-11-30T05:00:00Z", "yesterday"),
            ("\"publisher\"", "\"maker\""),
        ] {
            assert!(text.contains(right), "{right} in {text}");
            let document = serde_json::from_str(&text.replace(right, wrong)).unwrap();
            assert!(!validator.is_valid(&document), "{wrong} passes {spec}");
        }
    }
}

#[test]
fn the_bill_of_a_node_is_the_golden_one() {
    insta::assert_snapshot!(Sbom::new(&rhel(), at()).unwrap().to_json());
}

#[test]
fn the_same_software_gives_the_same_bytes_and_other_software_another_serial() {
    let (one, mut other) = (rhel(), rhel());
    other.packages.reverse();
    let other = other.with_packages([]);
    let serial = Sbom::new(&one, at()).unwrap().serial();
    assert_eq!(
        Sbom::new(&one, at()).unwrap().to_json(),
        Sbom::new(&other, at()).unwrap().to_json()
    );
    let other = other.with_packages([Package::new("zsh").with_version("5.8")]);
    assert_ne!(Sbom::new(&other, at()).unwrap().serial(), serial);
    let given = uuid::Uuid::from_u128(7);
    let text = Sbom::new(&one, at()).unwrap().with_serial(given).to_json();
    assert!(text.contains("urn:uuid:00000000-0000-0000-0000-000000000007"));
}

#[test]
fn rows_that_were_lost_make_a_bill_incomplete() {
    let software = rhel();
    let whole = Sbom::new(&software, at()).unwrap().to_json();
    assert!(whole.contains("\"aggregate\": \"unknown\""));
    let software = software.with_lost(3);
    let text = Sbom::new(&software, at()).unwrap().to_json();
    assert!(text.contains("\"aggregate\": \"incomplete\""));
    assert_eq!(parse_sbom(&text).unwrap().coverage, patchkit_report::Coverage::Partial(3));
}

#[test]
fn a_bill_is_read_back_as_it_was_written() {
    for software in [
        rhel(),
        node().with_platform("Ubuntu", "22.04").with_packages([
            Package::new("libssl3").with_version("3.0.2-0ubuntu1.15").with_architecture("x86_64"),
            Package::new("vim").with_version("2:8.2.3995-1ubuntu2"),
        ]),
        node().with_platform("Microsoft Windows Server 2022", "10.0.20348").with_packages([
            Package::new("Git 2.44 (x64)").with_version("2.44.0").with_package_id("Git_is1"),
            Package::new("Splunk \"Universal\" Forwarder"),
        ]),
    ] {
        let text = Sbom::new(&software, at()).unwrap().to_json();
        assert_eq!(parse_sbom(&text).unwrap(), software);
    }
}

#[test]
fn what_is_no_bill_of_a_node_is_refused() {
    let foreign = r#"{"bomFormat":"CycloneDX","specVersion":"1.7",
        "metadata":{"component":{"type":"device","name":"x"}}}"#;
    for text in ["", "{}", "[]", foreign, &foreign.replace("CycloneDX", "SPDX")] {
        let error = parse_sbom(text).unwrap_err();
        assert_eq!(error.kind(), patchkit_core::ErrorKind::InvalidInput, "{text}");
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9.-]{0,8}", any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_nodes_say_the_bill_is_valid(
        platform in text(),
        version in text(),
        packages in proptest::collection::vec([text(), text(), text(), text(), text(), text()], 0..6),
    ) {
        let packages = packages.into_iter().map(|[name, version, release, arch, url, text]| {
            let mut package = Package::new(&name).with_version(&version).with_release(&release);
            package.architecture = Some(arch.into());
            package.url = Some(format!("https://{url}").into());
            package.summary = Some(text.into());
            package
        });
        let software = node().with_platform(&platform, &version).with_packages(packages);
        for (spec, validator) in &*VALIDATORS {
            let sbom = Sbom::new(&software, at()).unwrap().with_spec(*spec);
            assert_valid(validator, &sbom.to_json());
        }
    }
}
