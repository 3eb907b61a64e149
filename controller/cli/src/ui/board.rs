//! One line for each of several machines, which changes while the machine comes along.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use super::progress::style;
use super::visible::one_line;

/// The lines, on standard error.
#[derive(Debug)]
pub(super) struct Board {
    lines: MultiProgress,
    bars: HashMap<String, ProgressBar>,
    /// What has been noticed of one machine need not be said of fifty.
    noticed: Mutex<BTreeSet<String>>,
    begun: Instant,
}

// === impl Board ===

impl Board {
    /// Shows a line for each machine.
    pub(super) fn new(machines: &[String]) -> Self {
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let width = machines.iter().map(|name| name.chars().count()).max();
        let shape = style(&format!("{{prefix:{}}}  {{wide_msg}}", width.unwrap_or(0)));
        let bars = machines.iter().map(|name| {
            let bar = lines.add(ProgressBar::no_length().with_style(shape.clone()));
            bar.set_prefix(name.clone());
            bar.set_message("waiting");
            (name.clone(), bar)
        });
        Self {
            bars: bars.collect(),
            lines: lines.clone(),
            noticed: Mutex::default(),
            begun: Instant::now(),
        }
    }

    /// A machine has come so far.
    pub(super) fn step(&self, machine: &str, text: &str) {
        if let Some(bar) = self.bars.get(machine) {
            bar.set_message(one_line(text));
        }
    }

    /// The operator should know something.
    pub(super) fn notice(&self, machine: &str, text: &str) {
        let text = one_line(text);
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        if noticed.insert(text.clone()) {
            // The terminal may have gone; the machines matter more.
            let _ = self.lines.println(format!("({machine}) {text}"));
        }
    }

    /// So much of an upload is done.
    pub(super) fn bytes(&self, machine: &str, done: u64, total: u64) {
        if let Some(bar) = self.bars.get(machine) {
            let percent = (done * 100).checked_div(total).unwrap_or(100);
            bar.set_message(format!("Uploading the agent: {percent} %"));
        }
    }

    /// Nothing more will come of a machine.
    pub(super) fn end(&self, machine: &str, text: &str) {
        if let Some(bar) = self.bars.get(machine) {
            let took = self.begun.elapsed().as_secs_f32();
            bar.finish_with_message(format!("{} ({took:.1} s)", one_line(text)));
        }
    }
}
