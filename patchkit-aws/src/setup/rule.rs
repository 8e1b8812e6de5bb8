//! The rules of AWS Config that judge nodes.

use std::sync::Arc;

use aws_sdk_config::types::{ConfigRule, ConfigRuleState, Owner, Source};
use aws_smithy_types::retry::RetryConfig;
use futures::TryStreamExt;
use patchkit_core::{Result, paginate};
use serde::{Deserialize, Serialize};

use super::{SetupFinding, SetupItem, SetupStep};
use crate::{
    client::Client,
    error::{PROVIDER, invalid},
};

const LIST: &str = "DescribeConfigRules";
const PUT: &str = "PutConfigRule";

/// A rule of AWS's own that judges nodes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum ManagedRule {
    /// Nodes lack no patch.
    PatchCompliance,
    /// The associations of nodes have run well.
    AssociationCompliance,
    /// Instances are managed nodes.
    ManagedByAgent,
}

impl ManagedRule {
    /// Its identifier (AWS Config developer guide, "List of AWS Config Managed Rules").
    pub fn identifier(self) -> &'static str {
        match self {
            Self::PatchCompliance => "EC2_MANAGEDINSTANCE_PATCH_COMPLIANCE_STATUS_CHECK",
            Self::AssociationCompliance => {
                "EC2_MANAGEDINSTANCE_ASSOCIATION_COMPLIANCE_STATUS_CHECK"
            }
            Self::ManagedByAgent => "EC2_INSTANCE_MANAGED_BY_SSM",
        }
    }

    /// The name that the console gives it.
    pub(super) fn name(self) -> String {
        self.identifier().to_ascii_lowercase().replace('_', "-")
    }
}

pub(super) async fn find(client: &Arc<Client>, rules: &[ManagedRule]) -> Vec<SetupFinding> {
    if rules.is_empty() {
        return Vec::new();
    }
    let seen = all(client).await;
    let judged = |rule: &ManagedRule| match &seen {
        Ok(seen) if is_among(*rule, seen) => SetupFinding::present(SetupItem::ConfigRule(*rule)),
        Ok(_) => {
            let step = SetupStep::PutConfigRule { rule: *rule };
            SetupFinding::missing(SetupItem::ConfigRule(*rule), vec![step])
        }
        Err(error) => SetupFinding::unknown(SetupItem::ConfigRule(*rule), error.report()),
    };
    rules.iter().map(judged).collect()
}

/// Pure: whether a rule is there, by whatever name.
fn is_among(rule: ManagedRule, seen: &[ConfigRule]) -> bool {
    names(rule, seen).next().is_some()
}

/// The names that a rule has; there may be several of one kind.
pub(super) fn names(rule: ManagedRule, seen: &[ConfigRule]) -> impl Iterator<Item = &str> {
    let there = seen.iter().filter(move |it| {
        let source = it.source().and_then(|source| source.source_identifier());
        source == Some(rule.identifier())
            && !matches!(
                it.config_rule_state(),
                Some(ConfigRuleState::Deleting | ConfigRuleState::DeletingResults)
            )
    });
    there.filter_map(ConfigRule::config_rule_name)
}

pub(super) async fn all(client: &Arc<Client>) -> Result<Vec<ConfigRule>> {
    let client = Arc::clone(client);
    paginate(PROVIDER, LIST, move |token| {
        let client = Arc::clone(&client);
        async move {
            let request = client.config().describe_config_rules().set_next_token(token);
            let page = client.read(LIST, request.send()).await?;
            Ok((page.config_rules.unwrap_or_default(), page.next_token))
        }
    })
    .try_collect()
    .await
}

pub(super) async fn exists(client: &Arc<Client>, rule: ManagedRule) -> Result<bool> {
    Ok(is_among(rule, &all(client).await?))
}

pub(super) async fn put(client: &Client, rule: ManagedRule) -> Result<()> {
    let source = Source::builder()
        .owner(Owner::Aws)
        .source_identifier(rule.identifier())
        .build()
        .map_err(|error| invalid(PUT, error.to_string()))?;
    let rule = ConfigRule::builder().config_rule_name(rule.name()).source(source).build();
    let config = aws_sdk_config::Config::builder().retry_config(RetryConfig::disabled());
    let request = client.config().put_config_rule().config_rule(rule);
    let request = request.customize().config_override(config);
    client.write(PUT, request.send()).await.map(drop)
}
