//! Bars for one thing that takes its time: an upload, the creation of a machine.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use berth_controller_fleet::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::board::Board;

/// The bar of a layer: with a bar while bytes move, only words otherwise.
pub(crate) fn layer_style(moves: bool) -> ProgressStyle {
    style(if moves {
        "{prefix}: {msg} [{bar:50}] {bytes}/{total_bytes}"
    } else {
        "{prefix}: {msg}"
    })
}

/// A style from a template of ours; one that indicatif refused would show its default.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_error| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// Bytes on their way, shown on standard error when it is a terminal; clones are the same bar.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    bar: ProgressBar,
}

// === impl Upload ===

impl Upload {
    /// Starts to show an upload; `total` is 0 when unknown.
    pub(crate) fn new(title: &str, total: u64, shown: bool) -> Self {
        let shape = style(if total > 0 {
            "{prefix} [{bar:50}] {bytes}/{total_bytes}"
        } else {
            "{prefix} {bytes}"
        });
        let bar = if shown && super::errors_are_terminal() {
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        let bar = bar.with_style(shape).with_prefix(title.to_owned());
        Self { bar }
    }

    /// So many more bytes are on their way.
    pub(crate) fn add(&self, bytes: usize) {
        self.bar.inc(bytes as u64);
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Steps of machines. On a terminal, several machines have one line each that changes; else every
/// step is a line on standard output, and an upload has a bar on a terminal.
#[derive(Debug)]
pub(crate) struct MachineSteps {
    /// Standard output belongs to something else; say only notices, on standard error.
    quiet: bool,
    board: Option<Board>,
    upload: Mutex<Option<ProgressBar>>,
}

// === impl MachineSteps ===

impl MachineSteps {
    /// Tells every step.
    pub(crate) fn told() -> Self {
        Self {
            quiet: false,
            board: None,
            upload: Mutex::new(None),
        }
    }

    /// Tells every step of these machines, side by side where that can be shown.
    pub(crate) fn of(machines: &[String]) -> Self {
        let live =
            machines.len() > 1 && super::errors_are_terminal() && super::output_is_terminal();
        Self {
            board: live.then(|| Board::new(machines)),
            ..Self::told()
        }
    }

    /// Tells only what the operator should know.
    pub(crate) fn quiet() -> Self {
        Self {
            quiet: true,
            ..Self::told()
        }
    }

    /// Tells the last of a machine.
    pub(crate) fn end(&self, machine: &str, text: &str) -> io::Result<()> {
        match &self.board {
            Some(board) => {
                board.end(machine, text);
                Ok(())
            }
            None => super::line(text),
        }
    }

    fn end_upload(&self) {
        if let Ok(mut upload) = self.upload.lock()
            && let Some(bar) = upload.take()
        {
            bar.finish_and_clear();
        }
    }
}

impl Progress for MachineSteps {
    fn step(&self, machine: &str, text: &str) {
        if self.quiet {
            return;
        }
        if let Some(board) = &self.board {
            return board.step(machine, text);
        }
        self.end_upload();
        // A closed pipe must not cut off the making of a machine.
        let _ = super::line(&format!("({machine}) {text}"));
    }

    fn notice(&self, machine: &str, text: &str) {
        if let Some(board) = &self.board {
            return board.notice(machine, text);
        }
        self.end_upload();
        super::note(&format!("({machine}) {text}"));
    }

    fn bytes(&self, machine: &str, done: u64, total: u64) {
        if let Some(board) = &self.board {
            return board.bytes(machine, done, total);
        }
        if self.quiet || !super::errors_are_terminal() {
            return;
        }
        let Ok(mut upload) = self.upload.lock() else {
            return;
        };
        let bar = upload.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let bar = bar
                .with_style(style("({prefix}) [{bar:50}] {bytes}/{total_bytes}"))
                .with_prefix(machine.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        bar.set_position(done);
        if done >= total {
            bar.finish_and_clear();
            *upload = None;
        }
    }
}
