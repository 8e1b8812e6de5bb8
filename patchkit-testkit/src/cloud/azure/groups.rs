//! Subscriptions, resource groups and providers.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, error::ArmError, reply::Reply, router, router::Scope, tags, tenant};
use crate::cloud::{
    shared::lock,
    world::{State, Subscription, machine::SubIx},
};

pub(super) fn subscriptions(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let policy = lock(&call.shared.policy);
    let readable = |it: &&Subscription| {
        !policy.hides("microsoft.resources/subscriptions", &call.caller.name, &it.id)
    };
    let places = (0u16..).map(SubIx).zip(call.state.subscriptions.iter());
    let shown = places.filter(|(_, it)| readable(it));
    let list = shown.map(|(at, _)| subscription_of(call.state, at)).collect();
    Ok(Reply::list(list, None))
}

pub(super) fn subscription(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::ok(&subscription_of(call.state, call.subscription())))
}

fn subscription_of(state: &State, at: SubIx) -> Value {
    let subscription = state.subscription(at);
    json!({
        "id": format!("/subscriptions/{}", subscription.id),
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": &*subscription.id,
        "tenantId": tenant(state.seed),
        "displayName": &*subscription.name,
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "EnterpriseAgreement_2014-09-01",
            "spendingLimit": "Off",
        },
        "tags": tags::document(&subscription.tags),
    })
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let at = call.subscription();
    let count = u16::try_from(call.state.subscription(at).groups.len()).unwrap_or(u16::MAX);
    let list = (0..count).map(|group| document(call.state, at, group)).collect();
    Ok(Reply::list(list, None))
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let Scope::Group(subscription, group) = call.scope else {
        return Err(ArmError::new(StatusCode::NOT_FOUND, "ResourceGroupNotFound", "no group"));
    };
    Ok(Reply::ok(&document(call.state, subscription, group)))
}

fn document(state: &State, subscription: SubIx, group: u16) -> Value {
    let found = state.subscription(subscription).groups.get(usize::from(group));
    json!({
        "id": state.group_id(subscription, group),
        "name": found.map(|it| &*it.name),
        "type": "Microsoft.Resources/resourceGroups",
        "location": found.map(|it| &*it.location),
        "tags": found.map_or(json!({}), |it| tags::document(&it.tags)),
        "properties": {"provisioningState": "Succeeded"},
    })
}

pub(super) fn providers(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let prefix = match call.scope {
        Scope::Tenant => String::new(),
        _ => format!("/subscriptions/{}", call.scope.subscription(call.state)),
    };
    let list = router::providers().map(|(namespace, types)| {
        let types: Vec<Value> = types
            .iter()
            .map(|it| json!({"resourceType": it, "locations": [], "apiVersions": []}))
            .collect();
        json!({
            "id": format!("{prefix}/providers/{namespace}"),
            "namespace": namespace,
            "registrationPolicy": "RegistrationRequired",
            "registrationState": "Registered",
            "resourceTypes": types,
        })
    });
    Ok(Reply::list(list.collect(), None))
}
