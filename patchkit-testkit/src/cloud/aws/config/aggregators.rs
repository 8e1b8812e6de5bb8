//! Aggregators: the compliance of many accounts and Regions in one place.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::{AwsError, Call, Operations, seconds, texts},
    evaluate, invalid, page, results,
};
use crate::cloud::world::{State, machine::ScopeIx};

pub(super) const OPERATIONS: Operations = &[
    ("DescribeAggregateComplianceByConfigRules", describe_aggregate_compliance_by_config_rules),
    ("DescribeConfigurationAggregators", describe_configuration_aggregators),
    ("GetAggregateComplianceDetailsByConfigRule", get_aggregate_compliance_details_by_config_rule),
    ("PutConfigurationAggregator", put_configuration_aggregator),
];

/// How many aggregators an account has at most (developer guide, "Service Limits").
const MOST: usize = 50;

#[derive(Debug)]
pub(super) struct Aggregator {
    id: String,
    /// As it was put, with its filters.
    accounts: Value,
    organization: Value,
    filters: Value,
    created: Timestamp,
    updated: Timestamp,
}

impl Aggregator {
    fn value(&self, call: &Call<'_>, name: &str) -> Value {
        let (region, account) = (call.region(), call.account_id());
        json!({
            "ConfigurationAggregatorName": name,
            "ConfigurationAggregatorArn":
                format!("arn:aws:config:{region}:{account}:config-aggregator/{}", self.id),
            "AccountAggregationSources": self.accounts,
            "OrganizationAggregationSource": self.organization,
            "AggregatorFilters": self.filters,
            "CreationTime": seconds(self.created),
            "LastUpdatedTime": seconds(self.updated),
        })
    }

    /// The places that it goes over, in the world's order.
    pub(super) fn scopes<'a>(&'a self, state: &'a State) -> impl Iterator<Item = ScopeIx> + 'a {
        let sources = self.accounts.as_array().map(Vec::as_slice).unwrap_or_default();
        (0u16..).map(ScopeIx).zip(&state.scopes).filter_map(move |(at, scope)| {
            let account = &*state.accounts[scope.account].id;
            let covers = |source: &Value| {
                source["AllAwsRegions"] == true
                    || texts(&source["AwsRegions"]).iter().any(|it| **it == *scope.region)
            };
            let of_account = sources.iter().any(|source| {
                texts(&source["AccountIds"]).iter().any(|it| it == account) && covers(source)
            });
            let of_all = !self.organization.is_null() && covers(&self.organization);
            (of_account || of_all).then_some(at)
        })
    }
}

fn put_configuration_aggregator(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let name = input["ConfigurationAggregatorName"].as_str().unwrap_or_default().to_owned();
    let (accounts, organization) =
        (&input["AccountAggregationSources"], &input["OrganizationAggregationSource"]);
    let sources = accounts.as_array().map(Vec::as_slice).unwrap_or_default();
    if sources.is_empty() == organization.is_null() {
        let message = "Specify either AccountAggregationSources or OrganizationAggregationSource.";
        return Err(invalid(message));
    }
    for source in sources.iter().chain(std::iter::once(organization).filter(|it| !it.is_null())) {
        if (source["AllAwsRegions"] == true) != source["AwsRegions"].is_null() {
            return Err(invalid("Specify either AllAwsRegions or AwsRegions."));
        }
    }
    if !organization.is_null() {
        let role = organization["RoleArn"].as_str().unwrap_or_default();
        if !role.starts_with("arn:aws:iam::") || !role.contains(":role/") {
            return Err(AwsError::new("InvalidRoleException", "The role's ARN is not valid."));
        }
        if call.account_id() != &*call.state.accounts[0].id {
            let message = "This action can only be performed by the management account.";
            return Err(AwsError::new("OrganizationAccessDeniedException", message));
        }
    }
    let now = call.state.now;
    let known = call.here().config.aggregators.get(&name);
    if known.is_none() && call.here().config.aggregators.len() >= MOST {
        let message = format!("An account has {MOST} aggregators at most.");
        return Err(AwsError::new("LimitExceededException", message));
    }
    let known = known.map(|it| (it.id.clone(), it.created));
    let (id, created) = match known {
        Some(known) => known,
        None => (format!("config-aggregator-{}", &call.state.new_hex()[..8]), now),
    };
    let aggregator = Aggregator {
        id,
        accounts: accounts.clone(),
        organization: organization.clone(),
        filters: input["AggregatorFilters"].clone(),
        created,
        updated: now,
    };
    let value = aggregator.value(call, &name);
    call.here_mut().config.aggregators.insert(name, aggregator);
    Ok(json!({"ConfigurationAggregator": value}))
}

fn describe_configuration_aggregators(
    call: &mut Call<'_>,
    input: Value,
) -> Result<Value, AwsError> {
    let page = page(call, &input, 50)?;
    let all = &call.here().config.aggregators;
    let names = texts(&input["ConfigurationAggregatorNames"]);
    if names.iter().any(|name| !all.contains_key(name)) {
        return Err(no_such());
    }
    let asked = all.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
    let (found, next) = page.cut(asked);
    let found: Vec<Value> = found.into_iter().map(|(name, it)| it.value(call, name)).collect();
    Ok(json!({"ConfigurationAggregators": found, "NextToken": next}))
}

fn describe_aggregate_compliance_by_config_rules(
    call: &mut Call<'_>,
    input: Value,
) -> Result<Value, AwsError> {
    let page = page(call, &input, 50)?;
    let (state, filters) = (&*call.state, &input["Filters"]);
    let asked = |name: &str, value: &str| filters[name].as_str().is_none_or(|it| it == value);
    let scopes = named(call, &input)?.scopes(state).filter(|at| {
        asked("AwsRegion", &state.scope(*at).region)
            && asked("AccountId", &state.account_of(*at).id)
    });
    let rules = scopes.flat_map(|at| state.scope(at).config.rules.keys().map(move |it| (at, it)));
    let rules = rules.filter(|(_, name)| asked("ConfigRuleName", name));
    let summaries = rules.filter_map(|(at, name)| {
        let summary = results::of_rule(state, at, name)?;
        asked("ComplianceType", summary.word()).then_some((at, name, summary))
    });
    let (found, next) = page.cut(summaries);
    let found: Vec<Value> = found
        .into_iter()
        .map(|(at, name, summary)| {
            json!({
                "ConfigRuleName": name,
                "Compliance": summary.value(),
                "AccountId": &*state.account_of(at).id,
                "AwsRegion": &*state.scope(at).region,
            })
        })
        .collect();
    Ok(json!({"AggregateComplianceByConfigRules": found, "NextToken": next}))
}

fn get_aggregate_compliance_details_by_config_rule(
    call: &mut Call<'_>,
    input: Value,
) -> Result<Value, AwsError> {
    let page = page(call, &input, 50)?;
    let state = &*call.state;
    let scope = named(call, &input)?.scopes(state).find(|at| {
        input["AccountId"] == *state.account_of(*at).id
            && input["AwsRegion"] == *state.scope(*at).region
    });
    let name = input["ConfigRuleName"].as_str().unwrap_or_default();
    let rule = scope.and_then(|at| {
        let (name, rule) = state.scope(at).config.rules.get_key_value(name)?;
        Some((at, name, rule))
    });
    let results =
        rule.into_iter().flat_map(|(at, name, rule)| evaluate::of_rule(state, at, name, rule));
    let wanted = input["ComplianceType"].as_str();
    let asked = results.filter(|it| wanted.is_none_or(|wanted| wanted == it.verdict.word()));
    let (found, next) = page.cut(asked);
    let found: Vec<Value> = found
        .iter()
        .map(|it| {
            let mut value = it.value();
            value["AccountId"] = input["AccountId"].clone();
            value["AwsRegion"] = input["AwsRegion"].clone();
            value
        })
        .collect();
    Ok(json!({"AggregateEvaluationResults": found, "NextToken": next}))
}

/// The aggregator that an input names.
pub(super) fn named<'c>(call: &'c Call<'_>, input: &Value) -> Result<&'c Aggregator, AwsError> {
    let name = input["ConfigurationAggregatorName"].as_str().unwrap_or_default();
    call.here().config.aggregators.get(name).ok_or_else(no_such)
}

fn no_such() -> AwsError {
    let message = "The configuration aggregator does not exist. Check the configuration aggregator name and try again.";
    AwsError::new("NoSuchConfigurationAggregatorException", message)
}
