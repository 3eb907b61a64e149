//! Our init as a program of its own, in containers of an external runtime: there is no other way into those.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use berth_agent_sys::first_process::{hold_signals, serve};
use nix::sys::prctl::set_child_subreaper;
use nix::unistd::{Pid, getpid, isatty, tcsetpgrp};

/// The name by which this program is called when it is to be a container's init.
const NAME: &str = "docker-init";

/// Runs a container's init if this program was called by the name for that (`docker-init -- COMMAND [ARGUMENT…]`):
/// starts the command, passes signals on to it, reaps orphans, and ends with the command's exit code.
///
/// Must be called before the process starts any thread.
pub fn init_main(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut words = arguments.into_iter();
    let own = words.next()?;
    if Path::new(&own).file_name()? != NAME {
        return None;
    }
    let mut command = words.skip_while(|word| word == "--");
    let Some(program) = command.next() else {
        return Some(fail(&own, "no command", 127));
    };
    let code = match run(&program, command) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(255)),
        Err(error) => {
            let code = if error.kind() == ErrorKind::NotFound {
                127
            } else {
                126
            };
            fail(&program, &error.to_string(), code)
        }
    };
    Some(code)
}

fn run(program: &OsString, arguments: impl Iterator<Item = OsString>) -> io::Result<i32> {
    if getpid() != Pid::from_raw(1) {
        set_child_subreaper(true)?;
    }
    hold_signals()?;
    // The library lets the child have signals again.
    let child = Command::new(program)
        .args(arguments)
        .process_group(0)
        .spawn()?;
    let pid = child.id().cast_signed();
    if isatty(io::stdin()).unwrap_or(false) {
        // One that is not this session's has no foreground.
        let _no_foreground = tcsetpgrp(io::stdin(), Pid::from_raw(pid));
    }
    Ok(serve(pid))
}

fn fail(program: &OsString, reason: &str, code: u8) -> ExitCode {
    // Nobody is left to be told about a failure to tell.
    drop(writeln!(io::stderr(), "{}: {reason}", program.display()));
    ExitCode::from(code)
}
