//! Progress on standard error: bars on a terminal, plain lines elsewhere.

use std::{
    io::IsTerminal,
    sync::{Arc, Mutex, PoisonError},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use patchkit_core::observe::{Observer, RunEvent, RunEventKind};
use patchkit_examples::{printable, tell};

use super::report::short;

/// The bars of one process; clones share them.
#[derive(Clone)]
pub(crate) struct Bars(Arc<Shared>);

struct Shared {
    multi: MultiProgress,
    bar: Mutex<Option<ProgressBar>>,
    plain: Plain,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Plain {
    Lines,
    Bars,
}

impl Bars {
    pub(crate) fn new() -> Self {
        let plain = if std::io::stderr().is_terminal() { Plain::Bars } else { Plain::Lines };
        Self(Arc::new(Shared { multi: MultiProgress::new(), bar: Mutex::new(None), plain }))
    }

    /// Begins a part of the work that takes `length` steps.
    pub(crate) fn phase(&self, name: &str, length: usize) {
        self.finish();
        if self.0.plain == Plain::Lines {
            tell(&format!("{name}: {length} nodes"));
            return;
        }
        let bar = self.0.multi.add(ProgressBar::new(length as u64));
        let style = ProgressStyle::with_template("{prefix:>14} {bar:30} {pos}/{len} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name.to_owned());
        *self.0.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
    }

    /// Ends the part that goes on.
    pub(crate) fn finish(&self) {
        if let Some(bar) = self.0.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_with_message("");
        }
    }

    pub(crate) fn say(&self, line: &str) {
        match self.0.plain {
            Plain::Lines => tell(line),
            Plain::Bars => {
                // Without a terminal to write to there is nobody to tell.
                let _ = self.0.multi.println(line);
            }
        }
    }

    pub(crate) fn observer(&self) -> impl Observer + use<> {
        let bars = self.clone();
        move |event: &RunEvent| bars.take(&event.kind)
    }

    fn take(&self, event: &RunEventKind) {
        let bar = self.0.bar.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match event {
            RunEventKind::WaveStarted { wave, nodes } => {
                self.phase(&format!("wave {wave}"), *nodes);
            }
            waiting @ RunEventKind::Waiting { .. } => self.say(&format!("  {waiting}")),
            RunEventKind::NodeStep { node, step } => {
                if let Some(bar) = bar {
                    bar.set_message(format!("{step} {}", printable(node.name())));
                }
            }
            RunEventKind::NodeFinished { report } => {
                if let Some(bar) = bar {
                    // Nodes that no wave reached end too, without a bar of their own.
                    if Some(bar.position()) < bar.length() {
                        bar.inc(1);
                    }
                } else {
                    let notes = report.outcome.notes.join("; ");
                    let dash = if notes.is_empty() { "" } else { ": " };
                    let outcome = report.outcome.outcome;
                    let node = short(&report.node);
                    self.say(&format!("  {node} {outcome}{dash}{}", printable(&notes)));
                }
            }
            RunEventKind::Checked { nodes } => {
                if let Some(bar) = bar {
                    bar.inc(*nodes as u64);
                }
            }
            _ => {}
        }
    }
}
