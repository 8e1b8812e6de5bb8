//! The same lake with dirt in it: one object in fifty, each of twelve kinds in turn.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde_json::{Value, json};

/// Every so many objects one is spoiled.
const EVERY: usize = 50;

const KINDS: [Kind; 12] = [
    Kind::Truncated,
    Kind::Empty,
    Kind::BlankLines,
    Kind::BadLine,
    Kind::NumberDrift,
    Kind::ByteOrderMark,
    Kind::CarriageReturns,
    Kind::NullField,
    Kind::ExtraField,
    Kind::NoFinalLine,
    Kind::NulTail,
    Kind::DuplicateKey,
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Truncated,
    Empty,
    BlankLines,
    BadLine,
    NumberDrift,
    ByteOrderMark,
    CarriageReturns,
    NullField,
    ExtraField,
    NoFinalLine,
    NulTail,
    DuplicateKey,
}

/// What is known of a dirty lake: rows by type, and which line of which object is lost, by its key.
#[derive(Debug, Default)]
struct Known {
    rows: BTreeMap<String, usize>,
    lost: BTreeMap<String, Value>,
}

/// Makes `dirty` of `lake`, of whose clean objects it has links or copies; gives what can be read.
pub(crate) fn lake(lake: &Path, dirty: &Path) -> io::Result<Value> {
    let mut known = Known::default();
    let mut seen = 0;
    walk(lake, dirty, &mut String::new(), &mut seen, &mut known)?;
    known.rows.retain(|_, rows| *rows > 0);
    Ok(json!({"rows": known.rows, "lost_lines": known.lost}))
}

fn walk(
    from: &Path,
    to: &Path,
    key: &mut String,
    seen: &mut usize,
    known: &mut Known,
) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut entries = fs::read_dir(from)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_unstable_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (source, target, length) = (entry.path(), to.join(&name), key.len());
        key.push_str(if length == 0 { "" } else { "/" });
        key.push_str(&name);
        if entry.file_type()?.is_dir() {
            walk(&source, &target, key, seen, known)?;
        } else {
            let bytes = fs::read(&source)?;
            let ty = key.split('/').next().unwrap_or_default().to_owned();
            let rows = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
            *seen += 1;
            let mut lost = None;
            if seen.is_multiple_of(EVERY) {
                let kind = KINDS[*seen / EVERY % KINDS.len()];
                let (spoiled, line) = spoil(kind, &bytes, rows);
                fs::write(&target, spoiled)?;
                lost = line;
            } else if fs::hard_link(&source, &target).is_err() {
                fs::copy(&source, &target)?;
            }
            *known.rows.entry(ty).or_default() += rows - lost.as_ref().map_or(0, |(_, rows)| *rows);
            if let Some((line, _)) = lost {
                known.lost.insert(key.clone(), line);
            }
        }
        key.truncate(length);
    }
    Ok(())
}

/// The spoiled bytes, and which line is lost, or null for the object, with how many rows.
fn spoil(kind: Kind, bytes: &[u8], rows: usize) -> (Vec<u8>, Option<(Value, usize)>) {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').take(rows).collect();
    let middle = rows / 2;
    // Every row of the service's begins with a field of text.
    let with_field = |field: &str| {
        let mut lines: Vec<_> = lines.iter().map(|line| line.to_vec()).collect();
        if let Some(line) = lines.get_mut(middle) {
            line.splice(1..1, field.bytes());
        }
        (joined(&lines), None)
    };
    match kind {
        Kind::Truncated => {
            let last = lines.last().map_or(0, |line| line.len());
            (bytes[..bytes.len() - 1 - last / 2].to_vec(), Some((json!(rows), 1)))
        }
        Kind::Empty => (Vec::new(), Some((Value::Null, rows))),
        Kind::BlankLines => ([b"\n \n", bytes].concat(), None),
        Kind::BadLine => {
            let mut lines: Vec<_> = lines.iter().map(|line| line.to_vec()).collect();
            lines.insert(middle, b"<Error><Code>SlowDown</Code></Error>".to_vec());
            // A line that was never a row.
            (joined(&lines), Some((json!(middle + 1), 0)))
        }
        Kind::NumberDrift => with_field("\"Version\":3.1,"),
        Kind::ByteOrderMark => ([b"\xef\xbb\xbf", bytes].concat(), None),
        Kind::CarriageReturns => {
            (lines.iter().flat_map(|line| [line, b"\r\n".as_slice()].concat()).collect(), None)
        }
        Kind::NullField => with_field("\"Summary\":null,"),
        Kind::ExtraField => with_field("\"FutureAttribute\":{\"nested\":[1]},"),
        Kind::NoFinalLine => (bytes.trim_ascii_end().to_vec(), None),
        Kind::NulTail => ([bytes, &[0; 512]].concat(), None),
        Kind::DuplicateKey => with_field("\"schemaVersion\":\"9.9\","),
    }
}

fn joined(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect()
}
