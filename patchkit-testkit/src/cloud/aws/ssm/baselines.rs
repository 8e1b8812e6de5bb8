//! Patch baselines: AWS's own, those of the account, and which is the default.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use patchkit_core::{OperatingSystem, PatchBaseline};
use serde_json::{Value, json};

use super::{
    super::{AwsError, Call, Operations, page::Page, seconds},
    baseline_json,
    filter::Filters,
    idempotent::once,
    tags::given,
};
use crate::cloud::world::{judge::BaselineRef, shelf::Shelf};

pub(super) const OPERATIONS: Operations = &[
    ("CreatePatchBaseline", create),
    ("DeletePatchBaseline", delete),
    ("DescribePatchBaselines", describe),
    ("GetDefaultPatchBaseline", get_default),
    ("GetPatchBaseline", get),
    ("RegisterDefaultPatchBaseline", register_default),
    ("UpdatePatchBaseline", update),
];

/// "Patch baselines: 50 per account and Region" (General Reference, Systems Manager quotas).
const MOST: usize = 50;

/// When each of the account's baselines was created and last changed, by id.
pub(super) type Dates = BTreeMap<Arc<str>, (Timestamp, Timestamp)>;

/// When AWS last changed its own baselines. Nobody says it; any day before the world's begins.
const PROVIDED: Timestamp = Timestamp::constant(1_640_995_200, 0);

fn create(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    once(call, input, |call, input| {
        let (os, tags) = (os_of(&input)?, given(&input));
        let baseline = baseline_json::read(input, os)?;
        if call.here().shelf.own.len() >= MOST {
            return Err(AwsError::new(
                "ResourceLimitExceededException",
                format!("The account has {MOST} patch baselines in this Region, its limit."),
            ));
        }
        let id: Arc<str> = format!("pb-{}", call.state.new_hex()).into();
        let now = call.state.now;
        let kept = BaselineRef { id: Arc::clone(&id), revision: 0, baseline };
        let here = call.here_mut();
        here.ssm.baseline_dates.insert(Arc::clone(&id), (now, now));
        here.shelf.own.insert(Arc::clone(&id), Arc::new(kept));
        *here.ssm.tags.of_mut("PatchBaseline", &id) = tags;
        Ok(json!({"BaselineId": &*id}))
    })
}

fn get(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let found = named(&call.here().shelf, &input)?;
    let mut written = described(call, found);
    let shelf = &call.here().shelf;
    let groups = shelf.registrations.iter().filter(|(_, id)| **id == found.id);
    written["PatchGroups"] = groups.map(|((group, _), _)| &**group).collect();
    Ok(written)
}

fn update(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let found = named(&call.here().shelf, &input)?;
    let Some(before) = call.here().shelf.own.get(&found.id) else {
        return Err(unknown());
    };
    let base = if input["Replace"] == true {
        // "All fields that are required by CreatePatchBaseline are also required for this request"
        // (API reference, UpdatePatchBaseline).
        if input["Name"].is_null() {
            return Err(AwsError::validation("Name is required where Replace is true"));
        }
        PatchBaseline::new("", before.baseline.operating_system.clone())
    } else {
        before.baseline.clone()
    };
    let (id, revision) = (Arc::clone(&before.id), before.revision + 1);
    let baseline = baseline_json::change(base, input)?;
    let kept = Arc::new(BaselineRef { id: Arc::clone(&id), revision, baseline });
    let now = call.state.now;
    let here = call.here_mut();
    if let Some((_, changed)) = here.ssm.baseline_dates.get_mut(&id) {
        *changed = now;
    }
    here.shelf.own.insert(id, Arc::clone(&kept));
    Ok(described(call, &kept))
}

/// Deleting what is not there is no error: the model knows none for it.
fn delete(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let id = input["BaselineId"].as_str().unwrap_or_default();
    let shelf = &call.here().shelf;
    if let Some(found) = shelf.get(id) {
        if !shelf.own.contains_key(&found.id) {
            return Err(AwsError::validation(format!("{id} is a patch baseline of AWS's own.")));
        }
        if shelf.registrations.values().any(|registered| *registered == found.id) {
            return Err(in_use(format!("{id} is registered for a patch group.")));
        }
        if shelf.chosen.values().any(|chosen| *chosen == found.id) {
            return Err(in_use(format!("{id} is the default of its operating system.")));
        }
    }
    let here = call.here_mut();
    here.shelf.own.remove(id);
    here.ssm.baseline_dates.remove(id);
    here.ssm.tags.remove("PatchBaseline", id);
    Ok(json!({"BaselineId": id}))
}

fn describe(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let filters = Filters::read(&input, &["NAME_PREFIX", "OWNER", "OPERATING_SYSTEM"])?;
    for owner in filters.get("OWNER").into_iter().flatten() {
        if !["AWS", "Self", "All"].contains(owner) {
            let message = format!("Invalid value for OWNER: {owner}. Valid values: AWS, Self, All");
            return Err(AwsError::validation(message));
        }
    }
    let page = Page::of(call, &input, 50)?;
    let shelf = &call.here().shelf;
    let wanted = shelf.all().filter(|it| {
        filters.pass(|key, value| match key {
            "NAME_PREFIX" => it.baseline.name.starts_with(value),
            "OPERATING_SYSTEM" => it.baseline.operating_system.as_str() == value,
            _ => match value {
                "AWS" => !shelf.own.contains_key(&it.id),
                "Self" => shelf.own.contains_key(&it.id),
                _ => true,
            },
        })
    });
    let (found, next) = page.cut(wanted);
    let identities: Vec<Value> = found.into_iter().map(|it| identity(shelf, it)).collect();
    Ok(json!({"BaselineIdentities": identities, "NextToken": next}))
}

fn get_default(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let os = os_of(&input)?;
    let found = call.here().shelf.default_of(&os).ok_or_else(unknown)?;
    Ok(json!({"BaselineId": &*found.id, "OperatingSystem": os.as_str()}))
}

fn register_default(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let found = named(&call.here().shelf, &input)?;
    let (id, os) = (Arc::clone(&found.id), Box::from(found.baseline.operating_system.as_str()));
    call.here_mut().shelf.chosen.insert(os, Arc::clone(&id));
    Ok(json!({"BaselineId": &*id}))
}

/// The baseline that an input names.
///
/// # Errors
/// `InvalidResourceId` where it is no id at all, `DoesNotExistException` where nothing has it: also
/// for one of AWS's own in another Region, or by the last part of its ARN.
pub(super) fn named<'s>(shelf: &'s Shelf, input: &Value) -> Result<&'s Arc<BaselineRef>, AwsError> {
    let id = input["BaselineId"].as_str().unwrap_or_default();
    check_id(id)?;
    // Of AWS's own "specify the full Amazon Resource Name (ARN)", not its last part (API reference,
    // GetPatchBaseline).
    let found = shelf.get(id).filter(|it| *it.id == *id);
    found.ok_or_else(unknown)
}

/// `pb-` with 17 hexadecimal digits, or an ARN that ends in it.
pub(super) fn check_id(id: &str) -> Result<(), AwsError> {
    let tail = match id.strip_prefix("arn:") {
        Some(arn) => arn.split_once(":patchbaseline/").map_or("", |(_, tail)| tail),
        None => id,
    };
    let digits = tail.strip_prefix("pb-").unwrap_or_default();
    if digits.len() == 17 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(AwsError::new(
        "InvalidResourceId",
        "The resource ID is not valid. Verify that you entered the correct ID and try again.",
    ))
}

pub(super) fn unknown() -> AwsError {
    AwsError::new("DoesNotExistException", "Patch Baseline to be retrieved does not exist.")
}

fn in_use(message: String) -> AwsError {
    AwsError::new("ResourceInUseException", message)
}

/// The operating system that an input names; Windows where it names none (service model).
pub(super) fn os_of(input: &Value) -> Result<OperatingSystem, AwsError> {
    let name = input["OperatingSystem"].as_str().unwrap_or("WINDOWS");
    // The model lets its own names pass only, and the core knows them all; parsing never fails.
    name.parse().map_err(|_| AwsError::validation(format!("{name} is no operating system")))
}

/// A baseline as DescribePatchBaselines and DescribePatchGroups have it.
pub(super) fn identity(shelf: &Shelf, baseline: &BaselineRef) -> Value {
    let PatchBaseline { name, description, operating_system: os, .. } = &baseline.baseline;
    json!({
        "BaselineId": &*baseline.id,
        "BaselineName": name,
        "BaselineDescription": description,
        "OperatingSystem": os.as_str(),
        "DefaultBaseline": shelf.default_of(os).is_some_and(|it| it.id == baseline.id),
    })
}

fn described(call: &Call<'_>, baseline: &BaselineRef) -> Value {
    let dates = call.here().ssm.baseline_dates.get(&baseline.id);
    let (created, changed) = dates.copied().unwrap_or((PROVIDED, PROVIDED));
    let mut written = baseline_json::write(&baseline.baseline);
    written["BaselineId"] = json!(&*baseline.id);
    written["CreatedDate"] = seconds(created);
    written["ModifiedDate"] = seconds(changed);
    written
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cloud::aws::ssm::testing::Desk;

    fn made(desk: &Desk, name: &str, os: &str) -> String {
        let input = json!({"Name": name, "OperatingSystem": os});
        let answer = desk.good("CreatePatchBaseline", &input);
        answer["BaselineId"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_baseline_is_read_back_as_it_was_made_and_is_gone_when_deleted() {
        let desk = Desk::new();
        let input = json!({
            "Name": "web-windows",
            "Description": "for the web",
            "ApprovalRules": {"PatchRules": [{
                "PatchFilterGroup": {"PatchFilters": [
                    {"Key": "CLASSIFICATION", "Values": ["SecurityUpdates"]},
                ]},
                "ApproveAfterDays": 7,
            }]},
            "ApprovedPatches": ["KB2032276"],
        });
        let made = desk.good("CreatePatchBaseline", &input);
        let id = made["BaselineId"].as_str().unwrap();
        let read = desk.good("GetPatchBaseline", &json!({"BaselineId": id}));
        assert_eq!(read["Name"], "web-windows");
        assert_eq!(read["OperatingSystem"], "WINDOWS");
        assert_eq!(read["ApprovalRules"]["PatchRules"][0]["ApproveAfterDays"], 7);
        assert_eq!(read["ApprovalRules"]["PatchRules"][0]["ComplianceLevel"], "UNSPECIFIED");
        assert_eq!(read["RejectedPatchesAction"], "ALLOW_AS_DEPENDENCY");
        assert_eq!(read["PatchGroups"], json!([]));
        for _ in 0..2 {
            desk.good("DeletePatchBaseline", &json!({"BaselineId": id}));
            let error = desk.bad("GetPatchBaseline", &json!({"BaselineId": id}));
            assert_eq!(error, "DoesNotExistException");
        }
    }

    #[test]
    fn a_client_token_makes_one_baseline() {
        let desk = Desk::new();
        let input = json!({"Name": "once", "ClientToken": "t-1"});
        let first = desk.good("CreatePatchBaseline", &input);
        assert_eq!(desk.good("CreatePatchBaseline", &input), first);
        let other = json!({"Name": "twice", "ClientToken": "t-1"});
        assert_eq!(desk.bad("CreatePatchBaseline", &other), "IdempotentParameterMismatch");
        let own = json!({"Filters": [{"Key": "OWNER", "Values": ["Self"]}]});
        assert_eq!(desk.all("DescribePatchBaselines", &own, "BaselineIdentities").len(), 1);
    }

    #[test]
    fn the_fifty_first_baseline_is_refused() {
        let desk = Desk::new();
        for n in 0..MOST {
            made(&desk, &format!("baseline-{n}"), "WINDOWS");
        }
        let error = desk.bad("CreatePatchBaseline", &json!({"Name": "one-more"}));
        assert_eq!(error, "ResourceLimitExceededException");
    }

    #[test]
    fn an_update_changes_what_it_names_and_a_replacement_forgets_the_rest() {
        let desk = Desk::new();
        let input = json!({
            "Name": "linux",
            "OperatingSystem": "AMAZON_LINUX_2023",
            "ApprovedPatches": ["kernel*"],
            "RejectedPatches": ["vim"],
        });
        let id = desk.good("CreatePatchBaseline", &input)["BaselineId"].clone();
        desk.advance(Duration::from_mins(1));
        let changed = desk.good(
            "UpdatePatchBaseline",
            &json!({"BaselineId": id, "RejectedPatches": ["nano"], "RejectedPatchesAction": "BLOCK"}),
        );
        assert_eq!(changed["ApprovedPatches"], json!(["kernel*"]));
        assert_eq!(changed["RejectedPatches"], json!(["nano"]));
        assert!(changed["ModifiedDate"].as_f64() > changed["CreatedDate"].as_f64());
        let unnamed = json!({"BaselineId": id, "Replace": true});
        assert_eq!(desk.bad("UpdatePatchBaseline", &unnamed), "ValidationException");
        let replaced = desk.good(
            "UpdatePatchBaseline",
            &json!({"BaselineId": id, "Replace": true, "Name": "other"}),
        );
        assert_eq!(replaced["OperatingSystem"], "AMAZON_LINUX_2023");
        assert_eq!(replaced["RejectedPatches"], json!([]));
        assert_eq!(replaced["RejectedPatchesAction"], "ALLOW_AS_DEPENDENCY");
    }

    #[test]
    fn an_update_grows_the_revision_so_that_the_next_scan_judges_anew() {
        let desk = Desk::new();
        let id = made(&desk, "windows", "WINDOWS");
        let revision = |desk: &Desk| desk.with(|it| it.scopes[0].shelf.get(&id).unwrap().revision);
        let before = revision(&desk);
        desk.good("UpdatePatchBaseline", &json!({"BaselineId": id, "Description": "new"}));
        assert_eq!(revision(&desk), before + 1);
    }

    #[test]
    fn the_default_is_windows_own_until_another_is_chosen() {
        let desk = Desk::new();
        let first = desk.good("GetDefaultPatchBaseline", &json!({}));
        assert_eq!(first["OperatingSystem"], "WINDOWS");
        let aws = first["BaselineId"].as_str().unwrap().to_owned();
        assert!(aws.starts_with("arn:aws:ssm:us-east-1:"), "{aws}");
        let id = made(&desk, "mine", "WINDOWS");
        desk.good("RegisterDefaultPatchBaseline", &json!({"BaselineId": id}));
        assert_eq!(desk.good("GetDefaultPatchBaseline", &json!({}))["BaselineId"], id);
        let error = desk.bad("DeletePatchBaseline", &json!({"BaselineId": id}));
        assert_eq!(error, "ResourceInUseException");
        desk.good("RegisterDefaultPatchBaseline", &json!({"BaselineId": aws}));
        desk.good("DeletePatchBaseline", &json!({"BaselineId": id}));
        assert_eq!(desk.good("GetDefaultPatchBaseline", &json!({}))["BaselineId"], aws);
    }

    #[test]
    fn baselines_are_filtered_by_owner_name_and_operating_system() {
        let desk = Desk::new();
        made(&desk, "web-1", "UBUNTU");
        made(&desk, "db-1", "UBUNTU");
        let count = |filters: Value| {
            let input = json!({"Filters": filters, "MaxResults": 2});
            desk.all("DescribePatchBaselines", &input, "BaselineIdentities").len()
        };
        let filter = |key: &str, value: &str| json!({"Key": key, "Values": [value]});
        assert_eq!(count(json!([filter("OWNER", "AWS")])), 17);
        assert_eq!(count(json!([filter("OWNER", "Self")])), 2);
        assert_eq!(count(json!([filter("OWNER", "All")])), 19);
        assert_eq!(count(json!([filter("OWNER", "Self"), filter("NAME_PREFIX", "web")])), 1);
        assert_eq!(count(json!([filter("OPERATING_SYSTEM", "WINDOWS")])), 3);
        let wrong = json!({"Filters": [filter("COLOUR", "blue")]});
        assert_eq!(desk.bad("DescribePatchBaselines", &wrong), "ValidationException");
    }

    #[test]
    fn one_of_awss_own_is_found_by_its_whole_name_and_not_from_another_region() {
        let desk = Desk::new();
        let arn = desk.good("GetDefaultPatchBaseline", &json!({}))["BaselineId"].clone();
        let arn = arn.as_str().unwrap();
        let short = arn.rsplit('/').next().unwrap();
        let read = desk.good("GetPatchBaseline", &json!({"BaselineId": arn}));
        assert_eq!(read["Name"], "AWS-DefaultPatchBaseline");
        let error = desk.bad("GetPatchBaseline", &json!({"BaselineId": short}));
        assert_eq!(error, "DoesNotExistException");
        for id in [arn, short] {
            let update = json!({"BaselineId": id, "Description": "mine now"});
            assert_eq!(desk.bad("UpdatePatchBaseline", &update), "DoesNotExistException");
        }
        let elsewhere = arn.replace("us-east-1", "eu-west-1");
        let error = desk.bad("GetPatchBaseline", &json!({"BaselineId": elsewhere}));
        assert_eq!(error, "DoesNotExistException");
        let error = desk.bad("GetPatchBaseline", &json!({"BaselineId": "not-an-id-of-anything"}));
        assert_eq!(error, "InvalidResourceId");
    }
}
