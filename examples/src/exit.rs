//! How a binary ends.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use crate::printable;

/// Writes a line to standard error, where there is anyone to read it.
///
/// `eprintln!` panics where the reader has gone away, in the middle of a run.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// How a binary ended that did its work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// Everything is as it should be: exit code 0.
    Clean,
    /// The work is done, and something was not compliant or failed: exit code 1.
    Findings,
}

/// Why a binary could not do its work: exit code 2.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// Says what is wrong, where, and what to do.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<patchkit_core::Error> for Failure {
    fn from(error: patchkit_core::Error) -> Self {
        Self(error.report())
    }
}

impl Exit {
    /// Ends the process: a reader that went away is no failure, everything else is told.
    pub fn report(result: Result<Self, Box<dyn std::error::Error>>) -> ExitCode {
        match result {
            Ok(Self::Clean) => ExitCode::SUCCESS,
            Ok(Self::Findings) => ExitCode::from(1),
            Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
            Err(error) => {
                tell(&printable(&format!("error: {error}")));
                ExitCode::from(2)
            }
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::BrokenPipe
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_pipe_is_quiet() {
        let error = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&Failure::new("no such lake")));
    }
}
