//! Who may not do what: denials by caller, action and scope.

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};

use super::fault::Subject;

/// Denies an action to a caller. Without any, everyone may do everything.
///
/// ```
/// use patchkit_testkit::cloud::Denial;
///
/// let reader = Denial::of("ssm:SendCommand").to("*assumed-role/reader/*");
/// # let _ = reader;
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Denial {
    /// `ssm:SendCommand`, `arm:VirtualMachines_*`; a glob.
    pub action: String,
    /// The caller's ARN or application; a glob.
    #[serde(default = "everyone")]
    pub caller: String,
    /// The account's Region or the subscription; a glob.
    #[serde(default = "everyone")]
    pub scope: String,
}

fn everyone() -> String {
    "*".to_owned()
}

impl Denial {
    /// Denies an action to everyone everywhere; a glob such as `ssm:*`.
    pub fn of(action: impl Into<String>) -> Self {
        Self { action: action.into(), caller: everyone(), scope: everyone() }
    }

    /// Denies it only to callers of this name; a glob.
    #[must_use]
    pub fn to(mut self, caller: impl Into<String>) -> Self {
        self.caller = caller.into();
        self
    }

    /// Denies it only in one account's Region or subscription; a glob.
    #[must_use]
    pub fn in_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }
}

#[derive(Debug, Default)]
pub(crate) struct Policy(Vec<(Denial, [GlobMatcher; 3])>);

impl Policy {
    pub(crate) fn deny(&mut self, denial: Denial) -> Result<(), globset::Error> {
        let glob = |pattern: &str| Glob::new(pattern).map(|it| it.compile_matcher());
        let globs = [glob(&denial.action)?, glob(&denial.caller)?, glob(&denial.scope)?];
        self.0.push((denial, globs));
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn denials(&self) -> Vec<Denial> {
        self.0.iter().map(|(denial, _)| denial.clone()).collect()
    }

    pub(crate) fn denies(&self, subject: &Subject<'_>) -> bool {
        let action = format!("{}:{}", subject.service, subject.operation);
        self.0.iter().any(|(_, [of, to, at])| {
            of.is_match(&action) && to.is_match(subject.caller) && at.is_match(subject.scope)
        })
    }
}
