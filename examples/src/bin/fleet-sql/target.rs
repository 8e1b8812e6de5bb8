//! Where the rows go.

use std::{
    io::{self, BufWriter, Stdout, Write},
    path::{Path, PathBuf},
};

use patchkit_examples::Failure;
use tempfile::NamedTempFile;

/// Standard output, or a file that is there only when it is whole.
#[derive(Debug)]
pub(crate) enum Target {
    Screen(BufWriter<Stdout>),
    File(BufWriter<NamedTempFile>, PathBuf),
}

impl Target {
    pub(crate) fn open(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = file else {
            return Ok(Self::Screen(BufWriter::new(io::stdout())));
        };
        // Beside the file, so that it can take its place in one step.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")));
        let file = file.map_err(|error| {
            Failure::new(format!("{} cannot be written: {error}", path.display()))
        })?;
        Ok(Self::File(BufWriter::new(file), path.to_owned()))
    }

    /// Puts a file in its place.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Screen(mut out) => out.flush().map_err(|error| Failure::new(error.to_string())),
            Self::File(out, path) => {
                let failed = |error: &dyn std::fmt::Display| {
                    Failure::new(format!("{} cannot be written: {error}", path.display()))
                };
                let file = out.into_inner().map_err(|error| failed(&error))?;
                file.persist(&path).map_err(|error| failed(&error))?;
                Ok(())
            }
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Screen(out) => out.write(bytes),
            Self::File(out, _) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Screen(out) => out.flush(),
            Self::File(out, _) => out.flush(),
        }
    }
}
