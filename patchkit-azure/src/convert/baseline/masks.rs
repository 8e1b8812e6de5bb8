//! Entries of a baseline's lists as Azure's masks for names, and as KB numbers.

use patchkit_core::PackageFamily;

/// `KB123` of `KB123`, `kb123` or `123`.
pub(crate) fn kb(text: &str) -> Option<String> {
    let digits = match text.split_at_checked(2) {
        Some((head, rest)) if head.eq_ignore_ascii_case("KB") => rest,
        _ => text,
    };
    let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    number.then(|| format!("KB{digits}"))
}

/// What every package's name and every mask is made of. Masks are shell patterns
/// (Azure/LinuxPatchExtension, `PackageFilter`), with `=` before a version.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_' | '~')
}

/// Whether an entry may be an advisory, a vulnerability or a ticket rather than a name.
fn is_id(entry: &str) -> bool {
    !entry.chars().any(|c| c.is_ascii_lowercase()) && entry.chars().any(|c| c.is_ascii_digit())
}

/// The mask for what an entry of the approved list names, and no more; none where there is none.
pub(super) fn exact(entry: &str) -> Option<String> {
    let plain = entry.chars().all(|c| is_plain(c) || c == '*');
    let known = plain && entry.matches('*').count() <= 1 && !is_id(entry) && !entry.is_empty();
    known.then(|| entry.to_owned())
}

/// Masks for all that an entry of the rejected list names, and perhaps more.
///
/// Entries for RPM packages may hold a version and an architecture, masks that exclude may not
/// (Azure/LinuxPatchExtension, `PackageFilter`): where an entry may be such a form, the package is
/// excluded whatever its version.
pub(crate) fn covering(entry: &str, family: PackageFamily) -> Vec<String> {
    let everything = || vec!["*".to_owned()];
    let (stem, star) = match entry.split_once('*') {
        None => (entry, ""),
        Some((stem, _)) => (stem, "*"),
    };
    let unclear = stem.is_empty()
        || stem.starts_with(|c: char| c.is_ascii_digit())
        || !stem.chars().all(is_plain)
        || family != PackageFamily::Rpm && is_id(entry);
    // A package of APT is listed by its bare name.
    if family == PackageFamily::Apt && stem.chars().all(is_plain) {
        return vec![format!("{stem}{star}")];
    }
    if unclear {
        return everything();
    }
    let mut masks = vec![format!("{stem}{star}")];
    for (at, c) in stem.char_indices() {
        let rest = &stem[at + c.len_utf8()..];
        let version = match rest.chars().next() {
            Some(next) => next.is_ascii_digit(),
            None => star == "*",
        };
        if c == '.' || c == '-' && version {
            let name = stem[..at].to_owned();
            if name.is_empty() {
                return everything();
            }
            if !masks.contains(&name) {
                masks.push(name);
            }
        }
    }
    masks
}
