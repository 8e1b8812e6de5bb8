//! A line never panics, and what is read of it is what serde_json reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchkit_inventory::{InventoryRecord, MAX_FIELDS, MAX_NESTING, SkipReason, Value};
use serde_json::{Deserializer, Map};

/// Whether a field is what the whole parser makes of it.
fn is_same(value: Option<&Value<'_>>, whole: &serde_json::Value) -> bool {
    match (value, whole) {
        (Some(Value::Null), serde_json::Value::Null)
        | (Some(Value::Number(_)), serde_json::Value::Number(_)) => true,
        (Some(Value::Bool(value)), serde_json::Value::Bool(whole)) => value == whole,
        (Some(Value::Text(value)), serde_json::Value::String(whole)) => value == whole,
        (
            Some(Value::Nested(value)),
            whole @ (serde_json::Value::Array(_) | serde_json::Value::Object(_)),
        ) => serde_json::from_str(value).is_ok_and(|value: serde_json::Value| value == *whole),
        _ => false,
    }
}

fuzz_target!(|line: &str| {
    let mut whole = Deserializer::from_str(line).into_iter::<Map<String, serde_json::Value>>();
    let mut rows = InventoryRecord::rows(line);
    let (mut taken, mut lost) = (Vec::new(), None);
    for row in rows.by_ref() {
        let row = match row {
            Ok(row) => row,
            Err(reason) => {
                lost = Some(reason);
                break;
            }
        };
        assert!(row.fields().len() <= MAX_FIELDS);
        for field in row.fields() {
            let _ = (row.text(&field.name), row.count(&field.name), row.time(&field.name));
        }
        // What the whole parser refuses and this one does not: half a surrogate pair, and numbers
        // that no float holds.
        if let Some(Ok(whole)) = whole.next() {
            for (name, value) in &whole {
                assert!(is_same(row.get(name), value), "{name:?}");
            }
            assert!(row.fields().iter().all(|field| whole.contains_key(&*field.name)));
        }
        taken.push(row);
    }
    assert!(lost.is_none() || rows.next().is_none(), "rows behind the end");
    match &lost {
        None => {}
        Some(SkipReason::TooDeep(limit)) => assert_eq!(*limit, MAX_NESTING),
        Some(SkipReason::TooManyFields(limit)) => assert_eq!(*limit, MAX_FIELDS),
        Some(reason) => assert!(!matches!(whole.next(), Some(Ok(_))), "{reason:?} of a good row"),
    }
    if let Some(SkipReason::Malformed(at)) = lost {
        assert!((1..=line.len() + 1).contains(&at), "byte {at} of {}", line.len());
    }
    match (InventoryRecord::parse(line), &*taken, lost) {
        (Ok(row), [only], None) => assert_eq!(row, *only),
        (Err(SkipReason::NoRow), [], None) => {}
        (Err(parsed), [], Some(lost)) => assert_eq!(parsed, lost),
        (Err(SkipReason::Malformed(at)), [_, ..], _) => assert!(at <= line.len()),
        (parsed, ..) => panic!("{parsed:?} is not what the rows of the line say"),
    }
});
