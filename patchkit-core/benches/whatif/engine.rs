//! PatchKit's half: what an embedder writes.

use std::{
    io::{BufRead as _, Write as _},
    path::Path,
    process::ExitCode,
    time::Instant,
};

use patchkit_core::{
    Presence,
    whatif::{NodeFacts, PatchMatrix, Scenario, forecast, what_if},
};
use serde_json::{Value, json};

use super::{
    Asked,
    data::{Fleet, INSTALLED, OS, baseline_a, baseline_b, blocking, until, when},
};

struct Loaded {
    matrix: PatchMatrix,
    /// The patches without a node.
    bare: PatchMatrix,
    a: Scenario,
    b: Scenario,
    blocking: Scenario,
}

pub(crate) fn main() -> ExitCode {
    let mut loaded = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("what is asked is text");
        let asked = Asked::read(serde_json::from_str(&line).expect("what is asked is JSON"));
        let begun = Instant::now();
        let answer = match asked {
            Asked::Load(task) => {
                loaded = Some(load(&task));
                Value::Null
            }
            Asked::Question(name, times) => {
                let loaded = loaded.as_ref().expect("it was told to load");
                let mut answer = Value::Null;
                (0..times).for_each(|_| answer = ask(loaded, &name));
                answer
            }
        };
        let said = json!({"seconds": begun.elapsed().as_secs_f64(), "answer": answer});
        let mut out = std::io::stdout().lock();
        writeln!(out, "{said}").and_then(|()| out.flush()).expect("there is someone who reads");
    }
    ExitCode::SUCCESS
}

fn ask(loaded: &Loaded, name: &str) -> Value {
    let Loaded { matrix, bare, a, b, blocking } = loaded;
    match name {
        "judge" => json!({"non_compliant": matrix.judge(a).counts().non_compliant}),
        "blocked" => json!({"non_compliant": matrix.judge(blocking).counts().non_compliant}),
        "what_if" => {
            let answer = what_if(matrix, a, b);
            let counts = answer.counts();
            json!({"fall_out": counts.fall_out, "come_in": counts.come_in})
        }
        "forecast" => {
            let days = forecast(matrix, a, until()).days;
            let today = when().as_second().div_euclid(86_400);
            let of_day = |day: &patchkit_core::whatif::ForecastDay| {
                let first = day.non_compliant.first()?;
                let number = 1 + first.at.as_second().div_euclid(86_400) - today;
                Some(json!([number, day.non_compliant.len()]))
            };
            days.iter().filter_map(of_day).collect()
        }
        "decide" => json!(bare.judge(a).counts().non_compliant),
        "bytes" => json!(matrix.bytes()),
        other => panic!("nobody asks {other:?}"),
    }
}

fn load(task: &Value) -> Loaded {
    let number = |name: &str| task[name].as_u64().expect("it is a number");
    let folder = Path::new(task["folder"].as_str().expect("it is a path"));
    let fleet = Fleet {
        nodes: u32::try_from(number("nodes")).expect("it was one"),
        patches: u16::try_from(number("patches")).expect("it was one"),
        seed: number("seed"),
    };
    let read = |name: &str| std::fs::read(folder.join(name)).expect("it was written");
    let (patches, states) = (read("patch.u16"), read("state.u8"));
    let mut nodes = vec![0_usize; fleet.nodes as usize];
    for node in read("node.u32").as_chunks::<4>().0 {
        nodes[u32::from_le_bytes(*node) as usize] += 1;
    }
    let mut builder = PatchMatrix::builder();
    let offered: Vec<_> =
        fleet.all_patches().into_iter().map(|patch| builder.offer(&OS, patch)).collect();
    let mut rows = patches.as_chunks::<2>().0.iter().zip(states);
    for (node, count) in nodes.into_iter().enumerate() {
        let id = format!("aws/111122223333/eu-west-1/i-{node:08}").parse().expect("it is an id");
        let mut facts = NodeFacts::new(id, OS);
        facts.patches.extend(rows.by_ref().take(count).map(|(patch, state)| {
            let presence = if state == INSTALLED { Presence::Installed } else { Presence::Absent };
            (offered[usize::from(u16::from_le_bytes(*patch))], presence)
        }));
        builder.node(facts).expect("no node comes twice");
    }
    let mut bare = PatchMatrix::builder();
    fleet.all_patches().into_iter().for_each(|patch| {
        bare.offer(&OS, patch);
    });
    // A catalogue is decided on where there is a node to hold against it.
    bare.node(NodeFacts::new("aws/1/r/i-0".parse().expect("it is an id"), OS))
        .expect("no node comes twice");
    Loaded {
        matrix: builder.build(),
        bare: bare.build(),
        a: Scenario::new(baseline_a(), when()),
        b: Scenario::new(baseline_b(), when()),
        blocking: Scenario::new(blocking(), when()),
    }
}
