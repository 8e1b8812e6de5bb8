//! A key never panics, and what it prints parses back to itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchkit_inventory::InventoryKey;

fuzz_target!(|text: &str| {
    if let Ok(key) = text.parse::<InventoryKey>() {
        let printed = key.to_string();
        assert_eq!(printed.parse::<InventoryKey>().as_ref(), Ok(&key), "{printed:?}");
    }
});
