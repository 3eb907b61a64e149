//! The console of a machine that runs an init of its own: a terminal whose screen is the log.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, ptsname, unlockpt};

/// What is printed on a console beyond this is not kept.
const KEPT_BYTES: u64 = 1 << 20;

/// The side of the terminal where somebody would sit.
#[derive(Debug)]
pub(crate) struct Console {
    screen: File,
    number: u32,
    /// Held, so that the terminal is not hung up whenever the machine's last user closes it.
    _line: OwnedFd,
}

impl Console {
    /// Makes a terminal among those of the machine in which `process` is.
    pub(crate) fn open(process: u32) -> io::Result<Self> {
        let screen = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags((OFlags::NOCTTY | OFlags::NONBLOCK).bits().cast_signed())
            .open(format!("/proc/{process}/root/dev/pts/ptmx"))?;
        unlockpt(&screen)?;
        let name = ptsname(&screen, Vec::new())?;
        let number = name
            .to_str()
            .ok()
            .and_then(|name| name.rsplit('/').next())
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| io::Error::other("a terminal has no number"))?;
        let line = ioctl_tiocgptpeer(
            &screen,
            OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
        )?;
        Ok(Self {
            screen,
            number,
            _line: line,
        })
    }

    /// Returns the number that the machine knows the terminal by.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Copies what the machine has printed to standard error, which is the machine's log.
    pub(crate) fn copy(&mut self) {
        let mut buffer = [0; 4096];
        // A log that cannot be written is no reason to stop a machine, nor to let it wait.
        while let Ok(n_bytes @ 1..) = self.screen.read(&mut buffer) {
            let _unwritten = keep(&buffer[..n_bytes]);
        }
    }
}

impl AsFd for Console {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.screen.as_fd()
    }
}

fn keep(bytes: &[u8]) -> io::Result<()> {
    let mut log = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    if log.metadata()?.len() < KEPT_BYTES {
        log.write_all(bytes)?;
    }
    Ok(())
}
