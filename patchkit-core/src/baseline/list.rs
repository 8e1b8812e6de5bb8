//! The lists of patches approved and rejected by name.
//!
//! What an entry may look like differs per operating system: AWS user guide, "Package name formats
//! for approved and rejected patch lists".

use std::borrow::Cow;

use crate::{PackageFamily, Patch};

/// Which of a baseline's two lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ListKind {
    Approved,
    Rejected,
}

/// A list with its entries read once.
#[derive(Clone, Debug)]
pub(super) struct CompiledList {
    family: PackageFamily,
    entries: Vec<Entry>,
    /// The fingerprints of the entries that are names.
    prints: Prints,
    globs: Vec<Glob>,
    /// Whether an entry is neither a name nor a text with a `*`.
    others: Others,
    /// Whether any entry is compared with what a patch closes.
    ids: Ids,
}

/// Whether a list has entries of more kinds than names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Others {
    Some,
    None,
}

/// A set of fingerprints that is sure of a "no" only: a bit for each.
#[derive(Clone, Debug, Default)]
struct Prints([u64; 16]);

impl Prints {
    /// The word and the bit of a fingerprint, from its highest ten bits: these hang on all of it.
    fn place(print: u64) -> (usize, u64) {
        ((print >> 60) as usize, 1 << ((print >> 54) & 63))
    }

    fn add(&mut self, print: u64) {
        let (word, bit) = Self::place(print);
        self.0[word] |= bit;
    }

    fn may_have(&self, print: u64) -> bool {
        let (word, bit) = Self::place(print);
        self.0[word] & bit != 0
    }
}

/// One entry of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Entry {
    /// A Bugzilla ticket that the patch closes.
    Ticket(Box<str>),
    /// One of the patch's names or, where they are allowed, its advisories and vulnerabilities.
    Exact { text: Box<str>, print: u64, ids: Ids },
    /// Names that begin and end so.
    Glob(Glob),
    /// A KB number, without `KB`.
    Kb(Box<str>),
    /// A Microsoft bulletin.
    Bulletin(Box<str>),
    /// Not in a format of its list: it matches nothing.
    Unusable,
}

/// Whether an entry may also name an advisory or a vulnerability.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ids {
    Taken,
    Ignored,
}

/// A text with one `*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Glob {
    prefix: Box<str>,
    suffix: Box<str>,
}

/// All that entries are compared with, of one patch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    patch: &'a Patch,
    names: &'a Names<'a>,
}

/// The names under which lists know a patch. To spell them out costs more than all else in deciding:
/// who decides on the same patches again keeps them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names<'a> {
    texts: Vec<Cow<'a, str>>,
    /// The names' fingerprints: of all the names and entries that are compared hardly any are the
    /// same, and most of them are equally long.
    prints: Vec<u64>,
}

impl CompiledList {
    pub(super) fn new(texts: &[String], kind: ListKind, family: PackageFamily) -> Self {
        let entries: Vec<Entry> = texts
            .iter()
            .map(|text| Entry::parse(text, kind, family).unwrap_or(Entry::Unusable))
            .collect();
        let print = |entry: &Entry| match entry {
            Entry::Exact { print, .. } => Some(*print),
            _ => None,
        };
        let mut prints = Prints::default();
        entries.iter().filter_map(print).for_each(|print| prints.add(print));
        let glob = |entry: &Entry| match entry {
            Entry::Glob(glob) => Some(glob.clone()),
            _ => None,
        };
        let globs = entries.iter().filter_map(glob).collect();
        let is_other = |entry: &Entry| !matches!(entry, Entry::Exact { .. } | Entry::Glob(_));
        let others = if entries.iter().any(is_other) { Others::Some } else { Others::None };
        let takes_ids = |entry: &Entry| match entry {
            Entry::Exact { ids, .. } => *ids == Ids::Taken || family == PackageFamily::Other,
            Entry::Ticket(_) => true,
            _ => false,
        };
        let ids = if entries.iter().any(takes_ids) { Ids::Taken } else { Ids::Ignored };
        Self { family, entries, prints, globs, others, ids }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The place of the first entry that matches.
    pub(super) fn first_match(&self, subject: &Subject<'_>) -> Option<usize> {
        if self.may_match(subject) { self.matches(subject).next() } else { None }
    }

    /// Sure of a "no" only: of all patches that are held against a list hardly any is on it.
    fn may_match(&self, Subject { patch, names }: &Subject<'_>) -> bool {
        let ids = [&patch.advisories, &patch.cves, &patch.bugzilla];
        self.others == Others::Some
            || self.ids == Ids::Taken && ids.iter().any(|ids| !ids.is_empty())
            || names.prints.iter().any(|print| self.prints.may_have(*print))
            || self.globs.iter().any(|glob| names.texts.iter().any(|name| glob.matches(name)))
    }

    /// The places of all entries that match.
    pub(super) fn matches<'a>(&'a self, subject: &'a Subject<'_>) -> impl Iterator<Item = usize> {
        let matching = move |(index, entry): (usize, &Entry)| {
            entry.matches(subject, self.family).then_some(index)
        };
        self.entries.iter().enumerate().filter_map(matching)
    }

    /// The places of all entries that can match nothing.
    pub(super) fn unusable(&self) -> impl Iterator<Item = usize> {
        let unusable =
            |(index, entry): (usize, &Entry)| (*entry == Entry::Unusable).then_some(index);
        self.entries.iter().enumerate().filter_map(unusable)
    }
}

impl Entry {
    /// Reads an entry, or says which rule of the format it breaks.
    pub(super) fn parse(
        text: &str,
        kind: ListKind,
        family: PackageFamily,
    ) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty");
        }
        if text.chars().any(char::is_control) {
            return Err("has a control character");
        }
        match family {
            PackageFamily::Rpm => Self::rpm(text, kind),
            PackageFamily::Zypper | PackageFamily::Other => Self::name(text, Ids::Taken),
            PackageFamily::Apt => Self::apt(text),
            PackageFamily::MacOs => Self::macos(text),
            PackageFamily::Windows => Self::windows(text),
        }
    }

    fn rpm(text: &str, kind: ListKind) -> Result<Self, &'static str> {
        let number = text.bytes().all(|b| b.is_ascii_digit());
        match kind {
            // "The system processes numbers-only strings as Bugzilla IDs": never a package's name.
            ListKind::Approved if number => Ok(Self::Ticket(text.into())),
            ListKind::Approved => Self::name(text, Ids::Taken),
            ListKind::Rejected if number || is_cve(text) || is_advisory(text) => {
                Err("names no package; rejected lists take only package names, with one * at most")
            }
            ListKind::Rejected => Self::name(text, Ids::Ignored),
        }
    }

    fn exact(text: &str, ids: Ids) -> Self {
        Self::Exact { text: text.into(), print: fingerprint(text), ids }
    }

    fn name(text: &str, ids: Ids) -> Result<Self, &'static str> {
        if text.contains(char::is_whitespace) {
            return Err("has a space; package and patch names have none");
        }
        match text.split_once('*') {
            None => Ok(Self::exact(text, ids)),
            Some((_, suffix)) if suffix.contains('*') => Err("has more than one *"),
            Some((prefix, suffix)) => {
                Ok(Self::Glob(Glob { prefix: prefix.into(), suffix: suffix.into() }))
            }
        }
    }

    fn apt(text: &str) -> Result<Self, &'static str> {
        let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if !text.bytes().all(bare) || without_arch(text, DEB_ARCHS) != text {
            return Err("is not a bare package name; APT lists take no version, architecture or *");
        }
        Ok(Self::exact(text, Ids::Ignored))
    }

    fn macos(text: &str) -> Result<Self, &'static str> {
        if text.contains('*') {
            return Err("has a *; macOS lists take only full names");
        }
        Ok(Self::exact(text, Ids::Ignored))
    }

    fn windows(text: &str) -> Result<Self, &'static str> {
        if let Some(number) = kb_number(text) {
            Ok(Self::Kb(number.into()))
        } else if is_bulletin(text) {
            Ok(Self::Bulletin(text.into()))
        } else {
            Err("is neither a KB id (KB2032276) nor a bulletin id (MS10-048)")
        }
    }

    fn matches(&self, subject: &Subject<'_>, family: PackageFamily) -> bool {
        let Subject { patch, names: Names { texts: names, prints } } = subject;
        let among = |ids: &[String], text: &str| ids.iter().any(|id| id.eq_ignore_ascii_case(text));
        match self {
            Self::Ticket(number) => patch.bugzilla.iter().any(|ticket| **ticket == **number),
            Self::Exact { text, print, ids } => {
                let named = |(at, of_name): (usize, &u64)| of_name == print && *names[at] == **text;
                prints.iter().enumerate().any(named)
                    || *ids == Ids::Taken
                        && (among(&patch.advisories, text) || among(&patch.cves, text))
                    || family == PackageFamily::Other && among(&patch.bugzilla, text)
            }
            Self::Glob(glob) => names.iter().any(|name| glob.matches(name)),
            Self::Kb(number) => kb_number(patch.id.as_str()) == Some(number),
            Self::Bulletin(id) => {
                patch.id.as_str().eq_ignore_ascii_case(id) || among(&patch.advisories, id)
            }
            Self::Unusable => false,
        }
    }
}

impl Glob {
    pub(super) fn matches(&self, text: &str) -> bool {
        // Without the length check `a*a` would match `a`.
        text.len() >= self.prefix.len() + self.suffix.len()
            && is_same(&text.as_bytes()[..self.prefix.len()], self.prefix.as_bytes())
            && text.ends_with(&*self.suffix)
    }
}

impl<'a> Subject<'a> {
    pub(super) fn new(patch: &'a Patch, names: &'a Names<'a>) -> Self {
        Self { patch, names }
    }
}

impl<'a> Names<'a> {
    /// The names of a patch of an operating system of that family.
    pub(crate) fn of(patch: &'a Patch, family: PackageFamily) -> Self {
        let texts = match family {
            PackageFamily::Windows => Vec::new(),
            PackageFamily::Apt => vec![Cow::Borrowed(bare_name(patch, DEB_ARCHS))],
            PackageFamily::MacOs => macos_names(patch),
            PackageFamily::Rpm => rpm_names(patch),
            PackageFamily::Zypper => zypper_names(patch),
            PackageFamily::Other => {
                let mut names = rpm_names(patch);
                names.extend(patch.title.as_deref().map(Cow::Borrowed));
                names
            }
        };
        let prints = texts.iter().map(|name| fingerprint(name)).collect();
        Self { texts, prints }
    }

    /// The same, to be kept.
    pub(crate) fn into_owned(self) -> Names<'static> {
        let texts = self.texts.into_iter().map(|name| Cow::Owned(name.into_owned())).collect();
        Names { texts, prints: self.prints }
    }
}

/// Whether two texts of one length are equal, in words of eight bytes: names are shorter than what the
/// call of `==` is worth.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    // The end comes first: names that begin alike are many.
    let ends = match (a.last_chunk(), b.last_chunk()) {
        (Some(a), Some(b)) => word(a) == word(b),
        _ => a.iter().zip(b).all(|(a, b)| a == b),
    };
    ends && a.as_chunks().0.iter().zip(b.as_chunks().0).all(|(a, b)| word(a) == word(b))
}

/// A number that equal texts have in common, and others by chance only.
fn fingerprint(text: &str) -> u64 {
    // FNV's step, eight bytes at a time: nothing here defends against chosen names, which would
    // cost a comparison.
    const PRIME: u64 = 0x0100_0000_01b3;
    let step = |print: u64, word: u64| (print ^ word).wrapping_mul(PRIME).rotate_left(29);
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let print =
        words.iter().fold(text.len() as u64, |it, word| step(it, u64::from_le_bytes(*word)));
    rest.iter().fold(print, |print, byte| step(print, u64::from(*byte)))
}

/// The package's name without its architecture.
fn bare_name<'a>(patch: &'a Patch, archs: &[&str]) -> &'a str {
    match &patch.package {
        Some(package) if !package.name.is_empty() => &package.name,
        _ => without_arch(patch.id.as_str(), archs),
    }
}

/// The ways in which yum and dnf write a package, and the one of an install override list.
fn rpm_names(patch: &Patch) -> Vec<Cow<'_, str>> {
    let mut names = vec![Cow::Borrowed(patch.id.as_str())];
    let bare = bare_name(patch, RPM_ARCHS);
    if bare != patch.id.as_str() {
        names.push(bare.into());
    }
    // A title without spaces is the package's full version; with them it is prose.
    names.extend(
        patch.title.as_deref().filter(|it| !it.contains(char::is_whitespace)).map(Cow::Borrowed),
    );
    let Some(package) = patch.package.as_ref().filter(|package| !package.name.is_empty()) else {
        return names;
    };
    let (name, arch, version) = (&package.name, &package.arch, &package.version);
    // RPM takes an absent epoch for 0.
    let epoch = if package.epoch.is_empty() { "0" } else { &package.epoch };
    let mut push_with_arch = |text: String| {
        if !arch.is_empty() {
            names.push(format!("{text}.{arch}").into());
        }
        names.push(text.into());
    };
    push_with_arch(name.clone());
    if !version.is_empty() {
        let dash = if package.release.is_empty() { "" } else { "-" };
        let full = format!("{version}{dash}{}", package.release);
        push_with_arch(format!("{name}-{full}"));
        push_with_arch(format!("{name}-{epoch}:{full}"));
        push_with_arch(format!("{epoch}:{name}-{full}"));
        names.push(format!("{name}.{arch}:{epoch}:{full}").into());
    }
    names
}

/// Zypper installs patches, which have names of their own, and lists write packages as files.
fn zypper_names(patch: &Patch) -> Vec<Cow<'_, str>> {
    let mut names = rpm_names(patch);
    let files: Vec<Cow<'_, str>> = names.iter().map(|name| format!("{name}.rpm").into()).collect();
    names.extend(files);
    names.extend(patch.advisories.iter().map(|it| Cow::Borrowed(it.as_str())));
    names
}

fn macos_names(patch: &Patch) -> Vec<Cow<'_, str>> {
    let mut names = vec![Cow::Borrowed(patch.id.as_str())];
    names.extend(patch.title.as_deref().map(Cow::Borrowed));
    if let Some(package) = patch.package.as_ref().filter(|package| !package.name.is_empty()) {
        names.push(Cow::Borrowed(&package.name));
        names.push(format!("{}-{}", package.name, package.version).into());
    }
    names
}

fn without_arch<'a>(id: &'a str, archs: &[&str]) -> &'a str {
    match id.rsplit_once(['.', ':']) {
        Some((name, arch)) if !name.is_empty() && archs.contains(&arch) => name,
        _ => id,
    }
}

/// The digits of `KB123`, `kb123` or `123`.
pub(super) fn kb_number(text: &str) -> Option<&str> {
    let digits = match text.split_at_checked(2) {
        Some((head, rest)) if head.eq_ignore_ascii_case("KB") => rest,
        _ => text,
    };
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

/// `MS10-048`.
fn is_bulletin(text: &str) -> bool {
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b: u8| b.is_ascii_digit());
    text.split_at_checked(2).is_some_and(|(head, rest)| {
        head.eq_ignore_ascii_case("MS")
            && rest
                .split_once('-')
                .is_some_and(|(year, number)| digits(year, 2) && digits(number, 3))
    })
}

/// `CVE-2018-1234567`.
fn is_cve(text: &str) -> bool {
    text.split_at_checked(4).is_some_and(|(head, rest)| {
        head.eq_ignore_ascii_case("CVE-") && rest.bytes().all(|b| b.is_ascii_digit() || b == b'-')
    })
}

/// `RHSA-2017:0864`, `ALAS-2018-123`, `ALAS2LIVEPATCH-2021-039`.
fn is_advisory(text: &str) -> bool {
    let Some((issuer, rest)) = text.split_once('-') else {
        return false;
    };
    let Some((year, number)) = rest.split_once([':', '-']) else {
        return false;
    };
    issuer.len() >= 3
        && issuer.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && issuer.starts_with(|c: char| c.is_ascii_uppercase())
        && year.len() == 4
        && year.bytes().all(|b| b.is_ascii_digit())
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

const RPM_ARCHS: &[&str] = &[
    "aarch64", "armv7hl", "i386", "i486", "i586", "i686", "noarch", "ppc64", "ppc64le", "s390x",
    "src", "x86_64",
];

const DEB_ARCHS: &[&str] = &[
    "all", "amd64", "arm64", "armel", "armhf", "i386", "mips64el", "noarch", "ppc64el", "riscv64",
    "s390x",
];

#[cfg(test)]
mod tests;
