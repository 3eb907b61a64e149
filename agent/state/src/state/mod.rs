//! The database itself: opening it, running transactions, and opening it again after a failure.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::{Database, Durability, ReadableDatabase as _};

use crate::backend::Backend;
use crate::transaction::Change;
use crate::{MigrateError, Reader, Writer};

/// Memory for cached pages. The state is small, and an idle agent should be too.
const CACHE_BYTES: usize = 1024 * 1024;

/// How many changes may wait for the disk. It bounds both the memory that holds them and what is
/// lost when the machine loses power.
const MAX_BEHIND: usize = 512;

/// A handle to the agent's database; clones share it.
#[derive(Clone)]
pub struct State {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    current: RwLock<Arc<Opened>>,
    /// Held by the one writer; the changes since the last durable transaction.
    behind: Mutex<Vec<Change>>,
}

struct Opened {
    database: Database,
    backend: Backend,
}

/// The reasons why the database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened, created or locked.
    #[error("cannot open the state file {path}")]
    File {
        /// The database file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process uses the file.
    #[error("the state file {path} is in use by another process")]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The file is there and is not a usable database.
    #[error("the state file {path} cannot be used")]
    Database {
        /// The database file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: Box<redb::Error>,
    },
}

/// The reasons why a record cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database or the disk below it failed.
    #[error("the state database failed")]
    Database {
        /// What the database said.
        #[source]
        source: Box<redb::Error>,
    },
    /// The database failed earlier and cannot be opened again yet.
    #[error("the state database cannot be opened again")]
    Reopen {
        /// Why opening it failed.
        #[source]
        source: OpenError,
    },
    /// The record cannot be written as JSON.
    #[error("cannot encode record {key} of table {table}")]
    Encode {
        /// The record's table.
        table: &'static str,
        /// The record's key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The stored record does not fit its type.
    #[error("cannot decode record {key} of table {table}")]
    Decode {
        /// The record's table.
        table: &'static str,
        /// The record's key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The stored record has no version.
    #[error("record {key} of table {table} is cut short")]
    Truncated {
        /// The record's table.
        table: &'static str,
        /// The record's key.
        key: String,
    },
    /// A newer agent wrote the record.
    #[error("record {key} of table {table} has version {version}, newer than the known {known}")]
    NewerVersion {
        /// The record's table.
        table: &'static str,
        /// The record's key.
        key: String,
        /// The version that was found.
        version: u32,
        /// The newest version that this agent can read.
        known: u32,
    },
    /// An old record cannot be brought to today's form.
    #[error("cannot migrate record {key}")]
    Migrate {
        /// The record's key.
        key: String,
        /// Why not.
        #[source]
        source: MigrateError,
    },
}

// === impl State ===

impl State {
    /// Opens the database file, creating it when there is none, and repairs it after a crash.
    ///
    /// # Errors
    ///
    /// Returns an error when the file cannot be opened, is in use, or is not a database.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let backend = Backend::open(path)
            .map_err(|source| OpenError::File {
                path: path.to_owned(),
                source,
            })?
            .ok_or_else(|| OpenError::InUse {
                path: path.to_owned(),
            })?;
        let opened = Opened::new(path, backend)?;
        Ok(Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                current: RwLock::new(Arc::new(opened)),
                behind: Mutex::default(),
            }),
        })
    }

    /// Runs `body` on a consistent view of all tables.
    ///
    /// # Errors
    ///
    /// Returns the error of `body`, or that of a database that cannot be read.
    pub fn read<T, E: From<StateError>>(
        &self,
        body: impl FnOnce(&Reader) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut opened = self.shared.opened();
        if opened.backend.has_failed() {
            let behind = self.shared.lock();
            opened = self.shared.usable(&behind)?;
        }
        let transaction = opened.database.begin_read().map_err(StateError::database)?;
        body(&Reader::new(transaction))
    }

    /// Runs `body` in a transaction, which is on the disk when the call returns.
    ///
    /// # Errors
    ///
    /// Returns the error of `body` or of the database; nothing has changed then.
    pub fn write<T, E: From<StateError>>(
        &self,
        body: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact(true, body)
    }

    /// Runs `body` in a transaction that does not wait for the disk.
    ///
    /// Everybody sees its changes at once, in order with all other writes. The next durable write
    /// takes them to the disk, and so does a clean end of the process or many changes waiting. They
    /// are lost if the process is killed before, so this is for what can be found out again.
    ///
    /// # Errors
    ///
    /// Returns the error of `body` or of the database; nothing has changed then.
    pub fn write_behind<T, E: From<StateError>>(
        &self,
        body: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact(false, body)
    }

    fn transact<T, E: From<StateError>>(
        &self,
        durable: bool,
        body: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut behind = self.shared.lock();
        let opened = self.shared.usable(&behind)?;
        let durable = durable || behind.len() >= MAX_BEHIND;
        let (value, changes) = opened.transact(durable, body)?;
        if durable {
            behind.clear();
        } else {
            behind.extend(changes);
        }
        Ok(value)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("State")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Change>> {
        // A panic in a caller's closure aborts its transaction and leaves this list as it was.
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> Arc<Opened> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// Returns the open database, opened again and brought up to date if it failed before.
    fn usable(&self, behind: &[Change]) -> Result<Arc<Opened>, StateError> {
        let failed = self.opened();
        if !failed.backend.has_failed() {
            return Ok(failed);
        }
        let opened = Arc::new(
            Opened::new(&self.path, failed.backend.renew())
                .map_err(|source| StateError::Reopen { source })?,
        );
        opened.transact(false, |writer| {
            behind
                .iter()
                .try_for_each(|change| writer.apply(change.clone()))
        })?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&opened);
        tracing::warn!(path = %self.path.display(), "opened the state database again after a failure");
        Ok(opened)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.lock().is_empty() {
            return;
        }
        // Best effort: what waits for the disk can be found out again by definition.
        if let Err(error) = self.opened().transact(true, |_| Ok::<_, StateError>(())) {
            tracing::warn!(%error, "the last changes of the state were not written");
        }
    }
}

// === impl Opened ===

impl Opened {
    fn new(path: &Path, backend: Backend) -> Result<Self, OpenError> {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(backend.clone())
            .map_err(|source| OpenError::Database {
                path: path.to_owned(),
                source: Box::new(source.into()),
            })?;
        Ok(Self { database, backend })
    }

    fn transact<T, E: From<StateError>>(
        &self,
        durable: bool,
        body: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<(T, Vec<Change>), E> {
        let mut transaction = self.database.begin_write().map_err(StateError::database)?;
        let durability = if durable {
            Durability::Immediate
        } else {
            Durability::None
        };
        transaction
            .set_durability(durability)
            .map_err(StateError::database)?;
        let mut writer = Writer::new(&transaction);
        let value = body(&mut writer)?;
        let changes = writer.into_changes();
        transaction.commit().map_err(StateError::database)?;
        Ok((value, changes))
    }
}

// === impl StateError ===

impl StateError {
    pub(crate) fn database(source: impl Into<redb::Error>) -> Self {
        Self::Database {
            source: Box::new(source.into()),
        }
    }

    /// Says whether the cause is a disk without space left.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let full = |source: &redb::Error| matches!(source, redb::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull);
        match self {
            Self::Database { source } => full(source),
            Self::Reopen {
                source: OpenError::Database { source, .. },
            } => full(source),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
