//! What is logged, at every level.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use tracing::{Event, Metadata, Subscriber, field, span};

/// Keeps every word that is logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<String>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl field::Visit for Log {
    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        let line = format!("{field}={value:?}\n");
        self.0.lock().unwrap().push_str(&line);
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        attributes.record(&mut self.clone());
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
