//! What the rules say of machines.

use std::sync::Arc;

use jiff::Timestamp;
use patchkit_core::ComplianceStatus;
use serde_json::{Value, json};

use super::{
    super::{
        resource::{self, Kind, Resource},
        seconds,
    },
    rules::{Managed, Rule},
};
use crate::cloud::world::{
    State,
    machine::{Power, ScopeIx},
};

/// How many causes are counted at most (API reference, ComplianceContributorCount).
const CAP: usize = 25;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Compliant,
    NonCompliant,
}

impl Verdict {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Compliant => "COMPLIANT",
            Self::NonCompliant => "NON_COMPLIANT",
        }
    }
}

/// What a rule says of one resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evaluation<'a> {
    pub(super) name: &'a str,
    pub(super) rule: &'a Rule,
    pub(super) resource: Resource<'a>,
    pub(super) verdict: Verdict,
    /// When the resource became so.
    ordered: Timestamp,
    /// When the rule looked at it.
    invoked: Timestamp,
}

impl Evaluation<'_> {
    pub(super) fn resource_type(&self) -> &'static str {
        self.rule.managed.resource_type()
    }

    pub(super) fn resource_id(&self) -> String {
        self.rule.managed.resource_id(&self.resource.aws.id)
    }

    pub(super) fn value(&self) -> Value {
        json!({
            "EvaluationResultIdentifier": {
                "EvaluationResultQualifier": {
                    "ConfigRuleName": self.name,
                    "ResourceType": self.resource_type(),
                    "ResourceId": self.resource_id(),
                    "EvaluationMode": "DETECTIVE",
                },
                "OrderingTimestamp": seconds(self.ordered),
            },
            "ComplianceType": self.verdict.word(),
            "ResultRecordedTime": seconds(self.invoked),
            "ConfigRuleInvokedTime": seconds(self.invoked),
        })
    }
}

/// What a rule says of all that it has looked at in an account's Region, by the machines' ids.
pub(super) fn of_rule<'a>(
    state: &'a State,
    scope: ScopeIx,
    name: &'a str,
    rule: &'a Rule,
) -> impl Iterator<Item = Evaluation<'a>> {
    let ready = rule.since.is_none_or(|since| since <= state.now);
    let all = resource::all(state, scope).filter(move |_| ready);
    all.filter_map(move |resource| of_resource(state, name, rule, resource))
}

/// What all rules say of one machine, as the resources that it is.
pub(super) fn of_machine<'a>(
    state: &'a State,
    resource: Resource<'a>,
) -> impl Iterator<Item = Evaluation<'a>> {
    let rules = &state.scope(resource.aws.scope).config.rules;
    rules.iter().filter_map(move |(name, rule)| of_resource(state, name, rule, resource))
}

fn of_resource<'a>(
    state: &'a State,
    name: &'a str,
    rule: &'a Rule,
    resource: Resource<'a>,
) -> Option<Evaluation<'a>> {
    if rule.since.is_some_and(|since| state.now < since) {
        return None;
    }
    let (verdict, ordered) = judge(state, rule.managed, resource)?;
    let evaluated = rule.evaluated.filter(|it| *it <= state.now);
    let invoked = ordered.max(rule.since.unwrap_or(ordered)).max(evaluated.unwrap_or(ordered));
    let evaluation = Evaluation { name, rule, resource, verdict, ordered, invoked };
    rule.reaches(&evaluation).then_some(evaluation)
}

/// What a rule says of a machine, and since when that is so; none where it does not apply.
fn judge(state: &State, managed: Managed, resource: Resource<'_>) -> Option<(Verdict, Timestamp)> {
    let aws = resource.aws;
    match managed {
        // Developer guide: compliant where the field `status` is COMPLIANT.
        Managed::Patch => {
            let scan = aws.scan.as_deref()?;
            Some((of_status(scan.verdict.status)?, scan.ended))
        }
        Managed::Association => {
            // A node without associations is no AWS::SSM::AssociationCompliance.
            let id = &aws.id;
            let all = &state.scope(aws.scope).ssm.association_compliance;
            let items = all.range((id.clone(), Arc::from(""))..);
            let items = items.take_while(|((of, _), _)| of == id).map(|(_, item)| item);
            let mut judged: Option<(Verdict, Timestamp)> = None;
            for item in items {
                let Some(verdict) = of_status(item.status) else { continue };
                let (before, last) = judged.unwrap_or((verdict, item.executed));
                let failing = [before, verdict].contains(&Verdict::NonCompliant);
                let verdict = if failing { Verdict::NonCompliant } else { verdict };
                judged = Some((verdict, last.max(item.executed)));
            }
            judged
        }
        Managed::Agent => {
            if resource.kind != Kind::Instance {
                return None;
            }
            let machine = state.machine(resource.at);
            // Developer guide: a stopped instance is never non-compliant.
            let verdict = match machine.power {
                Power::Running if state.answers(resource.at) => Verdict::Compliant,
                Power::Running => Verdict::NonCompliant,
                _ if aws.registered.is_some() => Verdict::Compliant,
                _ => return None,
            };
            Some((verdict, machine.booted.min(state.now)))
        }
    }
}

pub(super) fn of_status(status: ComplianceStatus) -> Option<Verdict> {
    match status {
        ComplianceStatus::Compliant => Some(Verdict::Compliant),
        ComplianceStatus::NonCompliant => Some(Verdict::NonCompliant),
        _ => None,
    }
}

/// What several verdicts come to: non-compliant where one is, with how many are; nothing is known
/// where there are none.
pub(super) fn sum(verdicts: impl Iterator<Item = Verdict>) -> Summary {
    let mut summary = Summary { any: false, failing: 0 };
    for verdict in verdicts {
        summary.any = true;
        summary.failing += usize::from(verdict == Verdict::NonCompliant);
    }
    summary
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Summary {
    any: bool,
    failing: usize,
}

impl Summary {
    pub(super) fn word(self) -> &'static str {
        match (self.any, self.failing) {
            (false, _) => "INSUFFICIENT_DATA",
            (true, 0) => "COMPLIANT",
            (true, _) => "NON_COMPLIANT",
        }
    }

    pub(super) fn value(self) -> Value {
        let count = if self.failing > 0 { capped(self.failing) } else { Value::Null };
        json!({"ComplianceType": self.word(), "ComplianceContributorCount": count})
    }
}

pub(super) fn capped(count: usize) -> Value {
    json!({"CappedCount": count.min(CAP), "CapExceeded": count > CAP})
}
