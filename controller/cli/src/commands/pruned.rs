//! What a prune has removed, as Docker prints it.

use std::io;

use crate::ui;
use crate::units::size;

/// What is gone, and how much room that makes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pruned {
    lines: Vec<String>,
    reclaimed: u64,
}

// === impl Pruned ===

impl Pruned {
    /// Heads a list of what is gone.
    pub(super) fn new(heading: &str, removed: Vec<String>, reclaimed: u64) -> Self {
        let mut lines = Vec::new();
        if !removed.is_empty() {
            lines.push(heading.to_owned());
            lines.extend(removed);
            lines.push(String::new());
        }
        Self { lines, reclaimed }
    }

    /// Adds what another prune has removed.
    pub(super) fn add(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.reclaimed += other.reclaimed;
    }

    /// Prints what is gone and the room.
    pub(super) fn print(&self) -> io::Result<()> {
        for line in &self.lines {
            ui::line(line)?;
        }
        let reclaimed = size::decimal(self.reclaimed, 4);
        ui::line(&format!("Total reclaimed space: {reclaimed}"))
    }
}
