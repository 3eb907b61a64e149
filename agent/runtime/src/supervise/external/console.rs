//! The socket over which an external runtime hands over a terminal.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use berth_agent_sys::descriptor;

use crate::failure::{AtStep as _, Failure, step};

/// Where the runtime sends the master of a terminal to.
#[derive(Debug)]
pub(super) struct Console(Option<UnixListener>);

impl Console {
    /// Opens the socket at `path`, if there is to be a terminal, and tells the runtime.
    pub(super) fn open(
        path: &Path,
        terminal: bool,
        command: &mut Command,
    ) -> Result<Self, Failure> {
        if !terminal {
            return Ok(Self(None));
        }
        drop(fs::remove_file(path));
        let listener = UnixListener::bind(path).at(step::TERMINAL, || path.display())?;
        command.arg("--console-socket").arg(path);
        Ok(Self(Some(listener)))
    }

    /// Takes the master, which has been sent when the runtime has returned.
    pub(super) fn receive(self) -> Result<Option<OwnedFd>, Failure> {
        let Some(listener) = self.0 else {
            return Ok(None);
        };
        let what = || "console socket";
        listener.set_nonblocking(true).at(step::TERMINAL, what)?;
        let (connection, _) = listener.accept().at(step::TERMINAL, what)?;
        let mut buffer = [0; 4096];
        let (_, mut descriptors) =
            descriptor::receive(&connection, &mut buffer).at(step::TERMINAL, what)?;
        let master = descriptors
            .pop()
            .ok_or_else(|| Failure::new(step::TERMINAL, "no terminal came"))?;
        Ok(Some(File::from(master).into()))
    }
}
