//! What rows show of a patch, made once: it follows from the system, the patch and its state, but for
//! the time.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::cloud::{
    azure::{
        patch_result::{self, Named},
        reply::stamp_z,
    },
    world::{
        State,
        catalogue::{System, SystemIx},
    },
};

/// The member that each row has of its own.
const TIME: &str = "lastModifiedDateTime";

/// What stands between the id of a result and that of a patch of it.
const BETWEEN: &str = "/softwarePatches/";

/// The patches of every system, by their places.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Prints(Vec<Arc<[Print]>>);

impl Prints {
    pub(in super::super) fn new(state: &State) -> Self {
        let systems = (0..state.catalogue.count()).filter_map(|it| u32::try_from(it).ok());
        let systems = systems.map(|it| state.catalogue.system(SystemIx(it)));
        Self(systems.map(prints).collect())
    }

    pub(in super::super) fn get(&self, system: SystemIx, place: usize) -> Option<&Print> {
        self.of(system).get(place)
    }

    pub(in super::super) fn of(&self, system: SystemIx) -> &[Print] {
        self.0.get(system.0 as usize).map_or(&[], AsRef::as_ref)
    }

    /// The patches of each system.
    pub(in super::super) fn systems(&self) -> impl Iterator<Item = &[Print]> {
        self.0.iter().map(AsRef::as_ref)
    }
}

fn prints(system: &System) -> Arc<[Print]> {
    let mut prints: Vec<Print> =
        (0..system.patches.len()).map(|place| Print::new(system, place)).collect();
    let mut order: Vec<usize> = (0..prints.len()).collect();
    order.sort_by(|left, right| prints[*left].id().cmp(prints[*right].id()));
    let mut before: Option<usize> = None;
    for (turn, place) in (0..).zip(order) {
        let twin = before.filter(|it| prints[*it].id() == prints[place].id());
        prints[place].turn = turn;
        if let Some(twin) = twin {
            (prints[twin].is_alone, prints[place].is_alone) = (false, false);
        }
        before = Some(place);
    }
    prints.into()
}

/// What rows show of one patch of a system.
#[derive(Debug)]
pub(in super::super) struct Print {
    /// The end of the ids of its rows.
    tail: Box<str>,
    /// The same in JSON, without quotes.
    tail_written: Box<str>,
    /// Its id in JSON.
    id_written: Box<[u8]>,
    missing: Document,
    /// By the number of the state.
    treated: [OnceLock<Document>; 5],
    /// Its place among the patches of its system by id.
    pub(in super::super) turn: u32,
    /// Whether no other patch of its system has its id.
    pub(in super::super) is_alone: bool,
}

impl Print {
    fn new(system: &System, place: usize) -> Self {
        let tail = tail(system, place);
        let written = json!(tail).to_string();
        let written = written.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
        Self {
            tail_written: written.unwrap_or_default().into(),
            id_written: json!(id(system, place)).to_string().into_bytes().into(),
            tail: tail.into(),
            missing: Document::new(missing(system, place, patch_result::AVAILABLE)),
            treated: Default::default(),
            turn: 0,
            is_alone: true,
        }
    }

    pub(in super::super) fn id(&self) -> &str {
        self.tail.get(BETWEEN.len()..).unwrap_or_default()
    }

    pub(super) fn tail(&self) -> &str {
        &self.tail
    }

    pub(super) fn tail_written(&self) -> &str {
        &self.tail_written
    }

    pub(super) fn id_written(&self) -> &[u8] {
        &self.id_written
    }

    /// Where it is missing.
    pub(super) fn missing(&self) -> &Document {
        &self.missing
    }

    /// Where an installation treated it, which left it in a state.
    pub(super) fn treated(&self, system: &System, place: usize, state: usize) -> Option<&Document> {
        let word = *patch_result::WORDS.get(state)?;
        let known = self.treated.get(state)?;
        Some(known.get_or_init(|| Document::new(treated(system, place, word))))
    }
}

/// The properties of a row, but for their time.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// With a null for the time.
    value: Value,
    /// As JSON, up to the time and behind it.
    head: Box<str>,
    tail: Box<str>,
}

impl Document {
    pub(super) fn new(value: Value) -> Self {
        let (mut head, mut tail) = (String::from("{"), None);
        for (number, (key, value)) in value.as_object().into_iter().flatten().enumerate() {
            let text = tail.as_mut().unwrap_or(&mut head);
            if number > 0 {
                text.push(',');
            }
            text.push_str(&json!(key).to_string());
            text.push(':');
            if key == TIME {
                tail = Some(String::new());
            } else {
                text.push_str(&value.to_string());
            }
        }
        tail.as_mut().unwrap_or(&mut head).push('}');
        Self { value, head: head.into(), tail: tail.unwrap_or_default().into() }
    }

    /// What it has but for its time.
    pub(super) fn timeless(&self) -> &Value {
        &self.value
    }

    pub(super) fn into_timeless(self) -> Value {
        self.value
    }

    pub(super) fn whole(&self, time: &str) -> Value {
        let mut value = self.value.clone();
        value[TIME] = json!(time);
        value
    }

    /// Writes the same as JSON, with a time in JSON.
    pub(super) fn write(&self, time: &[u8], out: &mut Vec<u8>) {
        out.reserve(self.head.len() + time.len() + self.tail.len());
        for piece in [self.head.as_bytes(), time, self.tail.as_bytes()] {
            out.extend_from_slice(piece);
        }
    }
}

/// Whether a member is the time, which each row has of its own.
pub(super) fn is_time(member: &str) -> bool {
    member == TIME
}

/// The id of a patch; none has an empty one.
pub(super) fn id(system: &System, place: usize) -> String {
    system.patches.get(place).map(|patch| Named::of(patch, system).id).unwrap_or_default()
}

/// What stands behind the id of a result in that of a patch in it.
pub(super) fn tail(system: &System, place: usize) -> String {
    format!("{BETWEEN}{}", id(system, place))
}

/// What rows of a patch have in common.
fn software(system: &System, place: usize) -> Value {
    let Some(patch) = system.patches.get(place) else { return json!({}) };
    let named = Named::of(patch, system);
    let mut properties = json!({
        "patchId": named.id,
        "patchName": named.name,
        "classifications": [named.class],
    });
    if let Some(kb) = &named.kb {
        properties["kbId"] = json!(kb);
    }
    if let Some(version) = &named.version {
        properties["version"] = json!(version);
    }
    properties
}

/// A patch that an assessment found missing.
pub(super) fn missing(system: &System, place: usize, state: &str) -> Value {
    let mut properties = software(system, place);
    properties["rebootRequired"] = json!(State::needs_boot(place));
    properties["rebootBehavior"] = json!(patch_result::reboot_behavior(place));
    properties["assessmentState"] = json!(state);
    properties[TIME] = Value::Null;
    // No package manager tells it.
    let released = system.patches.get(place).and_then(|patch| patch.released_at);
    properties["publishedDateTime"] = match released {
        Some(at) if system.is_windows() => json!(stamp_z(at)),
        _ => Value::Null,
    };
    properties
}

/// A patch that an installation treated.
pub(super) fn treated(system: &System, place: usize, state: &str) -> Value {
    let mut properties = software(system, place);
    properties["installationState"] = json!(state);
    properties["rebootBehavior"] = json!(patch_result::reboot_behavior(place));
    properties[TIME] = Value::Null;
    properties
}
