//! What AWS Config starts for the resources that a rule finds wrong.

use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_config::types::{
    ConfigRule, RemediationConfiguration, RemediationParameterValue, RemediationTargetType,
    ResourceValue, ResourceValueType, StaticValue,
};
use aws_smithy_types::retry::RetryConfig;
use patchkit_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{ManagedRule, SetupFinding, SetupItem, SetupStep, rule};
use crate::{
    client::Client,
    error::{PROVIDER, invalid},
};

const DESCRIBE: &str = "DescribeRemediationConfigurations";
const PUT: &str = "PutRemediationConfigurations";

/// The runbook's parameter that names the role it runs as (AWS Config API reference,
/// PutRemediationConfigurations).
const ROLE: &str = "AutomationAssumeRole";

/// The runbook that is started for a resource that a rule finds wrong.
///
/// It is started when someone asks for it: AWS Config never starts it by itself, for that would patch
/// outside of every window, and beside every run.
///
/// # Example
/// ```
/// use patchkit_aws::{ManagedRule, RuleRemediation, SetupOptions};
///
/// let role = "arn:aws:iam::111122223333:role/remediation";
/// let start = RuleRemediation::new(ManagedRule::ManagedByAgent, "AWS-StartEC2Instance", role);
/// let options = SetupOptions::new().with_remediation(start);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RuleRemediation {
    /// The rule.
    pub rule: ManagedRule,
    /// The Automation runbook: AWS's, or one of this account. A command document is none.
    pub document: String,
    /// The ARN of the role that the runbook runs as, handed to it as `AutomationAssumeRole`.
    pub role: String,
    /// The runbook's parameter that takes the id of the resource, as AWS Config has it: the bare id
    /// of an instance, and for patches and associations `AWS::SSM::ManagedInstanceInventory/<id>`.
    pub resource_parameter: String,
    /// The runbook's other parameters.
    pub parameters: BTreeMap<String, Vec<String>>,
}

impl RuleRemediation {
    /// Starts a runbook, as a role, with the id of the resource as its `InstanceId`.
    pub fn new(rule: ManagedRule, document: impl Into<String>, role: impl Into<String>) -> Self {
        Self {
            rule,
            document: document.into(),
            role: role.into(),
            resource_parameter: "InstanceId".to_owned(),
            parameters: BTreeMap::new(),
        }
    }

    /// Sets the parameter that takes the id of the resource.
    #[must_use]
    pub fn with_resource_parameter(mut self, name: impl Into<String>) -> Self {
        self.resource_parameter = name.into();
        self
    }

    /// Sets another parameter.
    #[must_use]
    pub fn with_parameter<V: Into<String>>(
        mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.parameters.insert(name.into(), values.into_iter().map(Into::into).collect());
        self
    }

    /// As the service takes it, for a rule by its name.
    fn written(&self, rule: &str) -> Result<RemediationConfiguration> {
        let wrong =
            |error: aws_smithy_types::error::operation::BuildError| invalid(PUT, error.to_string());
        let fixed = |values: &[String]| {
            let value = StaticValue::builder().set_values(Some(values.to_vec())).build();
            let value = RemediationParameterValue::builder().static_value(value.map_err(wrong)?);
            Ok::<_, Error>(value.build())
        };
        let resource = ResourceValue::builder().value(ResourceValueType::ResourceId).build();
        let resource =
            RemediationParameterValue::builder().resource_value(resource.map_err(wrong)?);
        let mut written = RemediationConfiguration::builder()
            .config_rule_name(rule)
            .target_type(RemediationTargetType::SsmDocument)
            .target_id(&self.document)
            .automatic(false)
            .parameters(ROLE, fixed(std::slice::from_ref(&self.role))?)
            .parameters(&self.resource_parameter, resource.build());
        for (name, values) in &self.parameters {
            written = written.parameters(name, fixed(values)?);
        }
        written.build().map_err(wrong)
    }

    /// In what one that is there is not this one.
    fn differences(&self, seen: &RemediationConfiguration) -> Result<Vec<String>> {
        let wanted = self.written(seen.config_rule_name())?;
        let mut why = Vec::new();
        if seen.target_id() != self.document {
            why.push(format!("it starts {}, not {}", seen.target_id(), self.document));
        }
        if seen.automatic() {
            why.push("AWS Config starts it by itself".to_owned());
        }
        let nothing = std::collections::HashMap::new();
        let (wanted, seen) =
            (wanted.parameters().unwrap_or(&nothing), seen.parameters().unwrap_or(&nothing));
        let mut names: Vec<&String> = wanted.keys().chain(seen.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let other = names.into_iter().filter(|name| wanted.get(*name) != seen.get(*name));
        why.extend(other.map(|name| format!("its parameter {name} is another")));
        Ok(why)
    }
}

pub(super) async fn find(
    client: &Arc<Client>,
    remediations: &[RuleRemediation],
) -> Vec<SetupFinding> {
    if remediations.is_empty() {
        return Vec::new();
    }
    let rules = rule::all(client).await;
    let mut findings = Vec::new();
    for wanted in remediations {
        let item = SetupItem::Remediation(wanted.rule);
        let seen = match &rules {
            Ok(rules) => look(client, wanted, rules).await,
            Err(error) => Err(crate::fleet::again(error)),
        };
        let worth = seen.and_then(|seen| Ok((seen.is_empty(), judge(wanted, &seen)?)));
        findings.push(match worth {
            Ok((true, _)) => {
                let step = SetupStep::PutRemediation { remediation: wanted.clone() };
                SetupFinding::missing(item, vec![step])
            }
            Ok((false, why)) if why.is_empty() => SetupFinding::present(item),
            Ok((false, why)) => SetupFinding::wrong(item, why.join(", ")),
            Err(error) => SetupFinding::unknown(item, error.report()),
        });
    }
    findings
}

/// The remediations of the rules of one kind: of each rule one at most.
async fn look(
    client: &Client,
    wanted: &RuleRemediation,
    rules: &[ConfigRule],
) -> Result<Vec<RemediationConfiguration>> {
    let names: Vec<String> = rule::names(wanted.rule, rules).map(str::to_owned).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let request =
        client.config().describe_remediation_configurations().set_config_rule_names(Some(names));
    let answer = client.read(DESCRIBE, request.send()).await?;
    Ok(answer.remediation_configurations.unwrap_or_default())
}

/// Pure: what remediations are worth; of several the best counts.
fn judge(wanted: &RuleRemediation, seen: &[RemediationConfiguration]) -> Result<Vec<String>> {
    let mut why: Option<Vec<String>> = None;
    for seen in seen {
        let differences = wanted.differences(seen)?;
        if why.as_ref().is_none_or(|best| differences.len() < best.len()) {
            why = Some(differences);
        }
    }
    Ok(why.unwrap_or_default())
}

/// Whether a rule of the kind has a remediation, this one or another: none is replaced.
pub(super) async fn exists(client: &Arc<Client>, wanted: &RuleRemediation) -> Result<bool> {
    let seen = look(client, wanted, &rule::all(client).await?).await?;
    let why = judge(wanted, &seen)?;
    if why.is_empty() {
        return Ok(!seen.is_empty());
    }
    let message = format!("the rule has another remediation by now: {}", why.join(", "));
    Err(Error::new(patchkit_core::ErrorKind::Conflict, PROVIDER, PUT, message))
}

pub(super) async fn put(client: &Arc<Client>, wanted: &RuleRemediation) -> Result<()> {
    let rules = rule::all(client).await?;
    let rule = rule::names(wanted.rule, &rules).next();
    let rule = rule.ok_or_else(|| Error::not_found(PROVIDER, PUT, "the rule"))?;
    let config = aws_sdk_config::Config::builder().retry_config(RetryConfig::disabled());
    let request = client
        .config()
        .put_remediation_configurations()
        .remediation_configurations(wanted.written(rule)?)
        .customize()
        .config_override(config);
    let answer = client.write(PUT, request.send()).await?;
    match answer.failed_batches().first() {
        None => Ok(()),
        Some(failed) => Err(invalid(PUT, failed.failure_message().unwrap_or("it was refused"))),
    }
}
