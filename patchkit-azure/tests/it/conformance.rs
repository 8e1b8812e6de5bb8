//! The conformance suite on the simulated Azure, plain and behind the fault wrapper, as far as the
//! provider goes.

use crate::harness::AzureHarness;

macro_rules! fleet {
    ($harness:expr; $($case:ident)*) => {$(
        #[tokio::test]
        async fn $case() {
            let harness = $harness;
            patchkit_testkit::cases::fleet::$case(&harness).await;
        }
    )*};
}

macro_rules! acts {
    ($harness:expr; $($case:ident)*) => {$(
        #[tokio::test]
        async fn $case() {
            let harness = $harness;
            patchkit_testkit::cases::acts::$case(&harness).await;
        }
    )*};
}

/// All but that of resource groups, in which the suite puts one node into two: see
/// `resource_group.rs`.
macro_rules! cases {
    ($harness:expr) => {
        fleet! { $harness;
            lists_every_node_once
            an_empty_fleet_is_an_empty_stream
            a_selector_never_widens
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
        acts! { $harness;
            the_same_token_is_one_act
            too_many_nodes_none_or_two_scopes_are_invalid
            a_lost_answer_is_a_timeout_and_never_retryable
            an_act_the_provider_lacks_is_unsupported
            an_unknown_token_finds_nothing
            an_act_on_a_lost_node_does_not_succeed
            an_unknown_operation_is_not_found
            cancelling_a_finished_act_changes_nothing
            a_cancelled_act_ends
        }
    };
}

mod plain {
    use super::AzureHarness;

    cases!(AzureHarness::new().await);
}

mod behind_faults {
    use patchkit_testkit::fault::FaultyHarness;

    use super::AzureHarness;

    cases!(FaultyHarness::bearable(AzureHarness::new().await));
}
