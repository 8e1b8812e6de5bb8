use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use futures::{
    executor::block_on,
    stream::{self, BoxStream},
};

use super::*;

/// A lake in memory: an object is its bytes, or the problem that its body ends in.
#[derive(Debug, Default)]
pub(crate) struct FakeSource {
    objects: Vec<(Arc<str>, Option<&'static str>)>,
    bodies: HashMap<Arc<str>, Vec<u8>>,
    list_fails: bool,
    never_answers: bool,
    open: Arc<AtomicUsize>,
    most_open: Arc<AtomicUsize>,
    in_flight: usize,
}

impl FakeSource {
    fn with(mut self, key: &str, body: &str, problem: Option<&'static str>) -> Self {
        let key: Arc<str> = key.into();
        self.objects.push((Arc::clone(&key), problem));
        self.bodies.insert(key, body.into());
        self
    }
}

fn lost(message: &'static str) -> Error {
    Error::new(ErrorKind::Unexpected, "fake", "get", message)
}

#[async_trait]
impl ObjectSource for FakeSource {
    fn list(&self) -> BoxStream<'static, Result<ListEntry>> {
        let mut entries: Vec<_> = self
            .objects
            .iter()
            .map(|(key, _)| Ok(ListEntry::Object { key: Arc::clone(key), size: None, mark: None }))
            .collect();
        if self.list_fails {
            entries.push(Err(lost("page 2 was lost")));
        }
        stream::iter(entries).boxed()
    }

    async fn get(&self, key: &str) -> Result<ObjectBody> {
        let now = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_open.fetch_max(now, Ordering::Relaxed);
        if self.never_answers {
            futures::future::pending::<()>().await;
        }
        yield_once().await;
        let problem = self.objects.iter().find(|(other, _)| &**other == key).and_then(|(_, p)| *p);
        if problem == Some("get") {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(lost("access denied"));
        }
        let mut pieces: Vec<_> =
            self.bodies[key].chunks(7).map(|c| Ok(c.to_vec().into())).collect();
        if problem.is_some() {
            pieces.push(Err(lost("connection reset")));
        }
        let open = Arc::clone(&self.open);
        let end = stream::poll_fn(move |_| {
            open.fetch_sub(1, Ordering::Relaxed);
            Poll::Ready(None)
        });
        Ok(stream::iter(pieces).chain(end).boxed())
    }

    fn in_flight(&self) -> usize {
        self.in_flight.max(1)
    }
}

/// Lets others go first once.
async fn yield_once() {
    let mut waited = false;
    futures::future::poll_fn(|cx| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Collects the text of `Name` by node.
#[derive(Default)]
struct Names(Vec<(String, String)>);

impl Visitor for Names {
    type Object = String;

    fn begin(&mut self, key: &InventoryKey) -> String {
        key.node().resource().to_owned()
    }

    fn row(&mut self, object: &mut String, _line: u64, row: &InventoryRecord<'_>) {
        self.0.push((object.clone(), row.text("Name").unwrap_or_default().to_owned()));
    }
}

fn path(ty: &str, node: usize) -> String {
    format!("{ty}/accountid=111122223333/region=eu-west-1/i-{node}.json")
}

fn run(source: FakeSource, options: ScanOptions) -> Result<(Vec<(String, String)>, LakeReading)> {
    let (visitors, reading) = block_on(scan(Arc::new(source), options, Names::default))?;
    let mut rows: Vec<_> = visitors.into_iter().flat_map(|names| names.0).collect();
    rows.sort();
    Ok((rows, reading))
}

#[test]
fn every_object_is_read_once_whatever_the_number_of_workers() {
    for workers in [1, 2, 7] {
        let mut source = FakeSource { in_flight: 10, ..FakeSource::default() };
        for node in 0..500 {
            source = source.with(
                &path("AWS:Application", node),
                "{\"Name\":\"a\"}\n{\"Name\":\"b\"}",
                None,
            );
        }
        let most = Arc::clone(&source.most_open);
        let options = ScanOptions::default().with_workers(NonZeroUsize::new(workers).unwrap());
        let (rows, reading) = run(source, options).unwrap();
        assert_eq!(rows.len(), 1_000);
        let ty = reading.types["AWS:Application"];
        assert_eq!((reading.listed, ty.objects, ty.rows, ty.bytes), (500, 500, 1_000, 500 * 25));
        let bound = 10_usize.div_ceil(workers) * workers;
        assert!(most.load(Ordering::Relaxed) <= bound, "more than {bound} objects were open");
    }
}

#[test]
fn an_unreadable_object_costs_no_other() {
    let source = FakeSource::default()
        .with(&path("AWS:Application", 1), "{\"Name\":\"a\"}", None)
        .with(&path("AWS:Application", 2), "{\"Name\":\"b\"}", Some("get"))
        .with(&path("AWS:Application", 3), "{\"Name\":\"c\"}\n{\"Na", Some("body"))
        .with("readme.txt", "x", None)
        .with("AWS:InstanceInformation/accountid=111122223333/test.json", "x", None)
        .with(&path("AWS:Application", 4), "", None);
    let (rows, reading) = run(source, ScanOptions::default()).unwrap();
    assert_eq!(rows.len(), 2);
    let skipped: Vec<_> = reading
        .skipped
        .entries()
        .iter()
        .map(|s| format!("{} {:?} {}", s.key, s.line, s.reason))
        .collect();
    let p = |n| path("AWS:Application", n);
    assert_eq!(
        skipped,
        [
            format!("{} None unreadable: fake get failed: access denied", p(2)),
            format!("{} Some(2) unreadable: fake get failed: connection reset", p(3)),
            format!("{} None the object is empty", p(4)),
            "readme.txt None not an inventory key: no segment names an inventory type".to_owned(),
        ]
    );
    assert_eq!((reading.listed, reading.ignored), (6, 1));
}

#[test]
fn only_the_wanted_types_are_opened() {
    let source = FakeSource::default()
        .with(&path("AWS:Application", 1), "{\"Name\":\"a\"}", None)
        .with(&path("Custom:Rack", 1), "{\"Name\":\"r\"}", None)
        .with(&path("AWS:Tag", 1), "", None);
    let types = ["custom:rack".parse().unwrap()];
    let (rows, reading) = run(source, ScanOptions::default().with_types(types)).unwrap();
    assert_eq!(rows, [("i-1".to_owned(), "r".to_owned())]);
    assert!(reading.skipped.is_empty());
    assert_eq!(reading.listed, 3);
}

#[test]
fn a_listing_that_breaks_off_is_an_error_and_not_half_a_lake() {
    let source = FakeSource { list_fails: true, ..FakeSource::default() }.with(
        &path("AWS:Application", 1),
        "{\"Name\":\"a\"}",
        None,
    );
    assert_eq!(run(source, ScanOptions::default()).unwrap_err().message(), "page 2 was lost");
}

struct Panics;

impl Visitor for Panics {
    type Object = ();

    fn begin(&mut self, _key: &InventoryKey) {}

    fn row(&mut self, _object: &mut (), _line: u64, _row: &InventoryRecord<'_>) {
        panic!("a visitor that panics");
    }
}

#[test]
fn a_visitor_that_panics_ends_in_an_error() {
    let source = FakeSource::default().with(&path("AWS:Application", 1), "{\"Name\":\"a\"}", None);
    let result = block_on(scan(Arc::new(source), ScanOptions::default(), || Panics));
    assert_eq!(result.err().unwrap().kind(), ErrorKind::Unexpected);
}

#[test]
fn numbers_are_drift_only_in_the_odd_object_out() {
    let lake = |strings: usize, numbers: usize| {
        let mut source = FakeSource::default();
        for node in 0..strings + numbers {
            let body =
                if node < strings { "{\"MissingCount\":\"1\"}" } else { "{\"MissingCount\":1}" };
            source = source.with(&path("AWS:PatchSummary", node), body, None);
        }
        run(source, ScanOptions::default()).unwrap().1.repaired.total()
    };
    assert_eq!(lake(20, 1), 1);
    assert_eq!(lake(5, 5), 0);
    assert_eq!(lake(0, 5), 0);
}

#[tokio::test]
async fn a_dropped_scan_lets_go_of_its_source() {
    let source = FakeSource { never_answers: true, ..FakeSource::default() }.with(
        &path("AWS:Application", 1),
        "{\"Name\":\"a\"}",
        None,
    );
    let source = Arc::new(source);
    let held: Arc<dyn ObjectSource> = Arc::<FakeSource>::clone(&source);
    let scan = scan(held, ScanOptions::default(), Names::default);
    assert!(tokio::time::timeout(Duration::from_millis(50), scan).await.is_err());
    for _ in 0..200 {
        if Arc::strong_count(&source) == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the workers still hold the source");
}
