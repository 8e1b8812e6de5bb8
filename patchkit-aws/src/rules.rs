//! AWS Config: rules, and what they say of nodes.

use std::sync::Arc;

use aws_sdk_config::types::{
    ComplianceType, ConfigRule as SdkRule, EvaluationResult, EvaluationResultIdentifier,
    EvaluationResultQualifier,
};
use futures::stream::BoxStream;
use jiff::Timestamp;
use patchkit_core::{
    ComplianceStatus, NodeId, Result,
    listing::{each_once, sound},
    paginate,
};
use serde::{Deserialize, Serialize};

use crate::{
    Ssm,
    client::Client,
    convert::timestamp,
    error::{PROVIDER, malformed},
};

const RULES: &str = "DescribeConfigRules";
const DETAILS: &str = "GetComplianceDetailsByConfigRule";

/// The largest page of a rule's results (service model, `Limit`).
const PAGE: i32 = 100;

/// A rule of AWS Config.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ConfigRule {
    /// Its name.
    pub name: String,
    /// Which of AWS's rules it is, or the ARN of the function that decides:
    /// `EC2_MANAGEDINSTANCE_PATCH_COMPLIANCE_STATUS_CHECK`.
    pub source: Option<String>,
    /// The types of resources that it looks at; all where none is named.
    pub resource_types: Vec<String>,
}

/// What a rule says of one resource.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RuleResult {
    /// The node, where the resource is one.
    pub node: Option<NodeId>,
    /// The resource's type: `AWS::SSM::PatchCompliance`.
    pub resource_type: String,
    /// The resource's id, as Config has it.
    pub resource: String,
    /// What the rule says.
    pub verdict: RuleVerdict,
    /// When the resource became so.
    pub since: Option<Timestamp>,
    /// When the rule looked at it.
    pub at: Option<Timestamp>,
    /// What the rule adds to its verdict.
    pub note: Option<String>,
}

/// What a rule can say.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum RuleVerdict {
    /// As it should be.
    Compliant,
    /// Not as it should be.
    NonCompliant,
    /// The rule is not about it.
    NotApplicable,
    /// The rule cannot say.
    InsufficientData,
    /// A word that PatchKit does not know.
    Other(String),
}

impl RuleVerdict {
    /// The verdict in our words; whatever is neither is unknown.
    pub fn status(&self) -> ComplianceStatus {
        match self {
            Self::Compliant => ComplianceStatus::Compliant,
            Self::NonCompliant => ComplianceStatus::NonCompliant,
            _ => ComplianceStatus::Unknown,
        }
    }
}

impl From<&ComplianceType> for RuleVerdict {
    fn from(told: &ComplianceType) -> Self {
        match told {
            ComplianceType::Compliant => Self::Compliant,
            ComplianceType::NonCompliant => Self::NonCompliant,
            ComplianceType::NotApplicable => Self::NotApplicable,
            ComplianceType::InsufficientData => Self::InsufficientData,
            other => Self::Other(other.as_str().to_owned()),
        }
    }
}

impl Ssm {
    /// Lists the rules of AWS Config in this account and Region.
    ///
    /// # Errors
    /// `PermissionDenied`, `Unauthenticated`, `Throttled`, `Malformed`.
    pub fn config_rules(&self) -> BoxStream<'static, Result<ConfigRule>> {
        let client = Arc::clone(&self.client);
        let pages = paginate(PROVIDER, RULES, move |token| {
            let client = Arc::clone(&client);
            async move {
                let request = client.config().describe_config_rules().set_next_token(token);
                let page = client.read(RULES, request.send()).await?;
                let rules = page.config_rules.unwrap_or_default();
                Ok((rules.into_iter().map(rule).collect(), page.next_token))
            }
        });
        each_once(sound(PROVIDER, RULES, pages), |rule| rule.name.clone())
    }

    /// Lists what a rule says of each resource that it looked at.
    ///
    /// # Behavior
    /// - A hundred results in a call.
    /// - The rules about Systems Manager look at resources with ids such as
    ///   `AWS::SSM::ManagedInstanceInventory/i-…`: the node is what is behind the last `/`.
    /// - A node that the rule never looked at does not come.
    ///
    /// # Errors
    /// `NotFound` (no such rule), `PermissionDenied`, `Throttled`, `Malformed`.
    ///
    /// # Example
    /// ```no_run
    /// # async fn show(ssm: patchkit_aws::Ssm) -> patchkit_core::Result<()> {
    /// use futures::TryStreamExt;
    ///
    /// let rule = "ec2-managedinstance-patch-compliance-status-check";
    /// let mut results = ssm.rule_results(rule);
    /// while let Some(result) = results.try_next().await? {
    ///     println!("{:?}: {}", result.node, result.verdict.status());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn rule_results(&self, rule: &str) -> BoxStream<'static, Result<RuleResult>> {
        let (client, rule) = (Arc::clone(&self.client), rule.to_owned());
        let pages = paginate(PROVIDER, DETAILS, move |token| {
            let (client, rule) = (Arc::clone(&client), rule.clone());
            async move {
                let request = client
                    .config()
                    .get_compliance_details_by_config_rule()
                    .config_rule_name(rule)
                    .limit(client.page.within(1, PAGE))
                    .set_next_token(token);
                let page = client.read(DETAILS, request.send()).await?;
                let rows = page.evaluation_results.unwrap_or_default();
                let read = rows.iter().map(|row| client.rule_result(row));
                Ok((read.collect::<Vec<_>>(), page.next_token))
            }
        });
        each_once(sound(PROVIDER, DETAILS, pages), |result| {
            (result.resource_type.clone(), result.resource.clone())
        })
    }
}

impl Client {
    fn rule_result(&self, row: &EvaluationResult) -> Result<RuleResult> {
        let identifier = row.evaluation_result_identifier();
        let what = identifier.and_then(EvaluationResultIdentifier::evaluation_result_qualifier);
        let resource = what
            .and_then(EvaluationResultQualifier::resource_id)
            .ok_or_else(|| malformed(DETAILS, "a result is about no resource"))?;
        let id = resource.rsplit('/').next().unwrap_or(resource);
        let is_node = id.starts_with("i-") || id.starts_with("mi-");
        let node = is_node.then(|| NodeId::new(self.scope.clone(), id)).transpose()?;
        let verdict = row
            .compliance_type()
            .ok_or_else(|| malformed(DETAILS, "a result has no verdict"))?
            .into();
        Ok(RuleResult {
            node,
            resource_type: what
                .and_then(EvaluationResultQualifier::resource_type)
                .unwrap_or_default()
                .to_owned(),
            resource: resource.to_owned(),
            verdict,
            since: identifier
                .and_then(EvaluationResultIdentifier::ordering_timestamp)
                .and_then(timestamp),
            at: row.config_rule_invoked_time().and_then(timestamp),
            note: row.annotation().map(str::to_owned),
        })
    }
}

fn rule(rule: SdkRule) -> Result<ConfigRule> {
    let source = rule.source().map(|it| it.source_identifier().unwrap_or_default().to_owned());
    let types = rule.scope().map(|it| it.compliance_resource_types().to_vec());
    Ok(ConfigRule {
        source: source.filter(|text| !text.is_empty()),
        resource_types: types.unwrap_or_default(),
        name: rule.config_rule_name.ok_or_else(|| malformed(RULES, "a rule has no name"))?,
    })
}
