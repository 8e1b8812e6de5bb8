//! Plans as files: saved with their hash, and read back only where it fits.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::PatchPlan;
use crate::{Error, ErrorKind, Result, workflow::unexpected};

/// The form of the file. A later one is not read.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Saved<'a> {
    schema: u32,
    hash: String,
    plan: &'a PatchPlan,
}

#[derive(Deserialize)]
struct Read<'a> {
    schema: u32,
    hash: String,
    // Of a later form nothing more is looked at.
    #[serde(borrow)]
    plan: &'a RawValue,
}

impl PatchPlan {
    /// The plan as the text of a file, with its hash.
    ///
    /// # Errors
    /// `Unexpected` (the plan is not JSON).
    ///
    /// # Example
    /// ```
    /// use patchkit_core::{
    ///     ErrorKind, NodeSelector, VirtualClock,
    ///     memory::{MemoryCloud, MemoryJournal},
    ///     workflow::{PatchOptions, PatchPlan, Runner},
    /// };
    ///
    /// # futures::executor::block_on(async {
    /// let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
    /// let cloud = MemoryCloud::builder().seed(7).nodes(12).clock(clock.clone()).build();
    /// let runner = Runner::new(cloud.clone(), cloud, MemoryJournal::new(clock.clone()), clock);
    /// let plan = runner.plan_patch(&PatchOptions::new(NodeSelector::all())).await?;
    ///
    /// let file = plan.to_file()?;
    /// assert_eq!(PatchPlan::from_file(&file)?, plan);
    ///
    /// let edited = file.replacen("\"missing\": 3", "\"missing\": 0", 1);
    /// assert_ne!(edited, file);
    /// let refused = PatchPlan::from_file(&edited).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Malformed);
    /// # Ok::<(), patchkit_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn to_file(&self) -> Result<String> {
        let saved = Saved { schema: SCHEMA, hash: self.hash(), plan: self };
        serde_json::to_string_pretty(&saved).map_err(|error| {
            unexpected("save", "the plan is not JSON".to_owned()).with_source(error)
        })
    }

    /// Reads the text of a file that [`to_file`](Self::to_file) made.
    ///
    /// # Behavior
    /// - A plan whose hash is not the one that was saved with it is refused: someone has edited it,
    ///   or it was damaged, or a later version has put more into it than this one reads.
    ///
    /// # Errors
    /// `Malformed` (it is no plan, or not the one that was saved), `Unsupported` (its form is a later
    /// one).
    pub fn from_file(text: &str) -> Result<Self> {
        let malformed = |message: String| Error::new(ErrorKind::Malformed, "core", "load", message);
        let broken = |error: serde_json::Error| {
            malformed(format!("the plan's file is damaged, or is none: {error}"))
        };
        let read: Read<'_> = serde_json::from_str(text).map_err(broken)?;
        if read.schema != SCHEMA {
            let message = format!("the plan's file is of form {}, not {SCHEMA}", read.schema);
            return Err(Error::new(ErrorKind::Unsupported, "core", "load", message));
        }
        let plan: Self = serde_json::from_str(read.plan.get()).map_err(broken)?;
        let hash = plan.hash();
        if !hash.eq_ignore_ascii_case(&read.hash) {
            let saved: String = read.hash.chars().take(hash.len()).collect();
            let message = format!(
                "the plan was changed after it was saved: its hash is {hash}, and was {saved:?}"
            );
            return Err(malformed(message));
        }
        Ok(plan)
    }
}
