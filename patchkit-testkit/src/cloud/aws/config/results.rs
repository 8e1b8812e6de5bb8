//! Compliance by rule and by resource, in one account's Region.

use serde_json::{Value, json};

use super::{
    super::{
        AwsError, Call, Operations,
        resource::{self, Resource},
        seconds, texts,
    },
    evaluate::{self, Evaluation, Summary, capped},
    invalid, page,
    rules::{self, Managed},
};
use crate::cloud::world::{State, machine::ScopeIx};

pub(super) const OPERATIONS: Operations = &[
    ("DescribeComplianceByConfigRule", describe_compliance_by_config_rule),
    ("DescribeComplianceByResource", describe_compliance_by_resource),
    ("GetComplianceDetailsByConfigRule", get_compliance_details_by_config_rule),
    ("GetComplianceDetailsByResource", get_compliance_details_by_resource),
    ("GetComplianceSummaryByConfigRule", get_compliance_summary_by_config_rule),
];

/// Results in a page, where no number is asked for (API reference).
const PAGE: usize = 10;

fn describe_compliance_by_config_rule(
    call: &mut Call<'_>,
    input: Value,
) -> Result<Value, AwsError> {
    let page = page(call, &input, 25)?;
    let wanted = types(&input, ["COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA"])?;
    let names = rules::named(call, &input)?;
    let summaries = names.into_iter().filter_map(|name| {
        let summary = of_rule(call.state, call.scope, &name)?;
        Some((name, summary))
    });
    let asked = summaries.filter(|(_, summary)| wanted.has(summary.word()));
    let (found, next) = page.cut(asked);
    let found: Vec<Value> = found
        .into_iter()
        .map(|(name, summary)| json!({"ConfigRuleName": name, "Compliance": summary.value()}))
        .collect();
    Ok(json!({"ComplianceByConfigRules": found, "NextToken": next}))
}

/// What a rule comes to.
pub(super) fn of_rule(state: &State, scope: ScopeIx, name: &str) -> Option<Summary> {
    let (name, rule) = state.scope(scope).config.rules.get_key_value(name)?;
    Some(evaluate::sum(evaluate::of_rule(state, scope, name, rule).map(|it| it.verdict)))
}

fn get_compliance_details_by_config_rule(
    call: &mut Call<'_>,
    input: Value,
) -> Result<Value, AwsError> {
    let name = input["ConfigRuleName"].as_str().unwrap_or_default();
    let page = page(call, &input, PAGE)?;
    let wanted = types(&input, ["COMPLIANT", "NON_COMPLIANT", "NOT_APPLICABLE"])?;
    let (name, rule) =
        call.here().config.rules.get_key_value(name).ok_or_else(|| rules::no_such(name))?;
    let results = evaluate::of_rule(call.state, call.scope, name, rule);
    let (results, next) = page.cut(results.filter(|it| wanted.has(it.verdict.word())));
    let results: Vec<Value> = results.iter().map(Evaluation::value).collect();
    Ok(json!({"EvaluationResults": results, "NextToken": next}))
}

fn describe_compliance_by_resource(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let page = page(call, &input, PAGE)?;
    let wanted = types(&input, ["COMPLIANT", "NON_COMPLIANT", "INSUFFICIENT_DATA"])?;
    let kind = input["ResourceType"].as_str();
    let id = input["ResourceId"].as_str();
    if id.is_some() && kind.is_none() {
        return Err(invalid("A ResourceId needs a ResourceType."));
    }
    let state = &*call.state;
    let machines: Box<dyn Iterator<Item = Resource<'_>>> = match id {
        Some(id) => Box::new(by_id(call, id).into_iter()),
        None => Box::new(resource::all(state, call.scope)),
    };
    let resources = machines.flat_map(|it| Managed::ALL.map(|managed| (it, managed)));
    let asked = resources.filter(|(it, managed)| {
        kind.is_none_or(|kind| kind == managed.resource_type())
            && id.is_none_or(|id| id == managed.resource_id(&it.aws.id))
    });
    let summaries = asked.filter_map(|(it, managed)| {
        let same = |of: &Evaluation<'_>| of.resource_type() == managed.resource_type();
        let mut verdicts =
            evaluate::of_machine(state, it).filter(same).map(|it| it.verdict).peekable();
        verdicts.peek()?;
        let summary = evaluate::sum(verdicts);
        wanted.has(summary.word()).then_some((it, managed, summary))
    });
    let (found, next) = page.cut(summaries);
    let found: Vec<Value> = found
        .into_iter()
        .map(|(it, managed, summary)| {
            json!({
                "ResourceType": managed.resource_type(),
                "ResourceId": managed.resource_id(&it.aws.id),
                "Compliance": summary.value(),
            })
        })
        .collect();
    Ok(json!({"ComplianceByResources": found, "NextToken": next}))
}

fn get_compliance_details_by_resource(
    call: &mut Call<'_>,
    input: Value,
) -> Result<Value, AwsError> {
    let page = page(call, &input, PAGE)?;
    let wanted = types(&input, ["COMPLIANT", "NON_COMPLIANT", "NOT_APPLICABLE"])?;
    let (Some(kind), Some(id)) = (input["ResourceType"].as_str(), input["ResourceId"].as_str())
    else {
        return Err(invalid("ResourceType and ResourceId are required."));
    };
    let machine = by_id(call, id);
    let results = machine.into_iter().flat_map(|it| evaluate::of_machine(call.state, it));
    let results = results.filter(|it| {
        it.resource_type() == kind && it.resource_id() == id && wanted.has(it.verdict.word())
    });
    let (results, next) = page.cut(results);
    let results: Vec<Value> = results.iter().map(Evaluation::value).collect();
    Ok(json!({"EvaluationResults": results, "NextToken": next}))
}

fn get_compliance_summary_by_config_rule(call: &mut Call<'_>, _: Value) -> Result<Value, AwsError> {
    let names = call.here().config.rules.keys();
    let words = names.filter_map(|name| of_rule(call.state, call.scope, name));
    let words: Vec<&str> = words.map(Summary::word).collect();
    let count = |wanted: &str| capped(words.iter().filter(|it| **it == wanted).count());
    Ok(json!({"ComplianceSummary": {
        "CompliantResourceCount": count("COMPLIANT"),
        "NonCompliantResourceCount": count("NON_COMPLIANT"),
        "ComplianceSummaryTimestamp": seconds(call.state.now),
    }}))
}

/// The machine of a resource's id, of whatever type that is.
fn by_id<'c>(call: &'c Call<'_>, id: &str) -> Option<Resource<'c>> {
    let id = id.rsplit('/').next().unwrap_or(id);
    Resource::of(call.state, call.state.find(call.scope, id)?)
}

/// Which compliance is asked for: any, where none is named.
struct Wanted(Vec<String>);

impl Wanted {
    fn has(&self, word: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|it| it == word)
    }
}

fn types(input: &Value, allowed: [&str; 3]) -> Result<Wanted, AwsError> {
    let wanted = texts(&input["ComplianceTypes"]);
    match wanted.iter().find(|it| !allowed.contains(&it.as_str())) {
        Some(other) => Err(invalid(format!("The ComplianceType {other} is not allowed here."))),
        None => Ok(Wanted(wanted)),
    }
}
