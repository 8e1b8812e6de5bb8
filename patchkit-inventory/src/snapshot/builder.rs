//! Rows as they are read become parts.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher,
    sync::Arc,
};

use arrow_array::{Array, builder::StringBuilder};
use hashbrown::{DefaultHashBuilder, HashTable};
use patchkit_core::Result;

use super::{
    object::{HeldObject, StoredObject},
    part::{Codes, Column, OTHERS, Part},
};
use crate::{
    ChangeMark, InventoryKey, InventoryRecord, InventoryType, ObjectReading, PlainRow, RowLayout,
    Value, Visitor, plain::is_same,
};

/// A part is closed when it holds so many rows: few enough for 16-bit numbers of most texts, many
/// enough that a lake of 10,000 nodes is some dozens of files.
const PART_ROWS: usize = 1 << 18;

/// And when it holds so many objects, whatever their rows.
const PART_OBJECTS: usize = 1 << 14;

/// How many layouts are held against a row's before its columns are looked for.
const MAX_LAYOUTS: usize = 8;

/// No text.
const NONE: u32 = u32::MAX;

/// A column that grows.
#[derive(Default)]
struct Growing {
    name: Box<str>,
    codes: Vec<u32>,
    texts: Texts,
}

/// Distinct texts, each with its number.
#[derive(Default)]
struct Texts {
    /// The numbers, found by their texts.
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The texts one behind the other, as Arrow has them.
    spelled: StringBuilder,
    /// The last number given: the rows of an object repeat most texts.
    last: u32,
}

/// The text with that number.
fn text_of(texts: &StringBuilder, number: u32) -> Option<&[u8]> {
    let ends = texts.offsets_slice().get(number as usize..)?.get(..2)?;
    let at = |end: i32| usize::try_from(end).ok();
    texts.values_slice().get(at(ends[0])?..at(ends[1])?)
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        let Self { numbers, hasher, spelled, last } = self;
        let bytes = text.as_bytes();
        let same = |it: &[u8]| it.len() == bytes.len() && is_same(it, bytes);
        let is = |number: u32| text_of(spelled, number).is_some_and(same);
        if is(*last) {
            return *last;
        }
        let hash = hasher.hash_one(bytes);
        *last = if let Some(number) = numbers.find(hash, |number| is(*number)) {
            *number
        } else {
            let next = u32::try_from(numbers.len()).unwrap_or(NONE);
            spelled.append_value(text);
            let again =
                |number: &u32| hasher.hash_one(text_of(spelled, *number).unwrap_or_default());
            numbers.insert_unique(hash, next, again);
            next
        };
        *last
    }
}

/// A part in the making.
pub(super) struct PartBuilder {
    ty: InventoryType,
    objects: Vec<HeldObject>,
    columns: Vec<Growing>,
    rows: usize,
    /// Objects whose rows are numbered by this part's texts and not in it yet.
    drafts: usize,
    /// The names of the last row that had nothing unusual, and their columns.
    layout: Vec<(Box<str>, usize)>,
    /// The columns of the layouts that came, the last one first; `None` where such a row has more
    /// than columns to it.
    layouts: Vec<(Arc<RowLayout>, Option<Places>)>,
    /// Room for a text without its escapes.
    spare: String,
}

/// The column of each field of a layout.
type Places = Box<[u16]>;

/// The rows of an object that is being read.
#[derive(Default)]
pub(super) struct Draft {
    /// Column and number of each text.
    cells: Vec<(u16, u32)>,
    /// Where the cells of each row end.
    ends: Vec<usize>,
    jumps: Vec<(u32, u64)>,
    line: u64,
}

impl Draft {
    fn end_row(&mut self, line: u64) {
        let row = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        if line != self.line + 1 {
            self.jumps.push((row, line));
        }
        self.line = line;
        self.ends.push(self.cells.len());
    }
}

impl PartBuilder {
    pub(super) fn new(ty: InventoryType) -> Self {
        Self {
            ty,
            objects: Vec::new(),
            columns: Vec::new(),
            rows: 0,
            drafts: 0,
            layout: Vec::new(),
            layouts: Vec::new(),
            spare: String::new(),
        }
    }

    /// Whether no further object belongs into it.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= PART_ROWS || self.objects.len() >= PART_OBJECTS
    }

    fn column(&mut self, name: &str) -> usize {
        if let Some(at) = self.columns.iter().position(|column| &*column.name == name) {
            return at;
        }
        self.columns.push(Growing { name: name.into(), ..Growing::default() });
        self.columns.len() - 1
    }

    fn put(&mut self, draft: &mut Draft, column: usize, text: &str) {
        let number = self.columns[column].texts.number(text);
        draft.cells.push((u16::try_from(column).unwrap_or(u16::MAX), number));
    }

    /// Takes a row of an object.
    pub(super) fn take(&mut self, draft: &mut Draft, line: u64, row: &InventoryRecord<'_>) {
        let fields = row.fields();
        let known = self.layout.len() == fields.len()
            && self.layout.iter().zip(fields).all(|((name, _), field)| **name == *field.name);
        if known {
            for (at, field) in fields.iter().enumerate() {
                if let Some(text) = field.value.as_text() {
                    self.put(draft, self.layout[at].1, text);
                }
            }
        } else {
            self.take_unusual(draft, row);
        }
        draft.end_row(line);
    }

    /// Takes a row that was read the short way.
    pub(super) fn take_plain(&mut self, draft: &mut Draft, line: u64, row: &PlainRow<'_>) {
        self.find_layout(row.layout());
        let Self { columns, layouts, spare, .. } = self;
        let Some((_, Some(places))) = layouts.first() else {
            return self.take(draft, line, &row.to_record());
        };
        for (at, column) in places.iter().enumerate() {
            let text = match row.spelled(at) {
                (text, false) => text,
                (_, true) => row.unescape(at, spare),
            };
            if !text.is_empty() {
                draft.cells.push((*column, columns[usize::from(*column)].texts.number(text)));
            }
        }
        draft.end_row(line);
    }

    /// Brings the columns of that layout to the front.
    fn find_layout(&mut self, layout: &Arc<RowLayout>) {
        match self.layouts.iter().position(|(known, _)| Arc::ptr_eq(known, layout)) {
            Some(0) => {}
            Some(at) => self.layouts[..=at].rotate_right(1),
            None => {
                let places = self.places(layout);
                self.layouts.truncate(MAX_LAYOUTS - 1);
                self.layouts.insert(0, (Arc::clone(layout), places));
            }
        }
    }

    /// The columns of a layout of which each field is documented, and none twice.
    fn places(&mut self, layout: &RowLayout) -> Option<Places> {
        let names: Option<Vec<_>> =
            layout.names().map(|name| self.ty.attribute(name).map(|it| it.name)).collect();
        let names = names?;
        if names.iter().enumerate().any(|(at, name)| names[..at].contains(name)) {
            return None;
        }
        names.into_iter().map(|name| u16::try_from(self.column(name)).ok()).collect()
    }

    /// Of fields with one meaning the one counts that [`InventoryRecord::get`] gives.
    fn take_unusual(&mut self, draft: &mut Draft, row: &InventoryRecord<'_>) {
        let (mut layout, mut others) = (Vec::with_capacity(row.fields().len()), Vec::new());
        let mut seen = Vec::new();
        let mut is_usual = true;
        for field in row.fields() {
            let Some(attribute) = self.ty.attribute(&field.name) else {
                is_usual = false;
                others.push(field);
                continue;
            };
            if seen.contains(&attribute.name) {
                is_usual = false;
                continue;
            }
            seen.push(attribute.name);
            let column = self.column(attribute.name);
            layout.push((Box::from(&*field.name), column));
            if let Some(text) = row.text(attribute.name) {
                self.put(draft, column, text);
            }
        }
        if !others.is_empty() {
            let column = self.column(OTHERS);
            let mut json = String::from("{");
            for field in others {
                let comma = if json.len() == 1 { "" } else { "," };
                json.push_str(comma);
                push_text(&mut json, &field.name);
                json.push(':');
                match &field.value {
                    Value::Null => json.push_str("null"),
                    Value::Text(text) => push_text(&mut json, text),
                    Value::Number(text) | Value::Nested(text) => json.push_str(text),
                    Value::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
                }
            }
            json.push('}');
            self.put(draft, column, &json);
        }
        if is_usual {
            self.layout = layout;
        }
    }

    /// Puts an object and its rows into the part.
    pub(super) fn close(&mut self, draft: &Draft, mut stored: StoredObject, key: InventoryKey) {
        let mut start = 0;
        for end in &draft.ends {
            for (column, number) in &draft.cells[start..*end] {
                let column = &mut self.columns[usize::from(*column)];
                column.codes.resize(self.rows, NONE);
                column.codes.push(*number);
            }
            start = *end;
            self.rows += 1;
        }
        let rows = u32::try_from(draft.ends.len()).unwrap_or(u32::MAX);
        stored.rows = rows;
        self.objects.push(HeldObject { stored, key });
    }

    /// Puts an object of another part into this one.
    pub(super) fn copy(&mut self, part: &Part, object: usize) {
        let mut draft = Draft::default();
        for row in part.range(object) {
            for column in part.columns() {
                if let Some(text) = column.text(row) {
                    let at = self.column(&column.name);
                    self.put(&mut draft, at, text);
                }
            }
            // Where the rows stood is in what is stored of the object.
            draft.ends.push(draft.cells.len());
        }
        let HeldObject { stored, key } = part.objects[object].clone();
        self.close(&draft, stored, key);
    }

    pub(super) fn finish(self) -> Result<Part> {
        let rows = self.rows;
        let columns = self.columns.into_iter().map(|mut column| {
            column.codes.resize(rows, NONE);
            let texts = column.texts.spelled.finish();
            Column { codes: Codes::new(&column.codes, texts.len()), texts, name: column.name }
        });
        let columns = columns.filter(|column| !column.texts.is_empty());
        Part::new(self.ty, self.objects, columns.collect(), rows)
    }
}

/// Writes a text as JSON does.
fn push_text(json: &mut String, text: &str) {
    json.push_str(&serde_json::Value::from(text).to_string());
}

/// Collects what one worker reads.
pub(super) struct Collector {
    marks: Arc<HashMap<Arc<str>, ChangeMark>>,
    /// The object that is about to begin.
    listed: Option<Arc<str>>,
    builders: Vec<Option<PartBuilder>>,
    /// Where the objects of a type go now.
    current: BTreeMap<InventoryType, usize>,
    done: Vec<Result<Part>>,
}

impl Collector {
    pub(super) fn new(marks: Arc<HashMap<Arc<str>, ChangeMark>>) -> Self {
        let (builders, current, done) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self { marks, listed: None, builders, current, done }
    }

    /// The parts of all that was read.
    pub(super) fn finish(mut self) -> Vec<Result<Part>> {
        self.done.extend(self.builders.into_iter().flatten().map(PartBuilder::finish));
        self.done
    }
}

impl Visitor for Collector {
    /// Path, key, builder and rows.
    type Object = (Arc<str>, InventoryKey, usize, Draft);

    fn listed(&mut self, path: &Arc<str>, _: &InventoryKey) {
        // Every type is read, so each object begins right after it is listed.
        self.listed = Some(Arc::clone(path));
    }

    fn begin(&mut self, key: &InventoryKey) -> Self::Object {
        let ty = key.inventory_type();
        let current = self.current.get(ty).copied();
        let current = current
            .filter(|at| self.builders[*at].as_ref().is_some_and(|builder| !builder.is_full()));
        let at = current.unwrap_or_else(|| {
            self.builders.push(Some(PartBuilder::new(ty.clone())));
            self.builders.len() - 1
        });
        self.current.insert(ty.clone(), at);
        if let Some(builder) = &mut self.builders[at] {
            builder.drafts += 1;
        }
        let path = self.listed.take().unwrap_or_else(|| key.to_string().into());
        (path, key.clone(), at, Draft::default())
    }

    fn row(&mut self, object: &mut Self::Object, line: u64, row: &InventoryRecord<'_>) {
        if let Some(builder) = &mut self.builders[object.2] {
            builder.take(&mut object.3, line, row);
        }
    }

    fn plain_row(&mut self, object: &mut Self::Object, line: u64, row: &PlainRow<'_>) {
        if let Some(builder) = &mut self.builders[object.2] {
            builder.take_plain(&mut object.3, line, row);
        }
    }

    fn end(&mut self, (path, key, at, mut draft): Self::Object, reading: &ObjectReading) {
        let mark = self.marks.get(&path).cloned();
        let stored = StoredObject::new(path, mark, std::mem::take(&mut draft.jumps), reading);
        let Some(builder) = &mut self.builders[at] else { return };
        builder.close(&draft, stored, key);
        builder.drafts -= 1;
        if builder.drafts == 0 && builder.is_full() {
            self.done.extend(self.builders[at].take().map(PartBuilder::finish));
        }
    }
}
