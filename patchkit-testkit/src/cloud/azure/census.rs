//! What Resource Graph has of which machine: known without a look at the machines.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use super::{
    facets::{Facets, Words},
    findings::{Finding, Findings},
    graph::{Table, Texts},
    patch_result,
    rows::{Prints, Report, Written},
    side,
    tally::{Tallies, Tally},
};
use crate::cloud::world::{
    State,
    machine::{AzureKind, AzureSide, MachineIx, SubIx},
    machines::Chunks,
};

/// The rows of all machines, by subscription. A copy shares what has not changed since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    folders: Arc<Vec<Folder>>,
    /// What was found on machines, in the order of their folder, and what was done.
    found: Vec<Outcomes>,
    treated: Vec<Outcomes>,
    /// What they have in common with others, in the same order.
    facets: Vec<Chunks<Facets>>,
    words: Arc<Words>,
    /// What rows show of the patches of all systems.
    prints: Arc<Prints>,
    /// What is shown of them, in the same order, and of their assessments.
    written: Vec<Chunks<Written>>,
    reports: Vec<Chunks<Report>>,
    /// Their order by name and by id, once someone asks.
    order: Arc<OnceLock<Order>>,
    /// The place of a machine in its folder.
    places: Arc<Vec<u32>>,
}

/// The rows that a table of patches has of the machines of a folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    pub(super) tallies: Tallies,
    /// The patches of each assessment, or each installation with its patches behind it.
    pub(super) rows: Findings,
}

/// The machines of a subscription, in the order in which they are answered: that of their ids.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) names: Names,
    /// In the order of their machines.
    pub(super) groups: Vec<Group>,
}

/// Names side by side.
#[derive(Debug, Default)]
pub(super) struct Names {
    all: String,
    ends: Vec<usize>,
}

impl Names {
    pub(super) fn push(&mut self, name: &str) {
        self.all.push_str(name);
        self.ends.push(self.all.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, at: usize) -> Option<&str> {
        self.piece(at..at + 1).get(0)
    }

    /// Those at some places.
    pub(super) fn piece(&self, places: Range<usize>) -> Texts<'_> {
        let begin = places.start.checked_sub(1).and_then(|it| self.ends.get(it)).copied();
        let ends = self.ends.get(places).unwrap_or_default();
        Texts::new(&self.all, begin.unwrap_or(0), ends)
    }
}

/// Subscriptions in the order of the ids of what is in them.
pub(super) fn in_order(state: &State, mut all: Vec<SubIx>) -> Vec<SubIx> {
    all.sort_by_cached_key(|at| format!("{}/", state.subscription(*at).id));
    all
}

/// The machines of a resource group: a piece of its folder. Virtual machines come first, then those of
/// Arc, and then what is no resource of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    /// Its place among the groups of its subscription.
    pub(super) number: usize,
    start: usize,
    /// How many of them are virtual machines, and how many of Arc.
    pub(super) counts: [usize; 2],
}

impl Group {
    /// The places of its virtual machines, and of those of Arc.
    pub(super) fn places(&self) -> [Range<usize>; 2] {
        let [vms, arcs] = self.counts;
        let middle = self.start + vms;
        [self.start..middle, middle..middle + arcs]
    }
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
        match kind.turn() {
            0 => Self::Vm,
            1 => Self::Arc,
            _ => Self::None,
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
            let (mut found, mut done) = (Outcomes::default(), Outcomes::default());
            let mut facets = Chunks::default();
            let (mut written, mut reports) = (Chunks::default(), Chunks::default());
            for (place, at) in subscription.machines.iter().enumerate() {
                let Ok(azure) = side(state, *at) else { continue };
                let kind = Kind::of(&azure.kind);
                folder.names.push(&azure.name);
                let rows = treated(state, *at, azure, &prints);
                found.tallies.push(Tally::assessed(state, *at, azure, &prints));
                found.rows.push(&findings(state, *at, azure, &prints));
                done.tallies.push(Tally::treated(state, *at, azure, rows.as_deref()));
                done.rows.push(rows.as_deref().unwrap_or_default());
                facets.push(Facets::of(state, *at, azure, &mut words));
                written.push(Written::default());
                reports.push(Report::default());
                let number = usize::from(azure.group);
                if folder.groups.last().is_none_or(|it| it.number != number) {
                    folder.groups.push(Group { number, start: place, ..Group::default() });
                }
                let group = folder.groups.last_mut();
                if let Some(count) = group.and_then(|it| it.counts.get_mut(kind as usize)) {
                    *count += 1;
                }
                if let Some(known) = places.get_mut(at.0 as usize) {
                    *known = u32::try_from(place).unwrap_or(u32::MAX);
                }
            }
            folders.push(folder);
            census.found.push(found);
            census.treated.push(done);
            census.facets.push(facets);
            census.written.push(written);
            census.reports.push(reports);
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

    /// The place of the first machine of a resource group in the folder of its subscription.
    pub(super) fn first_of(&self, subscription: SubIx, group: u16) -> Option<usize> {
        let mut groups = self.folder(subscription)?.groups.iter();
        groups.find(|it| it.number == usize::from(group)).map(|it| it.start)
    }

    /// What a table of patches has of the machines of a subscription; none where it is another table.
    pub(super) fn outcomes(&self, table: Table, at: SubIx) -> Option<&Outcomes> {
        let all = match table {
            Table::PatchAssessmentResources => &self.found,
            Table::PatchInstallationResources => &self.treated,
            _ => return None,
        };
        all.get(usize::from(at.0))
    }

    /// What the machines of a subscription have in common with others.
    pub(super) fn facets(&self, at: SubIx) -> Option<&Chunks<Facets>> {
        self.facets.get(usize::from(at.0))
    }

    /// What is shown of the machines of a subscription.
    pub(super) fn written(&self, at: SubIx) -> Option<&Chunks<Written>> {
        self.written.get(usize::from(at.0))
    }

    /// What is shown of their assessments.
    pub(super) fn reports(&self, at: SubIx) -> Option<&Chunks<Report>> {
        self.reports.get(usize::from(at.0))
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
        self.order.get_or_init(|| Order::of(state, self))
    }

    fn recount(&mut self, state: &State, at: MachineIx, azure: &AzureSide) {
        let Some(place) = self.place(at) else { return };
        let folder = usize::from(azure.subscription.0);
        let rows = treated(state, at, azure, &self.prints);
        if let Some(all) = self.found.get_mut(folder) {
            all.tallies.set(place, Tally::assessed(state, at, azure, &self.prints));
            all.rows.set(place, &findings(state, at, azure, &self.prints));
        }
        if let Some(all) = self.treated.get_mut(folder) {
            all.tallies.set(place, Tally::treated(state, at, azure, rows.as_deref()));
            all.rows.set(place, rows.as_deref().unwrap_or_default());
        }
        let facets = Facets::of(state, at, azure, &mut self.words);
        if let Some(all) = self.facets.get_mut(folder)
            // What stays as it is need not be copied under a picture.
            && all.get(place).is_some_and(|it| *it != facets)
            && let Some(known) = all.get_mut(place)
        {
            *known = facets;
        }
        // Also what was not written yet: a picture of before may write what it had.
        if let Some(known) = self.written.get_mut(folder).and_then(|it| it.get_mut(place)) {
            *known = Written::default();
        }
        if let Some(known) = self.reports.get_mut(folder).and_then(|it| it.get_mut(place)) {
            *known = Report::default();
        }
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
    /// Whether that is the order of their rows.
    pub(super) is_as_listed: bool,
    /// Whether ids in lower case tell machines apart, and none has in it what stands between one and
    /// what was found or done.
    pub(super) are_distinct: bool,
    /// Every machine, by folder and place, in the order of the ids of what belongs to it. None where
    /// machines have one id.
    pub(super) owners: Option<Vec<[usize; 2]>>,
    /// The order of all patches by their ids, by system and place.
    pub(super) patches: Vec<Vec<u32>>,
}

/// What stands behind the id of a machine in those of what was found and done on it, in lower case.
pub(super) const ABOVE: [&str; 2] = ["/patchassessmentresults", "/patchinstallationresults"];

impl Order {
    fn of(state: &State, census: &Census) -> Self {
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
        let mut lower: Vec<String> = ids.iter().map(|(id, _)| id.to_lowercase()).collect();
        // Whether a text beyond ASCII is the same in lower case depends on what is behind it.
        let is_distinct = |id: &String| id.is_ascii() && !ABOVE.iter().any(|it| id.contains(it));
        let mut are_distinct = lower.iter().all(is_distinct);
        lower.sort_unstable();
        are_distinct &= lower.is_sorted_by(|left, right| left < right);
        let texts = ranks(&lengths, ids.iter().map(|(id, place)| (&**id, *place)).collect());
        let listed = in_order(state, (0..).map(SubIx).take(lengths.len()).collect());
        let listed = listed
            .into_iter()
            .filter_map(|at| Some((census.folder(at)?, texts.of.get(usize::from(at.0))?)));
        let listed = listed.flat_map(|(folder, ranks)| {
            let pieces = folder.groups.iter().flat_map(Group::places);
            pieces.flat_map(|places| ranks.get(places).unwrap_or_default())
        });
        let is_as_listed = listed.is_sorted_by(|left, right| left < right);
        let names = ranks(&lengths, names);
        // What belongs to `web` is behind what belongs to `web-a`, though `web` itself is before it.
        for (id, _) in &mut ids {
            id.push('/');
        }
        ids.sort_unstable();
        let are_unique = ids.is_sorted_by(|(left, _), (right, _)| left < right);
        let owners = are_unique.then(|| ids.into_iter().map(|(_, place)| place).collect());
        let systems = || (0..).zip(census.prints.systems());
        let patches = systems().flat_map(|(system, all)| {
            (0..).zip(all).map(move |(place, print)| (print.id(), [system, place]))
        });
        let lengths: Vec<usize> = systems().map(|(_, it)| it.len()).collect();
        let patches = ranks(&lengths, patches.collect()).of;
        Self { names, ids: texts, is_as_listed, are_distinct, owners, patches }
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
