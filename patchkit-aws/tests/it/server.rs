//! A server of EC2, IAM, S3, STS, SNS and Organizations: the simulated cloud, or moto.
//!
//! What passes on both is known to be true of more than our own server.
//!
//! Moto knows no managed nodes: to DescribeInstanceInformation, GetInventory and GetServiceSetting it
//! answers 500. So a simulated cloud of no nodes stands beside it, and has Systems Manager alone, by
//! the endpoint of one service that an SDK configuration can have.
//!
//! What moto 5.2.5 does otherwise than AWS, and is thus proven on the simulated cloud alone:
//! - Every key is good, and everyone may do everything: no denial, no policy in force.
//! - AssumeRole opens any account to anyone, by a role that need not be there, whatever the external
//!   id.
//! - ExpectedBucketOwner is not looked at: a bucket of another account seems to be one's own.
//! - Power changes at once, and StartInstances starts what is terminated.
//! - A page of DescribeInstances counts reservations, so that one of twelve instances is one item.
//! - ListAccounts of an account without an organization is empty, and no error.

use std::{sync::Arc, time::Duration};

use aws_config::SdkConfig;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_ec2::types::{Filter, InstanceType, ResourceType, Tag, TagSpecification};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use patchkit_aws::{Accounts, CallBudget, Ssm, SsmBuilder};
use patchkit_core::{
    AccessStatus, AccountId, Clock, NodeId, OperatingSystem, SystemClock, memory::MemoryJournal,
    workflow::Runner,
};
use patchkit_testkit::cloud::{Agent, NodeSpec, Power, Throttles, World};

use crate::support;

/// Moto's default account, which has every key that moto did not give itself.
pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-west-1";
/// The Region that S3 treats otherwise.
pub(crate) const FIRST_REGION: &str = "us-east-1";

/// As small as DescribeInstances allows.
pub(crate) const PAGE: u16 = 5;

/// The role in every account of an organization.
pub(crate) const ROLE: &str = "patchkit";

/// Set by `cargo xtask moto`.
const MOTO: &str = "PATCHKIT_MOTO";

/// One of the images that moto knows from the start.
const IMAGE: &str = "ami-12c6146b";

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) sdk: SdkConfig,
    world: Arc<World>,
    moto: Option<String>,
}

/// An organization, and a unit of it.
#[derive(Debug)]
pub(crate) struct Organization {
    pub(crate) accounts: Vec<AccountId>,
    pub(crate) unit: String,
    pub(crate) in_unit: Vec<AccountId>,
}

/// Sends the calls of Systems Manager elsewhere than those of all other services.
#[derive(Debug)]
struct SystemsManagerAt(String);

impl LoadServiceConfig for SystemsManagerAt {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let asked = key.service_id() == "SSM" && key.env() == "AWS_ENDPOINT_URL";
        asked.then(|| self.0.clone())
    }
}

async fn world(accounts: &[&str]) -> Arc<World> {
    let world = World::builder().seed(7).nodes(0).throttles(Throttles::Off);
    let world = accounts.iter().fold(world, |world, id| world.aws_account(*id));
    let world = world.aws_region(REGION).aws_region(FIRST_REGION);
    Arc::new(world.start().await.unwrap())
}

impl Server {
    pub(crate) async fn simulated() -> Self {
        let world = world(&[ACCOUNT, "222233334444", "333344445555"]).await;
        Self { sdk: support::sdk(&world, REGION), world, moto: None }
    }

    pub(crate) async fn moto() -> Self {
        let moto = std::env::var(MOTO);
        let moto = moto.unwrap_or_else(|_| panic!("{MOTO} names no server: cargo xtask moto"));
        let world = world(&[ACCOUNT]).await;
        let managed = SystemsManagerAt(world.endpoints().aws_endpoint.clone());
        let sdk = support::sdk(&world, REGION).into_builder();
        let sdk = sdk.endpoint_url(&moto).service_config(managed).build();
        Self { sdk, world, moto: Some(moto) }
    }

    fn builder(&self, sdk: &SdkConfig) -> SsmBuilder {
        let builder = Ssm::builder(sdk).with_budget(CallBudget::unlimited()).with_page_size(PAGE);
        match &self.moto {
            Some(moto) => builder.with_s3_endpoint(moto).with_clock(SystemClock),
            None => builder
                .with_s3_endpoint(&self.world.endpoints().s3_endpoint)
                .with_clock(self.world.clock()),
        }
    }

    /// A provider that remembers nothing of what was so before.
    pub(crate) async fn ssm(&self) -> Ssm {
        self.builder(&self.sdk).build().await.unwrap()
    }

    pub(crate) async fn ssm_in(&self, region: &'static str) -> Ssm {
        let region = aws_config::Region::from_static(region);
        let sdk = self.sdk.to_builder().region(region).build();
        self.builder(&sdk).build().await.unwrap()
    }

    pub(crate) fn accounts(&self) -> Accounts {
        Accounts::from_builder(self.builder(&self.sdk)).with_role(ROLE)
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        if self.moto.is_some() { Arc::new(SystemClock) } else { Arc::new(self.world.clock()) }
    }

    pub(crate) async fn runner(&self) -> Runner {
        let (ssm, journal) = (self.ssm().await, MemoryJournal::new(self.clock()));
        Runner::new(ssm.clone(), ssm, journal, self.clock())
    }

    pub(crate) fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.sdk)
    }

    pub(crate) fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.sdk)
    }

    /// Lets what was begun come to its end.
    pub(crate) fn settle(&self) {
        if self.moto.is_none() {
            self.world.advance(Duration::from_mins(10));
        }
    }

    /// Running instances without an instance profile.
    pub(crate) async fn instances(&self, count: usize, tags: &[(&str, &str)]) -> Vec<NodeId> {
        let account: AccountId = ACCOUNT.parse().unwrap();
        let mut nodes = Vec::with_capacity(count);
        for _ in 0..count {
            nodes.push(self.instance_in(&account, tags).await);
        }
        nodes
    }

    pub(crate) async fn instance(&self) -> NodeId {
        self.instance_in(&ACCOUNT.parse().unwrap(), &[]).await
    }

    pub(crate) async fn instance_in(&self, account: &AccountId, tags: &[(&str, &str)]) -> NodeId {
        let id = if self.moto.is_some() {
            self.launch(account, tags).await
        } else {
            let os = OperatingSystem::AmazonLinux2023;
            let bare = NodeSpec::ec2(os, account.as_str(), REGION)
                .with_access(AccessStatus::NoIdentity)
                .with_agent(Agent::Absent)
                .with_power(Power::Running);
            let spec = tags.iter().fold(bare, |spec, (key, value)| spec.with_tag(*key, *value));
            self.world.add_node(&spec).unwrap()
        };
        format!("aws/{account}/{REGION}/{id}").parse().unwrap()
    }

    /// Each in a reservation of its own.
    async fn launch(&self, account: &AccountId, tags: &[(&str, &str)]) -> String {
        let ec2 = aws_sdk_ec2::Client::new(&self.sdk_of(account).await);
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build());
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::Instance)
            .set_tags(Some(tags.collect()));
        let mut request = ec2
            .run_instances()
            .image_id(IMAGE)
            .instance_type(InstanceType::T3Micro)
            .min_count(1)
            .max_count(1);
        let tags = tags.build();
        if !tags.tags().is_empty() {
            request = request.tag_specifications(tags);
        }
        let made = request.send().await.unwrap();
        made.instances()[0].instance_id().unwrap().to_owned()
    }

    /// What another account of the organization calls with.
    pub(crate) async fn sdk_of(&self, account: &AccountId) -> SdkConfig {
        if account.as_str() == ACCOUNT {
            return self.sdk.clone();
        }
        let keys = if self.moto.is_some() {
            let sts = aws_sdk_sts::Client::new(&self.sdk);
            let arn = format!("arn:aws:iam::{account}:role/{ROLE}");
            let session = sts.assume_role().role_arn(arn).role_session_name("fixture");
            let keys = session.send().await.unwrap().credentials.unwrap();
            let token = Some(keys.session_token);
            Credentials::new(keys.access_key_id, keys.secret_access_key, token, None, "fixture")
        } else {
            let mut known = self.world.endpoints().credentials.iter();
            let key = known.find(|it| it.account == account.as_str()).unwrap();
            Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "fixture")
        };
        let keys = SharedCredentialsProvider::new(keys);
        self.sdk.to_builder().credentials_provider(keys).build()
    }

    /// The tags of an instance, as its own account sees them.
    pub(crate) async fn tags(&self, node: &NodeId) -> Vec<(String, String)> {
        let sdk = self.sdk_of(node.scope().account()).await;
        let ec2 = aws_sdk_ec2::Client::new(&sdk);
        let of = Filter::builder().name("resource-id").values(node.resource()).build();
        let seen = ec2.describe_tags().filters(of).send().await.unwrap();
        let mut tags: Vec<(String, String)> = seen
            .tags()
            .iter()
            .map(|it| (it.key().unwrap().to_owned(), it.value().unwrap().to_owned()))
            .collect();
        tags.sort();
        tags
    }

    /// The state of an instance, in EC2's word, as its own account sees it.
    pub(crate) async fn state(&self, node: &NodeId) -> String {
        let sdk = self.sdk_of(node.scope().account()).await;
        let ec2 = aws_sdk_ec2::Client::new(&sdk);
        let seen = ec2.describe_instances().instance_ids(node.resource()).send().await.unwrap();
        let instance = &seen.reservations()[0].instances()[0];
        instance.state().unwrap().name().unwrap().as_str().to_owned()
    }

    /// A VPC with subnets in two zones and no endpoint.
    pub(crate) async fn vpc(&self) -> String {
        let ec2 = self.ec2();
        if self.moto.is_none() {
            let ends = ec2.describe_vpc_endpoints().send().await.unwrap();
            let ids = ends.vpc_endpoints().iter().filter_map(|it| it.vpc_endpoint_id.clone());
            let request = ec2.delete_vpc_endpoints().set_vpc_endpoint_ids(Some(ids.collect()));
            request.send().await.unwrap();
            let vpcs = ec2.describe_vpcs().send().await.unwrap();
            return vpcs.vpcs()[0].vpc_id().unwrap().to_owned();
        }
        let made = ec2.create_vpc().cidr_block("10.20.0.0/16").send().await.unwrap();
        let vpc = made.vpc().unwrap().vpc_id().unwrap().to_owned();
        for (zone, number) in ["a", "b"].into_iter().zip(0..) {
            let subnet =
                ec2.create_subnet().vpc_id(&vpc).cidr_block(format!("10.20.{number}.0/24"));
            subnet.availability_zone(format!("{REGION}{zone}")).send().await.unwrap();
        }
        vpc
    }

    /// Has Systems Manager know a bucket of this server: beside moto it has an S3 of its own, and
    /// looks whether a sync's bucket can be written to.
    pub(crate) fn show_bucket(&self, bucket: &str) {
        if self.moto.is_some() {
            self.world.ensure_bucket(bucket).unwrap();
        }
    }

    /// An organization of at least three accounts, all but the caller's own in one unit.
    pub(crate) async fn organization(&self) -> Organization {
        let organizations = aws_sdk_organizations::Client::new(&self.sdk);
        if self.moto.is_some() {
            organize(&organizations).await;
        }
        let roots = organizations.list_roots().send().await.unwrap();
        let root = roots.roots()[0].id().unwrap().to_owned();
        let units = organizations.list_organizational_units_for_parent().parent_id(root);
        let units = units.send().await.unwrap();
        let unit = units.organizational_units()[0].id().unwrap().to_owned();
        let mut accounts: Vec<AccountId> = Vec::new();
        let mut pages = organizations.list_accounts().into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            accounts.extend(page.accounts().iter().map(|it| it.id().unwrap().parse().unwrap()));
        }
        accounts.sort();
        let in_unit = organizations.list_accounts_for_parent().parent_id(&unit);
        let in_unit = in_unit.send().await.unwrap();
        let ids = in_unit.accounts().iter().map(|it| it.id().unwrap().parse().unwrap());
        let mut in_unit: Vec<AccountId> = ids.collect();
        in_unit.sort();
        assert!(accounts.len() >= 3 && in_unit.len() + 1 == accounts.len(), "{accounts:?}");
        Organization { accounts, unit, in_unit }
    }

    /// A topic, and what will be published to it.
    pub(crate) async fn topic(&self) -> (String, Mailbox) {
        let sns = aws_sdk_sns::Client::new(&self.sdk);
        let made = sns.create_topic().name(support::unique("patching")).send().await.unwrap();
        let arn = made.topic_arn().unwrap().to_owned();
        if self.moto.is_none() {
            return (arn.clone(), Mailbox::World(Arc::clone(&self.world), arn));
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        let request = sns.subscribe().topic_arn(&arn).protocol("http").endpoint(endpoint);
        request.send().await.unwrap();
        // Moto posts before it answers Publish.
        let mail = std::thread::spawn(move || mail::receive(&listener));
        (arn, Mailbox::Http(mail))
    }
}

async fn organize(organizations: &aws_sdk_organizations::Client) {
    let all = aws_sdk_organizations::types::OrganizationFeatureSet::All;
    organizations.create_organization().feature_set(all).send().await.unwrap();
    let roots = organizations.list_roots().send().await.unwrap();
    let root = roots.roots()[0].id().unwrap();
    let unit = organizations.create_organizational_unit().parent_id(root).name("servers");
    let unit = unit.send().await.unwrap().organizational_unit.unwrap().id.unwrap();
    for name in ["web", "database"] {
        let made = organizations.create_account().account_name(name);
        let made = made.email(format!("{name}@example.com")).send().await;
        let account = made.unwrap().create_account_status.unwrap().account_id.unwrap();
        let request = organizations.move_account().account_id(account);
        let request = request.source_parent_id(root).destination_parent_id(&unit);
        request.send().await.unwrap();
    }
}

/// Where what is published arrives.
#[derive(Debug)]
pub(crate) enum Mailbox {
    World(Arc<World>, String),
    Http(std::thread::JoinHandle<serde_json::Value>),
}

/// What a subscriber by HTTP gets.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) body: serde_json::Value,
}

impl Mailbox {
    /// The one message that was published.
    pub(crate) async fn only(self) -> Mail {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        match self {
            Self::World(world, topic) => {
                let messages = world.messages().into_iter().filter(|it| it.topic == topic);
                let [message] = &messages.collect::<Vec<_>>()[..] else { panic!("not one") };
                let parts: serde_json::Value = serde_json::from_str(&message.message).unwrap();
                let body = serde_json::from_str(parts["http"].as_str().unwrap()).unwrap();
                let subject = message.subject.clone().unwrap();
                Mail { id: message.id.clone(), subject, body }
            }
            Self::Http(mail) => {
                let told = tokio::task::spawn_blocking(|| mail.join().unwrap()).await.unwrap();
                let body = serde_json::from_str(told["Message"].as_str().unwrap()).unwrap();
                Mail { id: text(&told["MessageId"]), subject: text(&told["Subject"]), body }
            }
        }
    }
}

mod mail {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
    };

    /// The body of one request.
    pub(super) fn receive(listener: &TcpListener) -> serde_json::Value {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        (&stream).write_all(answer).unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}
