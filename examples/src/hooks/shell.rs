//! A hook that is a command on this machine.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    process::{ExitStatus, Stdio},
};

use async_trait::async_trait;
use patchkit_core::{
    Error, ErrorKind, HookPoint, Result,
    workflow::{Hook, HookCall},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

/// How much of what a command says goes into the report.
const SAID: u64 = 2_048;

/// Runs a command for each call.
///
/// # Behavior
/// - The command is run as it is, without a shell: what nodes are called is never read as a command.
/// - What it is called for is in its environment (`PATCHKIT_ID`, `PATCHKIT_RUN`, `PATCHKIT_POINT`, and
///   where they apply `PATCHKIT_WAVE`, `PATCHKIT_NODE`, `PATCHKIT_RESOURCE`, `PATCHKIT_PROVIDER`,
///   `PATCHKIT_ACCOUNT`, `PATCHKIT_REGION`, `PATCHKIT_OUTCOME`), and all of it as JSON on its input.
/// - An exit code other than 0 is a failure, with what it wrote to its standard error.
/// - A call that takes too long is killed.
#[derive(Clone, Debug)]
pub struct ShellHook {
    name: String,
    points: BTreeSet<HookPoint>,
    program: OsString,
    arguments: Vec<OsString>,
}

impl ShellHook {
    /// Runs `program` at each of `points`.
    pub fn new(
        name: impl Into<String>,
        points: impl IntoIterator<Item = HookPoint>,
        program: impl Into<OsString>,
    ) -> Self {
        let points = points.into_iter().collect();
        Self { name: name.into(), points, program: program.into(), arguments: Vec::new() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn with_argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    fn failed(&self, message: &str) -> Error {
        let program = self.program.to_string_lossy();
        Error::new(ErrorKind::Unexpected, "hook", "call", format!("{program:?} {message}"))
    }

    async fn end(&self, mut child: Child, json: Vec<u8>) -> std::io::Result<(ExitStatus, String)> {
        let (input, errors) = (child.stdin.take(), child.stderr.take());
        let tell = async move {
            if let Some(mut input) = input {
                // A command need not read what it is told.
                let _ = input.write_all(&json).await;
            }
        };
        let hear = async move {
            let mut said = Vec::new();
            if let Some(mut errors) = errors {
                (&mut errors).take(SAID).read_to_end(&mut said).await?;
                // A command that says more must not wait for a reader.
                tokio::io::copy(&mut errors, &mut tokio::io::sink()).await?;
            }
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&said).trim().to_owned())
        };
        let ((), said, status) = tokio::join!(tell, hear, child.wait());
        Ok((status?, said?))
    }
}

#[async_trait]
impl Hook for ShellHook {
    fn name(&self) -> &str {
        &self.name
    }

    fn wants(&self, point: HookPoint) -> bool {
        self.points.contains(&point)
    }

    async fn call(&self, call: &HookCall<'_>) -> Result<()> {
        let json = serde_json::to_vec(call)
            .map_err(|error| self.failed("was not told").with_source(error))?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(facts(call))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let not_run = |error| self.failed("could not be run").with_source(error);
        let child = command.spawn().map_err(not_run)?;
        let (status, said) = self.end(child, json).await.map_err(not_run)?;
        if status.success() {
            return Ok(());
        }
        Err(self.failed(&format!("ended with {status}: {said}")))
    }
}

/// What a call is for, as variables.
fn facts(call: &HookCall<'_>) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("PATCHKIT_ID", call.id.clone()),
        ("PATCHKIT_RUN", call.run.to_string()),
        ("PATCHKIT_POINT", call.point.to_string()),
    ];
    facts.extend(call.wave.map(|wave| ("PATCHKIT_WAVE", wave.name.to_owned())));
    if let Some(node) = call.node {
        let scope = node.id.scope();
        facts.extend([
            ("PATCHKIT_NODE", node.id.to_string()),
            ("PATCHKIT_RESOURCE", node.id.resource().to_owned()),
            ("PATCHKIT_PROVIDER", scope.provider().to_owned()),
            ("PATCHKIT_ACCOUNT", scope.account().to_string()),
            ("PATCHKIT_REGION", scope.region().to_string()),
        ]);
    }
    facts.extend(call.outcome.map(|end| ("PATCHKIT_OUTCOME", end.outcome.to_string())));
    facts
}
