//! The end of a run's sequence, which is all that its next writer has to know.

use jiff::Timestamp;
use patchkit_core::{Event, Record, Result, RunHead, RunId, RunLease};
use serde::{Deserialize, Serialize};

use super::{error::malformed, leaf, sequence::Sequence};

/// The header of an object of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Entry {
    /// By which its writer knows it again.
    pub(super) mark: String,
    pub(super) begun_at: Timestamp,
    /// When it was written.
    pub(super) at: Timestamp,
    /// The lease, as it is from here on.
    pub(super) lease: RunLease,
    /// The number of its first record, and how many it has.
    pub(super) first: u64,
    pub(super) records: u64,
    /// The object with the run's newest record.
    pub(super) last: Option<u64>,
    /// The objects before it that were torn when it was written. Its first records tell of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) torn: Vec<u64>,
}

impl Entry {
    pub(super) fn next(&self) -> u64 {
        self.first + self.records
    }
}

/// The newest object of a run that can be read, and what comes after it.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) entry: Entry,
    /// The number of the run's next object.
    pub(super) free: u64,
    /// Torn objects after the newest that can be read, each with how it looks.
    pub(super) torn: Vec<(u64, String)>,
}

impl Tail {
    /// Finds a run's end. None for a run that nobody began.
    pub(super) async fn find(
        operation: &'static str,
        run: &RunId,
        sequence: &Sequence,
    ) -> Result<Option<Self>> {
        let free = sequence.count(operation, None).await?;
        let mut torn = Vec::new();
        for number in (0..free).rev() {
            let Some(bytes) = sequence.read(operation, number).await? else {
                return Err(malformed(operation, format!("{} is gone", sequence.place(number))));
            };
            match leaf::open::<Entry>(&bytes) {
                Ok((entry, _)) => {
                    checked(operation, run, sequence, number, &entry)?;
                    torn.reverse();
                    return Ok(Some(Self { entry, free, torn }));
                }
                Err(broken) => torn.push((number, sequence.torn(operation, number, broken)?)),
            }
        }
        Ok(None)
    }

    /// Takes the next object of the sequence in.
    pub(super) fn take(
        &mut self,
        operation: &'static str,
        run: &RunId,
        sequence: &Sequence,
        bytes: &[u8],
    ) -> Result<()> {
        let number = self.free;
        match leaf::open::<Entry>(bytes) {
            Ok((entry, _)) => {
                checked(operation, run, sequence, number, &entry)?;
                *self = Self { entry, free: number + 1, torn: Vec::new() };
            }
            Err(broken) => {
                self.torn.push((number, sequence.torn(operation, number, broken)?));
                self.free = number + 1;
            }
        }
        Ok(())
    }

    /// The records that tell of the torn objects.
    pub(super) fn tears(&self, at: Timestamp) -> impl Iterator<Item = Record> {
        let numbers = self.entry.next()..;
        numbers.zip(&self.torn).map(move |(seq, (_, detail))| {
            Record::new(seq, at, Event::Torn { detail: detail.clone() })
        })
    }

    /// Where the run stands.
    pub(super) async fn head(&self, sequence: &Sequence) -> Result<RunHead> {
        let Entry { begun_at, lease, last, at, .. } = &self.entry;
        let records = self.entry.next() + self.torn.len() as u64;
        let newest = match (self.tears(*at).last(), last) {
            (Some(torn), _) => Some(torn),
            (None, Some(number)) => Some(newest(&lease.run, sequence, *number).await?),
            (None, None) => None,
        };
        Ok(RunHead::new(*begun_at, lease.clone(), records, newest))
    }
}

async fn newest(run: &RunId, sequence: &Sequence, number: u64) -> Result<Record> {
    let unreadable = || {
        malformed("head", format!("the newest record of run {run}, in {}", sequence.place(number)))
    };
    let bytes = sequence.read("head", number).await?.ok_or_else(unreadable)?;
    let (_, lines) = leaf::open::<Entry>(&bytes).map_err(|_| unreadable())?;
    let line = lines.last().ok_or_else(unreadable)?;
    serde_json::from_slice(line).map_err(|error| unreadable().with_source(error))
}

/// Folders tell runs apart by their names, which some file systems do not.
fn checked(
    operation: &'static str,
    run: &RunId,
    sequence: &Sequence,
    number: u64,
    entry: &Entry,
) -> Result<()> {
    if entry.lease.run == *run {
        return Ok(());
    }
    let what = format!("{} is of run {}, not of {run}", sequence.place(number), entry.lease.run);
    Err(malformed(operation, what))
}
