//! Our init as a program of its own, in containers of an external runtime: there is no other way into those.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::io::{self, Write as _};
use std::iter::once;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

use berth_agent_sys::first_process::{hold_signals, serve};
use berth_agent_sys::process::fork;
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::SigSet;
use nix::unistd::{Pid, execvp, getpid, isatty, setpgid, tcsetpgrp};

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
    let arguments = once(program.clone()).chain(command).collect();
    let code = match run(arguments) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(255)),
        Err(error) => fail(&program, &error.to_string(), 126),
    };
    Some(code)
}

fn run(arguments: Vec<OsString>) -> io::Result<i32> {
    if getpid() != Pid::from_raw(1) {
        set_child_subreaper(true)?;
    }
    let words = arguments.iter().map(|word| CString::new(word.as_bytes()));
    let words = words.collect::<Result<Vec<_>, _>>()?;
    hold_signals()?;
    let child = fork(&[], |_copied| {
        let Err(errno) = execute(&words);
        let code = if errno == Errno::ENOENT { 127 } else { 126 };
        let name = arguments.first().cloned().unwrap_or_default();
        fail(&name, errno.desc(), 0);
        code
    })?;
    Ok(serve(child))
}

/// Executes the command in a process group of its own, which has the terminal if there is one.
fn execute(words: &[CString]) -> nix::Result<Infallible> {
    let own = getpid();
    setpgid(own, own)?;
    if isatty(io::stdin()).unwrap_or(false) {
        // Signals are still held, so that this stops nobody; a terminal that is not this session's has no foreground.
        let _no_foreground = tcsetpgrp(io::stdin(), own);
    }
    SigSet::empty().thread_set_mask()?;
    let program = words.first().ok_or(Errno::ENOENT)?;
    execvp(program, words)
}

fn fail(program: &OsString, reason: &str, code: u8) -> ExitCode {
    // Nobody is left to be told about a failure to tell.
    drop(writeln!(io::stderr(), "{}: {reason}", program.display()));
    ExitCode::from(code)
}
