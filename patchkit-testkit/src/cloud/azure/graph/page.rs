//! Answers in pages.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Query, QueryError, plan::Column, stream::Stream, value::Cell};

/// Rows of a page, at most and when nothing is said (work-with-data.md).
const MAX_TOP: usize = 1_000;

/// Bytes of an answer over all its pages.
const MAX_BYTES: usize = 1 << 30;

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// Rows are objects: what the current API versions give when nothing is said.
    #[default]
    ObjectArray,
    /// Columns, then rows as arrays.
    Table,
}

/// The options of a request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// `$top`: rows of a page.
    pub top: Option<usize>,
    /// `$skip`: rows left out before the first page.
    pub skip: usize,
    /// `$skipToken` of the page before.
    pub skip_token: Option<String>,
    /// `resultFormat`.
    pub format: Format,
}

impl Options {
    /// Reads the `options` of a request's body; what is not there keeps its default.
    ///
    /// # Errors
    /// A value that the service does not take.
    pub fn from_json(options: &Value) -> Result<Self, QueryError> {
        let refuse = |name: &str| {
            QueryError::option(
                "InvalidQueryOptions",
                format!("The value of the option '{name}' is not valid."),
            )
        };
        let given = |name: &str| options.get(name).filter(|value| !value.is_null());
        let count = |name: &str| {
            given(name)
                .map(|value| value.as_u64().and_then(|count| usize::try_from(count).ok()))
                .map(|count| count.ok_or_else(|| refuse(name)))
                .transpose()
        };
        let top = count("$top")?;
        if top.is_some_and(|top| !(1..=MAX_TOP).contains(&top)) {
            return Err(refuse("$top"));
        }
        let skip_token = given("$skipToken").map(|token| token.as_str().map(str::to_owned));
        let skip_token = skip_token.map(|token| token.ok_or_else(|| refuse("$skipToken")));
        let format = match given("resultFormat").map(Value::as_str) {
            None => Format::default(),
            Some(Some(name)) if name.eq_ignore_ascii_case("objectArray") => Format::ObjectArray,
            Some(Some(name)) if name.eq_ignore_ascii_case("table") => Format::Table,
            Some(_) => return Err(refuse("resultFormat")),
        };
        Ok(Self {
            top,
            skip: count("$skip")?.unwrap_or(0),
            // An empty token is none: clients send it for the first page.
            skip_token: skip_token.transpose()?.filter(|token| !token.is_empty()),
            format,
        })
    }
}

/// A request for one page.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest<'r> {
    /// The query's text.
    pub query: &'r str,
    /// What the query may see, such as its caller and subscriptions: a token is good for one.
    pub scope: &'r str,
    /// Its options.
    pub options: &'r Options,
}

/// An answer: the bytes of its rows, one behind the other, so that a page is one piece of them;
/// or what makes them page by page.
#[derive(Debug)]
pub struct Rendered {
    form: Form,
    /// Its columns, where the form tells them.
    columns: Value,
    bytes: Vec<u8>,
    /// Where each row begins.
    starts: Vec<usize>,
    stream: Option<Stream>,
    /// How many bytes a row of the last page took, for the next one to have room; nothing before the first.
    width: AtomicUsize,
    has_id: bool,
    takes: bool,
}

/// How rows are written.
pub(super) struct Form {
    format: Format,
    /// What stands before each value: `{"id":` and `,"name":`, or `[` and `,`.
    heads: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Form {
    fn new(columns: &[Column], format: Format) -> Self {
        let mut heads = Vec::new();
        let ends = columns.iter().map(|Column { name, .. }| {
            heads.push(match format {
                _ if !heads.is_empty() => b',',
                Format::ObjectArray => b'{',
                Format::Table => b'[',
            });
            if format == Format::ObjectArray {
                Cell::Text((&**name).into()).write(&mut heads);
                heads.push(b':');
            }
            heads.len()
        });
        let ends = ends.collect();
        Self { format, heads, ends }
    }

    pub(super) fn write(&self, row: &[Cell<'_>], out: &mut Vec<u8>) {
        self.write_each(out, |column, out| match row.get(column) {
            Some(cell) => cell.write(out),
            None => Cell::Null.write(out),
        });
    }

    /// Writes a row of which each column writes itself.
    pub(super) fn write_each(&self, out: &mut Vec<u8>, mut write: impl FnMut(usize, &mut Vec<u8>)) {
        let mut begin = 0;
        for (column, end) in self.ends.iter().enumerate() {
            out.extend_from_slice(self.heads.get(begin..*end).unwrap_or_default());
            write(column, out);
            begin = *end;
        }
        let (open, close): (&[u8], _) = match self.format {
            Format::ObjectArray => (b"{", b'}'),
            Format::Table => (b"[", b']'),
        };
        if self.ends.is_empty() {
            out.extend_from_slice(open);
        }
        out.push(close);
    }
}

impl Rendered {
    pub(super) fn new(query: &Query, format: Format) -> Self {
        let form = Form::new(&query.plan.columns, format);
        let told = if format == Format::Table { query.columns() } else { Vec::new() };
        let columns =
            told.into_iter().map(|(name, kind)| json!({"name": name, "type": kind.name()}));
        Self {
            form,
            columns: columns.collect(),
            bytes: Vec::new(),
            starts: Vec::new(),
            stream: None,
            width: AtomicUsize::new(0),
            has_id: query.has_id(),
            takes: query.takes(),
        }
    }

    pub(super) fn with_stream(mut self, stream: Stream) -> Self {
        self.stream = Some(stream);
        self
    }

    /// Whether rows were left out because the answer is larger than any that is paged through.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() > MAX_BYTES
    }

    pub(super) fn push(&mut self, row: &[Cell<'_>]) {
        if self.is_full() {
            return;
        }
        if !self.starts.is_empty() {
            self.bytes.push(b',');
        }
        self.starts.push(self.bytes.len());
        self.form.write(row, &mut self.bytes);
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.stream.as_ref().map_or(self.starts.len(), Stream::total)
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether its rows are made page by page.
    pub fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Writes the rows from one on to before another.
    fn write(&self, from: usize, to: usize, out: &mut Vec<u8>) -> Result<(), QueryError> {
        if let Some(stream) = &self.stream {
            return stream.write(from, to, &self.form, out);
        }
        let Some(start) = self.starts.get(from).filter(|_| from < to) else { return Ok(()) };
        // The comma before the next row is not part of this one.
        let end = self.starts.get(to).map_or(self.bytes.len(), |next| next - 1);
        out.extend_from_slice(self.bytes.get(*start..end).unwrap_or_default());
        Ok(())
    }
}

/// One page of an answer.
#[derive(Clone, Debug)]
pub struct Page {
    /// The number of its answer, and how often it was asked for in vain.
    number: u64,
    again: u8,
    answer: Arc<Rendered>,
    from: usize,
    to: usize,
    pub(crate) token: Option<String>,
}

impl Page {
    /// Its `count`.
    pub fn count(&self) -> usize {
        self.to - self.from
    }

    /// Its `totalRecords`: the rows of all pages.
    pub fn total_records(&self) -> usize {
        self.answer.len()
    }

    /// Its `$skipToken`, if there is a page behind it that can be asked for.
    pub fn skip_token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Its `resultTruncated`: rows are missing and no token leads to them.
    pub fn is_truncated(&self) -> bool {
        self.to < self.answer.len() && self.token.is_none()
    }

    /// The body of the reply.
    ///
    /// # Errors
    /// A value of a row that is made only now, and is too large.
    pub fn body(&self) -> Result<Vec<u8>, QueryError> {
        self.body_in(Vec::new())
    }

    /// The same, in a buffer that is empty.
    ///
    /// # Errors
    /// As [`body`](Self::body).
    pub fn body_in(&self, mut body: Vec<u8>) -> Result<Vec<u8>, QueryError> {
        let (total, count) = (self.total_records(), self.count());
        let width = self.answer.width.load(Ordering::Relaxed);
        body.reserve_exact(width * count + width * count / 8 + 1_024);
        body.extend_from_slice(
            format!("{{\"totalRecords\":{total},\"count\":{count},\"data\":").as_bytes(),
        );
        let format = self.answer.form.format;
        match format {
            Format::ObjectArray => body.push(b'['),
            Format::Table => {
                let head = format!("{{\"columns\":{},\"rows\":[", self.answer.columns);
                body.extend_from_slice(head.as_bytes());
            }
        }
        self.answer.write(self.from, self.to, &mut body)?;
        body.extend_from_slice(match format {
            Format::ObjectArray => b"]",
            Format::Table => b"]}",
        });
        // A string, not a boolean, in the real service's answers.
        let truncated = self.is_truncated();
        let tail = format!(",\"facets\":[],\"resultTruncated\":\"{truncated}\"");
        body.extend_from_slice(tail.as_bytes());
        if let Some(token) = &self.token {
            body.extend_from_slice(format!(",\"$skipToken\":\"{token}\"").as_bytes());
        }
        body.push(b'}');
        if let Some(width) = body.len().checked_div(count) {
            self.answer.width.store(width, Ordering::Relaxed);
        }
        Ok(body)
    }
}

/// The answers that are being paged through: few, young and bounded in bytes.
///
/// A token names an answer and a place in it, so all pages show the rows of the moment of the
/// first one. It does not own a world: the caller runs the query, outside of whatever lock guards
/// the pager.
///
/// # Behavior
/// - [`resume`](Self::resume) answers a request with a token, [`reuse`](Self::reuse) one whose
///   answer is at hand, [`open`](Self::open) every other.
/// - An answer that fits one page is not kept.
/// - The oldest answers go first when there is no more room; their tokens are then refused. An
///   answer whose pages are made one by one counts with what its [rows](super::Rows::held) keep.
#[derive(Debug)]
pub struct Pager {
    seed: u64,
    made: u64,
    answers: BTreeMap<u64, Kept>,
    /// Numbers of the answers, oldest first.
    order: VecDeque<u64>,
    /// The newest answer that can be given again, by what it answers.
    reusable: HashMap<u64, u64>,
    bytes: usize,
    max_answers: usize,
    max_bytes: usize,
    max_age: SignedDuration,
}

#[derive(Debug)]
struct Kept {
    answer: Arc<Rendered>,
    query: String,
    scope: String,
    version: Option<u64>,
    at: Timestamp,
}

impl Pager {
    /// A pager whose tokens follow from a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            made: 0,
            answers: BTreeMap::new(),
            order: VecDeque::new(),
            reusable: HashMap::new(),
            bytes: 0,
            max_answers: 256,
            max_bytes: 256 << 20,
            max_age: SignedDuration::from_mins(30),
        }
    }

    /// Keeps at most so many answers.
    #[must_use]
    pub fn with_max_answers(mut self, count: usize) -> Self {
        self.max_answers = count;
        self
    }

    /// Keeps at most so many bytes of answers.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Keeps answers no longer than this.
    #[must_use]
    pub fn with_max_age(mut self, age: SignedDuration) -> Self {
        self.max_age = age;
        self
    }

    /// The page that a request's token leads to; none if the request has no token.
    ///
    /// # Errors
    /// A token that is unknown, too old, or of another query, scope or format.
    pub fn resume(
        &mut self,
        request: PageRequest<'_>,
        now: Timestamp,
    ) -> Result<Option<Page>, QueryError> {
        self.forget(now);
        let Some(token) = &request.options.skip_token else { return Ok(None) };
        let found = self.read(token).and_then(|(number, from, again)| {
            let kept = self.answers.get(&number).filter(|kept| kept.is_for(request))?;
            let here = from < kept.answer.len() || from == 0;
            here.then(|| (number, from, again, Arc::clone(&kept.answer)))
        });
        let Some((number, from, again, answer)) = found else {
            return Err(QueryError::option(
                "InvalidSkipToken",
                "The skip token is not valid or has expired.",
            ));
        };
        let page = self.page(number, answer, from, request.options);
        Ok(Some(Page { again, ..page }))
    }

    /// The first page of an answer that is at hand: the same query and scope over the same rows,
    /// which have the same `version`.
    pub fn reuse(
        &mut self,
        request: PageRequest<'_>,
        version: u64,
        now: Timestamp,
    ) -> Option<Page> {
        self.forget(now);
        let number = *self.reusable.get(&Self::asked(request, version))?;
        let kept = self.answers.get(&number)?;
        if kept.version != Some(version) || !kept.is_for(request) {
            return None;
        }
        let answer = Arc::clone(&kept.answer);
        let from = answer.first(request.options);
        Some(self.page(number, answer, from, request.options))
    }

    /// The first page of a new answer, which is kept for the pages behind it.
    ///
    /// With the `version` of its rows, an answer that does not depend on the time can be reused.
    pub fn open(
        &mut self,
        request: PageRequest<'_>,
        mut answer: Rendered,
        version: Option<u64>,
        now: Timestamp,
    ) -> Page {
        self.forget(now);
        answer.bytes.shrink_to_fit();
        let answer = Arc::new(answer);
        let number = self.made;
        self.made += 1;
        let from = answer.first(request.options);
        let page = self.page(number, Arc::clone(&answer), from, request.options);
        if page.token.is_some() {
            self.keep(request, number, answer, version, now);
        }
        page
    }

    fn keep(
        &mut self,
        request: PageRequest<'_>,
        number: u64,
        answer: Arc<Rendered>,
        version: Option<u64>,
        now: Timestamp,
    ) {
        self.bytes += answer.size();
        self.order.push_back(number);
        if let Some(version) = version {
            self.reusable.insert(Self::asked(request, version), number);
        }
        let kept = Kept {
            answer,
            query: request.query.to_owned(),
            scope: request.scope.to_owned(),
            version,
            at: now,
        };
        self.answers.insert(number, kept);
        self.forget(now);
    }

    /// A token for a page once more, other than the one that it was asked with; its answer is
    /// kept if it was not. None where the answer has no column `id`, and so no tokens.
    pub fn again(
        &mut self,
        request: PageRequest<'_>,
        page: &Page,
        now: Timestamp,
    ) -> Option<String> {
        if !page.answer.has_id {
            return None;
        }
        if !self.answers.contains_key(&page.number) {
            self.keep(request, page.number, Arc::clone(&page.answer), None, now);
        }
        Some(self.write(page.number, page.from, page.again.wrapping_add(1)))
    }

    /// A token for the page behind one, that begins with the last row of it. None where there is
    /// no page behind it, or it has no row besides.
    pub fn overlap(&self, page: &Page) -> Option<String> {
        let last = page.to.checked_sub(1).filter(|last| *last > page.from)?;
        page.token.is_some().then(|| self.write(page.number, last, 0))
    }

    /// Lets go of what is too old or too much.
    fn forget(&mut self, now: Timestamp) {
        while let Some(number) = self.order.front() {
            let Some(kept) = self.answers.get(number) else { break };
            let old = now.duration_since(kept.at) > self.max_age;
            // The newest stays even if it alone is too much, or its paging could never end.
            // What the oldest rows keep is more than what all younger ones do.
            let held = kept.answer.stream.as_ref().map_or(0, Stream::held);
            let much = self.order.len() > 1
                && (self.answers.len() > self.max_answers
                    || self.bytes.saturating_add(held) > self.max_bytes);
            if !old && !much {
                break;
            }
            self.bytes = self.bytes.saturating_sub(kept.answer.size());
            let number = *number;
            self.answers.remove(&number);
            self.order.pop_front();
            // One that is gone stands in nobody's way: of those there are no more than answers.
            if self.reusable.len() > 2 * self.order.len() {
                self.reusable.retain(|_, number| self.answers.contains_key(number));
            }
        }
    }

    /// A number that hardly any other question has over the same rows.
    fn asked(request: PageRequest<'_>, version: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        let PageRequest { query, scope, options } = request;
        (query, scope, options.format, version).hash(&mut hasher);
        hasher.finish()
    }

    fn page(&self, number: u64, answer: Arc<Rendered>, from: usize, options: &Options) -> Page {
        let to = from.saturating_add(options.top.unwrap_or(MAX_TOP)).min(answer.len());
        let token = (to < answer.len() && answer.has_id).then(|| self.write(number, to, 0));
        Page { number, again: 0, answer, from, to, token }
    }

    fn check(&self, number: u64, from: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, number, from).hash(&mut hasher);
        hasher.finish()
    }

    fn write(&self, number: u64, from: usize, again: u8) -> String {
        let from = u64::try_from(from).unwrap_or(u64::MAX) << 8 | u64::from(again);
        let check = self.check(number, from);
        // Opaque to look at: the number and the place are covered by the check.
        format!("{check:016x}{:016x}{:016x}", number ^ check, from ^ check.rotate_left(32))
    }

    fn read(&self, token: &str) -> Option<(u64, usize, u8)> {
        if token.len() != 48 || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let part = |at: usize| u64::from_str_radix(token.get(at..at + 16)?, 16).ok();
        let check = part(0)?;
        let (number, from) = (part(16)? ^ check, part(32)? ^ check.rotate_left(32));
        (self.check(number, from) == check).then_some(())?;
        let again = u8::try_from(from & 0xFF).ok()?;
        Some((number, usize::try_from(from >> 8).ok()?, again))
    }
}

impl Kept {
    fn is_for(&self, request: PageRequest<'_>) -> bool {
        self.query == request.query
            && self.scope == request.scope
            && self.answer.form.format == request.options.format
    }
}

impl Rendered {
    fn size(&self) -> usize {
        let of_stream = self.stream.as_ref().map_or(0, Stream::size);
        self.bytes.len() + self.starts.len() * size_of::<usize>() + of_stream
    }

    /// The first row of the first page.
    fn first(&self, options: &Options) -> usize {
        if self.takes { 0 } else { options.skip.min(self.len()) }
    }
}
