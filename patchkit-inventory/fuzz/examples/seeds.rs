//! Writes a seed corpus for every target, taken from a sample lake: `cargo run --example seeds`.

use std::{collections::BTreeSet, fs, io, path::Path};

use patchkit_inventory::InventoryRecord;
use patchkit_testkit::lake::{Dirt, SampleLake};

/// Most bytes of an object: a longer seed makes every input that grows out of it slow.
const MAX_OBJECT: usize = 4 << 10;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let lake = SampleLake::new().with_nodes(32).with_prefix("sync").with_dirt(&Dirt::ALL, 30);
    let (mut lines, mut versions) = (BTreeSet::new(), BTreeSet::new());
    // Lines about as long as the longest accepted; see `stretched` in the target.
    put(&corpus, "object", 9_998, b"\0\x01\xff\0\0\0\0\0{\"a\":\"\x02\x02\"}\n{\"b\":1}\n")?;
    put(&corpus, "object", 9_999, b"\0\x01\xff\0\0\0\0\0{\"a\":\"\x02\x02\x02\"}\n{\"b\":1}\n")?;
    for (n, object) in lake.objects().enumerate() {
        let head = &object.bytes[..object.bytes.len().min(MAX_OBJECT)];
        // In front of an object stand the eight bytes that say how it is read.
        let how = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        put(&corpus, "object", n, &[&how, head].concat())?;
        put(&corpus, "key", n, object.key.as_bytes())?;
        for line in String::from_utf8_lossy(head).lines() {
            for row in InventoryRecord::rows(line).flatten() {
                let column = |name| row.text(name).unwrap_or_default();
                if !column("Version").is_empty() {
                    let (epoch, version) = (column("Epoch"), column("Version"));
                    versions.insert(format!("{epoch}:{version}-{}", column("Release")));
                }
            }
            lines.insert(line.to_owned());
        }
    }
    // Every seventh does: the rows of one type have much the same shape.
    for (n, line) in lines.iter().step_by(7).enumerate() {
        put(&corpus, "record", n, line.as_bytes())?;
    }
    let versions: Vec<_> = versions.into_iter().collect();
    for (n, three) in versions.windows(3).step_by(7).enumerate() {
        put(&corpus, "version", n, three.join("\n").as_bytes())?;
    }
    Ok(())
}

fn put(corpus: &Path, target: &str, n: usize, bytes: &[u8]) -> io::Result<()> {
    let folder = corpus.join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("seed-{n:04}")), bytes)
}
