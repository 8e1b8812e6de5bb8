//! Which operation a request is, and on what.

use http::{Method, StatusCode};

use super::{
    Call, ask::Ask, error::ArmError, groups, hybrid, limits::Limit, maintenance, operation, patch,
    power, query, reply::Reply, scale_set, tags, vm, vm_view,
};
use crate::cloud::world::{
    State,
    machine::{AzureSide, MachineIx, SubIx},
};

pub(super) type Handler = fn(&mut Call<'_>) -> Result<Reply, ArmError>;

/// An operation, and what it is on.
pub(super) struct Route<'a> {
    /// As Microsoft's specifications name it.
    pub(super) operation: &'static str,
    pub(super) scope: Scope,
    /// What comes after the namespace of the provider.
    pub(super) tail: &'a [String],
    pub(super) limit: Limit,
    pub(super) handler: Handler,
}

/// What an operation is on: the part of the path before its provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Scope {
    Tenant,
    Subscription(SubIx),
    Group(SubIx, u16),
    /// An extension of a machine: its tags, its assignments.
    Machine(MachineIx),
    /// An extension of another resource, by its id in lower case.
    Other(String),
}

impl Scope {
    /// The id of the subscription.
    pub(super) fn subscription(&self, state: &State) -> String {
        let of = |at: SubIx| state.subscription(at).id.to_string();
        match self {
            Self::Tenant => String::new(),
            Self::Subscription(at) | Self::Group(at, _) => of(*at),
            Self::Machine(at) => {
                state.machine(*at).azure.as_ref().map_or_else(String::new, |it| of(it.subscription))
            }
            Self::Other(id) => id.split('/').nth(2).unwrap_or_default().to_owned(),
        }
    }
}

impl Scope {
    /// Whether a machine is of this subscription or resource group.
    pub(super) fn holds(&self, azure: &AzureSide) -> bool {
        match *self {
            Self::Subscription(at) => azure.subscription == at,
            Self::Group(at, group) => azure.subscription == at && azure.group == group,
            _ => false,
        }
    }
}

/// The namespaces of which something is served, and their types.
const PROVIDERS: [(&str, &[&str]); 5] = [
    ("Microsoft.Compute", &["virtualMachines", "virtualMachineScaleSets", "locations"]),
    ("Microsoft.HybridCompute", &["machines", "locations"]),
    (
        "Microsoft.Maintenance",
        &[
            "maintenanceConfigurations",
            "publicMaintenanceConfigurations",
            "configurationAssignments",
            "applyUpdates",
        ],
    ),
    ("Microsoft.Resources", &["tags"]),
    ("Microsoft.ResourceGraph", &["resources"]),
];

/// The providers as the list of a subscription names them.
pub(super) fn providers() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    PROVIDERS.into_iter()
}

/// Finds the operation that a request is.
pub(super) fn route<'a>(state: &State, ask: &'a Ask<'_>) -> Result<Route<'a>, ArmError> {
    let (method, lower) = (ask.method(), texts(&ask.lower));
    let Some(at) = lower.iter().rposition(|it| *it == "providers") else {
        return bare(state, ask, &lower);
    };
    let scope = scope(state, &ask.segments[..at], &lower[..at])?;
    let tail = ask.segments.get(at + 2..).unwrap_or(&[]);
    let found = match &lower[at + 1..] {
        [] if method == Method::GET => {
            Some(("Providers_List", Limit::None, groups::providers as Handler))
        }
        [provider, rest @ ..] => provided(method, &scope, provider, rest),
        [] => None,
    };
    let (operation, limit, handler) = found.ok_or_else(|| unknown(ask, &lower[at + 1..]))?;
    Ok(Route { operation, scope, tail, limit, handler })
}

/// What is of no provider: subscriptions and resource groups.
fn bare<'a>(state: &State, ask: &Ask<'_>, lower: &[&str]) -> Result<Route<'a>, ArmError> {
    let (operation, on, handler): (_, _, Handler) = match (ask.method(), lower) {
        (&Method::GET, ["subscriptions"]) => ("Subscriptions_List", 0, groups::subscriptions),
        (&Method::GET, ["subscriptions", _]) => ("Subscriptions_Get", 2, groups::subscription),
        (&Method::GET, ["subscriptions", _, "resourcegroups"]) => {
            ("ResourceGroups_List", 2, groups::list)
        }
        (&Method::GET, ["subscriptions", _, "resourcegroups", _]) => {
            ("ResourceGroups_Get", 4, groups::get)
        }
        _ => return Err(unknown(ask, &[])),
    };
    let scope = scope(state, &ask.segments[..on], &lower[..on])?;
    Ok(Route { operation, scope, tail: &[], limit: Limit::None, handler })
}

type Found = Option<(&'static str, Limit, Handler)>;

fn provided(method: &Method, scope: &Scope, provider: &str, rest: &[&str]) -> Found {
    match (provider, scope) {
        ("microsoft.compute", Scope::Subscription(_)) => compute(method, rest),
        ("microsoft.compute", Scope::Group(..)) => compute_group(method, rest),
        ("microsoft.hybridcompute", Scope::Subscription(_)) => arc(method, rest),
        ("microsoft.hybridcompute", Scope::Group(..)) => arc_group(method, rest),
        ("microsoft.maintenance", _) => maintenance::route(method, scope, rest),
        ("microsoft.resources", _) => tags(method, scope, rest),
        ("microsoft.resourcegraph", Scope::Tenant)
            if method == Method::POST && rest == ["resources"] =>
        {
            Some(("Resources", Limit::Graph, query::resources))
        }
        _ => None,
    }
}

fn compute(method: &Method, rest: &[&str]) -> Found {
    if method != Method::GET {
        return None;
    }
    Some(match rest {
        ["virtualmachines"] => ("VirtualMachines_ListAll", Limit::HighCostGet, vm::list),
        ["virtualmachinescalesets"] => {
            ("VirtualMachineScaleSets_ListAll", Limit::HighCostGet, scale_set::list)
        }
        ["locations", _, "virtualmachines"] => {
            ("VirtualMachines_ListByLocation", Limit::HighCostGet, vm::list)
        }
        ["locations", _, "operations", _] => {
            ("Operations_Get", Limit::GetOperation, operation::poll)
        }
        _ => return None,
    })
}

fn compute_group(method: &Method, rest: &[&str]) -> Found {
    use Limit::{DeleteVm, GuestPatch, HighCostGet, LowCostGet, SetView, UpdateVm};
    let (get, post) = (method == Method::GET, method == Method::POST);
    Some(match rest {
        ["virtualmachines"] if get => ("VirtualMachines_List", HighCostGet, vm::list),
        ["virtualmachines", _] if get => ("VirtualMachines_Get", LowCostGet, vm::get),
        ["virtualmachines", _] if method == Method::PATCH => {
            ("VirtualMachines_Update", UpdateVm, vm::update)
        }
        ["virtualmachines", _, "instanceview"] if get => {
            ("VirtualMachines_InstanceView", LowCostGet, vm_view::get)
        }
        ["virtualmachines", _, action] if post => match *action {
            "start" => ("VirtualMachines_Start", UpdateVm, power::start),
            "deallocate" => ("VirtualMachines_Deallocate", DeleteVm, power::deallocate),
            "poweroff" => ("VirtualMachines_PowerOff", UpdateVm, power::power_off),
            "restart" => ("VirtualMachines_Restart", UpdateVm, power::restart),
            "assesspatches" => ("VirtualMachines_AssessPatches", GuestPatch, patch::assess),
            "installpatches" => ("VirtualMachines_InstallPatches", GuestPatch, patch::install),
            _ => return None,
        },
        ["virtualmachinescalesets"] if get => {
            ("VirtualMachineScaleSets_List", HighCostGet, scale_set::list)
        }
        ["virtualmachinescalesets", _] if get => {
            ("VirtualMachineScaleSets_Get", LowCostGet, scale_set::get)
        }
        ["virtualmachinescalesets", _, "instanceview"] if get => {
            ("VirtualMachineScaleSets_GetInstanceView", SetView, scale_set::view)
        }
        ["virtualmachinescalesets", _, "virtualmachines"] if get => {
            ("VirtualMachineScaleSetVMs_List", HighCostGet, scale_set::members)
        }
        ["virtualmachinescalesets", _, "virtualmachines", _] if get => {
            ("VirtualMachineScaleSetVMs_Get", LowCostGet, scale_set::member)
        }
        ["virtualmachinescalesets", _, "virtualmachines", _, "instanceview"] if get => {
            ("VirtualMachineScaleSetVMs_GetInstanceView", LowCostGet, scale_set::member_view)
        }
        ["virtualmachinescalesets", _, "virtualmachines", _, action] if post => match *action {
            "start" => ("VirtualMachineScaleSetVMs_Start", UpdateVm, power::start),
            "deallocate" => ("VirtualMachineScaleSetVMs_Deallocate", DeleteVm, power::deallocate),
            "poweroff" => ("VirtualMachineScaleSetVMs_PowerOff", UpdateVm, power::power_off),
            "restart" => ("VirtualMachineScaleSetVMs_Restart", UpdateVm, power::restart),
            _ => return None,
        },
        _ => return None,
    })
}

fn arc(method: &Method, rest: &[&str]) -> Found {
    if method != Method::GET {
        return None;
    }
    Some(match rest {
        ["machines"] => ("Machines_ListBySubscription", Limit::None, hybrid::list),
        ["locations", _, "operationstatus" | "operationresults", _] => {
            ("HybridOperations_Get", Limit::None, operation::poll)
        }
        _ => return None,
    })
}

fn arc_group(method: &Method, rest: &[&str]) -> Found {
    let (get, post) = (method == Method::GET, method == Method::POST);
    Some(match rest {
        ["machines"] if get => ("Machines_ListByResourceGroup", Limit::None, hybrid::list),
        ["machines", _] if get => ("Machines_Get", Limit::None, hybrid::get),
        ["machines", _, "assesspatches"] if post => {
            ("Machines_AssessPatches", Limit::None, patch::assess)
        }
        ["machines", _, "installpatches"] if post => {
            ("Machines_InstallPatches", Limit::None, patch::install)
        }
        _ => return None,
    })
}

fn tags(method: &Method, scope: &Scope, rest: &[&str]) -> Found {
    if *scope == Scope::Tenant || rest != ["tags", "default"] {
        return None;
    }
    Some(match *method {
        Method::GET => ("Tags_GetAtScope", Limit::None, tags::get),
        Method::PUT => ("Tags_CreateOrUpdateAtScope", Limit::None, tags::put),
        Method::PATCH => ("Tags_UpdateAtScope", Limit::None, tags::patch),
        Method::DELETE => ("Tags_DeleteAtScope", Limit::None, tags::delete),
        _ => return None,
    })
}

fn texts(segments: &[String]) -> Vec<&str> {
    segments.iter().map(String::as_str).collect()
}

/// What the part of a path before its provider names; it must be there.
fn scope(state: &State, segments: &[String], lower: &[&str]) -> Result<Scope, ArmError> {
    match lower {
        [] => return Ok(Scope::Tenant),
        ["subscriptions", _, ..] => {}
        _ => return Err(no_path(segments)),
    }
    let subscription = subscription(state, &segments[1])?;
    match lower {
        [_, _] => Ok(Scope::Subscription(subscription)),
        [_, _, "resourcegroups", _] => {
            let group = group(state, subscription, &segments[3])?;
            Ok(Scope::Group(subscription, group))
        }
        [_, _, "resourcegroups", _, "providers", _, _, ..] => {
            group(state, subscription, &segments[3])?;
            let id = format!("/{}", lower.join("/"));
            if let Some(at) = state.azure.by_id.get(id.as_str()) {
                return Ok(Scope::Machine(*at));
            }
            if state.azure.sets.contains_key(id.as_str()) {
                return Ok(Scope::Other(id));
            }
            let kind: Vec<_> = segments[6..].iter().step_by(2).map(String::as_str).collect();
            let name: Vec<_> =
                segments[6..].iter().skip(1).step_by(2).map(String::as_str).collect();
            let kind = format!("{}/{}", segments[5], kind.join("/"));
            Err(ArmError::resource(&kind, &name.join("/"), &segments[3]))
        }
        _ => Err(no_path(segments)),
    }
}

/// The subscription with this id, in any case.
fn subscription(state: &State, id: &str) -> Result<SubIx, ArmError> {
    (0u16..)
        .map(SubIx)
        .zip(state.subscriptions.iter())
        .find(|(_, it)| it.id.eq_ignore_ascii_case(id))
        .map(|(at, _)| at)
        .ok_or_else(|| {
            ArmError::not_found(
                "SubscriptionNotFound",
                format!("The subscription '{id}' could not be found."),
            )
        })
}

/// The place of a resource group, by its name in any case.
pub(super) fn group(state: &State, subscription: SubIx, name: &str) -> Result<u16, ArmError> {
    let groups = &state.subscription(subscription).groups;
    let found = (0u16..).zip(groups).find(|(_, it)| it.name.eq_ignore_ascii_case(name));
    found.map(|(at, _)| at).ok_or_else(|| {
        ArmError::not_found(
            "ResourceGroupNotFound",
            format!("Resource group '{name}' could not be found."),
        )
    })
}

/// The resources that a path names.
pub(super) fn named(state: &State, scope: &Scope, segments: &[String]) -> Vec<String> {
    let machine = if let Scope::Machine(at) = scope {
        Some(*at)
    } else {
        // A machine's own operations end in the name of what is done to it, or in its name.
        let lower: Vec<_> = segments.iter().map(|it| it.to_lowercase()).collect();
        let whole = format!("/{}", lower.join("/"));
        let parent = whole.rsplit_once('/').map_or("", |(parent, _)| parent);
        let index = &state.azure.by_id;
        index.get(whole.as_str()).or_else(|| index.get(parent)).copied()
    };
    let id = machine.and_then(|at| state.machine(at).azure.as_ref());
    id.map(|azure| state.vm_resource_id(azure)).into_iter().collect()
}

fn no_path(segments: &[String]) -> ArmError {
    ArmError::not_found(
        "ResourceNotFound",
        format!("The simulator serves no resource '/{}'.", segments.join("/")),
    )
}

/// Says of which kind what is not served is.
fn unknown(ask: &Ask<'_>, lower: &[&str]) -> ArmError {
    let Some((namespace, rest)) = lower.split_first() else { return no_path(&ask.segments) };
    let known = providers().find(|(name, _)| name.eq_ignore_ascii_case(namespace));
    let Some((namespace, types)) = known else {
        return ArmError::not_found(
            "InvalidResourceNamespace",
            format!("The resource namespace '{namespace}' is invalid."),
        );
    };
    let kind = rest.first().copied().unwrap_or_default();
    if !types.iter().any(|it| it.eq_ignore_ascii_case(kind)) {
        return ArmError::not_found(
            "InvalidResourceType",
            format!(
                "The resource type '{kind}' could not be found in the namespace '{namespace}'."
            ),
        );
    }
    if rest.len() > 2 && *ask.method() == Method::POST {
        let action = rest.last().copied().unwrap_or_default();
        return ArmError::not_found(
            "NotFound",
            format!("The simulator does not serve '{action}' of '{namespace}/{kind}'."),
        );
    }
    ArmError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        format!("The simulator does not serve {} of '{namespace}/{kind}' here.", ask.method()),
    )
}
