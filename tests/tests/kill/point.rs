//! The points at which a run can be interrupted: before and after each call of it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A side of a call.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum Side {
    /// It is about to be made.
    Before,
    /// It was answered, and nobody has seen the answer.
    After,
}

/// A point of a run. Calls that are under way at once may change places from run to run, so a point
/// is told by its call, and by how many of that name were made before it.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Point {
    pub(crate) call: String,
    pub(crate) number: usize,
    pub(crate) side: Side,
}

/// The calls that write, to the journal and to the clouds. Who renews a lease writes nothing of the run.
const WRITES: [&str; 8] =
    ["append", "begin", "cancel", "claim", "release", "set_power", "submit", "unclaim"];

impl Point {
    /// Whether it is at a write.
    pub(crate) fn is_write(&self) -> bool {
        WRITES.contains(&&*self.call)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Before => "before",
            Side::After => "after",
        };
        write!(f, "{}.{}.{side}", self.call, self.number)
    }
}

impl From<Point> for String {
    fn from(point: Point) -> Self {
        point.to_string()
    }
}

impl TryFrom<String> for Point {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("a point is such as append.12.after, not {text:?}");
        let (rest, side) = text.rsplit_once('.').ok_or_else(wrong)?;
        let (call, number) = rest.rsplit_once('.').ok_or_else(wrong)?;
        let side = match side {
            "before" => Side::Before,
            "after" => Side::After,
            _ => return Err(wrong()),
        };
        let number = number.parse().map_err(|_| wrong())?;
        Ok(Self { call: call.to_owned(), number, side })
    }
}

/// So many of the points, evenly spread; all where there are no more.
pub(crate) fn spread(points: &[Point], many: usize) -> Vec<Point> {
    let many = many.min(points.len());
    (0..many).map(|at| points[at * points.len() / many].clone()).collect()
}

#[test]
fn a_point_is_read_back_as_it_was_written() {
    let point = Point { call: "set_power".to_owned(), number: 12, side: Side::After };
    assert_eq!(point.to_string(), "set_power.12.after");
    assert_eq!(point.to_string().parse(), Ok(point));
    assert!("set_power.x.after".parse::<Point>().is_err());
}

#[test]
fn a_spread_begins_at_the_first_and_takes_each_once() {
    let points: Vec<Point> = (0..10)
        .map(|number| Point { call: "append".to_owned(), number, side: Side::Before })
        .collect();
    let numbers = |many| spread(&points, many).iter().map(|it| it.number).collect::<Vec<_>>();
    assert_eq!(numbers(3), [0, 3, 6]);
    assert_eq!(numbers(20).len(), 10);
}
