//! Identifiers: newtypes that are parsed once and compared by the service's own rules.

use std::{cmp::Ordering, fmt, hash, str::FromStr, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, ErrorKind};

/// Longest identifier accepted: an ARM resource id stays well under this.
const MAX_LEN: usize = 2_048;

fn check(kind: &'static str, text: &str) -> Result<(), Error> {
    let problem = if text.is_empty() {
        "is empty"
    } else if text.len() > MAX_LEN {
        "is longer than 2048 bytes"
    } else if text.chars().any(char::is_control) {
        "holds a control character"
    } else {
        return Ok(());
    };
    let shown: String = text.chars().take(64).collect();
    Err(Error::new(ErrorKind::InvalidInput, "core", "parse", format!("{kind} {shown:?} {problem}")))
}

macro_rules! id_newtype {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Arc<str>);

        id_text!($name, $noun);
    };
}

/// What every textual identifier shares: parsing, printing, serde as one string.
macro_rules! id_text {
    ($name:ident, $noun:literal) => {
        impl $name {
            /// Takes the text as it is, after refusing empty, over-long and control text.
            pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
                text.as_ref().parse()
            }

            /// The identifier as the service spells it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                check($noun, text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id_newtype!(
    /// A patch as its operating system names it: `KB5043050`, `openssl.x86_64`, `RHSA-2024:1234`.
    PatchId,
    "patch id"
);
id_newtype!(
    /// The name of a patch group: the value of the tag `Patch Group` or `PatchGroup`.
    PatchGroupName,
    "patch group"
);
id_newtype!(
    /// The name of a group of resources that the provider keeps: an AWS Resource Group.
    ResourceGroupName,
    "resource group"
);
id_newtype!(
    /// One running or finished act of a provider: a command, an activity, a job.
    OperationId,
    "operation id"
);
id_newtype!(
    /// One run of a workflow.
    RunId,
    "run id"
);
id_newtype!(
    /// The caller's own mark on a submission, by which a lost answer is found again.
    ///
    /// Written to the journal before the call, and handed to the provider with it.
    SubmitToken,
    "submit token"
);

impl SubmitToken {
    /// A token that tells when its act was first meant, for services that keep no token of ours and
    /// know an act by its node and its time.
    ///
    /// ```
    /// use patchkit_core::SubmitToken;
    ///
    /// let at = "2026-11-24T02:00:00Z".parse().unwrap();
    /// let token = SubmitToken::stamped("weekly-install-0", at)?;
    /// assert_eq!(token.as_str(), "weekly-install-0@2026-11-24T02:00:00Z");
    /// assert_eq!(token.stamp(), Some(at));
    /// # Ok::<(), patchkit_core::Error>(())
    /// ```
    pub fn stamped(name: &str, at: Timestamp) -> Result<Self, Error> {
        Self::new(format!("{name}@{at}"))
    }

    /// When the act was first meant; `None` for a token that does not tell.
    pub fn stamp(&self) -> Option<Timestamp> {
        self.as_str().rsplit_once('@')?.1.parse().ok()
    }
}

id_newtype!(
    /// The AWS account (12 digits, leading zeros kept) or Azure subscription that holds a node.
    AccountId,
    "account"
);
id_newtype!(
    /// An AWS Region, Azure location or data centre.
    Region,
    "region"
);

/// A patch baseline: a bare `pb-0123…`, the ARN of a predefined one, or an ARM id.
///
/// Two spellings of one baseline are equal: of AWS's only the `pb-` part is compared (it uses ARNs
/// for its own baselines and bare ids for custom ones), and ARM ids (they begin with `/`) as a whole,
/// without regard to case.
///
/// ```
/// use patchkit_core::BaselineId;
///
/// let arn = BaselineId::new("arn:aws:ssm:us-east-1:075727635805:patchbaseline/pb-0be8c61cde3be63f3")?;
/// assert_eq!(arn, BaselineId::new("pb-0be8c61cde3be63f3")?);
///
/// let web = BaselineId::new("/subscriptions/s1/…/maintenanceConfigurations/web")?;
/// assert_ne!(web, BaselineId::new("/subscriptions/s2/…/maintenanceConfigurations/web")?);
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone)]
pub struct BaselineId(Arc<str>);

id_text!(BaselineId, "baseline id");

impl BaselineId {
    /// What is compared, byte by byte.
    fn key(&self) -> impl Iterator<Item = u8> + '_ {
        let arm = self.0.starts_with('/');
        let part = if arm { &*self.0 } else { self.0.rsplit('/').next().unwrap_or(&self.0) };
        part.bytes().map(move |b| if arm { b.to_ascii_lowercase() } else { b })
    }
}

impl PartialEq for BaselineId {
    fn eq(&self, other: &Self) -> bool {
        self.key().eq(other.key())
    }
}

impl Eq for BaselineId {}

impl PartialOrd for BaselineId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BaselineId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

impl hash::Hash for BaselineId {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        for byte in self.key() {
            state.write_u8(byte);
        }
        // No baseline's key is the beginning of another's with it.
        state.write_u8(0xff);
    }
}

/// Where a node lives: the provider, the account or subscription, and the Region.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "ScopeParts")]
pub struct Scope {
    provider: Arc<str>,
    account: AccountId,
    region: Region,
}

/// A scope as it is written, before its parts are checked.
#[derive(Deserialize)]
struct ScopeParts {
    provider: String,
    account: AccountId,
    region: Region,
}

impl TryFrom<ScopeParts> for Scope {
    type Error = Error;

    fn try_from(parts: ScopeParts) -> Result<Self, Error> {
        Self::new(&parts.provider, parts.account, parts.region)
    }
}

impl Scope {
    /// Names a scope; no part may hold a `/`.
    pub fn new(provider: &str, account: AccountId, region: Region) -> Result<Self, Error> {
        check("provider", provider)?;
        for part in [provider, account.as_str(), region.as_str()] {
            if part.contains('/') {
                return Err(Error::invalid("core", "parse", format!("scope {part:?} holds a `/`")));
            }
        }
        Ok(Self { provider: provider.into(), account, region })
    }

    /// The provider: `aws`, `azure`, …
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Whether both name one place: Azure spells subscriptions and locations in several ways.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        self == other
            || same(&self.provider, &other.provider)
                && same(self.account.as_str(), other.account.as_str())
                && same(self.region.as_str(), other.region.as_str())
    }

    /// The AWS account or Azure subscription.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// The Region or location.
    pub fn region(&self) -> &Region {
        &self.region
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.provider, self.account, self.region)
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(provider), Some(account), Some(region)) => {
                Self::new(provider, account.parse()?, region.parse()?)
            }
            _ => Err(Error::invalid(
                "core",
                "parse",
                format!("scope {text:?} is not provider/account/region"),
            )),
        }
    }
}

/// One managed node: its [`Scope`] and the id its provider gave it.
///
/// Prints and parses as `provider/account/region/id`. ARM ids (they begin with `/`) are compared
/// without regard to case, because Azure returns one id in several spellings, and by themselves,
/// because they hold their subscription.
///
/// ```
/// use patchkit_core::NodeId;
///
/// let node: NodeId = "aws/012345678901/eu-west-1/mi-0abc".parse()?;
/// assert_eq!(node.resource(), "mi-0abc");
/// assert_eq!(node.scope().account().as_str(), "012345678901");
///
/// let a: NodeId = "azure/sub1/westeurope//subscriptions/sub1/resourceGroups/RG/…/vm1".parse()?;
/// let b: NodeId = "azure/sub1/westeurope//subscriptions/SUB1/resourcegroups/rg/…/VM1".parse()?;
/// assert_eq!(a, b);
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone)]
pub struct NodeId(Arc<NodeInner>);

struct NodeInner {
    scope: Scope,
    /// What is compared, as one text, because a run compares ids by the million: the parts of the
    /// scope and the resource, NUL between them; or NUL and an ARM id in lower case. No part holds a
    /// NUL, so that the order is that of the parts one by one.
    key: Box<str>,
    /// Where the resource begins in the key.
    resource: usize,
    /// An ARM id as it is spelled.
    spelled: Option<Box<str>>,
}

impl NodeId {
    /// Names a node inside its scope.
    pub fn new(scope: Scope, resource: &str) -> Result<Self, Error> {
        check("node id", resource)?;
        let (key, spelled) = if resource.starts_with('/') {
            (format!("\0{}", resource.to_ascii_lowercase()), Some(resource.into()))
        } else {
            let Scope { provider, account, region } = &scope;
            let (account, region) = (account.as_str(), region.as_str());
            (format!("{provider}\0{account}\0{region}\0{resource}"), None)
        };
        let start = key.len() - resource.len();
        Ok(Self(Arc::new(NodeInner { scope, key: key.into(), resource: start, spelled })))
    }

    /// Where the node lives.
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }

    /// The provider's own id: `i-…`, `mi-…`, or an ARM resource id.
    pub fn resource(&self) -> &str {
        self.0.spelled.as_deref().unwrap_or_else(|| self.tail())
    }

    /// The last part of the provider's id: `i-…`, or the name of an Azure machine. An instance of a
    /// scale set is a number there, which says nothing without its set:
    /// `web/virtualMachines/3`.
    pub fn name(&self) -> &str {
        let resource = self.resource();
        let of_set = resource.split_once("/virtualMachineScaleSets/").map(|(_, instance)| instance);
        of_set.or_else(|| resource.rsplit('/').next()).unwrap_or(resource)
    }

    /// One text for all spellings of the node: equal exactly where the ids are.
    ///
    /// For stores that compare text; [`Display`](fmt::Display) keeps the spelling.
    pub fn canonical(&self) -> String {
        match &self.0.spelled {
            None => self.to_string(),
            Some(_) => self.tail().to_owned(),
        }
    }

    /// The resource as it is compared.
    fn tail(&self) -> &str {
        self.0.key.get(self.0.resource..).unwrap_or_default()
    }
}

impl PartialEq for NodeId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.key == other.0.key
    }
}

impl Eq for NodeId {}

impl PartialOrd for NodeId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NodeId {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.0.key.cmp(&other.0.key)
    }
}

impl hash::Hash for NodeId {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.scope, self.resource())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl FromStr for NodeId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let cut = text.match_indices('/').nth(2).map(|(at, _)| at);
        let Some(cut) = cut else {
            return Err(Error::invalid(
                "core",
                "parse",
                format!("node {text:?} is not provider/account/region/id"),
            ));
        };
        Self::new(text[..cut].parse()?, &text[cut + 1..])
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arm_ids_are_compared_without_case_and_without_region() {
        let a: NodeId =
            "azure/s/westeurope//subscriptions/s/virtualMachines/Web-1".parse().unwrap();
        let b: NodeId =
            "azure/s/WestEurope//SUBSCRIPTIONS/s/virtualmachines/web-1".parse().unwrap();
        assert_eq!(a, b);
        assert_eq!(a.cmp(&b), Ordering::Equal);
        assert_eq!(a.canonical(), b.canonical());
        assert_eq!(HashSet::from([a, b]).len(), 1);
    }

    #[test]
    fn an_instance_of_a_scale_set_is_named_with_its_set() {
        let arm = "azure/s/we//subscriptions/s/resourceGroups/g/providers/Microsoft.Compute";
        let name =
            |tail: &str| format!("{arm}/{tail}").parse::<NodeId>().unwrap().name().to_owned();
        assert_eq!(name("virtualMachines/12"), "12");
        let instance = "virtualMachineScaleSets/web/virtualMachines/3";
        assert_eq!(name(instance), "web/virtualMachines/3");
    }

    #[test]
    fn aws_ids_differ_between_regions() {
        let a: NodeId = "aws/1/eu-west-1/mi-1".parse().unwrap();
        let b: NodeId = "aws/1/us-east-1/mi-1".parse().unwrap();
        assert_ne!(a, b);
    }

    #[test]
    fn a_baseline_arn_equals_its_bare_id() {
        let arn = BaselineId::new("arn:aws:ssm:eu-west-1:1:patchbaseline/pb-01").unwrap();
        let bare = BaselineId::new("pb-01").unwrap();
        assert_eq!(HashSet::from([arn, bare]).len(), 1);
    }

    #[test]
    fn arm_ids_of_baselines_are_compared_as_a_whole_and_without_case() {
        let id = |text: &str| BaselineId::new(text).unwrap();
        let web = id("/subscriptions/S1/resourcegroups/g/x/web");
        assert_eq!(web, id("/subscriptions/s1/resourceGroups/G/x/Web"));
        assert_ne!(web, id("/subscriptions/s2/resourceGroups/g/x/web"));
        assert_eq!(HashSet::from([web, id("/SUBSCRIPTIONS/s1/resourceGroups/g/x/web")]).len(), 1);
    }

    #[test]
    fn an_empty_or_control_id_is_refused_by_name() {
        let error = PatchId::new("").unwrap_err();
        assert_eq!(error.to_string(), "core parse failed: patch id \"\" is empty");
        assert!(Region::new("eu\n").unwrap_err().to_string().contains("control"));
        assert!("aws/1/eu-west-1".parse::<NodeId>().is_err());
    }

    proptest! {
        #[test]
        fn node_ids_print_and_parse_back(account in "[0-9]{12}", region in "[a-z]{2}-[a-z]+-[0-9]", id in "[!-~]{1,60}") {
            let scope = Scope::new("aws", account.parse().unwrap(), region.parse().unwrap()).unwrap();
            let node = NodeId::new(scope, &id).unwrap();
            prop_assert_eq!(&node.to_string().parse::<NodeId>().unwrap(), &node);
            let json = serde_json::to_string(&node).unwrap();
            prop_assert_eq!(&serde_json::from_str::<NodeId>(&json).unwrap(), &node);
            prop_assert!(id.starts_with('/') || node.canonical() == node.to_string());
        }

        #[test]
        fn node_ids_are_ordered_by_their_parts_and_arm_ids_come_first(
            a in ("[a-c!]{1,2}", "[0-9-]{1,3}", "[a-b -]{1,3}", "[a-b/-]{1,4}"),
            b in ("[a-c!]{1,2}", "[0-9-]{1,3}", "[a-b -]{1,3}", "[a-b/-]{1,4}"),
        ) {
            let id = |(provider, account, region, resource): &(String, String, String, String)| {
                let scope = Scope::new(provider, account.parse().unwrap(), region.parse().unwrap());
                NodeId::new(scope.unwrap(), resource).unwrap()
            };
            let parts = |of: &(String, String, String, String)| {
                let scope = (!of.3.starts_with('/')).then(|| id(of).scope().clone());
                (scope, of.3.clone())
            };
            prop_assert_eq!(id(&a).cmp(&id(&b)), parts(&a).cmp(&parts(&b)));
            prop_assert_eq!(id(&a) == id(&b), parts(&a) == parts(&b));
        }
    }
}
