//! Which source packages Debian's packages are built of.

use std::collections::HashMap;

/// The source packages that packages are built of, of a distribution whose inventory does not tell it.
///
/// Debian's and Ubuntu's advisories name source packages (`openssl`), and a node's inventory the packages that
/// are built of them (`libssl3`). The distribution's own index of packages tells which belong together.
///
/// # Example
/// ```
/// let index = "Package: libssl3\nSource: openssl (3.0.15-1)\nVersion: 3.0.15-1\n\nPackage: bash\n";
/// let names = patchkit_report::SourceNames::parse_packages(index);
/// assert_eq!(names.source_of("libssl3"), Some("openssl"));
/// assert_eq!(names.source_of("bash"), Some("bash"));
/// assert_eq!(names.source_of("zsh"), None);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SourceNames(HashMap<Box<str>, Box<str>>);

impl SourceNames {
    /// Reads the text of a `Packages` file (deb822; Debian's repository format), as mirrors hold it and
    /// `apt-cache dumpavail` prints it.
    ///
    /// # Behavior
    /// - A package without `Source` is its own source. What is no field of interest is passed over.
    /// - Of a package that comes twice the last one counts.
    pub fn parse_packages(text: &str) -> Self {
        let mut names = HashMap::new();
        let (mut package, mut source) = (None, None);
        for line in text.lines().chain([""]) {
            if line.trim().is_empty() {
                let source = source.take();
                if let Some(package) = package.take() {
                    names.insert(package, source.unwrap_or(package));
                }
            } else if let Some((name, value)) = line.split_once(':') {
                // A source of another version has it behind its name: `openssl (3.0.15-1)`.
                let value = value.split_whitespace().next().filter(|value| !value.is_empty());
                match name {
                    "Package" => package = value,
                    "Source" => source = value,
                    _ => {}
                }
            }
        }
        Self(names.into_iter().map(|(name, source)| (name.into(), source.into())).collect())
    }

    /// The source of a package, where it is known.
    pub fn source_of(&self, package: &str) -> Option<&str> {
        self.0.get(package).map(|source| &**source)
    }

    /// How many packages are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_end_at_blank_lines_and_at_the_end() {
        let text = "Source: a\nPackage: a-bin\nDescription: x\n Package: not a field\n\nPackage: b\n\n\n\
                    Source: c\n\nPackage: d\nSource: e";
        let names = SourceNames::parse_packages(text);
        assert_eq!(names.len(), 3);
        assert_eq!(names.source_of("a-bin"), Some("a"));
        assert_eq!(names.source_of("b"), Some("b"));
        assert_eq!(names.source_of("d"), Some("e"));
        assert!(SourceNames::parse_packages("\u{0}: :\n:").is_empty());
    }
}
