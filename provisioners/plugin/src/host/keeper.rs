//! The few steps between berth and a plugin: a process that becomes the plugin, after it has told
//! the kernel to end it together with berth.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// The word by which the program knows that it is to become a plugin.
pub(crate) const ARGUMENT: &str = "berth-plugin-keeper";

/// Exit status when the plugin cannot be started.
const CANNOT_START: u8 = 126;

/// Becomes a plugin when `arguments` (the program's own, with its name first) say so.
///
/// Programs whose plugins must not outlive them call this first in their `main` and name themselves
/// with [`crate::PluginOptions::with_keeper`].
#[must_use]
pub fn run_if_internal(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != OsStr::new(ARGUMENT) {
        return None;
    }
    let parent = arguments.next()?.to_str()?.parse().ok()?;
    let error = become_plugin(parent, &arguments.next()?);
    // The text ends up in berth's own error.
    let _ = writeln!(io::stderr(), "cannot be started: {error}");
    Some(ExitCode::from(CANNOT_START))
}

/// Returns only when it fails.
fn become_plugin(parent: i32, path: &OsStr) -> io::Error {
    if let Err(error) = set_pdeathsig(Signal::SIGKILL) {
        return error.into();
    }
    // Berth may have ended before the kernel was told.
    if getppid().as_raw() != parent {
        return io::Error::other("berth has ended");
    }
    Command::new(path).exec()
}
