//! Many scopes as one fleet: one that fails is a row of the plan, and the others are patched.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use common::{OS, error, node, options, outcome, run_id};
use futures::{StreamExt, TryStreamExt, executor::block_on};
use patchkit_core::{
    ApprovalRule, AutoApproval, Baseline, Capabilities, Clock, ComplianceReport, ComplianceStatus,
    Error, ErrorKind, Estate, Event, Fleet, FleetExt, NodeId, NodeSelector, PatchAction,
    PatchBaseline, PatchRequest, PowerState, Scope, SubmitToken, VirtualClock,
    memory::{Fault, MemoryCloud, MemoryJournal},
    workflow::{AccessMode, Listing, Outcome, PatchPlan, RequiredTags, Runner, TagMode},
};

const ACCOUNTS: [&str; 3] = ["012345678901", "111122223333", "444455556666"];

/// Three accounts with two nodes each, the second of which is off and to be started.
struct Company {
    clock: VirtualClock,
    clouds: Vec<MemoryCloud>,
    journal: MemoryJournal,
}

fn scope(at: usize) -> Scope {
    format!("aws/{}/eu-west-1", ACCOUNTS[at]).parse().unwrap()
}

fn id(at: usize, name: &str) -> NodeId {
    NodeId::new(scope(at), name).unwrap()
}

async fn cloud(clock: &VirtualClock, at: usize) -> MemoryCloud {
    let cloud = MemoryCloud::builder().clock(clock.clone()).build();
    let draft = PatchBaseline::new("everything", OS)
        .with_rule(ApprovalRule::new(AutoApproval::AfterDays(0)));
    let baseline = cloud.create_baseline(&draft).await.unwrap();
    cloud.set_default_baseline(&baseline).await.unwrap();
    cloud.insert(node(id(at, "i-01")));
    cloud.insert(common::off(id(at, "i-02"), PowerState::Stopped));
    cloud
}

impl Company {
    async fn new() -> Self {
        let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
        let mut clouds = Vec::new();
        for at in 0..ACCOUNTS.len() {
            clouds.push(cloud(&clock, at).await);
        }
        let journal = MemoryJournal::new(clock.clone());
        Self { clock, clouds, journal }
    }

    /// A new estate each time, as after a restart.
    fn estate(&self) -> Estate {
        self.clouds.iter().enumerate().fold(Estate::new(), |estate, (at, cloud)| {
            estate.with([scope(at)], Arc::new(cloud.clone()))
        })
    }

    fn runner(&self) -> Runner {
        let (estate, clock) = (self.estate(), self.clock.clone());
        Runner::new(estate.clone(), estate, self.journal.clone(), clock)
    }

    /// One account denies a call.
    fn deny(&self, at: usize, operation: &'static str) {
        self.clouds[at].on_call(move |call| {
            if call.operation == operation {
                Fault::Refuse(error(ErrorKind::PermissionDenied))
            } else {
                Fault::Pass
            }
        });
    }

    fn calls(&self, at: usize, operation: &str) -> usize {
        self.clouds[at].calls().iter().filter(|call| call.operation == operation).count()
    }
}

async fn listed(estate: &Estate, selector: &NodeSelector) -> (Vec<NodeId>, Vec<Error>) {
    let (mut nodes, mut errors) = (Vec::new(), Vec::new());
    let mut rows = estate.nodes(selector);
    while let Some(row) = rows.next().await {
        match row {
            Ok(node) => nodes.push(node.id),
            Err(error) => errors.push(error),
        }
    }
    nodes.sort();
    (nodes, errors)
}

#[test]
fn one_denied_scope_is_a_row_of_the_plan_and_the_others_are_patched() {
    block_on(async {
        let company = Company::new().await;
        company.deny(1, "nodes");
        let runner = company.runner();
        let plan = runner.plan_patch(&options()).await.unwrap();
        assert_eq!(plan.nodes.len(), 4);
        assert_eq!(plan.unlisted.len(), 1);
        assert_eq!(
            (&plan.unlisted[0].scope, plan.unlisted[0].listing),
            (&scope(1), Listing::Nodes)
        );
        let row = "not listed: aws/111122223333/eu-west-1: memory test failed in \
                   aws/111122223333/eu-west-1: as the test wants it";
        assert!(plan.to_string().contains(row), "{plan}");

        let json = serde_json::to_string(&plan).unwrap();
        let read: PatchPlan = serde_json::from_str(&json).unwrap();
        assert_eq!(read, plan);
        let mut whole = plan.clone();
        whole.unlisted.clear();
        assert_ne!(whole.hash(), plan.hash(), "the hash covers what is not in the plan");

        let report = runner.patch(&run_id("run"), &plan).await.unwrap();
        for at in [0, 2] {
            for name in ["i-01", "i-02"] {
                assert_eq!(outcome(&report, &id(at, name)), Outcome::Patched, "{report}");
            }
        }
        assert!(report.undo_failed.is_empty());
        assert_eq!(report.problems, [row], "a run over two of three accounts is not clean");
        assert!(!report.is_clean());
        assert_eq!(company.calls(1, "submit") + company.calls(1, "set_power"), 0);
    });
}

#[test]
fn a_plan_from_before_there_were_unlisted_scopes_can_be_read() {
    let plan =
        block_on(async { Company::new().await.runner().plan_patch(&options()).await.unwrap() });
    let json = serde_json::to_value(&plan).unwrap();
    assert!(json.get("unlisted").is_none(), "and has the hash that it had");
    assert_eq!(serde_json::from_value::<PatchPlan>(json).unwrap(), plan);
}

#[test]
fn one_denied_scope_is_a_problem_of_each_report() {
    block_on(async {
        let company = Company::new().await;
        company.deny(2, "nodes");
        let runner = company.runner();
        let all = NodeSelector::all();
        let names = |problems: &[String]| {
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with("not listed: aws/444455556666/eu-west-1: "));
        };
        let scan = runner.scan(&run_id("scan"), &all).await.unwrap();
        assert_eq!(scan.nodes.len(), 4);
        names(&scan.problems);
        let access = runner.check_access(&run_id("access"), &all, &AccessMode::Check).await;
        let access = access.unwrap();
        assert_eq!(access.nodes.len(), 4);
        names(&access.problems);
        let required = RequiredTags::new().with_default("Owner", "nobody");
        let tags = runner.check_tags(&run_id("tags"), &all, &required, TagMode::Merge).await;
        let tags = tags.unwrap();
        assert_eq!(tags.nodes.len(), 4);
        names(&tags.problems);
    });
}

#[test]
fn a_scope_is_in_a_plan_whole_or_not_at_all() {
    block_on(async {
        let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
        let first = MemoryCloud::builder().clock(clock.clone()).page_size(1).build();
        first.insert(node(id(0, "i-01")));
        first.insert(node(id(0, "i-02")));
        first.on_call(|call| match call.page {
            Some(1) => Fault::Refuse(error(ErrorKind::Throttled)),
            _ => Fault::Pass,
        });
        let estate = Estate::new()
            .with([scope(0)], Arc::new(first))
            .with([scope(1)], Arc::new(cloud(&clock, 1).await));
        let (nodes, errors) = listed(&estate, &NodeSelector::all()).await;
        assert_eq!((nodes.len(), errors.len()), (3, 1), "a listing tells what there is");
        let journal = MemoryJournal::new(clock.clone());
        let runner = Runner::new(estate.clone(), estate, journal, clock);
        let plan = runner.plan_patch(&options()).await.unwrap();
        assert_eq!(plan.unlisted.len(), 1);
        assert!(plan.nodes.iter().all(|node| *node.id.scope() == scope(1)), "{plan}");
    });
}

#[test]
fn nodes_of_a_scope_whose_compliance_is_denied_are_unknown_and_not_lost() {
    block_on(async {
        let company = Company::new().await;
        let runner = company.runner();
        runner.scan(&run_id("before"), &NodeSelector::all()).await.unwrap();
        company.deny(0, "summaries");
        let plan = runner.plan_patch(&options()).await.unwrap();
        assert_eq!(plan.nodes.len(), 6);
        assert_eq!(plan.unlisted.len(), 1);
        assert_eq!(plan.unlisted[0].listing, Listing::Compliance);
        assert!(plan.to_string().contains("compliance not listed: aws/012345678901/eu-west-1: "));
        for node in plan.nodes.iter().filter(|node| node.id.name() == "i-01") {
            let known = if *node.id.scope() == scope(0) {
                ComplianceStatus::Unknown
            } else {
                ComplianceStatus::NonCompliant
            };
            assert_eq!(node.status, known, "{}", node.id);
        }
        let scan = runner.scan(&run_id("after"), &NodeSelector::all()).await.unwrap();
        assert_eq!(scan.nodes.len(), 6);
        assert_eq!(scan.problems.len(), 1, "{:?}", scan.problems);
        let of = |at| scan.nodes.iter().find(|node| node.node == id(at, "i-01")).unwrap();
        assert_eq!(of(0).compliance.status, ComplianceStatus::Unknown);
        let reason = of(0).reason.as_deref().unwrap();
        assert!(reason.contains("as the test wants it"), "says why: {reason}");
        assert_eq!(of(1).reason, None);
    });
}

#[test]
fn where_every_scope_fails_the_listing_fails() {
    block_on(async {
        let company = Company::new().await;
        (0..3).for_each(|at| company.deny(at, "nodes"));
        let (nodes, errors) = listed(&company.estate(), &NodeSelector::all()).await;
        assert!(nodes.is_empty());
        let named: Vec<bool> = errors.iter().map(|error| error.scope().is_some()).collect();
        assert_eq!(named, [true, true, false], "the last one is the whole listing's");
        let failed = company.runner().plan_patch(&options()).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::PermissionDenied);
        assert!(failed.report().contains("none of 3 scopes could be listed"), "{failed}");

        // One account alone is all of what is asked.
        let one = NodeSelector::all().with_accounts([scope(1).account().clone()]);
        let (_, errors) = listed(&company.estate(), &one).await;
        assert_eq!(errors.len(), 1);
        assert!(errors[0].scope().is_none());
        assert!(errors[0].report().contains("aws/111122223333/eu-west-1"), "names it all the same");
    });
}

#[test]
fn a_selector_leaves_scopes_out_without_a_call() {
    block_on(async {
        let company = Company::new().await;
        let estate = company.estate();
        let account = NodeSelector::all().with_accounts([scope(1).account().clone()]);
        assert_eq!(listed(&estate, &account).await.0, [id(1, "i-01"), id(1, "i-02")]);
        let ids = NodeSelector::ids([id(1, "i-02")]);
        assert_eq!(listed(&estate, &ids).await.0, [id(1, "i-02")]);
        estate.summaries(&ids).try_collect::<Vec<_>>().await.unwrap();
        let nowhere = NodeSelector::all().with_regions(["us-east-1".parse().unwrap()]);
        assert_eq!(listed(&estate, &nowhere).await.0, []);
        assert_eq!((company.calls(0, "nodes"), company.calls(2, "nodes")), (0, 0));
        assert_eq!(company.calls(0, "summaries"), 0);
        assert_eq!((company.calls(1, "nodes"), company.calls(1, "summaries")), (2, 1));
    });
}

#[test]
fn a_node_of_a_scope_that_the_estate_lacks_is_not_found_and_the_scope_is_named() {
    block_on(async {
        let company = Company::new().await;
        let estate = company.estate();
        let stranger: NodeId = "aws/999999999999/eu-west-1/i-01".parse().unwrap();
        let says = |error: &Error| {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            let text = error.report();
            assert!(text.contains("the estate has no scope aws/999999999999/eu-west-1"), "{text}");
        };
        let token = SubmitToken::new("t").unwrap();
        let request = PatchRequest::new(token.clone(), vec![stranger.clone()], PatchAction::Scan);
        says(&estate.submit(request).await.unwrap_err());
        says(&estate.find_operation(&token, std::slice::from_ref(&stranger)).await.unwrap_err());
        says(&estate.access(&stranger).await.unwrap_err());
        says(&estate.summary(&stranger).await.unwrap_err());
        says(&estate.patches(&stranger).next().await.unwrap().unwrap_err());
        says(&estate.node(&stranger).await.unwrap_err());
        let act = "aws/999999999999/eu-west-1/op-1".parse().unwrap();
        says(&estate.operation(&act).await.unwrap_err());

        // In a plan it is a row.
        let selector = NodeSelector::ids([stranger.clone(), id(0, "i-01")]);
        let plan = company.runner().plan_patch(&common::options_of(selector)).await.unwrap();
        assert_eq!((plan.nodes.len(), plan.unlisted.len()), (1, 1), "{plan}");
        assert_eq!(plan.unlisted[0].scope, *stranger.scope());
    });
}

#[test]
fn statuses_of_many_scopes_come_in_the_order_asked() {
    block_on(async {
        let company = Company::new().await;
        company.deny(2, "statuses");
        let stranger: NodeId = "aws/999999999999/eu-west-1/i-01".parse().unwrap();
        let asked = [
            id(1, "i-02"),
            stranger.clone(),
            id(0, "i-01"),
            id(2, "i-01"),
            id(1, "i-01"),
            id(1, "i-02"),
            id(0, "i-99"),
        ];
        let answers = company.estate().statuses(&asked).await;
        let order: Vec<NodeId> = answers.iter().map(|(node, _)| node.clone()).collect();
        assert_eq!(order, asked);
        let told: Vec<Result<PowerState, ErrorKind>> = answers
            .into_iter()
            .map(|(_, answer)| answer.map(|at| at.power).map_err(|error| error.kind()))
            .collect();
        let expected = [
            Ok(PowerState::Stopped),
            Err(ErrorKind::NotFound),
            Ok(PowerState::Running),
            Err(ErrorKind::PermissionDenied),
            Ok(PowerState::Running),
            Ok(PowerState::Stopped),
            Err(ErrorKind::NotFound),
        ];
        assert_eq!(told, expected);
        assert_eq!(company.calls(1, "statuses"), 1, "one call for all nodes of a scope");
    });
}

#[test]
fn acts_and_tokens_find_their_way_back_after_a_restart() {
    block_on(async {
        let company = Company::new().await;
        // The same token in two scopes is two acts, and both clouds call theirs alike.
        let token = SubmitToken::new("run-scan-0").unwrap();
        let mut acts = Vec::new();
        for at in [0, 2] {
            let nodes = vec![id(at, "i-01")];
            let request = PatchRequest::new(token.clone(), nodes.clone(), PatchAction::Scan);
            let act = company.estate().submit(request).await.unwrap();
            assert!(act.as_str().starts_with(&format!("{}/op-", scope(at))), "{act}");
            let json = serde_json::to_string(&act).unwrap();
            assert_eq!(serde_json::from_str::<patchkit_core::OperationId>(&json).unwrap(), act);
            let found = company.estate().find_operation(&token, &nodes).await.unwrap();
            assert_eq!(found, Some(act.clone()));
            let seen = company.estate().operation(&act).await.unwrap();
            assert_eq!((&seen.id, &seen.nodes[0].node), (&act, &nodes[0]));
            acts.push(act);
        }
        assert_ne!(acts[0], acts[1]);
        assert_eq!(company.estate().find_operation(&token, &[id(1, "i-01")]).await.unwrap(), None);
        let both = [id(0, "i-01"), id(2, "i-01")];
        let mixed = company.estate().find_operation(&token, &both).await.unwrap_err();
        assert_eq!(mixed.kind(), ErrorKind::InvalidInput);
        company.estate().cancel(&acts[1]).await.unwrap();
        assert_eq!((company.calls(0, "cancel"), company.calls(2, "cancel")), (0, 1));
        for bare in ["op-000001", "aws/012345678901/eu-west-1", "aws//eu-west-1/op-1"] {
            let unknown = company.estate().operation(&bare.parse().unwrap()).await.unwrap_err();
            assert_eq!(unknown.kind(), ErrorKind::NotFound, "{bare}");
        }
    });
}

#[test]
fn a_run_over_many_scopes_is_recovered_out_of_its_journal() {
    block_on(async {
        for polls in (40..400).step_by(40) {
            let company = Company::new().await;
            let plan = company.runner().plan_patch(&options()).await.unwrap();
            let runner = company.runner();
            {
                let run = run_id("run");
                let mut run = pin!(runner.patch(&run, &plan));
                let mut cx = Context::from_waker(Waker::noop());
                for _ in 0..polls {
                    if let Poll::Ready(report) = run.as_mut().poll(&mut cx) {
                        assert!(report.unwrap().is_clean());
                        break;
                    }
                }
            }
            company.clock.sleep(Duration::from_mins(10)).await;
            let recovery = company.runner().recover(&run_id("run")).await.unwrap();
            assert!(recovery.undo_failed.is_empty(), "{polls}: {recovery:?}");
            assert!(recovery.problems.is_empty(), "{polls}: {recovery:?}");
            for at in 0..3 {
                let power = company.clouds[at].power(&id(at, "i-02"));
                assert_eq!(power, Some(PowerState::Stopped), "{polls}: {}", scope(at));
            }
        }
    });
}

#[test]
fn a_lost_answer_is_found_in_the_scope_of_its_nodes() {
    block_on(async {
        let company = Company::new().await;
        company.clouds[1].on_call(|call| match call.operation {
            "submit" => Fault::LoseAnswer(error(ErrorKind::Timeout)),
            _ => Fault::Pass,
        });
        let plan = company.runner().plan_patch(&options()).await.unwrap();
        let report = company.runner().patch(&run_id("run"), &plan).await.unwrap();
        assert!(report.is_clean(), "{report}");
        assert!(company.calls(1, "find_operation") > 0);
        assert_eq!(company.calls(0, "find_operation"), 0);
        let records: Vec<_> = patchkit_core::Journal::events(&company.journal, &run_id("run"))
            .try_collect()
            .await
            .unwrap();
        let scoped = records.iter().filter(|record| match &record.event {
            Event::Submitted { operation, .. } => operation.as_str().starts_with("aws/1111"),
            _ => false,
        });
        assert!(scoped.count() > 0, "the journal knows where the act is");
    });
}

#[test]
fn every_act_of_a_run_names_the_run() {
    block_on(async {
        let company = Company::new().await;
        let plan = company.runner().plan_patch(&options()).await.unwrap();
        company.runner().patch(&run_id("run-7"), &plan).await.unwrap();
        for cloud in &company.clouds {
            let submits = cloud.calls().into_iter().filter(|call| call.operation == "submit");
            let runs: Vec<_> = submits.map(|call| call.run).collect();
            assert!(runs.len() >= 3, "agent update, install, rescan");
            assert!(runs.iter().all(|run| *run == Some(run_id("run-7"))), "{runs:?}");
        }
    });
}

#[test]
fn what_one_scope_cannot_do_does_not_keep_the_others_from_it() {
    block_on(async {
        let mut company = Company::new().await;
        let mut weak = Capabilities::read_only();
        weak.max_nodes_per_operation = 7.try_into().unwrap();
        company.clouds[1] = company.clouds[1].clone().with_capabilities(weak);
        let estate = company.estate();
        assert!(estate.capabilities().power, "what any scope can do");
        assert!(estate.capabilities_for(&scope(0)).power);
        assert!(!estate.capabilities_for(&scope(1)).power);
        assert_eq!(estate.capabilities().max_nodes_per_operation.get(), 7, "what each one takes");
        assert_eq!(estate.capabilities_for(&scope(0)).max_nodes_per_operation.get(), 50);
        assert!(!Estate::new().capabilities().power);

        let plan = company.runner().plan_patch(&options()).await.unwrap();
        let skipped: Vec<&NodeId> = plan.skipped.iter().map(|skipped| &skipped.node.id).collect();
        assert_eq!(skipped, [&id(1, "i-02")], "off, and its provider cannot start it");
        let report = company.runner().patch(&run_id("run"), &plan).await.unwrap();
        assert_eq!(outcome(&report, &id(0, "i-02")), Outcome::Patched);
        assert_eq!(outcome(&report, &id(1, "i-01")), Outcome::Patched);
        assert_eq!(outcome(&report, &id(1, "i-02")), Outcome::Skipped);
    });
}

#[test]
fn one_provider_of_several_scopes_is_listed_once_and_within_them() {
    block_on(async {
        let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
        let shared = cloud(&clock, 0).await;
        shared.insert(node(id(1, "i-01")));
        shared.insert(node(id(2, "i-01")));
        let estate = Estate::new().with([scope(0), scope(1)], Arc::new(shared.clone()));
        let (nodes, errors) = listed(&estate, &NodeSelector::all()).await;
        assert_eq!(nodes, [id(0, "i-01"), id(0, "i-02"), id(1, "i-01")]);
        assert!(errors.is_empty());
        assert_eq!(shared.calls().iter().filter(|call| call.operation == "nodes").count(), 1);

        // What fails it fails all its scopes, each by name.
        shared.on_call(|_| Fault::Refuse(error(ErrorKind::Unauthenticated)));
        let estate = estate.with([scope(2)], Arc::new(cloud(&clock, 2).await));
        let (nodes, errors) = listed(&estate, &NodeSelector::all()).await;
        assert_eq!(nodes, [id(2, "i-01"), id(2, "i-02")]);
        let scopes: Vec<Scope> = errors.iter().filter_map(|error| error.scope().cloned()).collect();
        assert_eq!(scopes, [scope(0), scope(1)]);

        // One that names the scope itself fails that one alone.
        let named = error(ErrorKind::Throttled).with_scope(scope(1));
        let named = std::sync::Mutex::new(Some(named));
        shared.on_call(move |_| match named.lock().unwrap().take() {
            Some(error) => Fault::Refuse(error),
            None => Fault::Pass,
        });
        let (_, errors) = listed(&estate, &NodeSelector::all()).await;
        let scopes: Vec<Scope> = errors.iter().filter_map(|error| error.scope().cloned()).collect();
        assert_eq!(scopes, [scope(1)]);

        // Of a scope that comes twice the last provider counts.
        let estate = estate.with([scope(0), scope(1)], Arc::new(MemoryCloud::builder().build()));
        assert_eq!(listed(&estate, &NodeSelector::all()).await.0, [id(2, "i-01"), id(2, "i-02")]);
        assert_eq!(estate.scopes().count(), 3);
    });
}

#[test]
fn scopes_are_one_whatever_their_spelling() {
    let azure: Scope = "azure/sub1/westeurope".parse().unwrap();
    let cloud = MemoryCloud::builder().build();
    let node: NodeId = "azure/SUB1/WestEurope//subscriptions/sub1/vm1".parse().unwrap();
    cloud.insert(common::node(node.clone()));
    let estate = Estate::new().with([azure], Arc::new(cloud));
    let (nodes, _) = block_on(listed(&estate, &NodeSelector::all()));
    assert_eq!(nodes, std::slice::from_ref(&node));
    assert!(block_on(estate.status(&node)).is_ok());
}

#[test]
fn work_in_each_scope_answers_for_each() {
    block_on(async {
        let company = Company::new().await;
        company.deny(1, "default_baseline");
        let estate = company.estate();
        let mut answers: Vec<_> = estate
            .each(|_, provider| async move { provider.default_baseline(&OS).await })
            .map(|(scope, answer)| (scope, answer.map(|baseline| baseline.name)))
            .collect()
            .await;
        answers.sort_by(|a, b| a.0.cmp(&b.0));
        let scopes: Vec<&Scope> = answers.iter().map(|(scope, _)| scope).collect();
        assert_eq!(scopes, estate.scopes().collect::<Vec<_>>());
        assert_eq!(answers[0].1.as_deref().unwrap(), "everything");
        let denied = answers[1].1.as_ref().unwrap_err();
        assert_eq!((denied.kind(), denied.scope()), (ErrorKind::PermissionDenied, Some(&scope(1))));
        assert!(answers[2].1.is_ok());
    });
}
