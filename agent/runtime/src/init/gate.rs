//! Where the first process of a container that was created and not started waits.
//!
//! Two named pipes in the container's directory on the machine: a word on one lets the process go on, the other carries
//! what went wrong afterwards and ends when the command is executed. Whoever creates the container is long gone then.
//! Reading and writing are all that it takes, which every filter of system calls allows.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::failure::{AtStep as _, Failure, step};

/// The first process's ends.
#[derive(Debug)]
pub(crate) struct Gate {
    word: File,
    result: File,
    is_passed: Cell<bool>,
}

impl Gate {
    /// Makes the pipes in a directory that only the machine's root can enter.
    pub(crate) fn make(directory: &Path) -> Result<Self, Failure> {
        for path in [word(directory), result(directory)] {
            mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).at(step::BUNDLE, || path.display())?;
        }
        // With both ends of each, opening waits for nobody, and reading does not end with a writer.
        let open = |path: PathBuf| {
            let opened = File::options().read(true).write(true).open(&path);
            opened.at(step::BUNDLE, || path.display().to_string())
        };
        let (both, word) = (open(result(directory))?, open(word(directory))?);
        let path = result(directory);
        let result = File::options().write(true).open(&path);
        let result = result.at(step::BUNDLE, || path.display())?;
        drop(both);
        Ok(Self {
            word,
            result,
            is_passed: Cell::new(false),
        })
    }

    pub(crate) fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.word.as_fd(), self.result.as_fd()]
    }

    /// Waits for the word of `start`.
    pub(super) fn wait(&self) -> Result<(), Failure> {
        let mut word = [0; 1];
        (&self.word)
            .read_exact(&mut word)
            .at(step::EXECUTE, || "waiting to be started")?;
        self.is_passed.set(true);
        Ok(())
    }

    /// Tells `start` what went wrong; false before it has come.
    pub(super) fn report(&self, failure: &Failure) -> bool {
        if self.is_passed.get()
            && let Ok(bytes) = serde_json::to_vec(failure)
        {
            // Nobody is left to be told about a failure to tell.
            drop((&self.result).write_all(&bytes));
        }
        self.is_passed.get()
    }
}

/// Returns whether a container's first process still waits.
pub(crate) fn is_closed(directory: &Path) -> bool {
    word(directory).exists()
}

/// Lets the first process go on, and returns what went wrong until the command was executed.
pub(crate) fn open(directory: &Path) -> Result<Option<Failure>, Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let what = || "the container's first process";
    let nonblocking =
        |options: &mut std::fs::OpenOptions| options.custom_flags(libc::O_NONBLOCK).to_owned();
    // The process has the other ends open, so this waits only if it is gone.
    let ends = nonblocking(File::options().read(true)).open(result(directory));
    let mut ends = ends.at(step::EXECUTE, what)?;
    let word = nonblocking(File::options().write(true)).open(word(directory));
    word.and_then(|mut word| word.write_all(b"s"))
        .at(step::EXECUTE, what)?;
    let mut said = Vec::new();
    wait_for(&ends)?;
    while let Err(e) = ends.read_to_end(&mut said) {
        if e.kind() != std::io::ErrorKind::WouldBlock {
            return Err(Failure::from_io(step::EXECUTE, what(), &e));
        }
        wait_for(&ends)?;
    }
    if said.is_empty() {
        return Ok(None);
    }
    let failure = serde_json::from_slice(&said).map_err(std::io::Error::from);
    failure.at(step::EXECUTE, what).map(Some)
}

fn wait_for(pipe: &File) -> Result<(), Failure> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut polled = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    match poll(&mut polled, PollTimeout::NONE) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(e) => Err(Failure::from_io(step::EXECUTE, "waiting", &e.into())),
    }
}

/// Removes the pipes: the container is not to be started any more.
pub(crate) fn remove(directory: &Path) {
    for path in [word(directory), result(directory)] {
        // One that is gone is as good.
        drop(std::fs::remove_file(path));
    }
}

fn word(directory: &Path) -> PathBuf {
    directory.join("exec.fifo")
}

fn result(directory: &Path) -> PathBuf {
    directory.join("result.fifo")
}
