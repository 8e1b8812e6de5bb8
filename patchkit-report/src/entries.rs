//! What a node runs, as Systems Manager's ListInventoryEntries answers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use patchkit_core::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::{NodeSoftware, Package, software::given};

impl NodeSoftware {
    /// Takes the packages of live answers: of `aws ssm list-inventory-entries --type-name AWS:Application`,
    /// one after the other.
    ///
    /// # Behavior
    /// - An entry without a name, or with values that are no text, is lost and counted. So is what is
    ///   behind the last answer, where that tells of more.
    ///
    /// # Errors
    /// `InvalidInput` for what is no such answer, or is another node's.
    ///
    /// # Example
    /// ```
    /// use patchkit_report::NodeSoftware;
    ///
    /// let node = NodeSoftware::new("aws/111122223333/eu-west-1/i-0a".parse()?);
    /// let node = node.with_platform("Amazon Linux", "2023").with_inventory_entries(
    ///     r#"{"TypeName":"AWS:Application","InstanceId":"i-0a","CaptureTime":"2026-11-29T04:00:00Z",
    ///     "Entries":[{"Name":"bash","Version":"5.2.15","Release":"1.amzn2023.0.2"}]}"#,
    /// )?;
    /// assert_eq!(node.version_of(&node.packages[0]).as_deref(), Some("5.2.15-1.amzn2023.0.2"));
    /// # Ok::<(), patchkit_core::Error>(())
    /// ```
    pub fn with_inventory_entries(mut self, text: &str) -> Result<Self> {
        let (mut packages, mut lost, mut answers, mut has_more) = (Vec::new(), 0, 0, false);
        for answer in serde_json::Deserializer::from_str(text).into_iter::<Answer>() {
            let answer = answer.map_err(|error| invalid(&error.to_string()))?;
            answers += 1;
            if !answer.type_name.eq_ignore_ascii_case("AWS:Application") {
                return Err(invalid(&format!("it is of {:?}", answer.type_name)));
            }
            if &*answer.instance_id != self.node.resource() {
                return Err(invalid(&format!("it is of the node {:?}", answer.instance_id)));
            }
            let at: Option<Timestamp> = answer.capture_time.and_then(|at| at.parse().ok());
            self.captured_at = self.captured_at.max(at);
            // Whatever it is called: tools that page by themselves have names of their own for it.
            has_more = answer.others.iter().any(|(name, value)| {
                name.ends_with("Token") && value.as_str().is_some_and(|token| !token.is_empty())
            });
            for entry in answer.entries {
                match package(&entry) {
                    Some(package) => packages.push(package),
                    None => lost += 1,
                }
            }
        }
        if answers == 0 {
            return Err(invalid("it is empty"));
        }
        Ok(self.with_packages(packages).with_lost(lost + u64::from(has_more)))
    }
}

fn invalid(problem: &str) -> Error {
    let message = format!("not an answer of ListInventoryEntries: {problem}");
    Error::invalid("report", "parse", message)
}

fn package(entry: &Value) -> Option<Package> {
    let entry = entry.as_object()?;
    if entry.values().any(|value| !value.is_string()) {
        return None;
    }
    let text = |name: &str| entry.get(name).and_then(Value::as_str).and_then(given);
    Some(Package {
        name: text("Name")?,
        version: text("Version"),
        release: text("Release"),
        epoch: text("Epoch"),
        architecture: text("Architecture"),
        publisher: text("Publisher"),
        package_id: text("PackageId"),
        url: text("URL"),
        summary: text("Summary"),
        installed_at: text("InstalledTime").and_then(|at| at.parse().ok()),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    type_name: Box<str>,
    instance_id: Box<str>,
    capture_time: Option<Box<str>>,
    #[serde(default)]
    entries: Vec<Value>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Coverage;

    fn read(text: &str) -> Result<NodeSoftware> {
        let node = NodeSoftware::new("aws/111122223333/eu-west-1/i-0a".parse().unwrap());
        node.with_platform("Amazon Linux", "2023").with_inventory_entries(text)
    }

    fn answer(more: &str, entries: &str) -> String {
        format!(
            r#"{{"TypeName":"AWS:Application","InstanceId":"i-0a","SchemaVersion":"1.1",
            "CaptureTime":"2026-11-29T04:00:00Z",{more}"Entries":[{entries}]}}"#
        )
    }

    #[test]
    fn answers_one_after_the_other_are_one_list() {
        let first =
            answer(r#""PageToken":"x","#, r#"{"Name":"bash","Version":"5","Epoch":"(none)"}"#);
        let last = answer("", r#"{"Name":"zsh"}"#);
        let software = read(&format!("{first}\n{last}")).unwrap();
        assert_eq!((software.packages.len(), software.coverage), (2, Coverage::Read));
        assert_eq!(software.packages[0].epoch, None);
        assert_eq!(software.captured_at, Some("2026-11-29T04:00:00Z".parse().unwrap()));
        // The rest was not asked for.
        assert_eq!(read(&first).unwrap().coverage, Coverage::Partial(1));
    }

    #[test]
    fn an_entry_that_names_nothing_is_lost_and_no_other() {
        let entries = r#"{"Name":"bash"},{"Name":""},7,{"Name":"zsh","Version":5}"#;
        let software = read(&answer("", entries)).unwrap();
        assert_eq!((software.packages.len(), software.coverage), (1, Coverage::Partial(3)));
    }

    #[test]
    fn answers_of_others_are_refused() {
        let good = answer("", "");
        for text in [
            String::new(),
            "{}".to_owned(),
            good.replace("i-0a", "i-0b"),
            good.replace("AWS:Application", "AWS:Network"),
            format!("{good}{{"),
        ] {
            assert!(read(&text).is_err(), "{text}");
        }
        assert_eq!(read(&good).unwrap().coverage, Coverage::Read);
    }
}
