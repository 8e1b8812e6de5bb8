//! A lake of which every hundredth object changes, beside the one that it was made of.

use std::{fs, io, path::Path};

/// Every so many objects one is written again.
const EVERY: usize = 100;

/// What a changed object has more: a row that no question asks for.
const MORE: &[u8] = b"{\"captureTime\":\"2026-11-01T00:00:00Z\"}\n";

/// Makes `copy` of `lake`, by links where that can be.
pub(crate) fn copy(lake: &Path, copy: &Path) -> io::Result<()> {
    fs::create_dir_all(copy)?;
    each(lake, &mut |path| {
        let target = copy.join(path.strip_prefix(lake).map_err(io::Error::other)?);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::hard_link(path, &target).or_else(|_| fs::copy(path, &target).map(drop))
    })
}

/// Writes some objects of a copy again, in files of their own.
pub(crate) fn change(copy: &Path) -> io::Result<usize> {
    let (mut seen, mut changed) = (0_usize, 0);
    each(copy, &mut |path| {
        seen += 1;
        if !seen.is_multiple_of(EVERY) {
            return Ok(());
        }
        let mut bytes = fs::read(path)?;
        if !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(MORE);
        let new = path.with_extension("new");
        fs::write(&new, bytes)?;
        changed += 1;
        fs::rename(new, path)
    })?;
    Ok(changed)
}

/// Shows the files of a folder, in the order of their names.
fn each(folder: &Path, show: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_unstable_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_type()?.is_dir() {
            each(&entry.path(), show)?;
        } else {
            show(&entry.path())?;
        }
    }
    Ok(())
}
