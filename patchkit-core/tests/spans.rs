//! The spans of runs. `tracing` remembers for a whole process whether anyone listens to a span, so that
//! runs without a listener, on other threads, take this one's away: it is alone in its process.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::sync::{Arc, Mutex};

use common::{id, node, off, options, world};
use futures::executor::block_on;
use patchkit_core::{
    Amount, NodeSelector, PowerState, Rollout, Wave, WaveMembers, workflow::PatchOptions,
};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

fn two_waves() -> PatchOptions {
    let canary = Wave::new("canary", WaveMembers::Selector(NodeSelector::ids([id("i-01")])));
    let rollout = Rollout::new().with_wave(canary).with_disruption(Amount::Percent(100));
    options().with_rollout(rollout)
}

/// A span as a subscriber sees it: its name, its parent's number, its fields.
#[derive(Debug, Default)]
struct Seen {
    name: &'static str,
    parent: Option<u64>,
    fields: Vec<(&'static str, String)>,
    closed: bool,
}

#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(u64, Seen)>>>);

struct Fields<'a>(&'a mut Vec<(&'static str, String)>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}").trim_matches('"').to_owned()));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context.span(id).and_then(|span| span.parent()).map(|it| it.id().into_u64());
        let mut seen = Seen { name: attributes.metadata().name(), parent, ..Seen::default() };
        assert_eq!(attributes.metadata().target(), "patchkit");
        attributes.record(&mut Fields(&mut seen.fields));
        self.0.lock().unwrap().push((id.into_u64(), seen));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        let seen = spans.iter_mut().rev().find(|(at, _)| *at == id.into_u64());
        values.record(&mut Fields(&mut seen.unwrap().1.fields));
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        spans.iter_mut().rev().find(|(at, _)| *at == id.into_u64()).unwrap().1.closed = true;
    }
}

#[test]
fn spans_have_the_documented_names_fields_and_parents_and_all_end() {
    let world = world([node(id("i-01")), off(id("i-02"), PowerState::Stopped)]);
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    tracing::subscriber::with_default(subscriber, || block_on(world.patch(&two_waves())));
    let seen = spans.0.lock().unwrap();
    let name_of = |parent: Option<u64>| {
        parent.and_then(|at| seen.iter().find(|(id, _)| *id == at)).map(|(_, seen)| seen.name)
    };
    for (_, Seen { name, parent, fields, closed }) in &*seen {
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let expected: (&[&str], _) = match *name {
            "run" => (&["run", "workflow"], None),
            "wave" => (&["nodes", "run", "wave"], Some("run")),
            "node" => (&["node", "outcome", "run"], Some("wave")),
            "operation" => (&["action", "nodes", "operation", "run"], Some("wave")),
            other => panic!("a span {other}"),
        };
        assert_eq!((names.as_slice(), name_of(*parent)), expected, "{name}");
        assert!(closed, "{name} {fields:?}");
        assert!(fields.contains(&("run", "run".to_owned())));
    }
    let count = |name| seen.iter().filter(|(_, seen)| seen.name == name).count();
    assert_eq!(["run", "wave", "node", "operation"].map(count), [1, 2, 2, 5]);
    let field = |name, field| {
        let of = seen.iter().filter(move |(_, seen)| seen.name == name);
        of.flat_map(|(_, seen)| &seen.fields).filter(move |(at, _)| *at == field)
    };
    assert!(field("wave", "wave").map(|(_, value)| value.as_str()).eq(["canary", "rest"]));
    assert!(field("node", "outcome").all(|(_, value)| value == "patched"));
    assert!(field("node", "node").any(|(_, value)| *value == id("i-02").to_string()));
    assert!(field("run", "workflow").all(|(_, value)| value == "patch"));
}
