//! The conformance cases of baselines and patch groups.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use aws_sdk_ec2::types::Tag;
use patchkit_core::{
    Baseline, BaselineId, Clock, ComplianceReport, Fleet, NodeId, OperationId, PatchBaseline,
    PatchGroup, PatchGroupName,
};
use patchkit_testkit::{
    Harness, NodeSeed, PatchSeed, Trouble, TroubleKind, cloud::Denial, memory::MemoryHarness,
};

use crate::cloud::Cloud;

/// The provider's baselines and groups; all else is the memory provider's, which says too what
/// there is: everything.
struct Kept {
    cloud: Cloud,
    rest: MemoryHarness,
    instances: Vec<String>,
    used: AtomicUsize,
}

impl Kept {
    async fn new() -> Self {
        let cloud = Cloud::of(120).await;
        let instances = cloud.ids("i-");
        let group = |key: &str| Tag::builder().key(key).build();
        cloud
            .ec2()
            .delete_tags()
            .set_resources(Some(instances.clone()))
            .tags(group("Patch Group"))
            .tags(group("PatchGroup"))
            .send()
            .await
            .unwrap();
        Self { cloud, rest: MemoryHarness::full(), instances, used: AtomicUsize::new(0) }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("cloud", &self.cloud).finish_non_exhaustive()
    }
}

#[async_trait]
impl Harness for Kept {
    fn fleet(&self) -> Arc<dyn Fleet> {
        self.rest.fleet()
    }

    fn baseline(&self) -> Arc<dyn Baseline> {
        Arc::new(self.cloud.ssm.clone())
    }

    fn group(&self) -> Arc<dyn PatchGroup> {
        Arc::new(self.cloud.ssm.clone())
    }

    fn compliance(&self) -> Arc<dyn ComplianceReport> {
        self.rest.compliance()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.rest.clock()
    }

    fn page_size(&self) -> usize {
        5
    }

    fn requests(&self) -> usize {
        self.cloud.world.calls().len()
    }

    fn unknown_node(&self) -> NodeId {
        self.rest.unknown_node()
    }

    fn node_elsewhere(&self) -> NodeId {
        self.rest.node_elsewhere()
    }

    fn unknown_operation(&self) -> OperationId {
        self.rest.unknown_operation()
    }

    fn unknown_baseline(&self) -> BaselineId {
        "pb-0ffffffffffffffff".parse().unwrap()
    }

    async fn add_node(&self, seed: NodeSeed) -> NodeId {
        let id = &self.instances[self.used.fetch_add(1, Ordering::Relaxed)];
        if !seed.tags.is_empty() {
            let tags = seed.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value));
            let tags = tags.map(aws_sdk_ec2::types::builders::TagBuilder::build).collect();
            let request = self.cloud.ec2().create_tags().resources(id).set_tags(Some(tags));
            request.send().await.unwrap();
        }
        NodeId::new(self.cloud.ssm.scope().clone(), id).unwrap()
    }

    async fn lose_agent(&self, _: &NodeId) {
        unreachable!("baselines and groups have no agents");
    }

    async fn set_patches(&self, _: &NodeId, _: Vec<PatchSeed>) {
        unreachable!("baselines and groups have no patches");
    }

    async fn add_baseline(&self, baseline: &PatchBaseline) -> BaselineId {
        self.cloud.ssm.create_baseline(baseline).await.unwrap()
    }

    async fn add_registration(&self, group: &PatchGroupName, baseline: &BaselineId) {
        self.cloud.ssm.register(group, baseline).await.unwrap();
    }

    async fn make_trouble(&self, trouble: Trouble) {
        assert_eq!((trouble.kind, trouble.page), (TroubleKind::Denied, None));
        self.cloud.world.deny(Denial::of("*")).unwrap();
    }
}

macro_rules! cases {
    ($($module:ident { $($case:ident)* })*) => {$(
        mod $module {
            $(
                #[tokio::test]
                async fn $case() {
                    let kept = super::Kept::new().await;
                    patchkit_testkit::cases::$module::$case(&kept).await;
                }
            )*
        }
    )*};
}

cases! {
    baseline {
        lists_every_baseline_once
        an_arn_and_its_bare_id_name_the_same_baseline
        an_unknown_baseline_is_not_found
        the_default_baseline_is_for_its_operating_system
        approved_patches_come_once_or_are_unsupported
        a_draft_over_a_limit_is_invalid
        what_is_read_back_equals_the_draft
        an_update_replaces_the_whole_baseline
        a_baseline_in_use_cannot_be_deleted
        a_deleted_baseline_is_gone
        setting_the_default_returns_the_one_before
        a_denied_call_is_permission_denied
    }
    group {
        lists_every_group_once
        lists_every_member_once
        a_group_without_nodes_is_an_empty_stream
        registrations_are_one_for_each_operating_system
        without_a_registration_it_is_the_default
        registering_twice_is_no_error
        a_second_baseline_of_a_system_is_a_conflict
        deregistering_what_is_not_registered_is_no_error
    }
}
