//! [`Ssm`] over a simulated account and Region, with the means to seed it behind its back.

#![expect(clippy::expect_used, reason = "a harness panics on what its provider lacks")]

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_resourcegroups::types::GroupConfigurationItem;
use aws_smithy_types::retry::RetryConfig;
use aws_types::region::Region;
use patchkit_aws::{CallBudget, Ssm};
use patchkit_core::{
    Baseline, BaselineId, Clock, ComplianceReport, Fleet, NodeId, NodeOrigin, OperationId,
    PatchBaseline, PatchGroup, PatchGroupName, PowerState, Reachability, ResourceGroupName,
};
use patchkit_testkit::{
    Harness, NodeSeed, PatchSeed, Scanned, Trouble, TroubleKind,
    cloud::{
        AccountKey, Agent, Fault, FaultKind, NodeChange, NodeSpec, PatchSpec, Power, Throttles,
        World,
    },
};

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";
/// As small as DescribeInstances and DescribeInstanceInformation allow.
const PAGE: u16 = 5;
/// What the suite's cases grant to nodes without access.
const PROFILE: &str = "PatchKitConformance";
const POLICY: &str = "PatchKitConformancePolicy";

/// The provider under test, and another one under other credentials that makes what only the API
/// can make.
#[derive(Debug)]
pub(crate) struct AwsHarness {
    world: World,
    tested: Ssm,
    seeder: Ssm,
    /// The configuration of the other one.
    seeding: SdkConfig,
    /// Who calls for the provider under test: faults meet only him.
    caller: String,
}

impl AwsHarness {
    pub(crate) async fn new() -> Self {
        let at = "2026-11-24T02:00:00Z".parse().expect("a time");
        let world = World::builder()
            .nodes(0)
            .aws_account(ACCOUNT)
            .aws_region(REGION)
            .throttles(Throttles::Off)
            .start_at(at)
            .start()
            .await
            .expect("a world on a free port");
        let key = world.endpoints().credentials.first().expect("a key of the account").clone();
        let seeder = world.add_caller(ACCOUNT, "seeder").expect("a key of the account");
        let caller = key.caller.clone();
        let seeding = sdk(&world, &seeder);
        make_access(&seeding).await;
        let tested = provider(&world, &sdk(&world, &key)).await;
        let seeder = provider(&world, &seeding).await;
        Self { world, tested, seeder, seeding, caller }
    }

    fn id(&self, id: &str) -> NodeId {
        NodeId::new(self.tested.scope().clone(), id).expect("a node id")
    }
}

/// Retries of the SDK would hide what the cases want to see.
fn sdk(world: &World, key: &AccountKey) -> SdkConfig {
    let credentials =
        Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "simulated");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static(REGION))
        .endpoint_url(&world.endpoints().aws_endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

async fn provider(world: &World, sdk: &SdkConfig) -> Ssm {
    Ssm::builder(sdk)
        .with_account(ACCOUNT.parse().expect("an account"))
        .with_clock(world.clock())
        .with_page_size(PAGE)
        .with_budget(CallBudget::unlimited())
        .with_s3_endpoint(&world.endpoints().s3_endpoint)
        .build()
        .await
        .expect("a provider of a named account")
}

/// Makes the instance profile and the policy that the cases grant.
async fn make_access(sdk: &SdkConfig) {
    let iam = aws_sdk_iam::Client::new(sdk);
    let trust = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Action": ["ssm:*", "ssmmessages:*", "ec2messages:*"], "Resource": "*"}]}"#;
    let made = iam.create_policy().policy_name(POLICY).policy_document(policy).send().await;
    let arn = made.expect("a policy").policy.and_then(|it| it.arn).expect("its ARN");
    iam.create_role()
        .role_name(PROFILE)
        .assume_role_policy_document(trust)
        .send()
        .await
        .expect("a role");
    iam.attach_role_policy().role_name(PROFILE).policy_arn(arn).send().await.expect("attached");
    iam.create_instance_profile()
        .instance_profile_name(PROFILE)
        .send()
        .await
        .expect("an instance profile");
    iam.add_role_to_instance_profile()
        .instance_profile_name(PROFILE)
        .role_name(PROFILE)
        .send()
        .await
        .expect("a profile with a role");
}

#[async_trait]
impl Harness for AwsHarness {
    fn fleet(&self) -> Arc<dyn Fleet> {
        Arc::new(self.tested.clone())
    }

    fn baseline(&self) -> Arc<dyn Baseline> {
        Arc::new(self.tested.clone())
    }

    fn group(&self) -> Arc<dyn PatchGroup> {
        Arc::new(self.tested.clone())
    }

    fn compliance(&self) -> Arc<dyn ComplianceReport> {
        Arc::new(self.tested.clone())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.world.clock())
    }

    fn page_size(&self) -> usize {
        PAGE.into()
    }

    fn requests(&self) -> usize {
        self.world.calls().of_caller(&self.caller).len()
    }

    fn unknown_node(&self) -> NodeId {
        self.id("i-0fffffffffffffff0")
    }

    fn node_elsewhere(&self) -> NodeId {
        "aws/444455556666/us-west-2/i-0fffffffffffffff1".parse().expect("a node id")
    }

    fn unknown_operation(&self) -> OperationId {
        "ffffffff-ffff-4fff-8fff-ffffffffffff".parse().expect("an operation id")
    }

    fn unknown_baseline(&self) -> BaselineId {
        "pb-0fffffffffffffff0".parse().expect("a baseline id")
    }

    async fn add_node(&self, seed: NodeSeed) -> NodeId {
        let os = seed.operating_system.clone();
        let mut spec = match seed.origin {
            NodeOrigin::Cloud => NodeSpec::ec2(os, ACCOUNT, REGION).with_access(seed.access),
            _ => NodeSpec::hybrid(os, ACCOUNT, REGION),
        };
        spec = spec.with_power(match seed.power {
            PowerState::Stopped => Power::Stopped,
            // Nobody tells of a hybrid node's; it must run to answer.
            PowerState::Running | PowerState::Unknown => Power::Running,
            other => panic!("no node is seeded as {other}"),
        });
        spec = spec.with_agent(match seed.agent {
            Reachability::Online => Agent::Online,
            Reachability::Lost => Agent::ConnectionLost,
            other => panic!("no agent is seeded as {other}"),
        });
        for (key, value) in seed.tags {
            spec = spec.with_tag(key, value);
        }
        spec = spec.with_patches(seed.patches);
        if seed.scanned == Scanned::Now {
            spec = spec.scanned();
        }
        let id = self.world.add_node(&spec).expect("the world has a place for every seed");
        self.id(&id)
    }

    async fn lose_agent(&self, node: &NodeId) {
        let lost = NodeChange::new().with_agent(Agent::ConnectionLost);
        assert!(self.world.change_node(node.resource(), &lost), "{node} is there");
    }

    async fn set_patches(&self, node: &NodeId, patches: Vec<PatchSeed>) {
        let patches: Vec<PatchSpec> = patches.into_iter().map(PatchSpec::from).collect();
        self.world.set_patches(node.resource(), &patches).expect("the node is there");
    }

    async fn add_baseline(&self, baseline: &PatchBaseline) -> BaselineId {
        self.seeder.create_baseline(baseline).await.expect("a baseline")
    }

    async fn add_registration(&self, group: &PatchGroupName, baseline: &BaselineId) {
        self.seeder.register(group, baseline).await.expect("a registration");
    }

    async fn add_resource_group(&self, group: &ResourceGroupName, nodes: &[NodeId]) {
        let client = aws_sdk_resourcegroups::Client::new(&self.seeding);
        let by_hand = GroupConfigurationItem::builder().r#type("AWS::ResourceGroups::Generic");
        let by_hand = by_hand.build().expect("a configuration");
        let made = client.create_group().name(group.as_str()).configuration(by_hand).send().await;
        made.expect("a group");
        let arns = nodes.iter().map(|node| {
            let id = node.resource();
            let kind = if id.starts_with("mi-") { "ssm" } else { "ec2" };
            let name = if id.starts_with("mi-") { "managed-instance" } else { "instance" };
            format!("arn:aws:{kind}:{REGION}:{ACCOUNT}:{name}/{id}")
        });
        let put =
            client.group_resources().group(group.as_str()).set_resource_arns(Some(arns.collect()));
        let put = put.send().await.expect("members");
        assert!(put.failed().is_empty(), "{:?}", put.failed());
    }

    async fn make_trouble(&self, trouble: Trouble) {
        let fault = match trouble.kind {
            TroubleKind::Denied => Fault::new(FaultKind::Deny),
            TroubleKind::Throttled => Fault::new(FaultKind::Throttle),
            TroubleKind::AnswerLost => Fault::new(FaultKind::CutAfter).on("SendCommand"),
            other => panic!("{other:?} is no trouble of AWS"),
        };
        let number = |it: usize| u32::try_from(it).expect("a small number");
        let mut fault = fault.of_caller(&self.caller).times(number(trouble.times));
        if let Some(page) = trouble.page {
            fault = fault.on_page(number(page));
        }
        self.world.add_fault(fault).expect("a caller's ARN is a glob");
    }
}
