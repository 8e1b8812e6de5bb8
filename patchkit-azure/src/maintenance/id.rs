//! Ids of maintenance configurations, and of the baselines in them.

use std::fmt;

use patchkit_core::{BaselineId, OperatingSystem, PlatformKind, Result};

use crate::{
    error::invalid,
    ids::{bounded, is_name},
};

/// The id of a maintenance configuration, taken apart; the parts as they were spelled.
///
/// Its service spells `resourcegroups` so, and others do not: two ids are compared by their
/// [`key`](Self::key).
#[derive(Clone, Debug)]
pub(crate) struct ConfigurationId {
    pub(crate) subscription: String,
    pub(crate) group: String,
    pub(crate) name: String,
}

impl ConfigurationId {
    pub(crate) fn parse(operation: &'static str, id: &str) -> Result<Self> {
        let wrong = || {
            let message = format!("{:?} is no id of a maintenance configuration", bounded(id));
            invalid(operation, message)
        };
        let parts: Vec<&str> =
            id.strip_prefix('/').map(|id| id.split('/').collect()).unwrap_or_default();
        let [subscriptions, subscription, groups, group, providers, namespace, kind, name] =
            parts.as_slice()
        else {
            return Err(wrong());
        };
        let is = |part: &str, word: &str| part.eq_ignore_ascii_case(word);
        let frame = is(subscriptions, "subscriptions")
            && is(groups, "resourceGroups")
            && is(providers, "providers")
            && is(namespace, "Microsoft.Maintenance")
            && is(kind, "maintenanceConfigurations");
        if !frame || ![*subscription, *group, *name].into_iter().all(is_name) {
            return Err(wrong());
        }
        Ok(Self {
            subscription: (*subscription).to_owned(),
            group: (*group).to_owned(),
            name: (*name).to_owned(),
        })
    }

    /// The same for all spellings of one id.
    pub(crate) fn key(&self) -> String {
        self.to_string().to_ascii_lowercase()
    }

    /// The baseline of a part.
    pub(crate) fn baseline(&self, named: Named) -> Result<BaselineId> {
        match named {
            Named::Whole => BaselineId::new(self.to_string()),
            Named::Part(part) => BaselineId::new(format!("{self}#{part}")),
        }
    }
}

impl fmt::Display for ConfigurationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subscription, group, name } = self;
        write!(
            f,
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Maintenance\
             /maintenanceConfigurations/{name}"
        )
    }
}

/// The half of a configuration's parameters that is for one kind of operating system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Windows,
    Linux,
}

impl Part {
    pub(crate) const ALL: [Self; 2] = [Self::Windows, Self::Linux];

    /// The half that is for an operating system; none where Azure patches no such one. What PatchKit
    /// does not know is a Linux: Windows is always told.
    pub(crate) fn of(os: &OperatingSystem) -> Option<Self> {
        match os.platform() {
            PlatformKind::Windows => Some(Self::Windows),
            PlatformKind::MacOs => None,
            _ => Some(Self::Linux),
        }
    }

    /// The operating system, as far as Azure tells one from another.
    pub(crate) fn system(self) -> OperatingSystem {
        match self {
            Self::Windows => OperatingSystem::Windows,
            Self::Linux => OperatingSystem::Other("Linux".into()),
        }
    }

    /// As filters of dynamic scopes have it.
    pub(crate) fn os_type(self) -> &'static str {
        match self {
            Self::Windows => "Windows",
            Self::Linux => "Linux",
        }
    }

    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Windows => "windowsParameters",
            Self::Linux => "linuxParameters",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Windows => "windows",
            Self::Linux => "linux",
        })
    }
}

/// How a baseline's id names it within a configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Named {
    /// The configuration has no other one, or none that PatchKit made.
    Whole,
    /// It is one of two.
    Part(Part),
}

/// Takes a baseline's id apart.
pub(crate) fn named(operation: &'static str, id: &BaselineId) -> Result<(ConfigurationId, Named)> {
    let (whole, part) = match id.as_str().split_once('#') {
        None => (id.as_str(), None),
        Some((whole, part)) => (whole, Some(part)),
    };
    let named = match part {
        None => Named::Whole,
        Some(text) => {
            let part = Part::ALL.into_iter().find(|it| it.to_string().eq_ignore_ascii_case(text));
            Named::Part(part.ok_or_else(|| {
                invalid(operation, format!("{:?} is no half of a configuration", bounded(text)))
            })?)
        }
    };
    Ok((ConfigurationId::parse(operation, whole)?, named))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "/subscriptions/S/resourcegroups/g/providers/microsoft.maintenance\
                      /maintenanceConfigurations/web";

    #[test]
    fn an_id_is_read_in_any_case_and_has_one_key() {
        let id = ConfigurationId::parse("test", ID).unwrap();
        let again = ConfigurationId::parse("test", &id.to_string().to_uppercase()).unwrap();
        assert_eq!((id.name.as_str(), id.key()), ("web", again.key()));
        assert!(id.to_string().contains("/resourceGroups/g/"));
    }

    #[test]
    fn what_would_lead_an_address_elsewhere_is_no_id() {
        for text in [
            ID.replace("/web", "/.."),
            ID.replace("/g/", "/%2e%2e/"),
            ID.replace("/web", "/web/x"),
            ID.replace("/web", "/web?x"),
            ID.replace("maintenanceConfigurations", "applyUpdates"),
            "pb-0123".to_owned(),
        ] {
            assert!(ConfigurationId::parse("test", &text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_half_is_named_behind_the_id() {
        let id: BaselineId = format!("{ID}#Windows").parse().unwrap();
        let (whole, named) = named("test", &id).unwrap();
        assert_eq!(named, Named::Part(Part::Windows));
        assert_eq!(whole.baseline(named).unwrap(), id);
        assert!(super::named("test", &format!("{ID}#macos").parse().unwrap()).is_err());
    }
}
