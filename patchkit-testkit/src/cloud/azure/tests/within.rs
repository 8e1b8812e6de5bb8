//! What is asked for by the beginnings of ids, held against a look at every row.

use super::{
    super::graph::{Hints, Query, Rows, Scan, Table},
    alike::{cloud, stir},
    joined::work,
};
use crate::{
    cloud::{
        azure::rows::{Hidden, World},
        world::machine::SubIx,
    },
    rng::Rng,
};

#[test]
fn rows_of_few_machines_are_found_without_a_look_at_the_others() {
    let cloud = cloud(21);
    let mut rng = Rng::stream(21, 3, 8);
    let mut found = 0;
    for _ in 0..12 {
        stir(&cloud, &mut rng);
        work(&cloud, &mut rng);
        let world = World::of(&mut cloud.0.settled(), vec![SubIx(0), SubIx(1)], Hidden::new());
        let now = world.now();
        let ids: Vec<String> = {
            let state = cloud.0.settled();
            let mut id = || {
                let of = rng.index(2);
                let at = *rng.pick(&state.subscriptions[of].machines);
                state.vm_resource_id(super::side(&state, at).unwrap())
            };
            vec![id(), id().to_lowercase(), id().to_uppercase()]
        };
        let [a, b, c] = [&ids[0], &ids[1], &ids[2]];
        // What ends within a name is the beginning of many.
        let many = a.trim_end_matches(|it: char| it.is_ascii_digit());
        for table in ["patchassessmentresources", "patchinstallationresources", "resources"] {
            for condition in [
                format!("id startswith '{a}/'"),
                format!("id startswith '{b}/patch'"),
                format!("id startswith '{c}/' or id startswith '{a}/' or id startswith '{b}/'"),
                format!("id startswith '{a}/patchAssessmentResults/latest/softwarePatches/'"),
                format!("id startswith_cs '{a}/' and type has 'softwarepatches'"),
                format!("id startswith '{many}'"),
                format!("id startswith '{many}' and id startswith '{b}/'"),
                format!("id startswith '{a}x/'"),
                format!("id startswith '{a}/' or name has 'latest'"),
                format!("id !startswith '{a}/'"),
            ] {
                let ask = |condition: &str| {
                    let text = format!("{table} | where {condition} | project id, properties");
                    Query::parse(&text).unwrap().run(&world, now).unwrap().rows
                };
                let rows = ask(&condition);
                assert_eq!(
                    rows,
                    ask(&condition
                        .replace("id s", "tolower(id) s")
                        .replace("startswith_cs '", "startswith '")),
                    "{table}: {condition}"
                );
                found += usize::from(table != "resources" && !rows.is_empty());
            }
        }
    }
    assert!(found > 20, "{found}");
}

#[test]
fn rows_that_no_machine_is_asked_for_of_are_not_given() {
    let cloud = cloud(22);
    let world = World::of(&mut cloud.0.settled(), vec![SubIx(0), SubIx(1)], Hidden::new());
    let count = |hints: &Hints| {
        let mut count = 0;
        world.scan(Scan::new(Table::PatchAssessmentResources, hints), &mut |_| {
            count += 1;
            std::ops::ControlFlow::Continue(())
        });
        count
    };
    let all = count(&Hints::default());
    let id = {
        let state = cloud.0.settled();
        let mut all = state.subscriptions[0].machines.iter();
        let at = all.find(|at| super::side(&state, **at).unwrap().assessment.is_some()).unwrap();
        state.vm_resource_id(super::side(&state, *at).unwrap()).to_lowercase()
    };
    let hints = Hints { beginnings: Some(vec![format!("{id}/")]), ..Hints::default() };
    let few = count(&hints);
    assert!(few > 0 && few < all / 10, "{few} of {all}");
    assert!(!world.blocks(Table::PatchAssessmentResources, &hints, &mut |_| {}));
}
