//! Bars for one thing that takes its time: an upload, the creation of a machine.

use std::sync::Mutex;
use std::time::Duration;

use berth_controller_fleet::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar of a layer: with a bar while bytes move, only words otherwise.
pub(crate) fn layer_style(moves: bool) -> ProgressStyle {
    style(if moves {
        "{prefix}: {msg} [{bar:50}] {bytes}/{total_bytes}"
    } else {
        "{prefix}: {msg}"
    })
}

/// A style from a template of ours; one that indicatif refused would show its default.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_error| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// Bytes on their way, shown on standard error when it is a terminal.
#[derive(Debug)]
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

/// Steps of machines: lines on standard output, and a bar for uploads on a terminal.
#[derive(Debug)]
pub(crate) struct MachineSteps {
    /// Standard output belongs to something else; say only notices, on standard error.
    quiet: bool,
    upload: Mutex<Option<ProgressBar>>,
}

// === impl MachineSteps ===

impl MachineSteps {
    /// Tells every step.
    pub(crate) fn told() -> Self {
        Self {
            quiet: false,
            upload: Mutex::new(None),
        }
    }

    /// Tells only what the operator should know.
    pub(crate) fn quiet() -> Self {
        Self {
            quiet: true,
            upload: Mutex::new(None),
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
        self.end_upload();
        // A closed pipe must not cut off the making of a machine.
        let _ = super::line(&format!("({machine}) {text}"));
    }

    fn notice(&self, machine: &str, text: &str) {
        self.end_upload();
        super::note(&format!("({machine}) {text}"));
    }

    fn bytes(&self, machine: &str, done: u64, total: u64) {
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
