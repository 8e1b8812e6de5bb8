//! One maintenance configuration, as it is read and written.

use jiff::Timestamp;
use patchkit_core::{Error, PatchBaseline, RebootPolicy, Result, Tags};
use serde_json::{Value, json};

use super::{
    id::{ConfigurationId, Named, Part},
    kept::{self, Kept},
};
use crate::{
    Timing,
    convert::{
        self,
        baseline::{Chosen, project},
    },
    error::{PROVIDER, malformed, shown},
    schedule::dormant,
};

/// A maintenance configuration for patching guests: one baseline or two, and when Azure carries them out
/// by itself.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MaintenanceConfiguration {
    /// The id that Resource Manager has for it.
    pub id: String,
    /// Its location; the machines may be anywhere.
    pub location: String,
    /// What it installs: one baseline for Windows, one for Linux, or both.
    ///
    /// A baseline that PatchKit made is the whole one, as long as Azure's parameters are as they were
    /// written. Any other is what the parameters say.
    pub baselines: Vec<PatchBaseline>,
    /// When it patches by itself.
    pub timing: Timing,
    /// Whether it reboots; none for a word that PatchKit does not know.
    pub reboot: Option<RebootPolicy>,
    /// What in it is not as PatchKit wrote it, or has no place in a baseline; in words.
    pub differences: Vec<String>,
    pub(crate) tags: Tags,
    name: String,
    body: Body,
}

/// All of it, as it came.
#[derive(Clone, PartialEq)]
struct Body(Value);

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

const SCOPE: &str = "InGuestPatch";

impl MaintenanceConfiguration {
    /// Reads a configuration; none where it is for something else than patching guests.
    pub(super) fn read(
        operation: &'static str,
        row: &Value,
        now: Timestamp,
    ) -> Result<Option<Self>> {
        let properties = &row["properties"];
        let scope = properties["maintenanceScope"].as_str().unwrap_or_default();
        if !scope.eq_ignore_ascii_case(SCOPE) {
            return Ok(None);
        }
        let spelled = row["id"].as_str().unwrap_or_default();
        let id = ConfigurationId::parse(operation, spelled)
            .map_err(|error| malformed(operation, error.message().to_owned()))?;
        let named = |what: String| malformed(operation, format!("{id}: {what}"));
        let tags = convert::node::tags(operation, &row["tags"])
            .map_err(|error| named(error.message().to_owned()))?;
        let mut read = Self {
            id: id.to_string(),
            location: row["location"].as_str().unwrap_or_default().to_owned(),
            baselines: Vec::new(),
            timing: Timing::of(&properties["maintenanceWindow"], now),
            reboot: reboot(&properties["installPatches"]["rebootSetting"]),
            differences: Vec::new(),
            tags,
            name: id.name.clone(),
            body: Body(row.clone()),
        };
        read.baselines = read.read_baselines(operation, &id).map_err(|error| {
            let message = error.message().to_owned();
            named(message)
        })?;
        Ok(Some(read))
    }

    fn read_baselines(
        &mut self,
        operation: &'static str,
        id: &ConfigurationId,
    ) -> Result<Vec<PatchBaseline>> {
        let install = self.body.0["properties"]["installPatches"].clone();
        let mut parts = Vec::new();
        for part in Part::ALL {
            let parameters = &install[part.key()];
            if !parameters.is_null() {
                parts.push((part, Chosen::read(operation, part, parameters)?));
            }
            if parameters["excludeKbsRequiringReboot"] == json!(true) {
                let what = "excludeKbsRequiringReboot is set, which no baseline says";
                self.differences.push(format!("{}.{what}", part.key()));
            }
        }
        let kept = match kept::read(&self.tags) {
            Kept::Nothing => None,
            Kept::Damaged(why) => {
                self.differences.push(shown(&why));
                None
            }
            Kept::Whole(baseline) => {
                let part = Part::of(&baseline.operating_system);
                part.map(|part| (part, *baseline))
            }
        };
        let mut baselines = Vec::new();
        if let Some((part, whole)) = &kept {
            let found = parts.iter().position(|(it, _)| it == part);
            let found = found.map(|at| parts.remove(at).1);
            baselines.push(self.whole(*part, whole, found).with_id(id.baseline(Named::Whole)?));
        }
        let alone = kept.is_none() && parts.len() == 1;
        for (part, chosen) in parts {
            let named = if alone { Named::Whole } else { Named::Part(part) };
            let mut baseline = chosen.baseline(part, &self.name).with_id(id.baseline(named)?);
            if kept.is_none() && !self.differences.is_empty() {
                baseline.description = Some(self.differences.join("; "));
            }
            baselines.push(baseline);
        }
        Ok(baselines)
    }

    /// The baseline that PatchKit keeps, where Azure's parameters are as they were written. Where someone
    /// has changed them, they are what is installed, and win.
    fn whole(&mut self, part: Part, whole: &PatchBaseline, found: Option<Chosen>) -> PatchBaseline {
        let (wanted, _) = project(part, whole);
        let found = found.unwrap_or_else(|| {
            self.differences.push(format!("{} is gone", part.key()));
            Chosen::nothing(part)
        });
        let differences = wanted.differences(part, &found);
        if differences.is_empty() {
            return whole.clone();
        }
        let told = format!("changed outside PatchKit: {}", differences.join("; "));
        tracing::warn!(configuration = %self.id, "{told}");
        self.differences.extend(differences);
        let mut baseline = found.baseline(part, &whole.name);
        baseline.operating_system = whole.operating_system.clone();
        baseline.description = Some(match &whole.description {
            Some(own) => format!("{told}. {own}"),
            None => told,
        });
        baseline
    }

    /// The baseline of a name within it.
    pub(crate) fn baseline(&self, named: Named) -> Option<&PatchBaseline> {
        let is = |baseline: &&PatchBaseline| {
            let part = baseline.id.as_ref().and_then(|id| id.as_str().split_once('#'));
            match named {
                Named::Whole => part.is_none(),
                Named::Part(wanted) => {
                    part.is_some_and(|(_, part)| part.eq_ignore_ascii_case(&wanted.to_string()))
                }
            }
        };
        self.baselines.iter().find(is)
    }

    /// Whether Azure would install nothing by it.
    pub(super) fn chooses_nothing(&self, operation: &'static str) -> Result<bool> {
        let install = &self.body.0["properties"]["installPatches"];
        for part in Part::ALL {
            if !install[part.key()].is_null()
                && !Chosen::read(operation, part, &install[part.key()])?.brings_nothing(part)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is to be sent to keep it as it is.
    pub(crate) fn draft(&self) -> Result<Draft> {
        let mut properties = self.body.0["properties"].clone();
        // The service tells it, and takes it from nobody.
        if let Some(properties) = properties.as_object_mut() {
            properties.remove("provisioningState");
        }
        // It wants the mode at each write (Azure/bicep#8959), and need not give it back.
        let told = properties["extensionProperties"].as_object();
        let mode = told.is_some_and(|it| {
            it.iter().any(|(key, value)| {
                key.eq_ignore_ascii_case("InGuestPatchMode") && value.is_string()
            })
        });
        if !mode {
            if !properties["extensionProperties"].is_object() {
                properties["extensionProperties"] = json!({});
            }
            properties["extensionProperties"]["InGuestPatchMode"] = "User".into();
        }
        let body = json!({"location": self.location, "properties": properties});
        let draft = Draft { body, tags: Tags::new() }.with_tags(self.tags.clone());
        // What it answers it does not take (Azure/azure-rest-api-specs#27222: `AlwaysReboot`).
        match self.reboot {
            Some(reboot) => draft.with_reboot(reboot),
            None => Ok(draft),
        }
    }
}

impl Chosen {
    /// Whether an install by this brings nothing: exclusion beats inclusion.
    fn brings_nothing(&self, part: Part) -> bool {
        self.is_nothing() || part == Part::Linux && self.exclude.iter().any(|it| it == "*")
    }
}

/// A configuration as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    body: Value,
    tags: Tags,
}

impl Draft {
    /// A configuration that patches nothing by itself, and would not reboot if it did.
    pub(crate) fn new(location: &str) -> Self {
        let body = json!({
            "location": location,
            "properties": {
                "namespace": "Microsoft.Maintenance",
                "visibility": "Custom",
                "maintenanceScope": SCOPE,
                "extensionProperties": {"InGuestPatchMode": "User"},
                "maintenanceWindow": dormant(),
                "installPatches": {"rebootSetting": "Never"},
            },
        });
        Self { body, tags: Tags::new() }
    }

    pub(crate) fn with_tags(mut self, tags: Tags) -> Self {
        self.body["tags"] = json!(tags);
        self.tags = tags;
        self
    }

    pub(super) fn with_window(mut self, window: Value) -> Self {
        self.body["properties"]["maintenanceWindow"] = window;
        self
    }

    /// # Errors
    /// `Unsupported` for a policy that Azure has no word for.
    pub(super) fn with_reboot(mut self, reboot: RebootPolicy) -> Result<Self> {
        let word = match reboot {
            RebootPolicy::IfRequired => "IfRequired",
            RebootPolicy::Never => "Never",
            RebootPolicy::Always => "Always",
            _ => return Err(Error::unsupported(PROVIDER, "rebootSetting")),
        };
        self.body["properties"]["installPatches"]["rebootSetting"] = word.into();
        Ok(self)
    }

    /// Puts a baseline into the parameters and the tags.
    pub(crate) fn with_baseline(
        mut self,
        operation: &'static str,
        part: Part,
        baseline: &PatchBaseline,
    ) -> Result<Self> {
        let (chosen, _) = project(part, baseline);
        chosen.write(part, &mut self.body["properties"]["installPatches"][part.key()]);
        let mut tags = self.tags.clone();
        kept::write(operation, baseline, &mut tags)?;
        Ok(self.with_tags(tags))
    }

    /// Puts a baseline into the parameters alone: the tags keep another one.
    pub(crate) fn with_parameters(mut self, part: Part, baseline: &PatchBaseline) -> Self {
        let (chosen, _) = project(part, baseline);
        chosen.write(part, &mut self.body["properties"]["installPatches"][part.key()]);
        self
    }

    pub(super) fn body(&self) -> &Value {
        &self.body
    }

    pub(crate) fn tags(&self) -> &Tags {
        &self.tags
    }

    /// Whether this is what was read.
    pub(super) fn is_kept_in(&self, found: &MaintenanceConfiguration) -> bool {
        let (wanted, found_body) = (&self.body["properties"], &found.body.0["properties"]);
        let part = |properties: &Value, part: Part| {
            Chosen::read("compare", part, &properties["installPatches"][part.key()]).ok()
        };
        let same = |it: Part| match (part(wanted, it), part(found_body, it)) {
            (Some(wanted), Some(found)) => wanted.differences(it, &found).is_empty(),
            _ => false,
        };
        let now = Timestamp::MIN;
        self.tags == found.tags
            && Part::ALL.into_iter().all(same)
            && reboot(&wanted["installPatches"]["rebootSetting"]) == found.reboot
            && Timing::of(&wanted["maintenanceWindow"], now)
                == Timing::of(&found_body["maintenanceWindow"], now)
    }
}

/// The service answers `AlwaysReboot` where `Always` was sent (Azure/azure-rest-api-specs#27222).
fn reboot(setting: &Value) -> Option<RebootPolicy> {
    match setting.as_str()?.to_ascii_lowercase().as_str() {
        "ifrequired" | "rebootifrequired" => Some(RebootPolicy::IfRequired),
        "never" | "neverreboot" => Some(RebootPolicy::Never),
        "always" | "alwaysreboot" => Some(RebootPolicy::Always),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
