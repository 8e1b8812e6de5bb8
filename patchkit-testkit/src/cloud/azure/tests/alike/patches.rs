//! Rows of assessments, installations and their patches, held against rows that are made anew.

use fixedbitset::FixedBitSet;
use patchkit_core::{ComplianceLevel, PatchState};

use super::{
    super::super::{
        graph::{Path, Pick, RowSet},
        patch_result::{self, Named},
        reply::stamp_z,
        tenant, vm,
    },
    *,
};
use crate::cloud::world::{
    clock::earlier,
    machine::{AzureKind, AzureSide, MachineIx, Told},
};

const DAY: Duration = Duration::from_hours(24);
const TABLES: [Table; 2] = [Table::PatchAssessmentResources, Table::PatchInstallationResources];
const VM_PATCHES: &str = "microsoft.compute/virtualmachines/patchassessmentresults/softwarepatches";

/// The rows of the patch tables from the state alone, without anything that is kept of them, in the order
/// of the ids of their machines.
struct Plain<'s> {
    state: &'s State,
    hidden: &'s Hidden,
    rows: RowSet,
}

impl Plain<'_> {
    fn of(state: &State, hidden: &Hidden) -> RowSet {
        let mut plain = Plain { state, hidden, rows: RowSet::new() };
        let machines = state.subscriptions.iter().flat_map(|it| &it.machines);
        let sides = machines.map(|at| (*at, super::super::side(state, *at).unwrap()));
        let mut sides: Vec<_> = sides.collect();
        sides.sort_by_key(|(_, azure)| state.vm_resource_id(azure));
        for (at, azure) in sides {
            plain.machine(azure.subscription, at, azure);
        }
        plain.rows
    }

    fn machine(&mut self, sub: SubIx, at: MachineIx, azure: &AzureSide) {
        let (state, id) = (self.state, self.state.vm_resource_id(azure));
        let is_old = |then, days| then < earlier(state.now, DAY * days);
        if matches!(azure.kind, AzureKind::Uniform { .. }) {
            return;
        }
        let system = state.system_of(at);
        let software = |place: usize| {
            let Some(patch) = system.patches.get(place) else { return (String::new(), json!({})) };
            let Named { id, name, version, kb, class } = Named::of(patch, system);
            let mut it = json!({"patchId": id, "patchName": name, "classifications": [class]});
            if let Some(version) = version {
                it["version"] = json!(version);
            }
            if let Some(kb) = kb {
                it["kbId"] = json!(kb);
            }
            (id, it)
        };
        if let Some(it) = azure.assessment.as_ref().filter(|it| !is_old(it.ended, 7)) {
            let table = Table::PatchAssessmentResources;
            let counts = patch_result::count(state, at, &it.available);
            let counts: HashMap<_, _> = counts.map(|(key, it)| (key, it.unwrap_or(0))).collect();
            let id = format!("{id}/patchAssessmentResults/latest");
            let properties = json!({
                "assessmentActivityId": it.activity,
                "rebootPending": it.reboot_pending,
                "patchServiceUsed": patch_result::service(state, at, '-'),
                "osType": vm::os_type(state, at),
                "startDateTime": stamp_z(it.started),
                "lastModifiedDateTime": stamp_z(it.ended),
                "startedBy": it.started_by,
                "errorDetails": null,
                "status": "Succeeded",
                "availablePatchCountByClassification": counts,
            });
            self.push(
                table,
                sub,
                azure,
                [&id, &it.activity, "patchassessmentresults"],
                &properties,
            );
            for place in it.available.ones() {
                let (patch, mut properties) = software(place);
                let released = system.patches.get(place).and_then(|it| it.released_at);
                let released = released.filter(|_| system.is_windows()).map(stamp_z);
                properties["rebootRequired"] = json!(State::needs_boot(place));
                properties["rebootBehavior"] = json!(patch_result::reboot_behavior(place));
                let word = state.machine(at).patches.strange(place).unwrap_or("Available");
                properties["assessmentState"] = json!(word);
                properties["lastModifiedDateTime"] = json!(stamp_z(it.ended));
                properties["publishedDateTime"] = json!(released);
                let id = format!("{id}/softwarePatches/{patch}");
                let kind = "patchassessmentresults/softwarepatches";
                self.push(table, sub, azure, [&id, &patch, kind], &properties);
            }
        }
        for it in azure.installations.iter().filter(|it| !is_old(it.started, 30)) {
            let table = Table::PatchInstallationResources;
            let id = format!("{id}/patchInstallationResults/{}", it.activity);
            let failures = patch_result::failures(state, at, it);
            let errors = (!failures.is_empty()).then(|| patch_result::errors(&failures));
            let modified = stamp_z(it.ended.unwrap_or(state.now));
            let mut properties = json!({
                "installationActivityId": it.activity,
                "status": it.status,
                "maintenanceWindowExceeded": it.window_exceeded,
                "rebootStatus": it.reboot_status,
                "startDateTime": stamp_z(it.started),
                "lastModifiedDateTime": modified,
                "startedBy": it.started_by,
                "osType": vm::os_type(state, at),
                "maintenanceRunId": it.maintenance_run,
                "errorDetails": errors,
            });
            for (key, count) in patch_result::installation_counts(it).as_object().unwrap() {
                properties[key] = count.clone();
            }
            let kind = "patchinstallationresults";
            self.push(table, sub, azure, [&id, &it.activity, kind], &properties);
            let words = ["Installed", "Failed", "Pending", "Excluded", "NotSelected"];
            let states = [&it.installed, &it.failed, &it.pending, &it.excluded, &it.not_selected];
            for (word, places) in words.into_iter().zip(states) {
                for place in places.ones() {
                    let (patch, mut properties) = software(place);
                    properties["installationState"] = json!(word);
                    properties["rebootBehavior"] = json!(patch_result::reboot_behavior(place));
                    properties["lastModifiedDateTime"] = json!(modified);
                    let id = format!("{id}/softwarePatches/{patch}");
                    let kind = "patchinstallationresults/softwarepatches";
                    self.push(table, sub, azure, [&id, &patch, kind], &properties);
                }
            }
        }
    }

    fn push(
        &mut self,
        table: Table,
        sub: SubIx,
        azure: &AzureSide,
        [id, name, kind]: [&str; 3],
        properties: &Value,
    ) {
        let kind = match azure.kind {
            AzureKind::Arc => format!("microsoft.hybridcompute/machines/{kind}"),
            _ => format!("microsoft.compute/virtualmachines/{kind}"),
        };
        let kind = World::kinds().find(|it| *it == kind).unwrap();
        if self.hidden.contains(&(sub, kind)) {
            return;
        }
        let subscription = self.state.subscription(sub);
        let group = &subscription.groups[usize::from(azure.group)];
        let row = json!({
            "id": id,
            "name": name,
            "type": kind,
            "tenantId": tenant(self.state.seed),
            "kind": "",
            "location": vm::location_of(self.state, azure),
            "resourceGroup": group.name.to_lowercase(),
            "subscriptionId": &*subscription.id,
            "managedBy": "",
            "properties": properties,
        });
        self.rows.push(table, row);
    }
}

/// What happens to machines.
#[derive(Clone, Copy)]
enum Course {
    /// They are assessed and patched.
    Usual,
    /// Someone names states besides, patches are replaced, and months pass.
    Odd,
}

fn patch(cloud: &Cloud, rng: &mut Rng, course: Course) {
    let acts = match course {
        Course::Usual => 4,
        Course::Odd => 6,
    };
    for _ in 0..8 {
        let (at, id) = {
            let state = cloud.0.settled();
            let sub = rng.index(2);
            let at = *rng.pick(&state.subscriptions[sub].machines);
            (at, state.vm_resource_id(super::super::side(&state, at).unwrap()))
        };
        let order = super::super::order("PT2H");
        match rng.below(acts) {
            0 | 1 => drop(cloud.post(&format!("{id}/assessPatches"), &Value::Null)),
            2 | 3 => drop(cloud.post(&format!("{id}/installPatches"), &order)),
            4 => {
                let state = PatchState::Other("Superseded".into());
                let told = Told { state, level: ComplianceLevel::High };
                let mut state = cloud.0.settled();
                state.machine_mut(at).patches.told = Some(vec![told; 7].into());
            }
            _ => {
                // A find of patches that were replaced in the meantime.
                let mut state = cloud.0.settled();
                let side = state.machine_mut(at).azure.as_mut().unwrap();
                if let Some(it) = &mut side.assessment {
                    let mut places: Vec<usize> = it.available.ones().collect();
                    places.push(70);
                    let mut available = FixedBitSet::with_capacity(71);
                    available.extend(places);
                    Arc::make_mut(it).available = available;
                }
            }
        }
    }
    cloud.advance(match course {
        Course::Odd if rng.percent(25) => DAY * 31,
        _ if rng.percent(20) => DAY * 4,
        _ => Duration::from_mins(rng.below(90)),
    });
}

fn pictures(seed: u64, course: Course, mut look: impl FnMut(World, RowSet, &Hidden)) {
    let cloud = cloud(seed);
    let mut rng = Rng::stream(seed, 3, 7);
    for round in 0..8 {
        let hidden: Hidden = match round % 3 {
            2 => [(SubIx(0), VM_PATCHES)].into(),
            _ => Hidden::new(),
        };
        let (world, plain) = {
            let mut state = cloud.0.settled();
            let world = World::of(&mut state, vec![SubIx(0), SubIx(1)], hidden.clone());
            (world, Plain::of(&state, &hidden))
        };
        look(world, plain, &hidden);
        super::stir(&cloud, &mut rng);
        patch(&cloud, &mut rng, course);
    }
}

#[test]
fn queries_of_patches_are_answered_as_over_rows_that_are_made_anew() {
    let queries = [
        "T",
        "T | project id, properties | order by id asc",
        "T | project id, properties | order by id desc",
        "T | order by name asc, id desc | project id, name",
        "T | order by name desc | project id, name",
        "T | where type endswith 'softwarepatches' | order by name asc | project id, name, properties",
        "T | where type endswith 'softwarepatches' | order by name desc, id asc | project id",
        "T | where type endswith 'softwarepatches' | order by id desc | take 17",
        "T | where type =~ 'microsoft.compute/virtualmachines/patchassessmentresults/softwarepatches' \
         | extend kb = properties.kbId, class = properties.classifications[0], \
         name = properties.patchName, at = properties.lastModifiedDateTime | order by id asc",
        "T | where properties.classifications has 'Critical' | project id, properties",
        "T | where properties.classifications has 'Security' | order by id desc | project id, type",
        "T | where properties.assessmentState == 'Superseded' | project id, properties",
        "T | where isempty(properties.kbId) and location != '' | order by id asc | project id, location",
        "T | where properties.rebootPending == true | project id, properties",
        "T | where properties.osType =~ 'Windows' and properties.status == 'Succeeded' | order by id asc",
        "T | where properties.patchServiceUsed has 'APT' | project id | order by id desc",
        "T | where properties.availablePatchCountByClassification.security > 0 | project id, name",
        "T | where name startswith 'o' or name contains '-' | project id, name",
        "T | where properties.lastModifiedDateTime > ago(1d) | project id, properties.patchName",
        "T | where properties.rebootRequired == true | extend properties = tostring(properties) \
         | project id, properties",
        "T | summarize count() by tostring(properties.patchName)",
        "T | summarize count(), dcount(resourceGroup) by tostring(properties.classifications), \
         tostring(properties.rebootBehavior), type",
        "T | summarize count() by tostring(properties.installationState), tostring(properties.status)",
        "T | summarize count(), min(name) by tostring(properties.rebootPending), location",
        "T | summarize count() by tostring(properties.lastModifiedDateTime)",
        "T | where type endswith 'results' | order by tostring(properties.osType) desc, id asc | project id",
        "T | count",
        "T | distinct tostring(properties.patchId), type | order by type asc, properties_patchId asc",
    ];
    let mut known = HashMap::new();
    for (seed, course) in [(20, Course::Usual), (21, Course::Usual), (22, Course::Odd)] {
        pictures(seed, course, |world, plain, _| {
            let now = world.now();
            for table in TABLES {
                let hints = Hints::default();
                let rows = world.sorted(Scan::new(table, &hints), "id").map(|it| it.len());
                *known.entry((table, rows.is_some_and(|it| it > 20))).or_insert(0) += 1;
            }
            let rows: Arc<dyn Rows + Send + Sync> = Arc::new(world);
            for text in
                queries.iter().flat_map(|it| TABLES.map(|table| it.replacen('T', table.name(), 1)))
            {
                let (made, whole) = (opened(&rows, now, &text), whole(&plain, now, &text));
                // Without ids there is one page.
                assert!(made.len() == whole.len() || made.len() == 90, "{seed}: {text}");
                assert_eq!(made, whole[..made.len()], "{seed}: {text}");
            }
        });
    }
    // Both ways were gone.
    for table in TABLES {
        assert!(known[&(table, true)] > 3 && known[&(table, false)] > 1, "{known:?}");
    }
}

#[test]
fn what_is_shown_of_a_patch_is_what_is_looked_at() {
    let (mut patches, mut results) = (0, 0);
    pictures(30, Course::Odd, |world, _, _| {
        let hints = Hints::default();
        for table in TABLES {
            world.scan(Scan::new(table, &hints), &mut |record| {
                let Field::Document(document) = record.column("properties") else { panic!("none") };
                let mut found = Vec::new();
                paths(&document, &mut Vec::new(), &mut found);
                found.push(Path::new(["no such".to_owned(), "member".to_owned()]));
                for path in found {
                    let whole = record.column("properties").at(&path);
                    assert_eq!(record.member("properties", &path), whole, "{path:?}");
                }
                let mut json = Vec::new();
                if record.write("properties", &Path::default(), &mut json) {
                    let written: Value = serde_json::from_slice(&json).unwrap();
                    assert_eq!(written, *document);
                    // All but assessments are written in the order of their members.
                    let is_patch = document.get("patchName").is_some();
                    let is_ordered = document.get("assessmentActivityId").is_none();
                    assert!(!is_ordered || document.to_string().as_bytes() == json);
                    patches += usize::from(is_patch);
                    results += usize::from(!is_patch);
                }
                let mut id = Vec::new();
                if record.write("id", &Path::default(), &mut id) {
                    let Field::Text(text) = record.column("id") else { panic!("none") };
                    assert_eq!(id, json!(text).to_string().as_bytes());
                }
                ControlFlow::Continue(())
            });
        }
    });
    assert!(patches > 400 && results > 500, "{patches} {results}");
}

#[test]
fn patches_of_one_kind_have_the_same_value_in_what_is_looked_at() {
    let looks = [
        look("properties", &["classifications"]),
        look("properties", &["patchName"]),
        look("properties", &["kbId"]),
        look("properties", &["rebootPending"]),
        look("properties", &["patchServiceUsed"]),
        look("properties", &["rebootRequired"]),
        look("properties", &["status"]),
        look("location", &[]),
        look("type", &[]),
    ];
    let cloud = cloud(40);
    let world = world(&cloud);
    let mut known = 0;
    for kinds in
        [&[][..], &[VM_PATCHES], &["microsoft.hybridcompute/machines/patchassessmentresults"]]
    {
        let types = (!kinds.is_empty()).then(|| kinds.iter().map(|it| (*it).into()).collect());
        let hints = Hints { types, ..Hints::default() };
        let scan = Scan::new(Table::PatchAssessmentResources, &hints);
        for look in &looks {
            let alike = world.alike(scan, std::slice::from_ref(look)).unwrap();
            let mut values: HashMap<u16, String> = HashMap::new();
            let mut kinds = alike.kinds.iter();
            world.scan(scan, &mut |record: &dyn Record<'_>| {
                let value = if look.path.is_empty() {
                    record.column(look.column)
                } else {
                    record.member(look.column, &look.path)
                };
                let value = format!("{value:?}").replace("Owned", "Borrowed");
                let first = values.entry(*kinds.next().unwrap()).or_insert_with(|| value.clone());
                assert_eq!(*first, value, "{look:?}");
                ControlFlow::Continue(())
            });
            assert_eq!((kinds.next(), values.len()), (None, alike.firsts.len()), "{look:?}");
            known += alike.firsts.len();
            // The first of each kind is the row of that number.
            let mut numbers = alike.firsts.iter();
            let pick = Pick::These(&alike.firsts);
            world.scan(Scan { pick, ..scan }, &mut |_| {
                numbers.next().unwrap();
                ControlFlow::Continue(())
            });
            assert_eq!(numbers.next(), None);
        }
        for own in [
            look("id", &[]),
            look("properties", &[]),
            look("properties", &["lastModifiedDateTime"]),
        ] {
            assert_eq!(world.alike(scan, &[own]), None);
        }
    }
    assert!(known > 100, "{known}");
}

// Of `web1` and `web1-a` the first is before the other, and what belongs to it is behind: `/` comes
// after `-`.
#[test]
fn the_order_of_patches_by_id_is_that_of_their_texts() {
    let cloud = cloud(41);
    {
        let mut state = cloud.0.settled();
        let all = state.subscriptions[0].machines.clone();
        let group = |at: &MachineIx| {
            let azure = super::super::side(&state, *at).unwrap();
            let found = azure.assessment.as_ref().map_or(0, |it| it.available.count_ones(..));
            (matches!(azure.kind, AzureKind::Vm) && found > 1).then_some(azure.group)
        };
        let two: Vec<MachineIx> = (0..u16::MAX)
            .map(|number| all.iter().filter(|at| group(at) == Some(number)).copied().collect())
            .find(|all: &Vec<MachineIx>| all.len() > 1)
            .unwrap();
        for (at, name) in two.into_iter().zip(["web1", "web1-a"]) {
            state.machine_mut(at).azure.as_mut().unwrap().name = name.into();
        }
        state.index_azure();
    }
    let world = world(&cloud);
    let types = |kinds: &[&str]| Some(kinds.iter().map(|it| (*it).into()).collect());
    for (types, columns) in [
        (None, &["id"][..]),
        (types(&[VM_PATCHES]), &["id", "name"]),
        (types(&["microsoft.compute/virtualmachines/patchassessmentresults"]), &["id"]),
    ] {
        let hints = Hints { types, ..Hints::default() };
        let scan = Scan::new(Table::PatchAssessmentResources, &hints);
        for column in columns {
            let mut texts = Vec::new();
            world.scan(scan, &mut |record| {
                if let Field::Text(text) = record.column(column) {
                    texts.push(text.into_owned());
                }
                ControlFlow::Continue(())
            });
            let ranks = world.ranks(scan, column).unwrap();
            assert_eq!(texts.len(), ranks.len());
            let mut order: Vec<usize> = (0..texts.len()).collect();
            order.sort_by_key(|at| ranks[*at]);
            for pair in order.windows(2) {
                let [left, right] = [pair[0], pair[1]];
                let (texts, ranks) =
                    (&texts[left].cmp(&texts[right]), &ranks[left].cmp(&ranks[right]));
                assert_eq!(texts, ranks);
            }
            if *column == "id" {
                assert!(texts.iter().any(|it| it.contains("/web1-a/")));
                let sorted = world.sorted(scan, column).unwrap().into_each();
                assert!(sorted.iter().map(|it| *it as usize).eq(order));
            } else {
                assert_eq!(world.sorted(scan, column), None);
            }
        }
    }
}
