//! Machines as resources: their ARNs, types and tags, as the services that go over all resources
//! know them.

use serde::Deserialize;

use crate::cloud::world::{
    State,
    machine::{AwsKind, AwsSide, MachineIx, Power, ScopeIx, Tags},
};

/// How many tags a resource has at most (general reference, "Tagging your AWS resources").
const MOST_TAGS: usize = 50;

/// What a resource is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Instance,
    /// A hybrid node. An instance is none, even where it is managed.
    ManagedNode,
}

impl Kind {
    /// The type as CloudFormation names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Instance => "AWS::EC2::Instance",
            Self::ManagedNode => "AWS::SSM::ManagedInstance",
        }
    }

    /// The service and the type as the tagging API names them.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Instance => ("ec2", "instance"),
            Self::ManagedNode => ("ssm", "managed-instance"),
        }
    }
}

/// A machine that is not gone, with what AWS knows of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resource<'a> {
    pub(crate) at: MachineIx,
    pub(crate) kind: Kind,
    pub(crate) aws: &'a AwsSide,
}

impl<'a> Resource<'a> {
    /// The machine at a place, where AWS has it.
    pub(crate) fn of(state: &'a State, at: MachineIx) -> Option<Self> {
        let machine = state.machine(at);
        let aws = machine.aws.as_ref()?;
        // Of a hybrid node's machine nobody tells that it is gone.
        let kind = match &aws.side {
            AwsKind::Ec2(_) if machine.power == Power::Terminated => return None,
            AwsKind::Ec2(_) => Kind::Instance,
            AwsKind::Hybrid(_) => Kind::ManagedNode,
        };
        Some(Self { at, kind, aws })
    }

    /// The resource of an ARN, where it is of this account and Region.
    pub(crate) fn find(state: &'a State, scope: ScopeIx, arn: &str) -> Option<Self> {
        let (_, id) = arn.rsplit_once('/')?;
        let found = Self::of(state, state.find(scope, id)?)?;
        (found.arn(state) == arn).then_some(found)
    }

    pub(crate) fn arn(&self, state: &State) -> String {
        let (service, kind) = self.kind.words();
        let region = &state.scope(self.aws.scope).region;
        let account = &state.account_of(self.aws.scope).id;
        format!("arn:aws:{service}:{region}:{account}:{kind}/{}", self.aws.id)
    }
}

/// The resources of an account's Region, by id.
pub(crate) fn all(state: &State, scope: ScopeIx) -> impl Iterator<Item = Resource<'_>> {
    state.scope(scope).machines.iter().filter_map(|at| Resource::of(state, *at))
}

/// Asks for a tag with one of some values; with any, where none is named.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TagFilter {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) values: Vec<String>,
}

impl TagFilter {
    pub(crate) fn passes(&self, tags: &Tags) -> bool {
        let value = tags.iter().find(|(key, _)| **key == *self.key).map(|(_, value)| value);
        value.is_some_and(|value| {
            self.values.is_empty() || self.values.iter().any(|it| **it == **value)
        })
    }
}

/// Sets tags, all or none: none where there would be too many.
pub(crate) fn tag<'t>(
    tags: &mut Tags,
    new: impl Iterator<Item = (&'t str, &'t str)> + Clone,
) -> Result<(), TooManyTags> {
    let place = |tags: &Tags, key: &str| tags.iter().position(|(of, _)| **of == *key);
    let more = new.clone().filter(|(key, _)| place(tags, key).is_none()).count();
    if tags.len() + more > MOST_TAGS {
        return Err(TooManyTags);
    }
    for (key, value) in new {
        match place(tags, key) {
            Some(place) => tags[place].1 = value.into(),
            None => tags.push((key.into(), value.into())),
        }
    }
    Ok(())
}

/// A resource would have more than fifty tags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooManyTags;

/// Whether a tag's key is AWS's own to set.
pub(crate) fn is_reserved(key: &str) -> bool {
    key.get(..4).is_some_and(|it| it.eq_ignore_ascii_case("aws:"))
}
