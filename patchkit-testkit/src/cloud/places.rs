//! Which accounts, Regions and subscriptions a world is asked to have, and what time.

use std::{collections::BTreeSet, io};

use jiff::Timestamp;
use uuid::Uuid;

use super::world::clock::{FASTEST, STARTS};

/// Refuses what no cloud would name so, and what is there twice.
pub(super) fn check(
    accounts: &[String],
    regions: &[String],
    subscriptions: &[String],
) -> io::Result<()> {
    let account = |it: &str| it.len() == 12 && it.bytes().all(|byte| byte.is_ascii_digit());
    check_all("AWS account", accounts, "twelve digits", account)?;
    check_all("AWS Region", regions, "a name such as eu-west-1", is_region)?;
    let subscription = |it: &str| it.len() == 36 && Uuid::try_parse(it).is_ok();
    check_all("Azure subscription", subscriptions, "a UUID with hyphens", subscription)
}

fn check_all(
    what: &str,
    given: &[String],
    expected: &str,
    is_such: impl Fn(&str) -> bool,
) -> io::Result<()> {
    let invalid = |message| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    let mut seen = BTreeSet::new();
    for value in given {
        if !is_such(value) {
            return invalid(format!("the {what} {value:?} is not {expected}"));
        }
        // Ids of Azure are the same in any case.
        if !seen.insert(value.to_lowercase()) {
            return invalid(format!("the {what} {value:?} is given twice"));
        }
    }
    Ok(())
}

/// `eu-west-1`, `us-gov-east-1`, `eusc-de-east-1`: words, and a number.
pub(crate) fn is_region(text: &str) -> bool {
    let mut parts: Vec<&str> = text.split('-').collect();
    let number = parts.pop().unwrap_or_default();
    let is_word = |it: &&str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_lowercase());
    parts.len() >= 2
        && parts.iter().all(is_word)
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Refuses a start that clients cannot read, and a speed that is none.
pub(super) fn check_time(start: Option<Timestamp>, speed: f64) -> io::Result<()> {
    let invalid = |message| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    if let Some(start) = start.filter(|it| !STARTS.contains(it)) {
        let (first, last) = (STARTS.start(), STARTS.end());
        return invalid(format!("a world begins from {first} to {last}, not at {start}"));
    }
    if !(0.0..=FASTEST).contains(&speed) {
        return invalid(format!("a speed is from 0 to {FASTEST}, not {speed}"));
    }
    Ok(())
}
