//! The rules themselves.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{AwsError, Call, Operations, input, texts},
    evaluate::Evaluation,
    invalid, page,
};
use crate::cloud::world::{State, clock::later, machine::ScopeIx};

pub(super) const OPERATIONS: Operations = &[
    ("DeleteConfigRule", delete_config_rule),
    ("DescribeConfigRules", describe_config_rules),
    ("PutConfigRule", put_config_rule),
    ("StartConfigRulesEvaluation", start_config_rules_evaluation),
];

/// How many rules a Region has at most (developer guide, "Service Limits").
const MOST: usize = 1_000;
/// How long it takes to evaluate a rule.
const EVALUATION: Duration = Duration::from_secs(30);
const DELETION: Duration = Duration::from_secs(10);

/// A rule that AWS manages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Managed {
    Patch,
    Association,
    /// Whether the agent of an instance answers.
    Agent,
}

impl Managed {
    pub(super) const ALL: [Self; 3] = [Self::Patch, Self::Association, Self::Agent];

    fn identifier(self) -> &'static str {
        match self {
            Self::Patch => "EC2_MANAGEDINSTANCE_PATCH_COMPLIANCE_STATUS_CHECK",
            Self::Association => "EC2_MANAGEDINSTANCE_ASSOCIATION_COMPLIANCE_STATUS_CHECK",
            Self::Agent => "EC2_INSTANCE_MANAGED_BY_SSM",
        }
    }

    /// The name that the console proposes. The last one is not its identifier (developer guide,
    /// "ec2-instance-managed-by-systems-manager").
    pub(super) fn usual_name(self) -> &'static str {
        match self {
            Self::Patch => "ec2-managedinstance-patch-compliance-status-check",
            Self::Association => "ec2-managedinstance-association-compliance-status-check",
            Self::Agent => "ec2-instance-managed-by-systems-manager",
        }
    }

    /// The type of the resources that it evaluates.
    pub(super) fn resource_type(self) -> &'static str {
        match self {
            Self::Patch => "AWS::SSM::PatchCompliance",
            Self::Association => "AWS::SSM::AssociationCompliance",
            Self::Agent => "AWS::EC2::Instance",
        }
    }

    /// The id of a machine as a resource of that type.
    pub(super) fn resource_id(self, id: &str) -> String {
        match self {
            Self::Patch | Self::Association => {
                format!("AWS::SSM::ManagedInstanceInventory/{id}")
            }
            Self::Agent => id.to_owned(),
        }
    }
}

/// A rule of an account in a Region.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) managed: Managed,
    pub(super) id: String,
    description: Option<String>,
    reach: Option<Value>,
    /// When its first results are there; none: they always were.
    pub(super) since: Option<Timestamp>,
    /// When its last evaluation of everything is over.
    pub(super) evaluated: Option<Timestamp>,
    deletion: Option<Timestamp>,
}

impl Rule {
    pub(super) fn new(managed: Managed, id: &str, since: Option<Timestamp>) -> Self {
        Self {
            managed,
            id: format!("config-rule-{id}"),
            description: None,
            reach: None,
            since,
            evaluated: since,
            deletion: None,
        }
    }

    pub(super) fn arn(&self, state: &State, scope: ScopeIx) -> String {
        let (region, account) = (&state.scope(scope).region, &state.account_of(scope).id);
        format!("arn:aws:config:{region}:{account}:config-rule/{}", self.id)
    }

    /// Whether its `Scope` lets it evaluate a resource.
    pub(super) fn reaches(&self, evaluation: &Evaluation<'_>) -> bool {
        let Some(reach) = &self.reach else { return true };
        let types = texts(&reach["ComplianceResourceTypes"]);
        let kind = self.managed.resource_type();
        let of_type = types.is_empty() || types.iter().any(|it| it == kind);
        let of_id =
            reach["ComplianceResourceId"].as_str().is_none_or(|it| it == evaluation.resource_id());
        let of_tag = reach["TagKey"].as_str().is_none_or(|key| {
            let value = evaluation
                .resource
                .aws
                .tags
                .iter()
                .find(|(of, _)| **of == *key)
                .map(|(_, value)| &**value);
            value.is_some_and(|value| reach["TagValue"].as_str().is_none_or(|it| it == value))
        });
        of_type && of_id && of_tag
    }

    fn state(&self, now: Timestamp) -> &'static str {
        if self.deletion.is_some() {
            "DELETING"
        } else if self.evaluated.is_some_and(|until| now < until) {
            "EVALUATING"
        } else {
            "ACTIVE"
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_field_names, reason = "the names of the API")]
struct ConfigRule {
    config_rule_name: Option<String>,
    config_rule_arn: Option<String>,
    config_rule_id: Option<String>,
    description: Option<String>,
    scope: Option<Value>,
    source: Source,
    input_parameters: Option<String>,
    maximum_execution_frequency: Option<String>,
    config_rule_state: Option<String>,
    created_by: Option<String>,
    evaluation_modes: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_field_names, reason = "the names of the API")]
struct Source {
    owner: String,
    source_identifier: Option<String>,
    source_details: Option<Vec<Value>>,
}

fn put_config_rule(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let asked: ConfigRule = input(value["ConfigRule"].clone())?;
    let managed = check(&asked)?;
    let here = call.here();
    let same = |name: &String, rule: &Rule| {
        asked.config_rule_name.as_ref().is_none_or(|it| it == name)
            && asked.config_rule_id.as_ref().is_none_or(|it| *it == rule.id)
            && asked
                .config_rule_arn
                .as_ref()
                .is_none_or(|it| *it == rule.arn(call.state, call.scope))
    };
    let by_id = asked.config_rule_arn.is_some() || asked.config_rule_id.is_some();
    let name = match (&asked.config_rule_name, by_id) {
        (Some(name), false) => name.clone(),
        // A new rule has neither an id nor an ARN yet.
        (_, true) => here
            .config
            .rules
            .iter()
            .find(|(name, rule)| same(name, rule))
            .map(|(name, _)| name.clone())
            .ok_or_else(|| invalid("ConfigRuleArn and ConfigRuleId are only for updates."))?,
        (None, false) => return Err(invalid("ConfigRuleName is required for a new rule.")),
    };
    let known = here.config.rules.get(&name);
    if known.is_some_and(|rule| rule.state(call.state.now) != "ACTIVE") {
        return Err(in_use(&name));
    }
    if known.is_none() && here.config.rules.len() >= MOST {
        let message = format!("An account has {MOST} rules in a Region at most.");
        return Err(AwsError::new("MaxNumberOfConfigRulesExceededException", message));
    }
    let id = known.map(|rule| rule.id.clone());
    let done = later(call.state.now, EVALUATION);
    let id = match id {
        Some(id) => id.trim_start_matches("config-rule-").to_owned(),
        None => call.state.new_hex()[..6].to_owned(),
    };
    let mut rule = Rule::new(managed, &id, Some(done));
    rule.description = asked.description;
    rule.reach = asked.scope;
    call.here_mut().config.rules.insert(name, rule);
    Ok(json!({}))
}

/// The rule that is asked for, where the simulator has it.
fn check(asked: &ConfigRule) -> Result<Managed, AwsError> {
    let identifier = asked.source.source_identifier.as_deref().unwrap_or_default();
    if asked.source.owner != "AWS" {
        let message = format!("the simulator does not serve rules of {}", asked.source.owner);
        return Err(invalid(message));
    }
    let managed = Managed::ALL.into_iter().find(|it| it.identifier() == identifier);
    let managed = managed.ok_or_else(|| {
        invalid(format!(
            "The sourceIdentifier {identifier} is invalid. Please refer to the documentation for a \
             list of valid sourceIdentifiers that can be used when AWS is the Owner."
        ))
    })?;
    if asked.source.source_details.as_ref().is_some_and(|it| !it.is_empty()) {
        return Err(invalid("SourceDetails should be null/empty if the owner is AWS."));
    }
    if asked.config_rule_state.as_deref().is_some_and(|it| it != "ACTIVE") {
        return Err(invalid("ConfigRuleState is ACTIVE, or left out."));
    }
    if asked.created_by.is_some() {
        return Err(invalid("AWS Config populates CreatedBy for itself."));
    }
    // Developer guide: the three have no parameters, and are triggered by changes.
    let parameters = asked.input_parameters.as_deref().unwrap_or_default();
    let none = parameters.is_empty()
        || serde_json::from_str::<Value>(parameters).is_ok_and(|it| it == json!({}));
    if !none {
        let message = format!("Unknown parameters provided in the inputParameters: {parameters}");
        return Err(invalid(message));
    }
    if asked.maximum_execution_frequency.is_some() {
        return Err(invalid("MaximumExecutionFrequency is for periodic rules alone."));
    }
    let modes = asked.evaluation_modes.as_ref().and_then(Value::as_array);
    if modes.is_some_and(|it| it.iter().any(|mode| mode["Mode"] != "DETECTIVE")) {
        return Err(invalid("The rule supports the evaluation mode DETECTIVE alone."));
    }
    if let Some(scope) = &asked.scope {
        let one_type = texts(&scope["ComplianceResourceTypes"]).len() == 1;
        if !scope["ComplianceResourceId"].is_null() && !one_type {
            return Err(invalid("A ComplianceResourceId needs one ComplianceResourceTypes."));
        }
        if !scope["TagValue"].is_null() && scope["TagKey"].is_null() {
            return Err(invalid("A TagValue needs a TagKey."));
        }
    }
    Ok(managed)
}

fn describe_config_rules(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let page = page(call, &input, 25)?;
    let names = named(call, &input)?;
    // Every rule is of the one mode, and everyone's to see.
    let filters = &input["Filters"];
    let seen = filters["EvaluationMode"] != "PROACTIVE"
        && (filters["RuleEvaluationVisibility"].is_null()
            || filters["RuleEvaluationVisibility"] == "EXTERNAL");
    let (names, next) = page.cut(names.into_iter().filter(|_| seen));
    let rules: Vec<Value> = names.iter().filter_map(|name| describe(call, name)).collect();
    Ok(json!({"ConfigRules": rules, "NextToken": next}))
}

fn describe(call: &Call<'_>, name: &str) -> Option<Value> {
    let rule = call.here().config.rules.get(name)?;
    let usual = json!({"ComplianceResourceTypes": [rule.managed.resource_type()]});
    Some(json!({
        "ConfigRuleName": name,
        "ConfigRuleArn": rule.arn(call.state, call.scope),
        "ConfigRuleId": rule.id,
        "Description": rule.description.as_deref().unwrap_or_default(),
        "Scope": rule.reach.as_ref().unwrap_or(&usual),
        "Source": {"Owner": "AWS", "SourceIdentifier": rule.managed.identifier()},
        "InputParameters": "{}",
        "ConfigRuleState": rule.state(call.state.now),
        "EvaluationModes": [{"Mode": "DETECTIVE"}],
    }))
}

fn delete_config_rule(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let name = input["ConfigRuleName"].as_str().unwrap_or_default().to_owned();
    let (now, scope) = (call.state.now, call.scope);
    let is_remediated = call.here().config.remediations.contains_key(&name);
    let rule = call.here_mut().config.rules.get_mut(&name).ok_or_else(|| no_such(&name))?;
    if rule.deletion.is_some() {
        return Err(in_use(&name));
    }
    if is_remediated {
        // API reference, DeleteConfigRule.
        let message = "A remediation action is associated with the rule. Delete it first.";
        return Err(AwsError::new("ResourceInUseException", message));
    }
    rule.deletion = Some(now);
    call.state.after(DELETION, move |state| {
        state.scope_mut(scope).config.rules.remove(&name);
    });
    Ok(json!({}))
}

fn start_config_rules_evaluation(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let names = named(call, &input)?;
    let now = call.state.now;
    let rules = &mut call.here_mut().config.rules;
    if let Some(name) = names.iter().find(|it| rules[*it].state(now) != "ACTIVE") {
        return Err(in_use(name));
    }
    for name in names {
        if let Some(rule) = rules.get_mut(&name) {
            rule.evaluated = Some(later(now, EVALUATION));
        }
    }
    Ok(json!({}))
}

/// The names of the rules that an input names, in its order; of all, where it names none.
///
/// # Errors
/// `NoSuchConfigRuleException` for the first that is not there.
pub(super) fn named(call: &Call<'_>, input: &Value) -> Result<Vec<String>, AwsError> {
    let rules = &call.here().config.rules;
    let mut names = texts(&input["ConfigRuleNames"]);
    if names.is_empty() {
        return Ok(rules.keys().cloned().collect());
    }
    if let Some(unknown) = names.iter().find(|name| !rules.contains_key(*name)) {
        return Err(no_such(unknown));
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

pub(super) fn no_such(name: &str) -> AwsError {
    let message = format!(
        "The ConfigRule '{name}' provided in the request is invalid. Please check the configRule name."
    );
    AwsError::new("NoSuchConfigRuleException", message)
}

fn in_use(name: &str) -> AwsError {
    let message = format!("The rule {name} is being deleted, or being evaluated. Try again later.");
    AwsError::new("ResourceInUseException", message)
}
