//! Giving process 1 to a program of the root filesystem, which keeps the machine from then on.

use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use berth_provisioners_api::DriverError;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::SigSet;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::failure::Doing as _;
use crate::messages::{Message, Receiver};

const CONSOLE: &str = "/dev/console";
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs `program` in the place of this one; returns only when that fails.
pub(super) fn to(program: &Path) -> Result<Infallible, DriverError> {
    let doing = || format!("cannot start {}", program.display());
    attach_console().doing(|| "cannot attach the console".to_owned())?;
    // Closed by the program's start; until then the monitor hears of a failure.
    let monitor = io::stdout().as_fd().try_clone_to_owned().doing(doing)?;
    let mut monitor = File::from(monitor);
    Message::HandedOver.send(&mut monitor).doing(doing)?;
    sit_down_at_the_console().doing(doing)?;
    // It may not expect that signals are blocked.
    SigSet::empty().thread_set_mask().doing(doing)?;
    let error = Command::new(program)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("TERM", "linux")
        // By this, services that care for hardware know that there is none.
        .env("container", "berth")
        .current_dir("/")
        .exec();
    let error = DriverError::failed(doing(), error);
    let _gone = Message::failure(&error).send(&mut monitor);
    Err(error)
}

/// Puts the terminal that the monitor makes in the place of the console.
fn attach_console() -> io::Result<()> {
    Message::ConsoleWanted.send(io::stdout())?;
    let Some(Message::Console(number)) = Receiver::new(io::stdin()).receive()? else {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the monitor has gone",
        ));
    };
    fs::remove_file(CONSOLE)?;
    File::create(CONSOLE)?;
    let none: Option<&str> = None;
    let line = format!("/dev/pts/{number}");
    mount(Some(line.as_str()), CONSOLE, none, MsFlags::MS_BIND, none)?;
    Ok(())
}

fn sit_down_at_the_console() -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let console = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_NOCTTY.bits())
        .open(CONSOLE)?;
    dup2_stdin(&console)?;
    dup2_stdout(&console)?;
    dup2_stderr(&console)?;
    Ok(())
}
