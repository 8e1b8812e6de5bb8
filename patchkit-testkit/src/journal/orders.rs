//! Orders: whoever holds a run reads what operators ask of it.

use std::time::Duration;

use patchkit_core::{Clock, Order, OrderRecord, Standing};

use super::{
    JournalHarness,
    support::{begun, run},
};
use crate::cases::support::good;

/// An order reaches its run whoever gives it, and no other run; those for all reach all.
pub async fn an_order_reaches_its_run_and_no_other(h: &dyn JournalHarness) {
    let (holder, operator) = (h.open().await, h.open().await);
    let (one, two) = (begun(&*holder, "r1").await.run, begun(&*holder, "r2").await.run);
    let missing = run("missing");
    for run in [&one, &two, &missing] {
        assert!(good(holder.orders(run).await, "no orders").is_empty());
    }
    let given = [
        (Order::Pause { run: one.clone() }, "the database is slow"),
        (Order::Halt, "call the vendor"),
        (Order::Resume { run: one.clone() }, ""),
        (Order::Allow, "\"done\"\n\u{2713}"),
        (Order::Cancel { run: two.clone() }, "wrong week"),
    ];
    let mut expected = Vec::new();
    for (order, reason) in given {
        h.clock().advance(Duration::from_secs(1));
        good(operator.order(&order, "kim", reason).await, "an order");
        expected.push(OrderRecord::new(h.clock().now(), order, "kim", reason));
        // As it is given, by whoever has the journal open already.
        let newest = good(holder.orders(&two).await, "the orders");
        assert!(newest.iter().all(|record| record.order.concerns(&two)), "{newest:?}");
    }
    for journal in [holder, operator, h.open().await] {
        for (run, standing) in
            [(&one, Standing::Free), (&two, Standing::Cancelled), (&missing, Standing::Free)]
        {
            let orders = good(journal.orders(run).await, "the orders");
            let own: Vec<&OrderRecord> =
                expected.iter().filter(|record| record.order.concerns(run)).collect();
            assert!(orders.iter().eq(own), "{run}: {orders:?}");
            assert_eq!(Standing::of(run, &orders), standing);
        }
    }
}

/// An order of a version to come is read by every run, and moves none.
pub async fn an_unknown_order_is_kept(h: &dyn JournalHarness) {
    let journal = h.open().await;
    let run = begun(&*journal, "r").await.run;
    let unknown = Order::Other(serde_json::json!({ "order": "slow_down", "to": [0.5, null] }));
    good(journal.order(&unknown, "kim", "too hot").await, "an order");
    let orders = good(h.open().await.orders(&run).await, "the orders");
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].order, unknown);
    assert_eq!(Standing::of(&run, &orders), Standing::Free);
}
