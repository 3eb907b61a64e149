//! Finding out what became of containers that a former agent started.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tracing::debug;

use crate::connection::{Connection, is_gone};
use crate::error::ReattachError;
use crate::exit::ExitRecord;
use crate::leftovers;
use crate::log::{FILE_NAME, is_at};
use crate::protocol::{EXIT_RECORD, Reply, Request};
use crate::running::Running;
use crate::runtime::Runtime;

/// How long a supervisor may be there without an answer, since it starts or cleans up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is asked meanwhile.
const AGAIN: Duration = Duration::from_millis(5);

/// What became of a container while no agent watched it.
#[derive(Debug)]
pub enum Reattached {
    /// It still runs.
    Running(Running),
    /// It ended, and its supervisor wrote down how.
    Exited(ExitRecord),
    /// Neither it nor a record of its end is left (the machine crashed, or the supervisor was killed).
    Lost,
}

impl Runtime {
    /// Finds out what became of a container that a former agent started. Waits for one that is being started.
    ///
    /// Leftovers of a lost container (processes, cgroups, its run directory) are removed.
    ///
    /// # Errors
    /// Fails when its supervisor or its record cannot be read, which says nothing about the container.
    pub async fn reattach(
        &self,
        id: &str,
        bundle_dir: &Path,
        run_dir: &Path,
    ) -> Result<Reattached, ReattachError> {
        let failed = |source| ReattachError::Supervisor {
            id: id.to_owned(),
            source,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match watch(run_dir).await {
                Ok(Some((Reply::Started(started), connection))) => {
                    let (bundle_dir, run_dir) = (bundle_dir.to_owned(), run_dir.to_owned());
                    return Ok(Reattached::Running(Running::new(
                        id.to_owned(),
                        bundle_dir,
                        run_dir,
                        started,
                        connection,
                    )));
                }
                // It ended while it was asked.
                Ok(_) => {}
                Err(e) if is_gone(&e) => {}
                Err(e) => return Err(failed(e)),
            }
            // Without its answer the record of a supervisor that is there may be one of the run before.
            if !has_supervisor(bundle_dir).map_err(failed)? {
                return read_end(id, bundle_dir, run_dir).await;
            }
            if Instant::now() >= deadline {
                return Err(failed(io::ErrorKind::TimedOut.into()));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn watch(run_dir: &Path) -> io::Result<Option<(Reply, Connection)>> {
    let mut connection = Connection::request(run_dir, &Request::Watch, b"").await?;
    Ok(connection.receive().await?.map(|reply| (reply, connection)))
}

/// Reads what a supervisor that is gone has left.
async fn read_end(
    id: &str,
    bundle_dir: &Path,
    run_dir: &Path,
) -> Result<Reattached, ReattachError> {
    let path = bundle_dir.join(EXIT_RECORD);
    match std::fs::read(&path) {
        Ok(bytes) => {
            // It may have been killed after its record and before it cleaned up.
            leftovers::remove(id, run_dir).await;
            match serde_json::from_slice(&bytes) {
                Ok(record) => Ok(Reattached::Exited(record)),
                Err(e) => Err(ReattachError::ExitRecord {
                    path,
                    source: e.into(),
                }),
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            debug!(id, "a container has left no record");
            leftovers::remove(id, run_dir).await;
            Ok(Reattached::Lost)
        }
        Err(source) => Err(ReattachError::ExitRecord { path, source }),
    }
}

/// Claims a bundle for a supervisor that is about to be started with the result: an agent that comes after this one
/// sees it for as long as that supervisor has it open, from before it exists.
pub(crate) fn claim(bundle_dir: &Path) -> io::Result<File> {
    let directory = File::open(bundle_dir)?;
    directory.lock_shared()?;
    Ok(directory)
}

/// Returns whether a supervisor has this bundle: one that is being started has it claimed, and locks the log before it
/// gives that up.
pub(crate) fn has_supervisor(bundle_dir: &Path) -> io::Result<bool> {
    Ok(is_locked(bundle_dir)? || is_locked(&bundle_dir.join(FILE_NAME))?)
}

fn is_locked(path: &Path) -> io::Result<bool> {
    loop {
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        match file.try_lock() {
            // A log's writer may have begun another file in between, which is locked.
            Ok(()) if !is_at(&file, path)? => {}
            Ok(()) => return Ok(false),
            Err(TryLockError::WouldBlock) => return Ok(true),
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
}
