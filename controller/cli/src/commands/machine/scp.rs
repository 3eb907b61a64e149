//! `berth machine scp`.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::Duration;

use berth_controller_fleet::{FilePlace, FilesError, MachineError, SshError};
use berth_controller_ssh::copy::{CopyError, CopyOptions, CopyProgress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::trouble::Trouble;
use crate::engine::Global;
use crate::failure::{Failure, Outcome, chain};
use crate::ui;

/// Copy files to, from and between machines
///
/// A place is a path here, or MACHINE:PATH, USER@MACHINE:PATH; localhost:PATH is a path here, too.
/// Between two machines, the files go through this computer. A file appears under its name when it
/// is whole. Links are followed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  berth machine scp -r ./site demo:/srv\n  \
                        berth machine scp demo:'/var/log/*.log' .\n  \
                        berth machine scp one:data two:data")]
pub(crate) struct Args {
    /// Copy directories with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// Keep permissions and times
    #[arg(short, long)]
    preserve: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Send only what differs, by rsync, which must be on both sides
    #[arg(short, long)]
    delta: bool,
    /// What to copy
    #[arg(value_name = "FROM")]
    from: OsString,
    /// Where to
    #[arg(value_name = "TO")]
    to: OsString,
}

/// Copies; the outcome is 1 if not all could be copied.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let (from, to) = (FilePlace::parse(&args.from), FilePlace::parse(&args.to));
    if args.delta {
        let copied = fleet.copy_differences(&from, &to, args.recursive, args.quiet);
        return copied.await.map_err(|error| error.failure());
    }
    let progress = Bar::new(args.quiet || !std::io::stderr().is_terminal());
    let options = CopyOptions {
        recursive: args.recursive,
        preserve: args.preserve,
    };
    let copied = tokio::select! {
        // Dropping a copy closes its connections; what was written so far has a name that says so.
        copied = fleet.copy(&from, &to, options, &progress) => copied,
        code = interrupted() => {
            progress.bar.finish_and_clear();
            return Err(Failure::new("interrupted").exit(code));
        }
    };
    progress.bar.finish_and_clear();
    match copied {
        Ok(()) => Ok(0),
        // Each was told when it happened.
        Err(FilesError::Copy(CopyError::Some { .. })) => Err(Failure::silent(1)),
        Err(error) => Err(error.failure()),
    }
}

async fn interrupted() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => 130,
        Err(_unavailable) => std::future::pending().await,
    }
}

/// One line that is drawn anew: the file, how far it is, how fast.
struct Bar {
    bar: ProgressBar,
    name: Mutex<String>,
}

impl Bar {
    fn new(hidden: bool) -> Self {
        let target = if hidden {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = "{wide_msg} {percent:>3}% {bytes:>10} {binary_bytes_per_sec:>14} {eta:>4}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            name: Mutex::default(),
        }
    }
}

impl CopyProgress for Bar {
    fn file(&self, path: &str, size: u64) {
        self.bar.reset();
        self.bar.set_length(size);
        self.bar.set_message(path.to_owned());
        if let Ok(mut name) = self.name.lock() {
            path.clone_into(&mut name);
        }
    }

    fn bytes(&self, n_bytes: u64) {
        self.bar.inc(n_bytes);
    }

    fn done(&self) {
        if !self.bar.is_hidden()
            && let Ok(name) = self.name.lock()
        {
            let size = indicatif::BinaryBytes(self.bar.position());
            self.bar.println(format!("{name}  {size}"));
        }
    }

    fn problem(&self, error: &CopyError) {
        self.bar.suspend(|| ui::warn(&chain(error)));
    }
}

impl Trouble for FilesError {
    fn next_step(&self) -> Option<String> {
        self.hint()
    }

    fn of_machine(&self) -> Option<&MachineError> {
        match self {
            Self::Ssh(SshError::Machine(error)) => Some(error),
            _ => None,
        }
    }
}
