//! In which file an object is.
//!
//! An object's file has its key as its path below the bucket's folder, so that the folders can be
//! read as they are. Where its path is a folder, for other keys go on behind it with a slash, its
//! file is in there, under a name that no other key has: `.object`. So is that of a key that ends with
//! a slash, as `.folder`. A key that has such a segment itself has a `~` more in the path of its file.

use std::{fs, io, sync::PoisonError};

use super::Root;

/// The name of the file of an object whose path is a folder.
const INNER: &str = ".object";

/// The name of the file of an object whose key ends with a slash: consoles make folders so.
const MARKER: &str = ".folder";

/// The path of a key's file below the bucket's folder, where that is no folder.
pub(super) fn escaped(key: &str) -> String {
    let segments =
        key.split('/').map(|it| if is_reserved(it) { format!("{it}~") } else { it.into() });
    let path = segments.collect::<Vec<_>>().join("/");
    if path.ends_with('/') { path + MARKER } else { path }
}

/// The segment of a key that a name stands for, an empty one behind a last slash; none for the file of
/// what it lies in.
pub(super) fn unescaped(name: &str) -> Option<&str> {
    match name.strip_suffix('~') {
        Some(shorter) if is_reserved(shorter) => Some(shorter),
        _ if name == MARKER => Some(""),
        _ if is_reserved(name) => None,
        _ => Some(name),
    }
}

/// The file of the object whose path is this folder.
pub(super) fn inner(folder: &str) -> String {
    format!("{}/{INNER}", folder.trim_end_matches('/'))
}

fn is_reserved(segment: &str) -> bool {
    let rest = segment.strip_prefix(INNER).or_else(|| segment.strip_prefix(MARKER));
    rest.is_some_and(|rest| rest.bytes().all(|it| it == b'~'))
}

impl Root {
    /// The path, below the bucket's folder, of the file that an object is in or would be in.
    pub(super) fn file_of(&self, bucket: &str, key: &str) -> String {
        let path = escaped(key);
        let file = self.path().join(bucket).join(&path);
        if !file.exists() {
            // While one is moved, its path is for a moment neither file nor folder.
            drop(self.moving.lock().unwrap_or_else(PoisonError::into_inner));
        }
        if file.is_dir() { inner(&path) } else { path }
    }

    /// Makes the folders of a key, also where an object is in the way; says what
    /// [`file_of`](Self::file_of) says.
    pub(super) fn make_room(&self, bucket: &str, key: &str) -> io::Result<String> {
        let held = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.path().join(bucket);
        let path = escaped(key);
        for (at, _) in path.match_indices('/') {
            let above = &path[..at];
            match fs::metadata(folder.join(above)) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => self.move_inside(bucket, above)?,
                Err(e) if !is_absent(&e) => return Err(e),
                Err(_) => fs::create_dir_all(folder.join(above))?,
            }
        }
        drop(held);
        Ok(self.file_of(bucket, key))
    }

    /// Makes a folder of an object's file, with the object in it.
    fn move_inside(&self, bucket: &str, path: &str) -> io::Result<()> {
        let file = self.path().join(bucket).join(path);
        let inside = inner(path);
        // A reader finds what belongs to the object in both places until it has been moved.
        for kind in ["internal", "metadata"] {
            let (from, to) =
                (self.sidecar(bucket, path, kind), self.sidecar(bucket, &inside, kind));
            match fs::copy(from, to) {
                Err(e) if !is_absent(&e) => return Err(e),
                _ => {}
            }
        }
        let room = tempfile::Builder::new().prefix(".room.").tempdir_in(self.path())?.keep();
        fs::rename(&file, room.join(INNER))?;
        if let Err(e) = fs::rename(&room, &file) {
            fs::rename(room.join(INNER), &file)?;
            return Err(e);
        }
        for kind in ["internal", "metadata"] {
            match fs::remove_file(self.sidecar(bucket, path, kind)) {
                Err(e) if !is_absent(&e) => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A name that is too long is not there either.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidFilename | io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_an_ordinary_key_has_the_key_as_its_path() {
        for key in ["a", "AWS:Tag/accountid=1/region=x/i-1.json", ".objects/a~", "a/.hidden~"] {
            assert_eq!(escaped(key), key);
            assert!(key.split('/').all(|it| unescaped(it) == Some(it)), "{key}");
        }
    }

    #[test]
    fn a_key_that_looks_like_a_file_of_ours_is_another() {
        for (key, path) in
            [("a/.object", "a/.object~"), (".object/a", ".object~/a"), (".object~~", ".object~~~")]
        {
            assert_eq!(escaped(key), path);
            let back: Vec<_> = path.split('/').filter_map(unescaped).collect();
            assert_eq!(back.join("/"), key);
        }
        assert_eq!(unescaped(".object"), None);
    }

    #[test]
    fn a_key_that_ends_with_a_slash_is_a_file_in_its_folder() {
        assert_eq!((&*escaped("a/"), unescaped(".folder")), ("a/.folder", Some("")));
        assert_eq!(
            (&*escaped("a/.folder"), unescaped(".folder~")),
            ("a/.folder~", Some(".folder"))
        );
    }
}
