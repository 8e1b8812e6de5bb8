//! Documents of many machines that have one form: its text is kept once, and of each machine the
//! values that differ. So a row of a table is copied from memory that is at hand, and little else.

use std::{
    borrow::Cow,
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use super::graph::{self, Field, Path};
use crate::cloud::shared::lock;

/// Templates that are known at a time. Others begin anew, as when a test gives each machine what no
/// other has.
const MOST_TEMPLATES: usize = 1 << 10;

/// Stands in the text of a template for an own value. JSON has no such byte.
const GAP: u8 = 0;

/// Where the end of an own value is noted.
type End = u32;

/// The path of a value that differs between documents: keys, and nothing for the place in an array.
pub(super) type Own = &'static [&'static str];

/// What documents share.
#[derive(Debug, Default)]
struct Template {
    /// Its JSON without the own values.
    text: Box<[u8]>,
    /// Where in it the own values stand.
    gaps: Vec<usize>,
    /// Every member with the number of its path, at the place that this leads to or behind it. That
    /// no two paths have one number is taken for granted: of all that there are, none will.
    members: Vec<Option<(u64, Piece)>>,
    /// The document, with nothing for the own values.
    document: Value,
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
    /// Where each of its own values ends, and then the JSON of all of them, one behind the other.
    own: Arc<[u8]>,
}

impl Filled {
    /// Tells what it has at the end of a path, `null` where that is nothing.
    pub(super) fn pieces(&self, path: &Path, each: &mut dyn FnMut(graph::Piece<'_>)) {
        let Some(piece) = self.template.piece(path) else {
            return each(graph::Piece::Text(b"null"));
        };
        let text = &self.template.text;
        let mut from = piece.text.start;
        for gap in piece.gaps.clone() {
            let to = self.template.gaps.get(gap).copied().unwrap_or(from);
            each(graph::Piece::Text(text.get(from..to).unwrap_or_default()));
            each(graph::Piece::Own(gap));
            from = to;
        }
        each(graph::Piece::Text(text.get(from..piece.text.end).unwrap_or_default()));
    }

    /// The same for all that share their text with it.
    pub(super) fn form(&self) -> usize {
        Arc::as_ptr(&self.template).addr()
    }

    /// What it has at the end of a path.
    pub(super) fn member(&self, path: &Path) -> Field<'_> {
        let Some(piece) = self.template.piece(path) else { return Field::None };
        if piece.gaps.is_empty() {
            return Field::Document(Cow::Borrowed(&self.template.document)).at(path);
        }
        let mut json = Vec::new();
        self.pieces(path, &mut |piece| match piece {
            graph::Piece::Text(text) => json.extend_from_slice(text),
            graph::Piece::Own(gap) => json.extend_from_slice(self.own(gap)),
        });
        let value = serde_json::from_slice(&json);
        value.map_or(Field::None, |it| Field::Document(Cow::Owned(it)))
    }

    /// One of its own values.
    pub(super) fn own(&self, gap: usize) -> &[u8] {
        let head = self.template.gaps.len() * size_of::<End>();
        let begin = gap.checked_sub(1).map_or(head, |it| self.end(it));
        self.own.get(begin..self.end(gap)).unwrap_or_default()
    }

    /// Where one of its own values ends, from the beginning of all that is kept.
    fn end(&self, gap: usize) -> usize {
        let head = self.template.gaps.len() * size_of::<End>();
        let end = self.own.get(gap * size_of::<End>()..).and_then(|it| it.first_chunk());
        head + end.map_or(0, |it| End::from_le_bytes(*it) as usize)
    }

    /// Reads a little of all that a row shows of it, so that it is on its way from memory.
    pub(super) fn touch(&self) -> u8 {
        self.own.iter().step_by(64).fold(0, |seen, byte| seen ^ byte)
    }
}

/// The templates that are known, by their text with a mark in each gap.
#[derive(Debug, Default)]
pub(crate) struct Templates(Mutex<HashMap<Box<[u8]>, Arc<Template>>>);

impl Templates {
    /// Divides a document into what it shares with others and what is its own. Beside it stand values
    /// in JSON.
    pub(super) fn fill(&self, beside: &[Vec<u8>], document: &Value, own: &[Own]) -> Filled {
        let mut walk = Walk { own, ..Walk::default() };
        for json in beside {
            walk.beside(json);
        }
        walk.value(document);
        let Walk { marked, values, ends, .. } = walk;
        let known = lock(&self.0).get(&*marked).map(Arc::clone);
        let template = known.unwrap_or_else(|| {
            let made = Arc::new(Template::of(beside.len(), document, own));
            let mut all = lock(&self.0);
            if all.len() >= MOST_TEMPLATES {
                all.clear();
            }
            Arc::clone(all.entry(marked.into()).or_insert(made))
        });
        let ends = ends.into_iter().flat_map(End::to_le_bytes);
        Filled { template, own: ends.chain(values).collect() }
    }
}

impl Template {
    fn of(beside: usize, document: &Value, own: &[Own]) -> Self {
        let mut walk = Walk { own, members: Some(Vec::new()), ..Walk::default() };
        for _ in 0..beside {
            walk.beside(b"");
        }
        walk.value(document);
        let Walk { mut marked, members, gaps, .. } = walk;
        marked.drain(..beside);
        let all = members.unwrap_or_default();
        // There is always a place that is free, where a search ends.
        let mut members = vec![None; 2 * all.len().next_power_of_two()];
        for (number, piece) in all {
            let mut places = places(number, members.len());
            if let Some(place) = places.find(|place| matches!(members.get(*place), Some(None))) {
                members[place] = Some((number, piece));
            }
        }
        let without = |gap: &[u8]| marked.split(|byte| *byte == GAP).collect::<Vec<_>>().join(gap);
        let document = serde_json::from_slice(&without(b"null")).unwrap_or_default();
        Self { text: without(b"").into(), gaps, members, document }
    }
}

/// A way through a document that writes its JSON.
#[derive(Debug, Default)]
struct Walk<'w> {
    own: &'w [Own],
    path: Vec<&'w str>,
    /// Its JSON with a mark in place of each own value.
    marked: Vec<u8>,
    gaps: Vec<usize>,
    values: Vec<u8>,
    ends: Vec<End>,
    /// Where its members are, for one that asks for them.
    members: Option<Vec<(u64, Piece)>>,
    /// How many arrays it is in: what is in them has no path.
    arrays: usize,
}

impl<'w> Walk<'w> {
    fn beside(&mut self, json: &[u8]) {
        self.values.extend_from_slice(json);
        self.ends.push(End::try_from(self.values.len()).unwrap_or(End::MAX));
        self.gaps.push(0);
        self.marked.push(GAP);
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
            leaf => {
                let begin = self.marked.len();
                write(leaf, &mut self.marked);
                let end = End::try_from(self.values.len() + self.marked.len() - begin);
                // What is too long for its end to be noted is as if others had it, too.
                if let (true, Ok(end)) = (self.is_own(), end) {
                    self.values.extend(self.marked.drain(begin..));
                    self.ends.push(end);
                    self.gaps.push(text);
                    self.marked.push(GAP);
                }
            }
        }
        if let (Some(members), 0) = (&mut self.members, self.arrays) {
            let path = Path::new(self.path.iter().map(|key| (*key).to_owned()));
            let text = text..self.marked.len() - self.gaps.len();
            members.push((path.number(), Piece { text, gaps: gap..self.gaps.len() }));
        }
    }

    fn is_own(&self) -> bool {
        self.own.iter().any(|it| *it == self.path)
    }
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

    const OWN: [Own; 3] = [&["name"], &["disks", "", "id"], &["os", "name"]];

    fn path(keys: &[&str]) -> Path {
        Path::new(keys.iter().map(|key| (*key).to_owned()))
    }

    fn written(filled: &Filled, keys: &[&str]) -> String {
        let mut out = Vec::new();
        filled.pieces(&path(keys), &mut |piece| {
            out.extend_from_slice(match piece {
                graph::Piece::Text(text) => text,
                graph::Piece::Own(gap) => filled.own(gap),
            });
        });
        String::from_utf8(out).unwrap()
    }

    fn machine(name: &str, disks: &[&str]) -> Value {
        let disks: Vec<Value> = disks.iter().map(|id| json!({"id": id, "size": 30})).collect();
        json!({"name": name, "disks": disks, "os": {"name": name, "kind": "Linux"}, "zone": null})
    }

    #[test]
    fn a_document_is_written_as_it_was_with_whatever_is_in_it() {
        let templates = Templates::default();
        for name in ["web", "", "a \"b\" \\ \u{0} \n", "ß中\u{1f600}", &"x".repeat(70_000)] {
            for disks in [&[][..], &["one"], &["one", name]] {
                let document = machine(name, disks);
                let filled = templates.fill(&[b"beside".to_vec()], &document, &OWN);
                assert_eq!(written(&filled, &[]), document.to_string());
                assert_eq!(filled.own(0), b"beside");
                for keys in [&["name"][..], &["disks"], &["os"], &["os", "name"], &["zone"]] {
                    let value = keys.iter().fold(&document, |value, key| &value[*key]);
                    assert_eq!(written(&filled, keys), value.to_string(), "{keys:?}");
                    let member = filled.member(&path(keys));
                    assert_eq!(member, Field::Document(Cow::Borrowed(value)), "{keys:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_in_a_document_is_null_also_behind_an_array() {
        let filled = Templates::default().fill(&[], &machine("web", &["one"]), &OWN);
        for keys in [&["size"][..], &["disks", "id"], &["os", "name", "first"], &["0"]] {
            assert_eq!(written(&filled, keys), "null", "{keys:?}");
            assert_eq!(filled.member(&path(keys)), Field::None, "{keys:?}");
        }
    }

    #[test]
    fn documents_of_one_form_share_it() {
        let templates = Templates::default();
        let fill = |name: &str, disks: &[&str]| templates.fill(&[], &machine(name, disks), &OWN);
        let first = fill("web", &["one"]);
        assert!(Arc::ptr_eq(&first.template, &fill("db", &["two"]).template));
        assert!(!Arc::ptr_eq(&first.template, &fill("db", &["two", "three"]).template));
        for count in 0..=MOST_TEMPLATES {
            templates.fill(&[], &json!({"name": "web", "form": count}), &OWN);
        }
        assert!(lock(&templates.0).len() <= MOST_TEMPLATES);
        assert_eq!(written(&first, &["name"]), "\"web\"", "what is kept keeps its form");
    }
}
