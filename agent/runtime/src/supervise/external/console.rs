//! The socket over which an external runtime hands over a terminal.

use std::fs::{self, File};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, id};

use berth_agent_sys::descriptor;

use crate::failure::{AtStep as _, Failure, step};

/// Where the runtime sends the master of a terminal to; nothing when there is no terminal.
#[derive(Debug)]
pub(super) struct Console(Option<Listening>);

#[derive(Debug)]
struct Listening {
    listener: UnixListener,
    /// The runtime finds the socket through it.
    _directory: File,
}

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
        let what = || path.display();
        let directory = File::options()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(path.parent().unwrap_or_else(|| Path::new("/")))
            .at(step::TERMINAL, what)?;
        // An address has room for 107 bytes, which a run directory's path alone may have.
        let short = PathBuf::from(format!("/proc/{}/fd/{}", id(), directory.as_raw_fd()))
            .join(path.file_name().unwrap_or_default());
        let listener = UnixListener::bind(&short).at(step::TERMINAL, what)?;
        command.arg("--console-socket").arg(short);
        Ok(Self(Some(Listening {
            listener,
            _directory: directory,
        })))
    }

    /// Takes the master, which has been sent when the runtime has returned.
    pub(super) fn receive(self) -> Result<Option<OwnedFd>, Failure> {
        let Some(Listening { listener, .. }) = self.0 else {
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
