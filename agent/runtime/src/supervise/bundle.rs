//! The files of a container that its supervisor writes: the log, the exit record, and what lies in the run directory.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::{FallocateFlags, fallocate};

use super::{NotStarted, make_run_dir};
use crate::exit::ExitRecord;
use crate::failure::{AtStep as _, Failure, step};
use crate::log::{LogPolicy, Writer, claim};
use crate::protocol::{EXIT_RECORD, RunState, SOCKET, STATE};
use crate::socket;

/// Room that an exit record surely fits into.
const RECORD_ROOM: i64 = 4096;

/// How long a start waits for the supervisor of the container's last run to clean up.
const LAST_RUN_GRACE: Duration = Duration::from_secs(10);

/// The files of one run of a container.
#[derive(Debug)]
pub(super) struct Bundle {
    bundle_dir: PathBuf,
    run_dir: PathBuf,
    pub(super) log: Writer,
    /// Where the output of this run begins.
    pub(super) log_start: u64,
    /// The exit record's future file, with its room taken: a disk that gets full does not swallow the record.
    record: File,
    is_durable: bool,
}

impl Bundle {
    /// Takes the container for this supervisor, and gets its files ready.
    pub(super) fn prepare(
        bundle_dir: &Path,
        run_dir: &Path,
        is_durable: bool,
        policy: LogPolicy,
    ) -> Result<Self, NotStarted> {
        let what = || bundle_dir.display().to_string();
        let record_path = bundle_dir.join(EXIT_RECORD);
        let last: Option<ExitRecord> = fs::read(&record_path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let log = lock(bundle_dir, run_dir)
            .at(step::BUNDLE, what)?
            .ok_or(NotStarted::Busy)?;
        let known_end = last.map(|record| record.log_length);
        let log = Writer::new(bundle_dir, log, policy, known_end).at(step::BUNDLE, what)?;
        match fs::remove_file(&record_path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::from_io(step::BUNDLE, record_path.display(), &e).into());
            }
            _ => {}
        }
        let record = File::create(bundle_dir.join(temporary())).at(step::BUNDLE, what)?;
        match fallocate(&record, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, RECORD_ROOM) {
            // Filesystems that cannot reserve get along without.
            Ok(()) | Err(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::ENOSYS) => {}
            Err(e) => return Err(Failure::from_io(step::BUNDLE, what(), &e.into()).into()),
        }
        make_run_dir(run_dir)?;
        let log_start = log.end();
        Ok(Self {
            bundle_dir: bundle_dir.to_owned(),
            run_dir: run_dir.to_owned(),
            log,
            log_start,
            record,
            is_durable,
        })
    }

    /// Opens the socket for clients.
    pub(super) fn listen(&self) -> Result<UnixListener, Failure> {
        let what = || self.run_dir.join(SOCKET).display().to_string();
        let listener = socket::listen(&self.run_dir).at(step::BUNDLE, what)?;
        listener.set_nonblocking(true).at(step::BUNDLE, what)?;
        Ok(listener)
    }

    /// Writes down what has to be cleaned up if this supervisor is killed.
    pub(super) fn save_state(&self, state: &RunState) -> Result<(), Failure> {
        let path = self.run_dir.join(STATE);
        let what = || path.display().to_string();
        let bytes = serde_json::to_vec(state)
            .map_err(io::Error::from)
            .at(step::BUNDLE, what)?;
        fs::write(&path, bytes).at(step::BUNDLE, what)
    }

    /// Writes the exit record so that it survives whatever happens next.
    pub(super) fn save_exit(&mut self, record: &ExitRecord) -> io::Result<()> {
        self.record.write_all(&serde_json::to_vec(record)?)?;
        if self.is_durable {
            self.record.sync_data()?;
        }
        fs::rename(
            self.bundle_dir.join(temporary()),
            self.bundle_dir.join(EXIT_RECORD),
        )?;
        if self.is_durable {
            File::open(&self.bundle_dir)?.sync_all()?;
        }
        Ok(())
    }

    /// Removes what belongs to a run only, and lets the next supervisor in. The log stays open for slow clients.
    pub(super) fn release(&self) {
        self.close_to_clients();
        for name in [
            STATE,
            "rootfs",
            "init",
            "bundle/config.json",
            "bundle",
            "runtime.log",
            "console.sock",
            "pid",
        ] {
            let path = self.run_dir.join(name);
            // Most of them exist for external runtimes only.
            drop(fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)));
        }
        drop(fs::remove_dir_all(self.run_dir.join("runtime")));
        // Not empty means that somebody else put something there, which is not ours to remove.
        drop(fs::remove_dir(&self.run_dir));
        drop(self.log.file().unlock());
    }

    /// Removes the socket, so that nobody finds a container that has ended.
    pub(super) fn close_to_clients(&self) {
        drop(fs::remove_file(self.run_dir.join(SOCKET)));
    }

    /// Removes the reserved room of a record that will never be written.
    pub(super) fn abandon(&self) {
        drop(fs::remove_file(self.bundle_dir.join(temporary())));
        self.release();
    }

    pub(super) fn run_dir(&self) -> &Path {
        &self.run_dir
    }
}

fn temporary() -> &'static str {
    "exit.json.new"
}

/// Opens the log with the lock that says who supervises; `None` when a container with a live supervisor has it.
fn lock(bundle_dir: &Path, run_dir: &Path) -> io::Result<Option<File>> {
    let deadline = Instant::now() + LAST_RUN_GRACE;
    loop {
        if let Some(log) = claim(bundle_dir)? {
            return Ok(Some(log));
        }
        // A supervisor that cleans up has closed its socket before.
        let is_alive = socket::connect(run_dir).map(drop::<UnixStream>).is_ok();
        if is_alive || Instant::now() >= deadline {
            return Ok(None);
        }
        sleep(Duration::from_millis(1));
    }
}
