//! What the Systems Manager API takes as a patch baseline, checked before it is asked.

use std::{collections::HashSet, fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use super::{
    AutoApproval, AvailableUpdates, PatchBaseline, PatchFilter, PatchFilterKey, UpdateScope,
    filter::legal_keys,
    list::{Entry, ListKind, kb_number},
};
use crate::{Error, PackageFamily, PlatformKind, Result};

/// One thing in a [`PatchBaseline`] that the API refuses.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Violation {
    /// The field: `approval_rules[3].filters[0].values`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.problem)
    }
}

impl PatchBaseline {
    /// Everything in this baseline that the API refuses, field by field; empty when it is fine.
    ///
    /// # Behavior
    /// - Numbers and lengths are held against the API's own: 10 rules, 4 filters in a group, 1 to
    ///   20 values of up to 64 characters, 50 approved and 50 rejected patches of up to 100, 20
    ///   sources, a name of 3 to 128 letters, digits, `_`, `-` and `.`, 0 to 360 days.
    /// - Filter keys, delays and list entries are held against those of the operating system; for
    ///   one that PatchKit does not know they are not judged.
    /// - A value, list entry or source that stands twice is named, at its second place.
    ///
    /// # Example
    /// ```
    /// use patchkit_core::{ApprovalRule, AutoApproval, OperatingSystem, PatchBaseline};
    ///
    /// let baseline = PatchBaseline::new("web", OperatingSystem::Ubuntu)
    ///     .with_rule(ApprovalRule::new(AutoApproval::AfterDays(7)));
    /// let violations = baseline.validate();
    /// assert_eq!(violations[0].field, "approval_rules[0].approval");
    /// ```
    pub fn validate(&self) -> Vec<Violation> {
        let mut found = Found(Vec::new());
        self.check_head(&mut found);
        let filters = FilterLimits { family: self.operating_system.family() };
        filters.check(&mut found, "global_filters", &self.global_filters);
        found.at_most(MAX_RULES, self.approval_rules.len(), "approval_rules");
        for (index, rule) in self.approval_rules.iter().enumerate() {
            let path = format!("approval_rules[{index}]");
            filters.check(&mut found, &format!("{path}.filters"), &rule.filters);
            self.check_delay(&mut found, &format!("{path}.approval"), rule.approval);
            self.check_scope(&mut found, &format!("{path}.scope"), rule.scope);
        }
        self.check_list(&mut found, "approved_patches", ListKind::Approved);
        self.check_list(&mut found, "rejected_patches", ListKind::Rejected);
        self.check_scope(&mut found, "approved_patches_scope", self.approved_patches_scope);
        self.check_sources(&mut found);
        found.0
    }

    /// Whether the API takes this baseline.
    ///
    /// # Errors
    /// `InvalidInput` that names every field in [`validate`](Self::validate)'s list.
    pub fn check(&self) -> Result<()> {
        let violations = self.validate();
        if violations.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        Err(Error::invalid("core", "check baseline", lines.join("; ")))
    }

    fn check_head(&self, found: &mut Found) {
        found.name(3..=128, &self.name, "name");
        if let Some(description) = &self.description {
            found.length(1..=1024, description, "description");
        }
        let os = &self.operating_system;
        if self.available_updates == AvailableUpdates::NonCompliant
            && !matches!(os.platform(), PlatformKind::Windows | PlatformKind::Other)
        {
            found.add("available_updates", format!("can be set for Windows only, not for {os}"));
        }
    }

    fn check_delay(&self, found: &mut Found, field: &str, approval: AutoApproval) {
        let os = &self.operating_system;
        match (approval, os.family()) {
            (AutoApproval::AfterDays(_) | AutoApproval::Until(_), PackageFamily::Apt) => {
                found.add(field, format!("must be at once for {os}, whose patches have no date"));
            }
            (AutoApproval::Immediately, PackageFamily::Apt | PackageFamily::Other) => {}
            (AutoApproval::Immediately, _) => {
                found.add(field, format!("must be a number of days or a date for {os}"));
            }
            (AutoApproval::AfterDays(days), _) if days > MAX_DAYS => {
                found.add(field, format!("is {days} days, more than {MAX_DAYS}"));
            }
            (AutoApproval::Until(date), _) if date.year() < 0 => {
                found.add(field, format!("is {date}, not of the form YYYY-MM-DD"));
            }
            _ => {}
        }
    }

    fn check_scope(&self, found: &mut Found, field: &str, scope: UpdateScope) {
        let os = &self.operating_system;
        if scope == UpdateScope::All
            && !matches!(os.platform(), PlatformKind::Linux | PlatformKind::Other)
        {
            found.add(field, format!("can take in non-security updates on Linux only, not {os}"));
        }
    }

    fn check_list(&self, found: &mut Found, field: &str, kind: ListKind) {
        let family = self.operating_system.family();
        let list = match kind {
            ListKind::Approved => &self.approved_patches,
            ListKind::Rejected => &self.rejected_patches,
        };
        found.at_most(MAX_PATCHES, list.len(), field);
        let mut seen = HashSet::new();
        for (index, entry) in list.iter().enumerate() {
            let path = format!("{field}[{index}]");
            if let Err(problem) = Entry::parse(entry, kind, family) {
                found.add(&path, format!("{} {problem}", quoted(entry)));
            } else {
                found.length(1..=100, entry, &path);
            }
            if !seen.insert(list_key(entry, family)) {
                found.add(&path, format!("{} stands twice", quoted(entry)));
            }
        }
    }

    fn check_sources(&self, found: &mut Found) {
        let os = &self.operating_system;
        if !self.sources.is_empty()
            && !matches!(os.platform(), PlatformKind::Linux | PlatformKind::Other)
        {
            found.add("sources", format!("can be set for Linux only, not for {os}"));
        }
        found.at_most(MAX_SOURCES, self.sources.len(), "sources");
        let mut seen = HashSet::new();
        for (index, source) in self.sources.iter().enumerate() {
            let path = format!("sources[{index}]");
            found.name(3..=50, &source.name, &format!("{path}.name"));
            if !seen.insert(&source.name) {
                found
                    .add(&format!("{path}.name"), format!("{} stands twice", quoted(&source.name)));
            }
            found.values(&format!("{path}.products"), &source.products, 128);
            // The configuration may hold a password: only its length is told.
            found.length(1..=1024, &source.configuration, &format!("{path}.configuration"));
        }
    }
}

struct FilterLimits {
    family: PackageFamily,
}

impl FilterLimits {
    fn check(&self, found: &mut Found, field: &str, filters: &[PatchFilter]) {
        found.at_most(MAX_FILTERS, filters.len(), field);
        for (index, filter) in filters.iter().enumerate() {
            if let Some(keys) = legal_keys(self.family)
                && !keys.contains(&filter.key)
            {
                let legal: Vec<&str> = keys.iter().map(PatchFilterKey::as_str).collect();
                found.add(
                    &format!("{field}[{index}].key"),
                    format!("is {}, not one of {}", quoted(filter.key.as_str()), legal.join(", ")),
                );
            }
            found.values(&format!("{field}[{index}].values"), &filter.values, 64);
        }
    }
}

struct Found(Vec<Violation>);

impl Found {
    fn add(&mut self, field: &str, problem: String) {
        self.0.push(Violation { field: field.to_owned(), problem });
    }

    fn at_most(&mut self, limit: usize, have: usize, field: &str) {
        if have > limit {
            self.add(field, format!("has {have} entries, more than {limit}"));
        }
    }

    fn length(&mut self, limits: RangeInclusive<usize>, text: &str, field: &str) {
        let have = text.chars().count();
        if !limits.contains(&have) {
            let (min, max) = limits.into_inner();
            self.add(field, format!("has {have} characters, not {min} to {max}"));
        }
    }

    fn name(&mut self, limits: RangeInclusive<usize>, name: &str, field: &str) {
        let taken = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if !limits.contains(&name.len()) || !name.bytes().all(taken) {
            let (min, max) = limits.into_inner();
            let problem = format!("is {}, not {min} to {max} of A-Z a-z 0-9 _ - .", quoted(name));
            self.add(field, problem);
        }
    }

    fn values(&mut self, field: &str, values: &[String], max_length: usize) {
        if values.is_empty() || values.len() > MAX_VALUES {
            self.add(field, format!("has {} entries, not 1 to {MAX_VALUES}", values.len()));
        }
        let mut seen = HashSet::new();
        for (index, value) in values.iter().enumerate() {
            self.length(1..=max_length, value, &format!("{field}[{index}]"));
            if !seen.insert(value) {
                self.add(&format!("{field}[{index}]"), format!("{} stands twice", quoted(value)));
            }
        }
    }
}

/// By what two entries of a list are the same: `KB123` and `kb123` are on Windows.
fn list_key(entry: &str, family: PackageFamily) -> String {
    if family == PackageFamily::Windows {
        kb_number(entry).map_or_else(|| entry.to_ascii_uppercase(), str::to_owned)
    } else {
        entry.to_owned()
    }
}

/// Text from elsewhere, safe to print and not long.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
        None => format!("{text:?}"),
    }
}

const MAX_RULES: usize = 10;
const MAX_FILTERS: usize = 4;
const MAX_VALUES: usize = 20;
const MAX_PATCHES: usize = 50;
const MAX_SOURCES: usize = 20;
const MAX_DAYS: u16 = 360;

#[cfg(test)]
mod tests;
