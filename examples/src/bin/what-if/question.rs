//! What is asked: the baselines as they are, and as they would be.

use patchkit_core::{
    AutoApproval, PatchBaseline,
    whatif::{BaselineSet, Scenario},
};
use patchkit_examples::Failure;

use super::{
    args::Args,
    input::{Fleet, baselines},
};

/// Two scenarios, and the difference in words.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) before: Scenario,
    pub(crate) after: Scenario,
    pub(crate) words: Vec<String>,
}

/// A list of a baseline.
#[derive(Clone, Copy)]
enum List {
    Rejected,
    Approved,
}

impl Question {
    pub(crate) fn new(args: &Args, fleet: &Fleet) -> Result<Self, Failure> {
        let before = Scenario::new(fleet.baselines.clone(), fleet.when);
        let mut words = Vec::new();
        let mut set = match &args.to {
            Some(path) => {
                words.push(format!("take the baselines of {}", path.display()));
                baselines(path)?
            }
            None => fleet.baselines.clone(),
        };
        // What the sample is made to show.
        let shows_sample = args.lake.is_none() && !is_anything_asked(args);
        let (reject, days) = if shows_sample {
            (vec![super::sample::REJECTED.to_owned()], Some(3))
        } else {
            (args.reject.clone(), args.approve_after_days)
        };
        for patch in &reject {
            name(&mut set, patch, List::Rejected)?;
            words.push(format!("reject {patch}"));
        }
        for patch in &args.approve {
            name(&mut set, patch, List::Approved)?;
            words.push(format!("approve {patch} at once"));
        }
        if let Some(days) = days {
            words.push(delay(&mut set, days)?);
        }
        if let Some(path) = &args.baseline_override {
            let over = baselines(path)?;
            set = over.baselines().cloned().fold(set, BaselineSet::with_override);
            words.push(format!("hold nodes against {}", path.display()));
        }
        words.extend(args.install.iter().map(|patch| format!("install {patch}")));
        if words.is_empty() {
            words.push("change nothing".to_owned());
        }
        let after = Scenario::new(set, fleet.when).with_installs(&args.install);
        Ok(Self { before, after, words })
    }
}

fn is_anything_asked(args: &Args) -> bool {
    args.to.is_some()
        || args.baseline_override.is_some()
        || args.approve_after_days.is_some()
        || ![&args.reject, &args.approve, &args.install].iter().all(|list| list.is_empty())
}

/// Puts a patch on a list of every baseline that takes its format: package names are no KB numbers.
fn name(set: &mut BaselineSet, patch: &str, list: List) -> Result<(), Failure> {
    let mut refused = None;
    let mut taken = false;
    for baseline in set.baselines_mut() {
        let of = |baseline: &mut PatchBaseline| match list {
            List::Rejected => std::mem::take(&mut baseline.rejected_patches),
            List::Approved => std::mem::take(&mut baseline.approved_patches),
        };
        let known = of(&mut baseline.clone());
        let field = match list {
            List::Rejected => &mut baseline.rejected_patches,
            List::Approved => &mut baseline.approved_patches,
        };
        if !known.iter().any(|it| it == patch) {
            field.push(patch.to_owned());
        }
        let place = match list {
            List::Rejected => "rejected_patches",
            List::Approved => "approved_patches",
        };
        let wrong = baseline.validate().into_iter().find(|it| it.field.starts_with(place));
        match wrong {
            Some(violation) => {
                refused = Some(format!("baseline {:?}: {violation}", baseline.name));
                match list {
                    List::Rejected => baseline.rejected_patches = known,
                    List::Approved => baseline.approved_patches = known,
                }
            }
            None => taken = true,
        }
    }
    match refused {
        Some(why) if !taken => Err(Failure::new(format!("{patch}: no baseline takes it; {why}"))),
        _ => Ok(()),
    }
}

/// Gives every rule that has a delay this one, and says so.
fn delay(set: &mut BaselineSet, days: u16) -> Result<String, Failure> {
    if days > MAX_DAYS {
        return Err(Failure::new(format!("a delay has {MAX_DAYS} days at most, not {days}")));
    }
    let mut old = Vec::new();
    for baseline in set.baselines_mut() {
        for rule in &mut baseline.approval_rules {
            if let AutoApproval::AfterDays(delay) = &mut rule.approval {
                old.push(*delay);
                *delay = days;
            }
        }
    }
    old.sort_unstable();
    old.dedup();
    if old.is_empty() {
        return Err(Failure::new("no rule has a delay that could be changed"));
    }
    let old: Vec<String> = old.iter().map(ToString::to_string).collect();
    Ok(format!("approve after {days} days instead of {}", old.join(" or ")))
}

/// API reference, PatchRule.
const MAX_DAYS: u16 = 360;
