//! Keys of a data-sync lake.

use std::{fmt, str::FromStr};

use patchkit_core::{AccountId, NodeId, Region, Scope};

use crate::InventoryType;

/// Longest key accepted: S3's own limit.
pub const MAX_KEY_BYTES: usize = 1_024;

/// The place of one object in a data-sync lake.
///
/// # Behavior
/// - `[prefix/…/]Type/accountid=…/region=…[/resourcetype=…]/node.json`, with any depth of prefix.
/// - The last `AWS:…` or `Custom:…` segment is the type; `name=value` segments behind it are found
///   by name, without regard to case and order; those of other names are kept.
/// - The partition's resource type is the kind of *partition*; the kind of node
///   (`EC2Instance`, `ManagedInstance`) is `ResourceType` in the body. They are never mixed up.
/// - Prints in the service's order, so that parsing the print gives an equal key.
///
/// ```
/// use patchkit_inventory::{InventoryKey, InventoryType};
///
/// let key: InventoryKey = "sync/AWS:Tag/accountid=012345678901/region=eu-west-1/\
///     resourcetype=ManagedInstanceInventory/i-0abc.json".parse()?;
/// assert_eq!(key.inventory_type(), &InventoryType::Tag);
/// assert_eq!(key.node().to_string(), "aws/012345678901/eu-west-1/i-0abc");
/// assert_eq!(key.partition_kind(), Some("ManagedInstanceInventory"));
/// assert_eq!(key.prefix(), "sync");
/// # Ok::<(), patchkit_inventory::KeyProblem>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct InventoryKey {
    prefix: Box<str>,
    ty: InventoryType,
    node: NodeId,
    partition_kind: Option<Box<str>>,
    others: Vec<(Box<str>, Box<str>)>,
}

/// Why a key is not that of an inventory object.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyProblem {
    /// The sync's own write test (`…/accountid=…/test.json`), which holds no node's data.
    WriteTest,
    /// The mark of a folder: a key that ends in `/`.
    Folder,
    /// What a command wrote on a node, where commands were told to write into the lake's bucket.
    CommandOutput,
    /// No segment names an inventory type.
    NoType,
    /// The partition of this name is missing.
    Missing(&'static str),
    /// The partition of this name comes twice.
    Repeated(&'static str),
    /// The account is not 12 digits.
    BadAccount,
    /// A segment between the type and the node is no `name=value`.
    StraySegment,
    /// The file is not `node.json`.
    NotJson,
    /// A part is empty, too long or holds a control character.
    BadText,
}

impl KeyProblem {
    /// Whether such a key is normal in a lake and loses nothing.
    pub fn is_expected(&self) -> bool {
        matches!(self, Self::CommandOutput | Self::Folder | Self::WriteTest)
    }
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteTest => f.write_str("the sync's write test"),
            Self::Folder => f.write_str("a folder mark"),
            Self::CommandOutput => f.write_str("the output of a command"),
            Self::NoType => f.write_str("no segment names an inventory type"),
            Self::Missing(name) => write!(f, "the partition {name}= is missing"),
            Self::Repeated(name) => write!(f, "the partition {name}= comes twice"),
            Self::BadAccount => f.write_str("the account is not 12 digits"),
            Self::StraySegment => f.write_str("a segment behind the type is no name=value"),
            Self::NotJson => f.write_str("the file is not a node's .json"),
            Self::BadText => f.write_str("a part is empty, too long or not printable"),
        }
    }
}

impl std::error::Error for KeyProblem {}

const ACCOUNT: &str = "accountid";
const REGION: &str = "region";
const KIND: &str = "resourcetype";

impl InventoryKey {
    /// The key of one node's object of one type, as the service writes it.
    pub fn new(prefix: &str, ty: InventoryType, node: NodeId) -> Self {
        let partition_kind = Some("ManagedInstanceInventory".into());
        Self { prefix: prefix.into(), ty, node, partition_kind, others: Vec::new() }
    }

    /// What the object holds.
    pub fn inventory_type(&self) -> &InventoryType {
        &self.ty
    }

    /// Whose it is.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Everything in front of the type, without the slash.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The partition `resourcetype`. Not the node's kind: that is in the body.
    pub fn partition_kind(&self) -> Option<&str> {
        self.partition_kind.as_deref()
    }

    /// A partition of another name, without regard to case.
    pub fn partition(&self, name: &str) -> Option<&str> {
        let found = self.others.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &**value)
    }
}

/// Takes a partition's value, once.
fn set<'a>(
    slot: &mut Option<&'a str>,
    name: &'static str,
    value: &'a str,
) -> Result<(), KeyProblem> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(KeyProblem::Repeated(name)),
    }
}

/// Whether a key is `[prefix/…/]command/node/plugin/…/stdout` or `…/stderr`: AWS user guide, "Using
/// Amazon S3 with Run Command outputs".
fn is_command_output(folders: &str, file: &str) -> bool {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_hexdigit());
    let is_command = |text: &str| {
        let parts = text.split('-').map(str::len);
        parts.eq([8, 4, 4, 4, 12]) && text.split('-').all(is_hex)
    };
    let is_node = |text: &str| {
        text.strip_prefix("i-").or_else(|| text.strip_prefix("mi-")).is_some_and(is_hex)
    };
    let segments = || folders.split('/');
    let mut places = segments().zip(segments().skip(1)).zip(segments().skip(2));
    matches!(file, "stdout" | "stderr")
        && places.any(|((command, node), _)| is_command(command) && is_node(node))
}

impl FromStr for InventoryKey {
    type Err = KeyProblem;

    fn from_str(key: &str) -> Result<Self, KeyProblem> {
        if key.len() > MAX_KEY_BYTES {
            return Err(KeyProblem::BadText);
        }
        let Some((folders, file)) = key.rsplit_once('/') else {
            return Err(KeyProblem::NoType);
        };
        if file.is_empty() {
            return Err(KeyProblem::Folder);
        }
        let mut at = folders.len();
        let type_at = loop {
            let start = folders[..at].rfind('/').map_or(0, |slash| slash + 1);
            if InventoryType::is_type_segment(&folders[start..at]) {
                break start;
            }
            if start == 0 {
                let is_output = is_command_output(folders, file);
                return Err(if is_output { KeyProblem::CommandOutput } else { KeyProblem::NoType });
            }
            at = start - 1;
        };
        let stem = file.len().checked_sub(5).and_then(|end| file.split_at_checked(end));
        let Some((stem, ".json" | ".JSON")) = stem else {
            return Err(KeyProblem::NotJson);
        };

        let (mut account, mut region, mut kind, mut others) = (None, None, None, Vec::new());
        for segment in folders[at..].split('/').skip(1) {
            let (name, value) = segment.split_once('=').ok_or(KeyProblem::StraySegment)?;
            if name.eq_ignore_ascii_case(ACCOUNT) {
                set(&mut account, ACCOUNT, value)?;
            } else if name.eq_ignore_ascii_case(REGION) {
                set(&mut region, REGION, value)?;
            } else if name.eq_ignore_ascii_case(KIND) {
                set(&mut kind, KIND, value)?;
            } else {
                others.push((name.into(), value.into()));
            }
        }
        // The sync's own test has no Region; with one it is a node of that name.
        if region.is_none() && file.eq_ignore_ascii_case("test.json") {
            return Err(KeyProblem::WriteTest);
        }
        let account = account.ok_or(KeyProblem::Missing(ACCOUNT))?;
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(KeyProblem::BadAccount);
        }
        let region = region.ok_or(KeyProblem::Missing(REGION))?;
        let node = AccountId::new(account)
            .and_then(|account| Scope::new("aws", account, Region::new(region)?))
            .and_then(|scope| NodeId::new(scope, stem))
            .map_err(|_| KeyProblem::BadText)?;
        let Ok(ty) = folders[type_at..at].parse();
        Ok(Self {
            prefix: folders[..type_at.saturating_sub(1)].into(),
            ty,
            node,
            partition_kind: kind.map(Into::into),
            others,
        })
    }
}

impl fmt::Display for InventoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.prefix.is_empty() {
            write!(f, "{}/", self.prefix)?;
        }
        let scope = self.node.scope();
        write!(f, "{}/{ACCOUNT}={}/{REGION}={}", self.ty, scope.account(), scope.region())?;
        if let Some(kind) = &self.partition_kind {
            write!(f, "/{KIND}={kind}")?;
        }
        for (name, value) in &self.others {
            write!(f, "/{name}={value}")?;
        }
        write!(f, "/{}.json", self.node.resource())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem(key: &str) -> KeyProblem {
        key.parse::<InventoryKey>().unwrap_err()
    }

    #[test]
    fn partitions_are_found_by_name_in_any_order_and_case() {
        let key: InventoryKey =
            "a/b=c/d/aws:TAG/Region=eu-west-1/snapshot=7/AccountId=111122223333/mi-0a.json"
                .parse()
                .unwrap();
        assert_eq!(key.inventory_type(), &InventoryType::Tag);
        assert_eq!(key.node().to_string(), "aws/111122223333/eu-west-1/mi-0a");
        assert_eq!((key.prefix(), key.partition_kind()), ("a/b=c/d", None));
        assert_eq!(key.partition("SNAPSHOT"), Some("7"));
    }

    #[test]
    fn the_last_type_segment_is_the_type() {
        let key: InventoryKey =
            "AWS:File/AWS:Tag/accountid=111122223333/region=eu-west-1/i-0a.json".parse().unwrap();
        assert_eq!((key.prefix(), key.inventory_type()), ("AWS:File", &InventoryType::Tag));
    }

    #[test]
    fn the_write_test_of_the_sync_is_no_data() {
        let key = "x/AWS:InstanceInformation/accountid=111122223333/test.json";
        assert_eq!(problem(key), KeyProblem::WriteTest);
        assert!(problem(key).is_expected());
        assert!(problem("AWS:Tag/accountid=111122223333/").is_expected());
    }

    #[test]
    fn the_output_of_a_command_is_no_data_of_the_lake() {
        let command = "9f2b1c00-1d2e-4a6b-8c3d-0123456789ab";
        for place in ["", "runs/patch/"] {
            let key = format!("{place}{command}/i-0a/awsrunShellScript/PatchLinux/stdout");
            assert_eq!(problem(&key), KeyProblem::CommandOutput);
            assert!(problem(&key).is_expected());
        }
        let key = format!("{command}/mi-0a/awsrunPowerShellScript/PatchWindows/stderr");
        assert_eq!(problem(&key), KeyProblem::CommandOutput);
        for key in [
            "stdout".to_owned(),
            "runs/stdout".to_owned(),
            "runs/i-0a/awsrunShellScript/stdout".to_owned(),
            format!("{command}/i-0a/stdout"),
            format!("{command}/laptop/awsrunShellScript/stdout"),
            format!("{command}/i-0a/awsrunShellScript/stdout.json"),
        ] {
            assert_eq!(problem(&key), KeyProblem::NoType, "{key}");
        }
    }

    #[test]
    fn a_node_called_test_is_data() {
        let key: InventoryKey =
            "AWS:Tag/accountid=111122223333/region=eu-west-1/test.json".parse().unwrap();
        assert_eq!(key.node().resource(), "test");
    }

    #[test]
    fn a_wrong_key_says_what_is_wrong() {
        for (key, expected) in [
            ("", KeyProblem::NoType),
            ("readme.txt", KeyProblem::NoType),
            ("tag/accountid=111122223333/region=r/i.json", KeyProblem::NoType),
            ("AWS:Tag/region=r/i.json", KeyProblem::Missing("accountid")),
            ("AWS:Tag/accountid=111122223333/i.json", KeyProblem::Missing("region")),
            ("AWS:Tag/accountid=1/region=r/i.json", KeyProblem::BadAccount),
            (
                "AWS:Tag/accountid=111122223333/region=a/region=b/i.json",
                KeyProblem::Repeated("region"),
            ),
            ("AWS:Tag/accountid=111122223333/region=r/x/i.json", KeyProblem::StraySegment),
            ("AWS:Tag/accountid=111122223333/region=r/i.csv", KeyProblem::NotJson),
            ("AWS:Tag/accountid=111122223333/region=r/.json", KeyProblem::BadText),
            ("AWS:Tag/accountid=111122223333/region=/i.json", KeyProblem::BadText),
            ("AWS:Tag/accountid=111122223333/region=r/i\u{1}.json", KeyProblem::BadText),
        ] {
            assert_eq!(problem(key), expected, "{key:?}");
        }
        let long = format!("{}/AWS:Tag/accountid=111122223333/region=r/i.json", "p".repeat(2_000));
        assert_eq!(problem(&long), KeyProblem::BadText);
    }

    proptest! {
        #[test]
        fn keys_print_and_parse_back(
            prefix in "([a-zA-Z0-9=:._-]{1,8}(/[a-z0-9=]{1,5}){0,3})?",
            ty in "(AWS|Custom|aws):[A-Za-z0-9]{1,20}",
            account in "[0-9]{12}",
            region in "[a-z]{2}-[a-z]{4,9}-[0-9]",
            kind in proptest::option::of("[A-Za-z]{0,12}"),
            node in "(i|mi)-[0-9a-f]{17}",
        ) {
            let kind = kind.map_or(String::new(), |kind| format!("resourcetype={kind}/"));
            let slash = if prefix.is_empty() { "" } else { "/" };
            let text =
                format!("{prefix}{slash}{ty}/region={region}/{kind}accountid={account}/{node}.json");
            let key: InventoryKey = text.parse().unwrap();
            prop_assert_eq!(&key.to_string().parse::<InventoryKey>().unwrap(), &key);
            prop_assert_eq!(key.prefix(), prefix);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,80}|[AWS:Tagcounid=/0-9.json]{0,80}") {
            if let Ok(key) = text.parse::<InventoryKey>() {
                prop_assert_eq!(&key.to_string().parse::<InventoryKey>().unwrap(), &key);
            }
        }
    }
}
