//! The journal suite: what a [`Journal`] and its [`Ledger`] promise, as cases that any implementation runs.
//!
//! Every case takes a fresh [`JournalHarness`] and panics when the journal breaks the rule.
//!
//! | Promise (`# Behavior` in patchkit-core) | Case |
//! |---|---|
//! | What `append` has returned `Ok` for is read back by every later `events`, in order. | [`records::what_was_acknowledged_is_read_back_in_order`], [`crashes::a_journal_opened_anew_shows_what_was_acknowledged`] |
//! | A batch of events is written whole or not at all. | [`writers::batches_of_two_writers_do_not_mix`] |
//! | Two holders never own one run at the same time. | [`writers::one_of_many_takers_wins`], [`writers::nothing_of_an_old_holder_comes_after_the_new_one`] |
//! | `begin`: A run has one beginning: the same id twice is `Conflict`, whoever asks. | [`leases::a_run_begins_once`], [`writers::one_of_many_beginners_wins`] |
//! | `take_over`: The fencing token grows; what the earlier holder writes from then on is refused. | [`leases::an_old_holder_is_refused`] |
//! | `renew`: A lease that ran out and that nobody took over is good again. | [`leases::a_lease_that_ran_out_is_good_again_until_it_is_taken_over`] |
//! | `release`: Another holder can take it over at once. | [`leases::a_released_run_is_taken_over_at_once`] |
//! | `append`: All of them in one step, in order, or none. | [`writers::batches_of_two_writers_do_not_mix`] |
//! | `events`: Every event that was ever written comes once, in order. | [`records::what_was_acknowledged_is_read_back_in_order`] |
//! | An event that this version does not know comes as it was written. | [`records::an_unknown_event_is_kept`] |
//! | A write that broke off before it was acknowledged comes as `Torn`, or not at all. | [`crashes::a_torn_write_costs_at_most_itself`] |
//! | A record that cannot be read is a `Malformed` item that names the run and its place, and the others come after it; any other error is the last item. | [`crashes::a_spoilt_record_costs_only_itself`] |
//! | `runs`: Runs that are over are in it too. | [`records::runs_are_listed_oldest_first`] |
//! | `head`: It is as new as what was acknowledged last, and costs the same however long the run is. | [`records::the_head_tells_the_newest_record`] |
//! | `order`: What was ordered stays in the list of orders. | [`orders::an_order_reaches_its_run_and_no_other`] |
//! | `orders`: A run that does not exist has those for all. | [`orders::an_order_reaches_its_run_and_no_other`] |
//! | An order that this version does not know comes as it was written. | [`orders::an_unknown_order_is_kept`] |
//! | `claim`: A node that this run holds already is no error. | [`claims::a_node_is_held_by_one_run`] |
//! | Nodes are compared as their ids are: one of ARM without regard to case and scope. | [`claims::two_spellings_of_a_node_are_one_node`] |
//! | A node that another run holds is `Conflict`, also when that run's lease is over: what it did to the node is not known until someone recovers it. | [`claims::a_claim_outlives_the_lease`] |
//! | `unclaim`: Twice is as good as once. | [`claims::giving_back_twice_is_as_good_as_once`] |
//! | **Ledger** `enter`: All entries of a call are written in one step and side by side, or none. | [`ledger::what_writers_enter_at_once_stays_together`], [`ledger::a_store_that_fails_enters_nothing`] |
//! | `entries`: What `enter` has returned `Ok` for is read back by every later `entries`, once and in order. | [`ledger::what_was_entered_is_read_back_in_order`], [`ledger::a_long_book_is_read_to_its_end`] |
//! | Books are apart: entries of one are not in another. | [`ledger::books_are_apart`] |
//! | Numbers of entries grow; there may be gaps between them. | [`ledger::reading_goes_on_behind_any_entry`] |
//! | An entry that cannot be read is a `Malformed` item, and those behind it come all the same. | [`ledger::a_spoilt_entry_costs_only_itself`] |

#![expect(clippy::missing_panics_doc, reason = "a case panics when the journal breaks the rule")]

pub mod claims;
pub mod crashes;
pub mod leases;
pub mod ledger;
mod memory;
pub mod orders;
pub mod records;
mod support;
pub mod writers;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use patchkit_core::{Book, Journal, Ledger, RunId, VirtualClock};

pub use self::memory::MemoryJournalHarness;

/// A fresh store of journals, and what can happen to it.
#[async_trait]
pub trait JournalHarness: fmt::Debug + Send + Sync + 'static {
    /// The clock on which leases end. It must be a manual one: cases work from several threads.
    fn clock(&self) -> VirtualClock;

    /// Opens the journal once more, as another process would.
    async fn open(&self) -> Arc<dyn Journal>;

    /// Opens the ledger of the same store once more.
    async fn ledger(&self) -> Arc<dyn Ledger>;

    /// Leaves behind what a crash leaves of a write to `run` that was never acknowledged: half of
    /// it, at the end.
    async fn tear(&self, run: &RunId) -> Tear;

    /// Spoils the record at this place of `run`, as a bad disk would.
    async fn spoil(&self, run: &RunId, seq: u64) -> Spoilt;

    /// Spoils the entry of this number of a book, as a bad disk would.
    async fn spoil_entry(&self, book: Book, number: u64) -> Spoilt;

    /// Has every write fail, also those of journals that are open, until
    /// [`mend`](Self::mend).
    async fn break_writes(&self);

    /// Has writes succeed again.
    async fn mend(&self);
}

/// What readers see of a torn write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tear {
    /// An event `Torn`.
    Shown,
    /// Nothing: the store throws such writes away by itself.
    Gone,
}

/// What readers see of a spoilt record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Spoilt {
    /// An error of its own, with the records around it.
    Alone,
    /// An error, with the records around the batch in which it was written.
    WithItsBatch,
    /// The store has no bytes that could be spoilt.
    Never,
}

/// Calls a macro with what it is handed and the list of all cases of the journal suite.
#[doc(hidden)]
#[macro_export]
macro_rules! __journal_cases {
    ([$($then:tt)*] $($handed:tt)*) => {
        $($then)*! {
            { $($handed)* }
            records {
                what_was_acknowledged_is_read_back_in_order
                nothing_appended_is_nothing_written
                a_big_record_is_kept
                an_unknown_event_is_kept
                runs_are_listed_oldest_first
                a_run_of_any_name_is_a_run_of_its_own
                a_run_that_does_not_exist_is_not_found
                the_head_tells_the_newest_record
            }
            leases {
                a_run_begins_once
                a_lease_is_taken_over_after_its_term_and_not_before
                a_renewed_lease_lasts_from_then_on
                a_lease_that_ran_out_is_good_again_until_it_is_taken_over
                a_released_run_is_taken_over_at_once
                an_old_holder_is_refused
                the_longest_term_is_a_term
            }
            claims {
                a_node_is_held_by_one_run
                a_claim_outlives_the_lease
                giving_back_twice_is_as_good_as_once
                two_spellings_of_a_node_are_one_node
                a_claims_fence_grows
            }
            orders {
                an_order_reaches_its_run_and_no_other
                an_unknown_order_is_kept
            }
            ledger {
                what_was_entered_is_read_back_in_order
                a_long_book_is_read_to_its_end
                reading_goes_on_behind_any_entry
                books_are_apart
                what_writers_enter_at_once_stays_together
                a_store_that_fails_enters_nothing
                a_spoilt_entry_costs_only_itself
            }
            crashes {
                a_journal_opened_anew_shows_what_was_acknowledged
                a_torn_write_costs_at_most_itself
                two_torn_writes_and_a_new_holder
                a_spoilt_record_costs_only_itself
                a_store_that_fails_acknowledges_nothing
            }
            writers {
                batches_of_two_writers_do_not_mix
                writers_of_many_runs_do_not_meet
                nothing_of_an_old_holder_comes_after_the_new_one
                one_of_many_beginners_wins
                one_of_many_takers_wins
                one_of_many_runs_gets_each_node
            }
        }
    };
}

#[cfg(test)]
mod tests {
    macro_rules! listed {
        ({} $($module:ident { $($case:ident)* })*) => {
            [$((
                stringify!($module),
                include_str!(concat!("journal/", stringify!($module), ".rs")),
                &[$(stringify!($case)),*][..],
            )),*]
        };
    }

    #[test]
    fn every_promise_of_the_traits_is_in_the_table() {
        let table = include_str!("journal.rs");
        let sources = [
            include_str!("../../patchkit-core/src/journal.rs"),
            include_str!("../../patchkit-core/src/ledger.rs"),
        ];
        let promises: Vec<String> =
            sources.into_iter().flat_map(crate::cases::tests::promises).collect();
        assert!(promises.len() > 15, "{promises:#?}");
        for promise in promises {
            let row =
                table.lines().find(|line| line.starts_with("//! |") && line.contains(&promise));
            assert!(row.is_some_and(|row| row.contains("::")), "no case for: {promise}");
        }
    }

    #[test]
    fn every_case_is_in_the_list() {
        for (module, source, cases) in crate::__journal_cases!([listed]) {
            let written: Vec<&str> = source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn "))
                .filter_map(|line| line.split('(').next())
                .collect();
            assert_eq!(written, cases, "{module}");
        }
    }
}
