//! Worlds that are all alike, and the processes that work in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use jiff::Timestamp;
use patchkit_core::{
    memory::MemoryJournal,
    workflow::{PatchPlan, Runner},
};
use patchkit_testkit::cloud::{Behavior, Fault, NodeChange, NodeTruth, Power, World};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    child::{Task, Work},
    estate,
    point::Point,
    promise::{self, Told},
    tap::Deed,
};

/// About so many machines: a few of each kind, so that a run takes a moment.
const MACHINES: usize = 40;
/// Longer than the term of a lease.
pub(crate) const PAST_THE_LEASE: Duration = Duration::from_secs(301);

/// What is so in each of the worlds, before anything is done.
pub(crate) struct Stage {
    runtime: Runtime,
    pub(crate) plan: PatchPlan,
    /// Machines that both clouds know, and that are off.
    off: Vec<String>,
    /// The points of a run that nothing interrupts, in order.
    pub(crate) points: Vec<Point>,
    /// What each machine lacks after it, by its name: who lacks more is not patched.
    pub(crate) least: BTreeMap<String, BTreeSet<String>>,
}

/// One of the worlds.
pub(crate) struct Play<'s> {
    pub(crate) stage: &'s Stage,
    pub(crate) world: World,
    /// What was so of each machine at the beginning, by its name.
    pub(crate) before: BTreeMap<String, NodeTruth>,
    place: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let world = runtime.block_on(world());
        let off = turn_some_off(&world);
        let plan = runtime.block_on(plan(&world));
        assert!(plan.unlisted.is_empty(), "{:?}", plan.unlisted);
        let (points, least) = (Vec::new(), BTreeMap::new());
        let stage = Self { runtime, plan, off, points, least };
        let (points, least) = stage.undisturbed();
        Self { points, least, ..stage }
    }

    /// The run that nothing interrupts.
    fn undisturbed(&self) -> (Vec<Point>, BTreeMap<String, BTreeSet<String>>) {
        let play = self.play();
        let (points, told) = play.course();
        println!("undisturbed: {}", told.words.join("; "));
        let lacks = truths(&play.world).into_iter();
        (points, lacks.map(|(name, it)| (name, it.absent.into_iter().collect())).collect())
    }

    /// The points of a run that nothing interrupts, while the clouds have a trouble.
    pub(crate) fn points_amid(&self, faults: &[Fault]) -> Vec<Point> {
        let play = self.play();
        for fault in faults {
            play.world.add_fault(fault.clone()).unwrap();
        }
        play.course().0
    }

    pub(crate) fn play(&self) -> Play<'_> {
        let world = self.runtime.block_on(world());
        for machine in &self.off {
            assert!(world.change_node(machine, &NodeChange::new().with_power(Power::Deallocated)));
        }
        let place = tempfile::tempdir().unwrap();
        fs::write(Task::plan(place.path()), serde_json::to_vec(&self.plan).unwrap()).unwrap();
        Play { stage: self, before: truths(&world), world, place }
    }
}

/// When each world begins.
pub(crate) fn begin() -> Timestamp {
    "2035-11-24T02:00:00Z".parse().unwrap()
}

/// A world that begins at a time of its own, so that they are all alike. It is in the future, for its
/// credentials are to outlive the test.
async fn world() -> World {
    estate::world(MACHINES).start_at(begin()).start().await.unwrap()
}

async fn plan(world: &World) -> PatchPlan {
    let clock = world.clock();
    let fleet = estate::fleet(world.endpoints(), clock.clone()).await;
    let journal = MemoryJournal::new(clock.clone());
    let runner = Runner::new(fleet.clone(), fleet, journal, clock);
    runner.plan_patch(&estate::options()).await.unwrap()
}

/// Gives some machines back that both clouds know; says which.
fn turn_some_off(world: &World) -> Vec<String> {
    let off = NodeChange::new().with_power(Power::Deallocated);
    let hosts = truths(world).into_values().filter(|it| it.aws_id.is_some() && it.answers);
    let hosts = hosts.filter(|it| it.behavior == Behavior::Well).filter_map(|it| it.azure_id);
    let hosts: Vec<String> = hosts.take(2).collect();
    assert_eq!(hosts.len(), 2, "too few machines are known to both clouds");
    for host in &hosts {
        assert!(world.change_node(host, &off));
    }
    hosts
}

/// What is so of each machine, by its name.
pub(crate) fn truths(world: &World) -> BTreeMap<String, NodeTruth> {
    let truths = world.node_ids().into_iter().map(|id| world.node(&id).unwrap());
    truths.map(|truth| (truth.name.clone(), truth)).collect()
}

impl Play<'_> {
    pub(crate) fn task(&self, holder: &str, work: Work, deed: Option<(Point, Deed)>) -> Task {
        Task {
            endpoints: self.world.endpoints().clone(),
            place: self.place.path().to_owned(),
            holder: holder.to_owned(),
            work,
            deed,
            track: false,
        }
    }

    /// Carries the plan out from beginning to end.
    fn course(&self) -> (Vec<Point>, Told) {
        let mut task = self.task("first", Work::Patch, None);
        task.track = true;
        let ended = task.start(None).wait().unwrap();
        assert!(ended.success(), "{}", task.words());
        let told = Told::of(self, &[task.answer()]);
        let broken = promise::broken(self, &told);
        assert!(broken.is_empty(), "{broken:#?}");
        let points = fs::read_to_string(task.points()).unwrap();
        (points.lines().map(|line| line.parse().unwrap()).collect(), told)
    }

    /// The names of the machines that the plan is about to patch.
    pub(crate) fn planned(&self) -> BTreeSet<String> {
        let nodes = &self.stage.plan.nodes;
        nodes.iter().map(|node| self.world.node(node.id.resource()).unwrap().name).collect()
    }
}
