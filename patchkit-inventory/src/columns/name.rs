//! Names of columns.

/// The column of an attribute: its name in snake case.
pub(crate) fn column(attribute: &str) -> String {
    // Plurals and units of which the case does not show where a word begins.
    match attribute {
        "CPUs" => return "cpus".to_owned(),
        "CPUSpeedMHz" => return "cpu_speed_mhz".to_owned(),
        _ => {}
    }
    let bytes = attribute.as_bytes();
    let mut name = String::with_capacity(bytes.len() + 4);
    for (at, byte) in bytes.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| bytes[at]);
        let ends_acronym = bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        let begins = before.is_some_and(|before| !before.is_ascii_uppercase() || ends_acronym);
        if byte.is_ascii_uppercase() && begins {
            name.push('_');
        }
        name.push(char::from(byte.to_ascii_lowercase()));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InventoryType;

    #[test]
    fn acronyms_are_one_word() {
        for (attribute, name) in [
            ("ComputerName", "computer_name"),
            ("CVEIds", "cve_ids"),
            ("KBId", "kb_id"),
            ("URL", "url"),
            ("IPV4", "ipv4"),
            ("DHCPServer", "dhcp_server"),
            ("OSServicePack", "os_service_pack"),
            ("CPUHyperThreadEnabled", "cpu_hyper_thread_enabled"),
            ("HotFixId", "hot_fix_id"),
            ("InstalledPendingRebootCount", "installed_pending_reboot_count"),
        ] {
            assert_eq!(column(attribute), name);
        }
    }

    #[test]
    fn no_table_has_two_columns_of_one_name() {
        for ty in InventoryType::KNOWN {
            let schema = super::super::table_schema(ty);
            let mut names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
            names.sort_unstable();
            let whole = names.len();
            names.dedup();
            assert_eq!(names.len(), whole, "{ty}");
        }
    }
}
