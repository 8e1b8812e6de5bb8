//! The conformance suite: what a provider promises, as cases that any provider runs.
//!
//! Every case takes a fresh [`Harness`](crate::Harness) and panics when the provider breaks the
//! rule. There are no skips: a case whose capability is off asserts that the call answers
//! `Unsupported` and changes nothing. The cases are patient callers: an error that says it may be
//! tried again is tried again, and a listing that breaks so is begun again.
//!
//! | Promise (`# Behavior` in patchkit-core) | Case |
//! |---|---|
//! | **Fleet** `nodes`: Every node comes once, over however many pages. | [`fleet::lists_every_node_once`] |
//! | No order is promised. | [`fleet::lists_every_node_once`] (compares sets) |
//! | An empty fleet is an empty stream. | [`fleet::an_empty_fleet_is_an_empty_stream`] |
//! | A selector never widens: an empty list in it selects nothing. | [`fleet::a_selector_never_widens`] |
//! | A resource group is asked for anew by each listing. One that is not there is `NotFound`, never an empty one; a provider without resource groups answers `Unsupported`. | [`fleet::a_resource_group_selects_its_members_of_the_moment`] |
//! | A node whose agent does not answer says why, as far as the listing tells; one whose agent answers has no reason. | [`fleet::an_unmanaged_node_says_why`] |
//! | An error on a later page comes after the nodes of the earlier ones. | [`fleet::an_error_on_a_later_page_comes_after_the_earlier_nodes`] |
//! | An error that names a scope is about that scope alone, and the listing goes on; any other is the last. | [`fleet::an_error_on_a_later_page_comes_after_the_earlier_nodes`] |
//! | Dropping the stream stops the requests. | [`fleet::dropping_the_stream_stops_the_requests`] |
//! | `statuses`: One answer for each node asked for, in the order asked. | [`fleet::statuses_answer_each_node_in_order`] |
//! | A node that does not exist is `NotFound`; the others are answered. | [`fleet::an_unknown_node_leaves_the_others_answered`] |
//! | `set_power`: Only the nodes named are touched. | [`fleet::power_touches_only_the_nodes_named`] |
//! | A node that is in the state already, or on its way there, is not an error. | [`fleet::setting_power_twice_is_no_error`] |
//! | A node whose power the provider does not hold (hybrid) is `Unsupported`. | [`fleet::power_of_a_hybrid_node_is_unsupported`] |
//! | `access`: Reads only. | [`fleet::access_reads_only`] |
//! | `grant_access`: A node that has access is left alone: the change returned is empty. | [`fleet::a_node_with_access_is_left_alone`] |
//! | The change lists what was done, and `revert_access` undoes just that. | [`fleet::a_grant_lists_what_revert_takes_back`] |
//! | `revert_access`: Twice is as good as once. | [`fleet::reverting_access_twice_is_as_good_as_once`] |
//! | `merge_tags`: Tags that are there with the value wanted are not in the change returned. | [`fleet::a_merge_lists_only_what_it_changed`] |
//! | `revert_tags` restores the values from before. | [`fleet::reverting_tags_restores_the_values_from_before`] |
//! | `revert_tags`: Twice is as good as once. | [`fleet::reverting_tags_twice_is_as_good_as_once`] |
//! | `submit`: The same token twice is one act: the second call returns the first one's id. | [`acts::the_same_token_is_one_act`] |
//! | More nodes than `Capabilities::max_nodes_per_operation`, none, or nodes of more than one scope are `InvalidInput`. | [`acts::too_many_nodes_none_or_two_scopes_are_invalid`] |
//! | An unknown node is `NotFound`, and nothing is started on the others. | [`acts::an_unknown_node_starts_nothing`] |
//! | A call whose answer is lost is `Timeout`, never retryable: see `find_operation`. | [`acts::a_lost_answer_is_a_timeout_and_never_retryable`] |
//! | `find_operation`: `None` when the provider knows of none; services tell late, so ask again before believing. | [`acts::an_unknown_token_finds_nothing`] |
//! | `operation`: A submitted act reaches a final status. | [`acts::a_submitted_act_reaches_a_final_status`] |
//! | An unknown id is `NotFound`. | [`acts::an_unknown_operation_is_not_found`] |
//! | `cancel`: A finished act is not an error, and stays as it ended. | [`acts::cancelling_a_finished_act_changes_nothing`] |
//! | `capabilities`: What is off in it answers `Unsupported` and changes nothing. | every case whose capability is off, such as [`baseline::an_update_replaces_the_whole_baseline`] |
//! | **Baseline** `baselines`: Every baseline comes once, over however many pages. | [`baseline::lists_every_baseline_once`] |
//! | `baseline`: An ARN and its bare `pb-` id name the same baseline. | [`baseline::an_arn_and_its_bare_id_name_the_same_baseline`] |
//! | An unknown id is `NotFound`. | [`baseline::an_unknown_baseline_is_not_found`] |
//! | `default_baseline`: It is for the operating system asked for. | [`baseline::the_default_baseline_is_for_its_operating_system`] |
//! | `approved_patches`: Every patch comes once, over however many pages. | [`baseline::approved_patches_come_once_or_are_unsupported`] |
//! | `create_baseline`: A draft that breaks a limit is `InvalidInput` with the field's name. | [`baseline::a_draft_over_a_limit_is_invalid`] |
//! | What is read back equals the draft but for the id. | [`baseline::what_is_read_back_equals_the_draft`] |
//! | `update_baseline`: It is replaced whole: what `baseline` leaves out is gone. | [`baseline::an_update_replaces_the_whole_baseline`] |
//! | `update_baseline`: An update with what it returns takes it back. | [`baseline::an_update_replaces_the_whole_baseline`] |
//! | `delete_baseline`: One that is registered for a group or is a default is `Conflict`, and stays. | [`baseline::a_baseline_in_use_cannot_be_deleted`] |
//! | `set_default_baseline`: Setting the one that it returns takes it back. | [`baseline::setting_the_default_returns_the_one_before`] |
//! | **PatchGroup** `groups`: Every group comes once, over however many pages. | [`group::lists_every_group_once`] |
//! | `members`: A group without nodes is an empty stream. | [`group::a_group_without_nodes_is_an_empty_stream`] |
//! | `registrations`: A group without registration is an empty stream. | [`group::registrations_are_one_for_each_operating_system`] |
//! | `baseline_for`: Without a registration it is the operating system's default. | [`group::without_a_registration_it_is_the_default`] |
//! | `register`: The same baseline twice is no error. | [`group::registering_twice_is_no_error`] |
//! | Another baseline of that operating system is `Conflict`, and nothing changes. | [`group::a_second_baseline_of_a_system_is_a_conflict`] |
//! | `deregister`: A baseline that is not registered is no error. | [`group::deregistering_what_is_not_registered_is_no_error`] |
//! | **ComplianceReport** `summaries`: Every node comes once; one of which nothing is known comes as `Unknown`. | [`compliance::every_node_comes_once_with_or_without_data`] |
//! | No data is never `Compliant`. | [`compliance::no_data_is_never_compliant`] |
//! | The counts equal the listing of `patches`, where that lists all. | [`compliance::counts_equal_the_listing_of_patches`] |
//! | An error that names a scope is about that scope alone, and the summaries go on; any other is the last. | [`compliance::an_error_on_a_later_page_comes_after_the_earlier_nodes`] |
//! | `summary`: A node that exists and was never scanned is `Unknown`, not an error. | [`compliance::a_node_never_scanned_is_unknown`] |
//! | `patches`: A node that was never scanned is an empty stream. | [`compliance::a_node_never_scanned_has_no_patches`] |
//! | A state that PatchKit does not know is kept as `Other`. | [`compliance::an_unknown_state_is_kept`] |
//!
//! The cases beyond the table hold the first sentences and the `# Errors` of the traits.

#![expect(clippy::missing_panics_doc, reason = "a case panics when the provider breaks the rule")]

pub mod acts;
pub mod baseline;
pub mod compliance;
pub mod fleet;
pub mod group;
pub(crate) mod support;

/// Calls a macro with what it is handed and the list of all cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ([$($then:tt)*] $($handed:tt)*) => {
        $($then)*! {
            { $($handed)* }
            fleet {
                lists_every_node_once
                an_empty_fleet_is_an_empty_stream
                a_selector_never_widens
                a_resource_group_selects_its_members_of_the_moment
                an_unmanaged_node_says_why
                an_error_on_a_later_page_comes_after_the_earlier_nodes
                dropping_the_stream_stops_the_requests
                a_denied_call_is_permission_denied
                a_throttled_call_may_be_made_again
                statuses_answer_each_node_in_order
                an_unknown_node_leaves_the_others_answered
                power_touches_only_the_nodes_named
                setting_power_twice_is_no_error
                stopped_and_deallocated_are_told_apart_or_one
                power_of_a_hybrid_node_is_unsupported
                access_reads_only
                a_node_with_access_is_left_alone
                a_grant_lists_what_revert_takes_back
                reverting_access_twice_is_as_good_as_once
                a_merge_lists_only_what_it_changed
                reverting_tags_restores_the_values_from_before
                reverting_tags_twice_is_as_good_as_once
                works_behind_pointers
            }
            acts {
                the_same_token_is_one_act
                too_many_nodes_none_or_two_scopes_are_invalid
                an_unknown_node_starts_nothing
                a_lost_answer_is_a_timeout_and_never_retryable
                an_act_the_provider_lacks_is_unsupported
                an_unknown_token_finds_nothing
                a_submitted_act_reaches_a_final_status
                an_act_on_a_lost_node_does_not_succeed
                an_unknown_operation_is_not_found
                cancelling_a_finished_act_changes_nothing
                a_cancelled_act_ends
                an_install_brings_what_is_missing
            }
            baseline {
                lists_every_baseline_once
                an_arn_and_its_bare_id_name_the_same_baseline
                an_unknown_baseline_is_not_found
                the_default_baseline_is_for_its_operating_system
                approved_patches_come_once_or_are_unsupported
                a_draft_over_a_limit_is_invalid
                what_is_read_back_equals_the_draft
                an_update_replaces_the_whole_baseline
                a_baseline_in_use_cannot_be_deleted
                a_deleted_baseline_is_gone
                setting_the_default_returns_the_one_before
                a_denied_call_is_permission_denied
            }
            group {
                lists_every_group_once
                lists_every_member_once
                a_group_without_nodes_is_an_empty_stream
                registrations_are_one_for_each_operating_system
                without_a_registration_it_is_the_default
                registering_twice_is_no_error
                a_second_baseline_of_a_system_is_a_conflict
                deregistering_what_is_not_registered_is_no_error
            }
            compliance {
                every_node_comes_once_with_or_without_data
                a_selector_never_widens
                no_data_is_never_compliant
                counts_equal_the_listing_of_patches
                a_node_never_scanned_is_unknown
                a_node_never_scanned_has_no_patches
                an_unknown_state_is_kept
                an_unknown_node_is_not_found
                an_error_on_a_later_page_comes_after_the_earlier_nodes
            }
        }
    };
}

#[cfg(test)]
pub(crate) mod tests {
    macro_rules! listed {
        ({} $($module:ident { $($case:ident)* })*) => {
            [$((
                stringify!($module),
                include_str!(concat!("cases/", stringify!($module), ".rs")),
                &[$(stringify!($case)),*][..],
            )),*]
        };
    }

    /// The text of each bullet below a `# Behavior`, on one line, without links.
    pub(crate) fn promises(source: &str) -> Vec<String> {
        let (mut promises, mut within): (Vec<String>, _) = (Vec::new(), false);
        for line in source.lines().map(str::trim) {
            match line.strip_prefix("///").map(str::trim) {
                Some("# Behavior") => within = true,
                Some(text) if within && text.starts_with("- ") => promises.push(text[2..].into()),
                Some("") | None => within = false,
                Some(text) if within => {
                    if let Some(promise) = promises.last_mut() {
                        promise.push(' ');
                        promise.push_str(text);
                    }
                }
                Some(_) => {}
            }
        }
        promises
            .into_iter()
            .map(|text| {
                let mut plain = String::new();
                for (at, part) in text.split("](").enumerate() {
                    let part =
                        if at == 0 { part } else { part.split_once(')').map_or("", |part| part.1) };
                    plain.push_str(&part.replace('[', ""));
                }
                plain
            })
            .collect()
    }

    #[test]
    fn every_promise_of_the_traits_is_in_the_table() {
        let table = include_str!("cases.rs");
        let sources = [
            include_str!("../../patchkit-core/src/fleet.rs"),
            include_str!("../../patchkit-core/src/baseline/provider.rs"),
            include_str!("../../patchkit-core/src/group.rs"),
            include_str!("../../patchkit-core/src/compliance.rs"),
        ];
        let promises: Vec<String> = sources.into_iter().flat_map(promises).collect();
        assert!(promises.len() > 40, "{promises:#?}");
        for promise in promises {
            let row =
                table.lines().find(|line| line.starts_with("//! |") && line.contains(&promise));
            assert!(row.is_some_and(|row| row.contains("::")), "no case for: {promise}");
        }
    }

    #[test]
    fn every_case_is_in_the_list() {
        for (module, source, cases) in crate::__conformance_cases!([listed]) {
            let written: Vec<&str> = source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn "))
                .filter_map(|line| line.split('(').next())
                .collect();
            assert_eq!(written, cases, "{module}");
        }
    }
}
