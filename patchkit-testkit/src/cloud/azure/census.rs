//! How many rows Resource Graph has of which machine: known without a look at the machines.

use std::sync::{Arc, OnceLock};

use super::{
    facets::{Facets, Words, nanoseconds},
    findings::{Finding, Findings},
    patch_result,
    rows::{Prints, Written},
    side,
};
use crate::cloud::world::{
    State,
    catalogue::SystemIx,
    machine::{AzureKind, AzureSide, MachineIx, SubIx},
    machines::Chunks,
};

/// The rows of all machines, by subscription. A copy shares what has not changed since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    folders: Arc<Vec<Folder>>,
    /// What was found and done on a machine, in the order of its folder.
    tallies: Vec<Chunks<Tally>>,
    /// What they have in common with others, in the same order.
    facets: Vec<Chunks<Facets>>,
    /// The patches that its assessment found, in the same order.
    findings: Vec<Findings>,
    /// Its installations, each with its patches behind it, in the same order.
    treated: Vec<Findings>,
    words: Arc<Words>,
    /// What rows show of the patches of all systems.
    prints: Arc<Prints>,
    /// What is shown of them, in the same order.
    written: Vec<Chunks<Written>>,
    /// Their order by name and by id, once someone asks.
    order: Arc<OnceLock<Order>>,
    /// The place of a machine in its folder.
    places: Arc<Vec<u32>>,
}

/// The machines of a subscription, in the order in which they are answered.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) kinds: Vec<Kind>,
    pub(super) names: Texts,
    pub(super) groups: Vec<Group>,
}

/// Texts side by side, so that a look at all of them does not wait for each.
#[derive(Debug, Default)]
pub(super) struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len());
    }

    pub(super) fn get(&self, at: usize) -> Option<&str> {
        let begin = at.checked_sub(1).map_or(Some(0), |it| self.ends.get(it).copied())?;
        self.all.get(begin..*self.ends.get(at)?)
    }
}

/// The machines of a resource group: a piece of its folder.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    pub(super) start: usize,
    pub(super) end: usize,
    /// How many of them are virtual machines, and how many of Arc.
    pub(super) counts: [usize; 2],
}

/// As what a machine is a resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Vm = 0,
    Arc = 1,
    /// An instance of a uniform scale set is no resource of its own.
    None = 2,
}

impl Kind {
    pub(super) fn of(kind: &AzureKind) -> Self {
        match kind {
            AzureKind::Vm | AzureKind::Flexible { .. } => Self::Vm,
            AzureKind::Arc => Self::Arc,
            AzureKind::Uniform { .. } => Self::None,
        }
    }
}

/// What a machine adds to the tables of patches. Times are [`nanoseconds`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally {
    /// When its assessment ended, and how many patches that found.
    pub(super) assessed: Option<i64>,
    pub(super) missing: u32,
    /// When the first of its installations began; how many there are, and patches in them.
    pub(super) first: Option<i64>,
    pub(super) installations: u32,
    pub(super) treated: u32,
    pub(super) system: SystemIx,
    pub(super) reboot_pending: bool,
    /// Whether rows of its findings are other than those of their patches on other machines.
    pub(super) is_odd: bool,
    /// The same of what was treated.
    pub(super) is_treated_oddly: bool,
}

impl Tally {
    fn of(
        state: &State,
        at: MachineIx,
        azure: &AzureSide,
        prints: &Prints,
        treated_rows: Option<&[Finding]>,
    ) -> Self {
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (machine, assessment) = (state.machine(at), azure.assessment.as_ref());
        let missing = assessment.map_or(0, |it| it.available.count_ones(..));
        let treated = azure.installations.iter().flat_map(patch_result::states);
        let mut found = assessment.into_iter().flat_map(|it| it.available.ones());
        let is_odd = found.any(|place| {
            let print = prints.get(machine.system, place);
            !print.is_some_and(|it| it.is_alone) || machine.patches.strange(place).is_some()
        });
        Self {
            assessed: assessment.map(|it| nanoseconds(it.ended)),
            missing: narrow(missing),
            first: azure.installations.iter().map(|it| nanoseconds(it.started)).min(),
            installations: narrow(azure.installations.len()),
            treated: narrow(treated.map(|(_, places)| places.count_ones(..)).sum()),
            system: machine.system,
            reboot_pending: assessment.is_some_and(|it| it.reboot_pending),
            is_odd,
            is_treated_oddly: treated_rows.is_none(),
        }
    }
}

/// What the assessment of a machine found.
fn findings(state: &State, at: MachineIx, azure: &AzureSide, prints: &Prints) -> Vec<Finding> {
    let prints = prints.of(state.machine(at).system);
    let turn = |place: usize| prints.get(place).map_or(0, |it| it.turn);
    let all = azure.assessment.iter().flat_map(|it| it.available.ones());
    let all = all.filter_map(|place| Some((u32::try_from(place).ok()?, turn(place))));
    let found = all.map(|(place, turn)| Finding { place, state: 0, turn });
    let mut found: Vec<Finding> = found.collect();
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|at| found.get(*at).map(|it| it.turn));
    for (turn, at) in (0..).zip(order) {
        if let Some(finding) = found.get_mut(at) {
            finding.turn = turn;
        }
    }
    found
}

/// The rows of all installations of a machine. None where rows of patches are other than those of
/// their patches on other machines, or ids do not tell rows apart.
fn treated(
    state: &State,
    at: MachineIx,
    azure: &AzureSide,
    prints: &Prints,
) -> Option<Vec<Finding>> {
    let prints = prints.of(state.machine(at).system);
    // What a row stands by in the order of ids: activities are all of one length.
    let mut keys: Vec<(&str, Option<u32>)> = Vec::new();
    let mut rows = Vec::new();
    for it in &azure.installations {
        keys.push((&*it.activity, None));
        rows.push(Finding::result());
        for (state, (_, places)) in (0..).zip(patch_result::states(it)) {
            for place in places.ones() {
                let print = prints.get(place).filter(|it| it.is_alone)?;
                keys.push((&*it.activity, Some(print.turn)));
                rows.push(Finding { place: u32::try_from(place).ok()?, state, turn: 0 });
            }
        }
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|row| keys.get(*row));
    let twins = |pair: &[usize]| {
        pair.first().map(|it| keys.get(*it)) == pair.last().map(|it| keys.get(*it))
    };
    let lengths = || azure.installations.iter().map(|it| it.activity.len());
    if order.windows(2).any(twins) || lengths().min() != lengths().max() {
        return None;
    }
    for (turn, row) in (0..).zip(order) {
        rows.get_mut(row)?.turn = turn;
    }
    Some(rows)
}

impl Census {
    /// Counts every machine.
    pub(super) fn new(state: &State) -> Self {
        let mut places = vec![u32::MAX; state.machines.len()];
        let mut census = Self::default();
        let mut words = Arc::new(Words::new(state));
        let prints = Prints::new(state);
        let mut folders = Vec::new();
        for subscription in state.subscriptions.iter() {
            let mut folder = Folder::default();
            folder.groups.resize(subscription.groups.len(), Group::default());
            let (mut tallies, mut facets) = (Chunks::default(), Chunks::default());
            let (mut found, mut done) = (Findings::default(), Findings::default());
            let mut written = Chunks::default();
            for (place, at) in subscription.machines.iter().enumerate() {
                let Ok(azure) = side(state, *at) else { continue };
                let kind = Kind::of(&azure.kind);
                folder.kinds.push(kind);
                folder.names.push(&azure.name);
                let rows = treated(state, *at, azure, &prints);
                tallies.push(Tally::of(state, *at, azure, &prints, rows.as_deref()));
                found.push(&findings(state, *at, azure, &prints));
                done.push(rows.as_deref().unwrap_or_default());
                facets.push(Facets::of(state, *at, azure, &mut words));
                written.push(Written::default());
                if let Some(group) = folder.groups.get_mut(usize::from(azure.group)) {
                    if group.end == 0 {
                        group.start = place;
                    }
                    group.end = place + 1;
                    if let Some(count) = group.counts.get_mut(kind as usize) {
                        *count += 1;
                    }
                }
                if let Some(known) = places.get_mut(at.0 as usize) {
                    *known = u32::try_from(place).unwrap_or(u32::MAX);
                }
            }
            folders.push(folder);
            census.tallies.push(tallies);
            census.facets.push(facets);
            census.findings.push(found);
            census.treated.push(done);
            census.written.push(written);
        }
        census.folders = Arc::new(folders);
        census.places = Arc::new(places);
        census.words = words;
        census.prints = Arc::new(prints);
        census
    }

    pub(super) fn folder(&self, at: SubIx) -> Option<&Folder> {
        self.folders.get(usize::from(at.0))
    }

    pub(super) fn tallies(&self, at: SubIx) -> Option<&Chunks<Tally>> {
        self.tallies.get(usize::from(at.0))
    }

    pub(super) fn findings(&self, at: SubIx) -> Option<&Findings> {
        self.findings.get(usize::from(at.0))
    }

    /// What was installed on the machines of a subscription.
    pub(super) fn treated(&self, at: SubIx) -> Option<&Findings> {
        self.treated.get(usize::from(at.0))
    }

    /// What the machines of a subscription have in common with others.
    pub(super) fn facets(&self, at: SubIx) -> Option<&Chunks<Facets>> {
        self.facets.get(usize::from(at.0))
    }

    /// What is shown of the machines of a subscription.
    pub(super) fn written(&self, at: SubIx) -> Option<&Chunks<Written>> {
        self.written.get(usize::from(at.0))
    }

    /// The place of a machine in its folder.
    pub(super) fn place(&self, at: MachineIx) -> Option<usize> {
        let place = *self.places.get(at.0 as usize)?;
        (place < u32::MAX).then_some(place as usize)
    }

    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    pub(super) fn prints(&self) -> &Prints {
        &self.prints
    }

    /// The order of the machines of a world; names and ids stay as they are.
    pub(super) fn order(&self, state: &State) -> &Order {
        self.order.get_or_init(|| Order::of(state, &self.prints))
    }

    fn recount(&mut self, state: &State, at: MachineIx, azure: &AzureSide) {
        let Some(place) = self.place(at) else { return };
        let folder = usize::from(azure.subscription.0);
        let rows = treated(state, at, azure, &self.prints);
        if let Some(all) = self.tallies.get_mut(folder) {
            renew(all, place, Tally::of(state, at, azure, &self.prints, rows.as_deref()));
        }
        if let Some(all) = self.treated.get_mut(folder) {
            all.set(place, rows.as_deref().unwrap_or_default());
        }
        if let Some(all) = self.findings.get_mut(folder) {
            all.set(place, &findings(state, at, azure, &self.prints));
        }
        if let Some(all) = self.facets.get_mut(folder) {
            renew(all, place, Facets::of(state, at, azure, &mut self.words));
        }
        if let Some(all) = self.written.get_mut(folder)
            && all.get(place).is_some_and(Written::is_used)
            && let Some(known) = all.get_mut(place)
        {
            *known = Written::default();
        }
    }
}

fn renew<T: Clone + PartialEq>(all: &mut Chunks<T>, place: usize, new: T) {
    // What stays as it is need not be copied under a picture.
    if all.get(place).is_some_and(|it| *it != new)
        && let Some(known) = all.get_mut(place)
    {
        *known = new;
    }
}

/// The order of all machines by a text of theirs.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    /// By folder and place, how many different texts are before a machine's own.
    pub(super) of: Vec<Vec<u32>>,
    /// Of each text a machine that has it, by folder and place.
    pub(super) firsts: Vec<[usize; 2]>,
}

/// The order of all machines by their names, and by their ids.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) names: Ranks,
    pub(super) ids: Ranks,
    /// By their ids in lower case.
    pub(super) lower: Ranks,
    /// Whether no id in lower case has in it what stands between one and what was found or done.
    pub(super) distinct: bool,
    /// Every machine, by folder and place, in the order of the ids of what belongs to it. None where
    /// machines have one id.
    pub(super) owners: Option<Vec<[usize; 2]>>,
    /// The order of all patches by their ids, by system and place.
    pub(super) patches: Vec<Vec<u32>>,
}

/// What stands behind the id of a machine in those of what was found and done on it, in lower case.
pub(super) const ABOVE: [&str; 2] = ["/patchassessmentresults", "/patchinstallationresults"];

impl Order {
    fn of(state: &State, prints: &Prints) -> Self {
        let all = || (0..).zip(state.subscriptions.iter());
        let sides = || {
            all().flat_map(|(folder, it)| {
                let machines = (0..).zip(&it.machines);
                machines
                    .filter_map(move |(place, at)| Some(([folder, place], side(state, *at).ok()?)))
            })
        };
        let lengths: Vec<usize> = all().map(|(_, it)| it.machines.len()).collect();
        let names = sides().map(|(place, azure)| (&*azure.name, place)).collect();
        let mut ids: Vec<(String, [usize; 2])> =
            sides().map(|(place, azure)| (state.vm_resource_id(azure), place)).collect();
        let all_lower: Vec<(String, [usize; 2])> =
            ids.iter().map(|(id, place)| (id.to_lowercase(), *place)).collect();
        // Whether a text beyond ASCII is the same in lower case depends on what is behind it.
        let is_distinct = |id: &str| id.is_ascii() && !ABOVE.iter().any(|it| id.contains(it));
        let distinct = all_lower.iter().all(|(id, _)| is_distinct(id));
        let ranked = |all: &[(String, [usize; 2])]| {
            ranks(&lengths, all.iter().map(|(id, place)| (&**id, *place)).collect())
        };
        let (texts, lower) = (ranked(&ids), ranked(&all_lower));
        let names = ranks(&lengths, names);
        // What belongs to `web` is behind what belongs to `web-a`, though `web` itself is before it.
        for (id, _) in &mut ids {
            id.push('/');
        }
        ids.sort_unstable();
        let are_unique = ids.is_sorted_by(|(left, _), (right, _)| left < right);
        let owners = are_unique.then(|| ids.into_iter().map(|(_, place)| place).collect());
        let systems = || (0..).zip(prints.systems());
        let patches = systems().flat_map(|(system, all)| {
            (0..).zip(all).map(move |(place, print)| (print.id(), [system, place]))
        });
        let lengths: Vec<usize> = systems().map(|(_, it)| it.len()).collect();
        let patches = ranks(&lengths, patches.collect()).of;
        Self { names, ids: texts, lower, distinct, owners, patches }
    }
}

fn ranks(lengths: &[usize], mut texts: Vec<(&str, [usize; 2])>) -> Ranks {
    let mut ranks: Vec<Vec<u32>> = lengths.iter().map(|length| vec![0; *length]).collect();
    texts.sort_unstable();
    let (mut firsts, mut last) = (Vec::new(), None);
    for (text, at) in texts {
        if last != Some(text) {
            firsts.push(at);
        }
        last = Some(text);
        let [folder, place] = at;
        if let Some(own) = ranks.get_mut(folder).and_then(|it| it.get_mut(place)) {
            *own = u32::try_from(firsts.len() - 1).unwrap_or(u32::MAX);
        }
    }
    Ranks { of: ranks, firsts }
}

impl State {
    /// Counts the machines anew that may have changed.
    pub(super) fn recount(&mut self) {
        let touched = self.machines.take_touched();
        let mut census = std::mem::take(&mut self.azure.census);
        for at in touched {
            if let Some(azure) = &self.machine(at).azure {
                census.recount(self, at, azure);
            }
        }
        self.azure.census = census;
    }
}
