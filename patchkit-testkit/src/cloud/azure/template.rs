//! Documents of many machines that have one form: its text is kept once, and of each machine the
//! values that differ. So a row of a table is copied from memory that is at hand, and little else.

use std::{
    borrow::Cow,
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use super::graph::{self, Field, Owns, Path};
use crate::cloud::shared::lock;

/// Templates that are known at a time. Others begin anew, as when a test gives each machine what no
/// other has.
const MOST_TEMPLATES: usize = 1 << 10;

/// The own value that is the name of what a document is about, without quotes.
pub(super) const NAME: usize = 0;

/// The path of a value that differs between documents: keys, and nothing for the place in an array.
pub(super) type Own = &'static [&'static str];

/// What documents share.
#[derive(Debug, Default)]
struct Template {
    /// Its JSON without what differs.
    text: Box<[u8]>,
    /// What is missing in it, and where.
    gaps: Vec<(usize, Gap)>,
    /// Every member with the number of its path, at the place that this leads to or behind it. That
    /// no two paths have one number is taken for granted: of all that there are, none will.
    members: Vec<Option<(u64, Piece)>>,
    /// The document, with nothing for what differs.
    document: Value,
}

/// What differs between documents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Gap {
    /// An own value.
    Own(usize),
    /// The id of the resource group, inside of a text.
    Group,
    /// The name, inside of a text.
    Name,
}

impl Gap {
    const MARKS: [u8; 3] = [0, 1, 2];

    /// What stands for it in a text. JSON has no such byte.
    fn mark(self) -> u8 {
        match self {
            Self::Own(_) => Self::MARKS[0],
            Self::Group => Self::MARKS[1],
            Self::Name => Self::MARKS[2],
        }
    }
}

/// A piece of a template's text, with the gaps in it.
#[derive(Clone, Debug, Default)]
struct Piece {
    text: Range<usize>,
    gaps: Range<usize>,
}

impl Template {
    fn piece(&self, path: &Path) -> Option<&Piece> {
        let places = places(path.number(), self.members.len());
        let mut met = places.map_while(|place| self.members.get(place)?.as_ref());
        met.find(|(number, _)| *number == path.number()).map(|(_, piece)| piece)
    }
}

/// The places of so many where the member with a number may be, one after the other. The count is
/// a power of two.
fn places(number: u64, count: usize) -> impl Iterator<Item = usize> {
    let last = count.saturating_sub(1);
    let first = usize::try_from(number & 0xffff_ffff).unwrap_or_default();
    (0..count).map(move |next| first.wrapping_add(next) & last)
}

/// A document: a template with its own values. What stands beside the document are further ones,
/// before those in it.
#[derive(Clone, Debug)]
pub(super) struct Filled {
    template: Arc<Template>,
    /// Its own values, [packed](Owns::pack).
    own: Arc<[u8]>,
}

impl Filled {
    /// Tells what it has at the end of a path, `null` where that is nothing. The id of its resource group
    /// is asked for where it is wanted, as JSON without quotes.
    pub(super) fn pieces(
        &self,
        path: &Path,
        group_id: impl Fn() -> Vec<u8>,
        each: &mut dyn FnMut(graph::Piece<'_>),
    ) {
        let Some(piece) = self.template.piece(path) else {
            return each(graph::Piece::Text(b"null"));
        };
        let text = &self.template.text;
        let mut from = piece.text.start;
        for (to, gap) in self.template.gaps.get(piece.gaps.clone()).unwrap_or_default() {
            each(graph::Piece::Text(text.get(from..*to).unwrap_or_default()));
            match *gap {
                Gap::Own(number) => each(graph::Piece::Own(number)),
                Gap::Name => each(graph::Piece::Own(NAME)),
                Gap::Group => each(graph::Piece::Text(&group_id())),
            }
            from = *to;
        }
        each(graph::Piece::Text(text.get(from..piece.text.end).unwrap_or_default()));
    }

    /// The same for all that share their text with it.
    pub(super) fn form(&self) -> usize {
        Arc::as_ptr(&self.template).addr()
    }

    /// What it has at the end of a path.
    pub(super) fn member(&self, path: &Path, group_id: impl Fn() -> Vec<u8>) -> Field<'_> {
        let Some(piece) = self.template.piece(path) else { return Field::None };
        if piece.gaps.is_empty() {
            return Field::Document(Cow::Borrowed(&self.template.document)).at(path);
        }
        let (mut json, owns) = (Vec::new(), self.owns());
        self.pieces(path, group_id, &mut |piece| match piece {
            graph::Piece::Text(text) => json.extend_from_slice(text),
            graph::Piece::Own(number) => json.extend_from_slice(owns.get(number)),
        });
        let value = serde_json::from_slice(&json);
        value.map_or(Field::None, |it| Field::Document(Cow::Owned(it)))
    }

    /// Its own values.
    pub(super) fn owns(&self) -> Owns<'_> {
        Owns::of(&self.own)
    }

    /// Reads a little of all that a row shows of it, so that it is on its way from memory.
    pub(super) fn touch(&self) -> u8 {
        self.own.iter().step_by(64).fold(0, |seen, byte| seen ^ byte)
    }
}

/// The templates that are known.
#[derive(Debug, Default)]
pub(crate) struct Templates(Mutex<HashMap<Form, Arc<Template>>>);

/// What documents have in common that share a template.
#[derive(Debug, Eq, Hash, PartialEq)]
struct Form {
    /// Their text with a mark in each gap.
    marked: Vec<u8>,
    /// How many values stand beside it.
    beside: usize,
}

/// In what documents of one kind differ.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    /// The id of its resource group, as JSON without quotes.
    pub(super) group_id: Vec<u8>,
    /// The name of what the document is about, as JSON without quotes.
    pub(super) name: Vec<u8>,
    pub(super) own: &'static [Own],
    /// Ids and names that end with the name, or with that and more.
    pub(super) named: &'static [Own],
}

impl Templates {
    /// Divides a document into what it shares with others and what is its own. Beside it stand its
    /// name, which is the first of its own values, and further ones in JSON.
    pub(super) fn fill(&self, terms: &Terms, beside: &[Vec<u8>], document: &Value) -> Filled {
        let mut walk = Walk::new(terms);
        walk.own_value(&terms.name);
        for json in beside {
            walk.own_value(json);
        }
        walk.value(document);
        let Walk { marked, values, ends, .. } = walk;
        let form = Form { marked, beside: beside.len() };
        let known = lock(&self.0).get(&form).map(Arc::clone);
        let template = known.unwrap_or_else(|| {
            let made = Arc::new(Template::of(terms, beside.len(), document));
            let mut all = lock(&self.0);
            if all.len() >= MOST_TEMPLATES {
                all.clear();
            }
            Arc::clone(all.entry(form).or_insert(made))
        });
        Filled { template, own: Owns::pack(&ends, &values) }
    }
}

impl Template {
    fn of(terms: &Terms, beside: usize, document: &Value) -> Self {
        let mut walk = Walk { members: Some(Vec::new()), ..Walk::new(terms) };
        for _ in 0..=beside {
            walk.own_value(b"");
        }
        walk.value(document);
        let Walk { marked, members, gaps, .. } = walk;
        let all = members.unwrap_or_default();
        // There is always a place that is free, where a search ends.
        let mut members = vec![None; 2 * all.len().next_power_of_two()];
        for (number, piece) in all {
            let mut places = places(number, members.len());
            if let Some(place) = places.find(|place| matches!(members.get(*place), Some(None))) {
                members[place] = Some((number, piece));
            }
        }
        let text = |own: &[u8]| {
            let is_mark = |byte: &&u8| Gap::MARKS.contains(byte);
            let without = |it: &[u8]| it.iter().filter(|it| !is_mark(it)).copied().collect();
            let pieces: Vec<Vec<u8>> =
                marked.split(|byte| *byte == Gap::Own(0).mark()).map(without).collect();
            pieces.join(own)
        };
        let document = serde_json::from_slice(&text(b"null")).unwrap_or_default();
        Self { text: text(b"").into(), gaps, members, document }
    }
}

/// A way through a document that writes its JSON.
#[derive(Debug)]
struct Walk<'w> {
    terms: &'w Terms,
    path: Vec<&'w str>,
    /// Its JSON with a mark in place of what differs.
    marked: Vec<u8>,
    gaps: Vec<(usize, Gap)>,
    values: Vec<u8>,
    ends: Vec<u32>,
    /// Where its members are, for one that asks for them.
    members: Option<Vec<(u64, Piece)>>,
    /// How many arrays it is in: what is in them has no path.
    arrays: usize,
}

impl<'w> Walk<'w> {
    fn new(terms: &'w Terms) -> Self {
        Self {
            terms,
            path: Vec::new(),
            marked: Vec::new(),
            gaps: Vec::new(),
            values: Vec::new(),
            ends: Vec::new(),
            members: None,
            arrays: 0,
        }
    }

    fn own_value(&mut self, json: &[u8]) {
        self.values.extend_from_slice(json);
        self.ends.push(u32::try_from(self.values.len()).unwrap_or(u32::MAX));
    }

    fn gap(&mut self, gap: Gap) {
        self.gaps.push((self.marked.len() - self.gaps.len(), gap));
        self.marked.push(gap.mark());
    }

    fn value(&mut self, value: &'w Value) {
        let (text, gap) = (self.marked.len() - self.gaps.len(), self.gaps.len());
        match value {
            Value::Object(members) => {
                self.marked.push(b'{');
                for (number, (key, value)) in members.iter().enumerate() {
                    if number > 0 {
                        self.marked.push(b',');
                    }
                    write(key.as_str(), &mut self.marked);
                    self.marked.push(b':');
                    self.path.push(key);
                    self.value(value);
                    self.path.pop();
                }
                self.marked.push(b'}');
            }
            Value::Array(items) => {
                self.marked.push(b'[');
                self.arrays += 1;
                for (number, value) in items.iter().enumerate() {
                    if number > 0 {
                        self.marked.push(b',');
                    }
                    self.path.push("");
                    self.value(value);
                    self.path.pop();
                }
                self.arrays -= 1;
                self.marked.push(b']');
            }
            leaf => self.leaf(leaf),
        }
        if let (Some(members), 0) = (&mut self.members, self.arrays) {
            let path = Path::new(self.path.iter().map(|key| (*key).to_owned()));
            let text = text..self.marked.len() - self.gaps.len();
            members.push((path.number(), Piece { text, gaps: gap..self.gaps.len() }));
        }
    }

    fn leaf(&mut self, leaf: &Value) {
        let mut json = Vec::new();
        write(leaf, &mut json);
        let is_in = |paths: &[Own]| paths.iter().any(|it| *it == self.path);
        let (is_own, is_named) = (is_in(self.terms.own), is_in(self.terms.named));
        if is_named && self.named(&json).is_some() {
            return;
        }
        // What is too long for its end to be noted is as if others had it, too.
        let is_short = u32::try_from(self.values.len() + json.len()).is_ok()
            && self.ends.len() < usize::from(u16::MAX);
        if is_short && (is_own || is_named) {
            self.gap(Gap::Own(self.ends.len()));
            self.own_value(&json);
        } else {
            self.marked.extend_from_slice(&json);
        }
    }

    /// Enters a text whose last part begins with the name. None where it does not.
    fn named(&mut self, json: &[u8]) -> Option<()> {
        let Terms { group_id, name, .. } = self.terms;
        let text = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let begin = text.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let (id, last) = text.split_at_checked(begin)?;
        let tail = last.strip_prefix(name.as_slice()).filter(|_| !name.is_empty())?;
        self.marked.push(b'"');
        let behind = id.strip_prefix(group_id.as_slice()).filter(|_| !group_id.is_empty());
        if behind.is_some() {
            self.gap(Gap::Group);
        }
        self.marked.extend_from_slice(behind.unwrap_or(id));
        self.gap(Gap::Name);
        self.marked.extend_from_slice(tail);
        self.marked.push(b'"');
        Some(())
    }
}

/// A text as JSON, without quotes.
pub(super) fn inner(text: &str) -> Vec<u8> {
    let mut json = Vec::new();
    write(text, &mut json);
    let inner = json.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\""));
    inner.unwrap_or_default().to_vec()
}

/// Writes a value as JSON.
pub(super) fn write<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Writing to memory does not fail, and every value here has a JSON form.
    let _written = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OWN: [Own; 2] = [&["size"], &["os", "name"]];
    const NAMED: [Own; 2] = [&["disks", "", "id"], &["host"]];

    fn path(keys: &[&str]) -> Path {
        Path::new(keys.iter().map(|key| (*key).to_owned()))
    }

    fn fill(templates: &Templates, group_id: &str, name: &str, document: &Value) -> Filled {
        let (group_id, name) = (inner(group_id), inner(name));
        let terms = Terms { group_id, name, own: &OWN, named: &NAMED };
        templates.fill(&terms, &[b"beside".to_vec()], document)
    }

    fn written(filled: &Filled, place: &str, keys: &[&str]) -> String {
        let mut out = Vec::new();
        filled.pieces(&path(keys), || inner(place), &mut |piece| {
            out.extend_from_slice(match piece {
                graph::Piece::Text(text) => text,
                graph::Piece::Own(number) => filled.owns().get(number),
            });
        });
        String::from_utf8(out).unwrap()
    }

    fn machine(name: &str, disks: &[String]) -> Value {
        let disks: Vec<Value> = disks.iter().map(|id| json!({"id": id, "free": 30})).collect();
        let os = json!({"name": name, "kind": "Linux"});
        json!({"host": format!("{name}-1"), "disks": disks, "os": os, "size": 3, "zone": null})
    }

    #[test]
    fn a_document_is_written_as_it_was_with_whatever_is_in_it() {
        let templates = Templates::default();
        let long = "x".repeat(70_000);
        let texts =
            ["web", "", "a \"b\" \\ \u{0}\u{1}\u{2} \n", "ß中\u{1f600}", "/", "disks", &long];
        for (name, place) in texts.iter().flat_map(|it| texts.map(|place| (*it, place))) {
            let id = format!("{place}/disks/{name}_disk");
            for disks in [vec![], vec![id.clone()], vec![place.to_owned(), id, name.to_owned()]] {
                let document = machine(name, &disks);
                let filled = fill(&templates, place, name, &document);
                assert_eq!(written(&filled, place, &[]), document.to_string());
                assert_eq!(
                    (filled.owns().get(NAME), filled.owns().get(1)),
                    (&*inner(name), &b"beside"[..])
                );
                for keys in [&["host"][..], &["disks"], &["os"], &["os", "name"], &["zone"]] {
                    let value = keys.iter().fold(&document, |value, key| &value[*key]);
                    assert_eq!(written(&filled, place, keys), value.to_string(), "{keys:?}");
                    let member = filled.member(&path(keys), || inner(place));
                    assert_eq!(member, Field::Document(Cow::Borrowed(value)), "{keys:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_in_a_document_is_null_also_behind_an_array() {
        let filled = fill(&Templates::default(), "/g", "web", &machine("web", &["one".to_owned()]));
        for keys in [&["none"][..], &["disks", "id"], &["os", "name", "first"], &["0"]] {
            assert_eq!(written(&filled, "/g", keys), "null", "{keys:?}");
            assert_eq!(filled.member(&path(keys), Vec::new), Field::None, "{keys:?}");
        }
    }

    #[test]
    fn documents_of_one_form_share_it() {
        let templates = Templates::default();
        let filled = |place: &str, name: &str, disks: &[&str]| {
            let id = |disk: &&str| format!("{place}/disks/{name}{disk}");
            let disks: Vec<String> = disks.iter().map(id).collect();
            fill(&templates, place, name, &machine(name, &disks))
        };
        let first = filled("/one", "web", &["_1"]);
        for (place, name, disk, is_alike) in [
            ("/one", "db", "_1", true),
            ("/two", "web-2", "_1", true),
            ("/two", "web", "_2", false),
        ] {
            let other = filled(place, name, &[disk]);
            assert_eq!(first.form() == other.form(), is_alike, "{place} {name} {disk}");
        }
        assert_ne!(first.form(), filled("/one", "web", &["_1", "_1"]).form());
        for count in 0..=MOST_TEMPLATES {
            fill(&templates, "/one", "web", &json!({"name": "web", "form": count}));
        }
        assert!(lock(&templates.0).len() <= MOST_TEMPLATES);
        assert_eq!(written(&first, "/one", &["host"]), "\"web-1\"", "what is kept keeps its form");
    }
}
