//! The whole of a baseline, in the tags of its configuration.
//!
//! Not in `extensionProperties`: what is given there need not come back (users of Terraform see a
//! difference for ever after). Tags do: 50 of them, with values of 256 characters ("Use tags to organize
//! your Azure resources", limitations). The text is in base64, so that nothing on the way changes a
//! character of it.

use patchkit_core::{PatchBaseline, Result, Tags};
use sha2::{Digest, Sha256};

use crate::{error::invalid, ids::hex};

/// The tag that tells how many others there are, and what they come to.
const HEAD: &str = "patchkit-baseline";
const FORM: &str = "v1";
const VALUE: usize = 256;

/// As many as are taken of the 50, so that others have theirs.
const MOST: usize = 36;

/// What the tags of a configuration say of its baseline.
#[derive(Debug)]
pub(crate) enum Kept {
    /// Nothing: PatchKit did not make it.
    Nothing,
    /// All of it.
    Whole(Box<PatchBaseline>),
    /// Something that cannot be read, and why.
    Damaged(String),
}

/// Puts a baseline into tags, in the place of an older one.
pub(crate) fn write(
    operation: &'static str,
    baseline: &PatchBaseline,
    tags: &mut Tags,
) -> Result<()> {
    let mut bare = baseline.clone();
    bare.id = None;
    let text = serde_json::to_vec(&bare)
        .map_err(|error| invalid(operation, format!("the baseline cannot be written: {error}")))?;
    let encoded = base64_simd::URL_SAFE_NO_PAD.encode_to_string(&text);
    let pieces: Vec<&str> = pieces(&encoded).collect();
    if pieces.len() > MOST {
        let (has, most) = (encoded.len(), MOST * VALUE);
        let message = format!(
            "the baseline is too large to be kept: it takes {has} characters of tags, and {most} are \
             the most"
        );
        return Err(invalid(operation, message));
    }
    tags.retain(|key, _| !is_ours(key));
    tags.insert(HEAD.to_owned(), format!("{FORM} {} {}", pieces.len(), sum(&text)));
    for (at, piece) in pieces.into_iter().enumerate() {
        tags.insert(format!("{HEAD}-{at:02}"), piece.to_owned());
    }
    Ok(())
}

/// Reads the baseline in tags.
pub(crate) fn read(tags: &Tags) -> Kept {
    let tag = |name: &str| {
        tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    };
    match tag(HEAD) {
        None => Kept::Nothing,
        Some(head) => whole(head, tag).map_or_else(Kept::Damaged, |it| Kept::Whole(Box::new(it))),
    }
}

fn whole<'t>(head: &str, tag: impl Fn(&str) -> Option<&'t str>) -> Result<PatchBaseline, String> {
    let damaged = |what: &str| format!("tag {HEAD}: {what}");
    let words: Vec<&str> = head.split(' ').collect();
    let [FORM, count, wanted] = words.as_slice() else {
        return Err(damaged("it is of a form that this version does not know"));
    };
    let count = count.parse().ok().filter(|count| *count <= MOST);
    let mut encoded = String::new();
    for at in 0..count.ok_or_else(|| damaged("it does not say how many follow"))? {
        let piece = tag(&format!("{HEAD}-{at:02}"));
        encoded.push_str(piece.ok_or_else(|| damaged("one of those that follow is missing"))?);
    }
    let text = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(encoded.as_bytes());
    let text = text.map_err(|_| damaged("what follows is not as it was written"))?;
    if sum(&text) != *wanted {
        return Err(damaged("what follows is not as it was written"));
    }
    serde_json::from_slice(&text).map_err(|error| damaged(&format!("it is no baseline: {error}")))
}

/// Whether a tag is one of those that keep a baseline.
pub(crate) fn is_ours(key: &str) -> bool {
    let Some((head, rest)) = key.split_at_checked(HEAD.len()) else { return false };
    head.eq_ignore_ascii_case(HEAD)
        && (rest.is_empty() || rest.strip_prefix('-').is_some_and(|it| it.parse::<u8>().is_ok()))
}

/// Base64 is of single bytes, so that a piece ends anywhere.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    (0..text.len()).step_by(VALUE).map(|at| &text[at..text.len().min(at + VALUE)])
}

/// The beginning of a text's SHA-256: against accidents, not against people.
fn sum(text: &[u8]) -> String {
    hex(&Sha256::digest(text)[..8])
}

#[cfg(test)]
mod tests {
    use patchkit_core::OperatingSystem;

    use super::*;

    fn baseline() -> PatchBaseline {
        let names = (0..40).map(|at| format!("package-{at}"));
        PatchBaseline::new("web", OperatingSystem::Ubuntu)
            .with_description("Größe, \"quoted\",\n and more")
            .with_approved(names)
    }

    fn kept(baseline: &PatchBaseline) -> Tags {
        let mut tags = Tags::from([("Owner".to_owned(), "alice".to_owned())]);
        write("test", baseline, &mut tags).unwrap();
        tags
    }

    #[test]
    fn a_baseline_comes_back_as_it_was_and_other_tags_stay() {
        let tags = kept(&baseline());
        assert!(tags.len() > 3 && tags.values().all(|it| it.len() <= 256));
        assert_eq!(tags["Owner"], "alice");
        let Kept::Whole(back) = read(&tags) else { panic!("{tags:?}") };
        assert_eq!(*back, baseline());
    }

    #[test]
    fn a_smaller_one_leaves_nothing_of_a_larger_one() {
        let mut tags = kept(&baseline());
        write("test", &PatchBaseline::new("web", OperatingSystem::Ubuntu), &mut tags).unwrap();
        assert_eq!(tags.keys().filter(|key| is_ours(key)).count(), 1 + 2, "{tags:?}");
    }

    #[test]
    fn what_was_changed_lost_or_of_a_later_form_is_damaged_and_says_so() {
        let change = |key: &str, value: Option<&str>| {
            let mut tags = kept(&baseline());
            match value {
                Some(value) => tags.insert(key.to_owned(), value.to_owned()),
                None => tags.remove(key),
            };
            match read(&tags) {
                Kept::Damaged(why) => why,
                other => panic!("{other:?}"),
            }
        };
        assert!(change("patchkit-baseline-01", None).contains("missing"));
        assert!(change("patchkit-baseline-00", Some("e30")).contains("not as it was written"));
        assert!(change("patchkit-baseline", Some("v2 1 00")).contains("form"));
        assert!(change("patchkit-baseline", Some("v1 9999 00")).contains("how many"));
    }

    #[test]
    fn one_that_is_too_large_is_refused() {
        let huge = PatchBaseline::new("web", OperatingSystem::Ubuntu)
            .with_rejected((0..100).map(|at| format!("{at:0>90}")));
        let error = write("test", &huge, &mut Tags::new()).unwrap_err();
        assert!(error.message().contains("too large"), "{error}");
    }
}
