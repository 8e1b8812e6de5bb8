//! The compliance of nodes under baselines that Azure does not know: the core judges what Azure found.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::{
    FutureExt, StreamExt, TryFutureExt, TryStreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use patchkit_core::{
    AccountId, Approval, CompiledBaseline, ComplianceStatus, Error, Explanation, FilterVerdict,
    NodeCompliance, NodeId, NodePatch, NodeSelector, OperationKind, Patch, PatchBaseline, Presence,
    Result, RuleOutcome, judge_node,
    listing::{sound, until_error},
    patch_state,
};

use super::{AT_ONCE, OPERATION, takes_all};
use crate::{
    Baselines, Machine, UpdateManager,
    baseline::Deciding,
    client::Client,
    convert::{
        compliance::{Findings, Say},
        patch::SoftwarePatch,
    },
    error::PROVIDER,
    fleet::query::MOST_IDS,
};

impl UpdateManager {
    /// The compliance of nodes under baselines of the caller's, each of the nodes of its operating
    /// system.
    ///
    /// # Behavior
    /// - The patches that the last assessment of a node found are judged by the core, as
    ///   [`judge_node`] does after a scan: one that the baseline approves is missing, and of any other
    ///   nothing is said.
    /// - A node of an operating system without a baseline is `Unknown`; one for `Linux` is for every Linux
    ///   without its own. Of two for the same system the first counts.
    /// - [`with_baselines`](Self::with_baselines) has all else go by them too: installs above all.
    /// - A node that waits for a reboot is `NonCompliant`.
    /// - Azure tells of a patch its name, class and, on Windows, its date. Where something else decides,
    ///   a product or a severity, and nothing that is known makes the node `NonCompliant`, it is
    ///   `Unknown`.
    /// - It costs a query for each thousand missing patches more than the summaries do.
    ///
    /// # Errors
    /// As [`summaries`](patchkit_core::ComplianceReport::summaries).
    pub fn summaries_under(
        &self,
        baselines: impl IntoIterator<Item = PatchBaseline>,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<NodeCompliance>> {
        let theirs = self.with_baselines(&Baselines::These(baselines.into_iter().collect()));
        theirs.judged(selector).map_ok(|(_, known)| known).boxed()
    }

    /// The machines of a selector, each with what the baselines that decide say of it.
    pub(super) fn judged(
        &self,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<(Machine, NodeCompliance)>> {
        let (azure, selector) = (self.clone(), selector.clone());
        let listing = async move {
            Ok::<_, Error>(match azure.deciding().await? {
                None => azure.assessed(&selector),
                Some(deciding) => azure.judged_by(deciding, &selector),
            })
        };
        until_error(listing.boxed().try_flatten_stream())
    }

    fn judged_by(
        &self,
        deciding: Deciding,
        selector: &NodeSelector,
    ) -> BoxStream<'static, Result<(Machine, NodeCompliance)>> {
        let judge = Arc::new(Judge { deciding, now: self.client.now() });
        let (client, known) = (Arc::clone(&self.client), self.known(selector));
        if !takes_all(selector) {
            let chunks = known.chunks(MOST_IDS).map(move |chunk| {
                let (client, judge) = (Arc::clone(&client), Arc::clone(&judge));
                async move { client.judged(&judge, chunk).await }
            });
            return until_error(chunks.buffered(AT_ONCE).flat_map(stream::iter));
        }
        let subscriptions = client.subscriptions_in(selector);
        let listing = async move {
            let mut missing = Missing::read(&client, None, &subscriptions).await?;
            let row = move |row: Result<_>| row.map(|known| judge.row(known, &mut missing));
            Ok::<_, Error>(sound(PROVIDER, OPERATION, known.map(row)))
        };
        until_error(listing.boxed().try_flatten_stream())
    }
}

impl Client {
    async fn judged(
        self: &Arc<Self>,
        judge: &Judge,
        chunk: Vec<Result<(Machine, Findings)>>,
    ) -> Vec<Result<(Machine, NodeCompliance)>> {
        let machines = chunk.iter().flatten().map(|(machine, _)| &machine.node.id);
        let ids: Vec<NodeId> = machines.cloned().collect();
        let missing = if ids.is_empty() {
            Ok(Missing::default())
        } else {
            Missing::read(self, Some(&ids), &self.subscriptions_of(&ids)).await
        };
        match missing {
            Ok(mut missing) => {
                let row = |row: Result<_>| row.and_then(|known| judge.row(known, &mut missing));
                chunk.into_iter().map(row).collect()
            }
            Err(error) => {
                let told = chunk.into_iter().filter_map(Result::err).map(Err);
                told.chain([Err(error)]).collect()
            }
        }
    }
}

/// What assessments found, by machine. The same patch is held once, on however many it is missing.
#[derive(Debug, Default)]
struct Missing {
    by_machine: HashMap<String, Result<Vec<Arc<SoftwarePatch>>>>,
}

impl Missing {
    async fn read(
        client: &Arc<Client>,
        nodes: Option<&[NodeId]>,
        subscriptions: &[AccountId],
    ) -> Result<Self> {
        let mut missing = Self::default();
        let mut patches: HashSet<Arc<SoftwarePatch>> = HashSet::new();
        let mut rows = client.missing(nodes, subscriptions);
        while let Some((machine, patch)) = rows.try_next().await? {
            let of_machine = missing.by_machine.entry(machine).or_insert_with(|| Ok(Vec::new()));
            match (of_machine, patch) {
                (Ok(known), Ok(patch)) => {
                    let patch = Arc::new(patch.anywhere());
                    let patch = patches.get(&patch).cloned().unwrap_or(patch);
                    patches.insert(Arc::clone(&patch));
                    known.push(patch);
                }
                // One that cannot be read may be the one that counts.
                (of_machine @ Ok(_), Err(error)) => *of_machine = Err(error),
                (Err(_), _) => {}
            }
        }
        Ok(missing)
    }

    fn take(&mut self, node: &NodeId) -> Result<Vec<Arc<SoftwarePatch>>> {
        let found = self.by_machine.remove(&node.resource().to_ascii_lowercase());
        found.unwrap_or_else(|| Ok(Vec::new()))
    }
}

/// The baselines that decide, and the time that they are asked for.
#[derive(Debug)]
struct Judge {
    deciding: Deciding,
    now: Timestamp,
}

impl Judge {
    fn row(
        &self,
        (machine, findings): (Machine, Findings),
        missing: &mut Missing,
    ) -> Result<(Machine, NodeCompliance)> {
        let node = &machine.node.id;
        let place = |error: Error| error.with_scope(node.scope().clone()).with_node(node.clone());
        let patches = missing.take(node).map_err(place)?;
        let mut known = match self.deciding.on(&machine.node).map_err(place)? {
            None => NodeCompliance::unknown(node.clone()),
            Some(baseline) => held(node.clone(), &findings, &patches, &baseline, self.now),
        };
        known.group = machine.node.patch_group();
        Ok((machine, known))
    }
}

/// The compliance of a node that is held against a baseline.
fn held(
    node: NodeId,
    findings: &Findings,
    patches: &[Arc<SoftwarePatch>],
    baseline: &CompiledBaseline,
    now: Timestamp,
) -> NodeCompliance {
    let mut known = findings.summary(node, now);
    known.baseline.clone_from(&baseline.baseline().id);
    let Say::Assessment(assessment) = findings.say(now) else { return known };
    let mut open = !assessment.is_whole();
    let mut judged = Vec::with_capacity(patches.len());
    for patch in patches {
        let offered = NodePatch::new(patch.offered(), Presence::Absent);
        open = open || is_open(baseline, &offered.patch, now);
        let state = patch_state(baseline, &offered, OperationKind::Scan, now);
        judged.extend(state.map(|state| (patch.classification(), state)));
    }
    let verdict = judge_node(baseline, judged);
    let brought = findings.brought();
    known.counts = verdict.counts;
    known.counts.installed = brought.installed;
    known.counts.installed_pending_reboot = brought.installed_pending_reboot;
    known.level = verdict.level;
    known.status = match verdict.status {
        ComplianceStatus::Compliant if findings.is_waiting(now) => ComplianceStatus::NonCompliant,
        ComplianceStatus::Compliant if open => ComplianceStatus::Unknown,
        status => status,
    };
    known
}

/// Whether it hangs on something that Azure does not tell that a baseline does not approve a patch.
fn is_open(baseline: &CompiledBaseline, patch: &Patch, when: Timestamp) -> bool {
    if baseline.decide(patch, when).is_approved() {
        return false;
    }
    let Explanation { decision, global_filters, approved_by, rules, .. } =
        baseline.explain(patch, when);
    if decision.approval == Approval::ExplicitRejected || fails(&global_filters) {
        return false;
    }
    // What a rule or the list approves, and is not approved, fails a filter for all rules.
    let listed = approved_by.iter().any(|entry| entry.counts);
    listed
        || rules.iter().any(|rule| match rule.outcome {
            RuleOutcome::Undated | RuleOutcome::Approves(_) => true,
            RuleOutcome::Filtered => !fails(&rule.filters),
            _ => false,
        })
}

/// Whether a patch fails a filter by what is known of it.
fn fails(filters: &[FilterVerdict]) -> bool {
    filters.iter().any(|it| !it.passed && !it.found.is_empty())
}

#[cfg(test)]
mod tests {
    use patchkit_core::{
        ApprovalRule, AutoApproval, ComplianceLevel, OperatingSystem, PatchFilter, PatchFilterKey,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::convert::compliance::Assessment;

    fn now() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    fn assessed(row: &Value) -> Findings {
        let mut whole = json!({
            "assessedAt": "2026-11-24T11:00:00Z", "assessment": "Succeeded",
            "rebootPending": false, "available": {"security": 1},
        });
        for (name, value) in row.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let assessment = Assessment::read("test", &whole).unwrap();
        Findings { assessment, installation: None }
    }

    fn update(class: &str, released: Option<&str>) -> Arc<SoftwarePatch> {
        let row = json!({"id": "/x/a", "properties": {
            "kbId": "5034441", "patchName": "An update", "classifications": [class],
            "publishedDateTime": released,
        }});
        Arc::new(SoftwarePatch::read("test", &row).unwrap())
    }

    fn under(
        rule: ApprovalRule,
        findings: &Findings,
        patch: &Arc<SoftwarePatch>,
    ) -> NodeCompliance {
        let baseline = PatchBaseline::new("web", OperatingSystem::Windows).with_rule(rule);
        let baseline = CompiledBaseline::new(&baseline);
        let node = "azure/s/westeurope//subscriptions/s/resourceGroups/g/providers/p/vm".parse();
        held(node.unwrap(), findings, std::slice::from_ref(patch), &baseline, now())
    }

    fn class(name: &str) -> PatchFilter {
        PatchFilter::new(PatchFilterKey::Classification, [name])
    }

    #[test]
    fn what_the_baseline_approves_and_is_not_there_is_missing() {
        let rule = ApprovalRule::new(AutoApproval::AfterDays(7))
            .with_filter(class("SecurityUpdates"))
            .with_level(ComplianceLevel::Critical);
        for (kind, released, status) in [
            ("Security Updates", "2026-11-10T00:00:00Z", ComplianceStatus::NonCompliant),
            ("Security Updates", "2026-11-20T00:00:00Z", ComplianceStatus::Compliant),
            ("Updates", "2026-11-10T00:00:00Z", ComplianceStatus::Compliant),
        ] {
            let known = under(rule.clone(), &assessed(&json!({})), &update(kind, Some(released)));
            assert_eq!(known.status, status, "{kind} of {released}");
            let behind = status == ComplianceStatus::NonCompliant;
            assert_eq!(known.counts.missing, u32::from(behind));
            assert_eq!(known.level, behind.then_some(ComplianceLevel::Critical));
        }
    }

    #[test]
    fn what_hangs_on_something_that_azure_does_not_tell_is_no_good_news() {
        let severity = PatchFilter::new(PatchFilterKey::MsrcSeverity, ["Critical"]);
        let rule = ApprovalRule::new(AutoApproval::Immediately).with_filter(severity);
        let (found, patch) = (assessed(&json!({})), update("Security Updates", None));
        assert_eq!(under(rule.clone(), &found, &patch).status, ComplianceStatus::Unknown);
        // Its class decides, whatever its severity is.
        let other = under(rule.with_filter(class("Drivers")), &found, &patch);
        assert_eq!(other.status, ComplianceStatus::Compliant);
    }

    #[test]
    fn neither_a_pending_reboot_nor_half_an_assessment_is_compliant() {
        let rule = || ApprovalRule::new(AutoApproval::Immediately).with_filter(class("Drivers"));
        let patch = update("Security Updates", Some("2026-11-10T00:00:00Z"));
        for (row, status) in [
            (json!({}), ComplianceStatus::Compliant),
            (json!({"rebootPending": true}), ComplianceStatus::NonCompliant),
            (json!({"assessment": "Failed"}), ComplianceStatus::Unknown),
            (json!({"assessedAt": null}), ComplianceStatus::Unknown),
        ] {
            assert_eq!(under(rule(), &assessed(&row), &patch).status, status, "{row}");
        }
    }
}
