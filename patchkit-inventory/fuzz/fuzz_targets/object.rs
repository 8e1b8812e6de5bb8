//! An object never panics, reads alike however it is cut, loses no line silently, and takes no more
//! memory than is stated.
//!
//! The first eight bytes of an input say how it is read, the others are the object.
#![no_main]

use std::hash::{DefaultHasher, Hash, Hasher};

use libfuzzer_sys::fuzz_target;
use patchkit_inventory::{
    Consider, InventoryRecord, MAX_LINE_BYTES, ObjectReader, ObjectReading, RowSink, SkipReason,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const KEYS: [&str; 3] = [
    "AWS:PatchSummary/accountid=111122223333/region=eu-west-1/i-0a.json",
    "AWS:Application/accountid=111122223333/region=eu-west-1/i-0a.json",
    "Custom:Rack/accountid=111122223333/region=eu-west-1/i-0a.json",
];

/// Most different field names that are told apart in one object.
const MAX_REPAIRED: usize = 65;

/// What stands for a long run of bytes in an object that is to be stretched.
const STRETCHED: u8 = 2;

/// Keeps a digest of each row, so that what it keeps is small beside what the reader does.
struct Rows {
    picky: bool,
    seen: Vec<(u64, u64)>,
}

impl RowSink for Rows {
    fn consider(&mut self, line: &[u8]) -> Consider {
        if self.picky && line.len() % 2 == 1 { Consider::PassOver } else { Consider::Parse }
    }

    fn row(&mut self, line: u64, row: &InventoryRecord<'_>) {
        let mut digest = DefaultHasher::new();
        for field in row.fields() {
            field.name.hash(&mut digest);
            field.value.as_text().hash(&mut digest);
        }
        self.seen.push((line, digest.finish()));
    }
}

struct How {
    key: &'static str,
    picky: bool,
}

impl How {
    fn read<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) -> (Rows, ObjectReading) {
        let key = self.key.parse().expect("the key is a key");
        let mut reader = ObjectReader::new(self.key, &key);
        let mut rows = Rows { picky: self.picky, seen: Vec::new() };
        pieces.for_each(|piece| reader.feed(piece, &mut rows));
        let reading = reader.finish(&mut rows);
        (rows, reading)
    }
}

/// Pieces of sizes that look random and follow from the seed; some are empty.
fn cut(bytes: &[u8], mut seed: u64, longest: usize) -> impl Iterator<Item = &[u8]> {
    let (mut rest, longest) = (bytes, longest as u64);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // Knuth's MMIX generator, of which the high bits are the good ones.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let size = ((seed >> 33) % (longest + 1)) as usize;
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        rest = behind;
        Some(piece)
    })
}

/// Makes long lines of short inputs: two runs are just within what a line may be, three beyond it.
fn stretched(bytes: &[u8]) -> Vec<u8> {
    let mut long = Vec::with_capacity(2 * MAX_LINE_BYTES);
    let mut runs = 0;
    for &byte in bytes {
        if byte == STRETCHED && runs < 3 {
            runs += 1;
            long.resize(long.len() + MAX_LINE_BYTES / 2 + 1 - runs, b'x');
        } else {
            long.push(byte);
        }
    }
    long
}

fn is_blank(number: usize, line: &[u8]) -> bool {
    let line = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
    let mut line = line.strip_suffix(b"\r").unwrap_or(line);
    while let [0, rest @ ..] | [rest @ .., 0] = line {
        line = rest;
    }
    line.trim_ascii().is_empty()
}

/// Each line that is not blank has a row, was passed over, or is listed as lost, once.
fn check_lines(bytes: &[u8], rows: &Rows, reading: &ObjectReading) {
    let mut lines = Vec::new();
    let mut from = 0;
    for end in memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]) {
        lines.push(&bytes[from..end]);
        from = end + 1;
    }
    lines.pop_if(|last| last.is_empty());
    let mut taken = rows.seen.iter().map(|(line, _)| *line).peekable();
    let mut lost = reading.skipped.entries().iter().filter(|lost| lost.line.is_some()).peekable();
    let mut passed_over = 0;
    for (number, line) in (1..).zip(&lines) {
        let mut found = 0;
        while taken.next_if_eq(&(number as u64)).is_some() {
            found += 1;
        }
        if let Some(lost) = lost.next_if(|lost| lost.line == Some(number as u64)) {
            found += 1;
            if let SkipReason::Malformed(at) = lost.reason {
                assert!((1..=line.len() + 1).contains(&at), "byte {at} of {}", line.len());
            }
            let too_long = matches!(lost.reason, SkipReason::TooLong(_));
            assert_eq!(too_long, line.len() > MAX_LINE_BYTES);
        }
        if is_blank(number, line) {
            assert_eq!(found, 0, "line {number} is blank");
        } else if found == 0 {
            passed_over += 1;
        }
    }
    assert_eq!((taken.next(), lost.next()), (None, None), "more than there are lines");
    assert_eq!(reading.reading.passed_over, passed_over);
    assert!(rows.picky || passed_over == 0, "a line is neither read nor lost");
}

fuzz_target!(|input: &[u8]| {
    let Some((seed, bytes)) = input.split_first_chunk::<8>() else { return };
    let how = How { key: KEYS[usize::from(seed[0]) % KEYS.len()], picky: seed[1] % 4 == 0 };
    let stretch = seed[2] == 0xff && bytes.contains(&STRETCHED);
    let long;
    let bytes = if stretch {
        long = stretched(bytes);
        &long
    } else {
        bytes
    };

    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let (rows, reading) = how.read(std::iter::once(bytes));
    let used = MEMORY.peak_usage().saturating_sub(before);
    // A line as it came, again with U+FFFD for each byte, and as much again while they grow; of a
    // short object nothing but its findings counts.
    assert!(used < 16 * MAX_LINE_BYTES && used < (1 << 20) + 64 * bytes.len(), "{used} bytes used");
    assert!(reading.repaired.len() <= MAX_REPAIRED);
    assert_eq!(reading.reading.bytes, bytes.len() as u64);
    assert_eq!(reading.reading.rows, rows.seen.len() as u64);
    check_lines(bytes, &rows, &reading);

    let seed = u64::from_le_bytes(*seed);
    let longest: &[usize] = if stretch { &[1 << 20] } else { &[2, 64] };
    for longest in longest {
        let (again, read_again) = how.read(cut(bytes, seed, *longest));
        assert_eq!(again.seen, rows.seen);
        assert_eq!(read_again, reading);
    }
});
