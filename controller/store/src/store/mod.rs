//! The store itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::CONFIG_VERSION;
use crate::config::to_indented;
use crate::files::{self, make_private_directory};
use crate::recover::{self, Broken, Read};
use crate::side;
use crate::{
    CertPaths, ConfigError, HostConfig, LockError, MachineName, MachinePaths, SideRecord, Staging,
    StoreLock, WriteError, write_private,
};

/// A store on disk.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    certs: CertPaths,
}

/// Everything that is on record for a machine.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineRecord {
    /// The machine.
    pub name: MachineName,
    /// docker-machine's part.
    pub config: HostConfig,
    /// Our part.
    pub side: SideRecord,
}

/// The store cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("store directory {} cannot be used", path.display())]
pub struct OpenError {
    /// The directory.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// A machine's record cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no such machine.
    #[error("machine {0} does not exist")]
    Absent(MachineName),
    /// Its directory exists, its record does not: `create` was cut off before it began to make
    /// anything, or the file was deleted.
    #[error("machine {0} has no config.json")]
    Empty(MachineName),
    /// A file cannot be read.
    #[error("record {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// docker-machine's part makes no sense.
    #[error("record {} cannot be used", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ConfigError,
    },
    /// Our part makes no sense.
    #[error("record {} cannot be used", path.display())]
    Side {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Our part was written by a later berth.
    #[error("record {} is from a later version of berth", path.display())]
    Future {
        /// The file.
        path: PathBuf,
    },
}

/// A machine's directory cannot be removed.
#[derive(Debug, thiserror::Error)]
#[error("directory {} cannot be removed", path.display())]
pub struct RemoveError {
    /// The directory.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl Store {
    /// Opens the store at `root`, making its directories when they are missing.
    ///
    /// # Errors
    ///
    /// When they cannot be made.
    pub fn open(root: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError {
            path: root.to_owned(),
            source,
        };
        // Records hold absolute paths, so a relative root would break in the next directory.
        let root = std::path::absolute(root).map_err(failed)?;
        for directory in ["certs", "machines", ".locks"] {
            let path = root.join(directory);
            if !path.is_dir() {
                make_private_directory(&path).map_err(failed)?;
            }
        }
        let certs = CertPaths::new(root.join("certs"));
        Ok(Self { root, certs })
    }

    /// Returns the store at `root` for reading only: nothing is made, and it need not exist.
    ///
    /// # Errors
    ///
    /// When there is no current directory that a relative path could start from.
    pub fn view(root: &Path) -> Result<Self, OpenError> {
        let absolute = std::path::absolute(root).map_err(|source| OpenError {
            path: root.to_owned(),
            source,
        })?;
        let certs = CertPaths::new(absolute.join("certs"));
        Ok(Self {
            root: absolute,
            certs,
        })
    }

    /// Takes the authority and the client's certificate from other files than the usual ones. What
    /// is kept beside them stays in the store.
    #[must_use]
    pub fn with_certs(mut self, certs: CertPaths) -> Self {
        self.certs = CertPaths {
            directory: self.certs.directory,
            ..certs
        };
        self
    }

    /// Returns the store's directory, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the files of the authority.
    #[must_use]
    pub fn certs(&self) -> CertPaths {
        self.certs.clone()
    }

    /// Returns the files of a machine.
    #[must_use]
    pub fn machine(&self, name: &MachineName) -> MachinePaths {
        MachinePaths::new(self.root.join("machines").join(name.as_str()))
    }

    /// Returns the directory for what can be made again, such as the compressed agent.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Returns the names of all machines, sorted by bytes; what cannot be a machine is left out.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<MachineName>, OpenError> {
        let path = self.root.join("machines");
        let failed = |source| OpenError {
            path: path.clone(),
            source,
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(name) = name.filter(|_| entry.path().is_dir()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Returns whether there is such a machine, complete or not.
    #[must_use]
    pub fn exists(&self, name: &MachineName) -> bool {
        self.machine(name).directory.is_dir()
    }

    /// Reads a machine's record.
    ///
    /// # Errors
    ///
    /// When there is none or it cannot be used.
    pub fn load(&self, name: &MachineName) -> Result<MachineRecord, LoadError> {
        let paths = self.machine(name);
        let torn = |error: &ConfigError| !matches!(error, ConfigError::Future(_));
        let read = recover::read(&paths.config, HostConfig::parse, torn);
        let mut config = match read.map_err(|broken| config_error(&paths.config, broken))? {
            Read::Whole(config) => config,
            Read::Copy(mut config, told) => {
                config.set_damage(told);
                config
            }
            Read::Absent => {
                return Err(if paths.directory.is_dir() {
                    LoadError::Empty(name.clone())
                } else {
                    LoadError::Absent(name.clone())
                });
            }
        };
        config.settle(&self.root);
        let side = Self::load_side(&paths.side, &mut config)?;
        Ok(MachineRecord {
            name: name.clone(),
            config,
            side,
        })
    }

    fn load_side(path: &Path, config: &mut HostConfig) -> Result<SideRecord, LoadError> {
        let parse = |text: &[u8]| serde_json::from_slice::<SideRecord>(text);
        let side = match recover::read(path, parse, |_error| true) {
            Ok(Read::Whole(side)) => side,
            Ok(Read::Copy(side, told)) => {
                config.set_damage(told);
                side
            }
            // A machine that docker-machine has made, with the engine that it installs.
            Ok(Read::Absent) => SideRecord {
                engine: side::Engine::Docker,
                ..SideRecord::default()
            },
            Err(Broken::Unreadable(source)) => {
                return Err(LoadError::Unreadable {
                    path: path.to_owned(),
                    source,
                });
            }
            Err(Broken::Senseless(source)) => {
                return Err(LoadError::Side {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        if side.version > side::VERSION {
            return Err(LoadError::Future {
                path: path.to_owned(),
            });
        }
        Ok(side)
    }

    /// Writes a machine's record, making its directory when it is missing.
    ///
    /// Our part is written first, so that a crash between the two leaves no machine that looks
    /// complete without being so.
    ///
    /// # Errors
    ///
    /// When a file cannot be written; then it is as it was.
    pub fn save(&self, record: &MachineRecord) -> Result<(), WriteError> {
        self.make_directory(&record.name)?;
        self.save_into(&self.machine(&record.name).directory, record)
    }

    /// Writes a record into a folder that may not be a machine yet.
    pub(crate) fn save_into(
        &self,
        folder: &Path,
        record: &MachineRecord,
    ) -> Result<(), WriteError> {
        let paths = MachinePaths::new(folder.to_owned());
        put(&paths.side, &to_indented(&record.side))?;
        keep_former_version(&paths.config)?;
        put(&paths.config, &record.config.to_bytes())?;
        recover::forget_left(&paths.config);
        Ok(())
    }

    /// Writes only our part of a machine's record.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; then it is as it was.
    pub fn save_side(&self, record: &MachineRecord) -> Result<(), WriteError> {
        put(&self.machine(&record.name).side, &to_indented(&record.side))
    }

    /// Begins a machine that appears whole or not at all.
    ///
    /// # Errors
    ///
    /// When its folder cannot be made.
    pub fn stage(&self) -> Result<Staging, WriteError> {
        Staging::new(self)
    }

    fn make_directory(&self, name: &MachineName) -> Result<(), WriteError> {
        let directory = self.machine(name).directory;
        if directory.is_dir() {
            return Ok(());
        }
        make_private_directory(&directory)
            .and_then(|()| files::sync_directory(&self.root.join("machines")))
            .map_err(|source| WriteError {
                path: directory,
                source,
            })
    }

    /// Removes a machine's directory with all that is in it; one that is gone already is no error.
    ///
    /// # Errors
    ///
    /// When something in it cannot be removed.
    pub fn remove(&self, name: &MachineName) -> Result<(), RemoveError> {
        let path = self.machine(name).directory;
        let removed = match Staging::new(self) {
            // Whole under another name first: what is left of it when we are killed must not be taken
            // for a machine. The next staging sweeps it.
            Ok(stage) => stage.take_away(&path),
            // A full disk may have no room for that.
            Err(_no_stage) => fs::remove_dir_all(&path),
        };
        match removed {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(RemoveError { path, source }),
        }
    }

    /// Takes the lock of a machine, or says that another process has it.
    ///
    /// # Errors
    ///
    /// [`LockError::Busy`] then, or when the file system refuses.
    pub fn lock_machine(&self, name: &MachineName) -> Result<StoreLock, LockError> {
        let lock = StoreLock::attempt(&self.lock_path(name.as_str()), &format!("machine {name}"))?;
        files::sweep(&self.machine(name).directory);
        Ok(lock)
    }

    /// Waits for the lock of the authority's files.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn lock_certs(&self) -> Result<StoreLock, LockError> {
        // No machine can have this name.
        StoreLock::wait(&self.lock_path("_certs"))
    }

    /// Waits for the lock of the cache.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn lock_cache(&self) -> Result<StoreLock, LockError> {
        StoreLock::wait(&self.lock_path("_cache"))
    }

    pub(crate) fn lock_path(&self, name: &str) -> PathBuf {
        self.root.join(".locks").join(name)
    }
}

impl LoadError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let remove =
            "berth machine rm -f NAME removes the record and leaves the machine itself alone";
        match self {
            Self::Config {
                source: ConfigError::Future(_),
                ..
            }
            | Self::Future { .. } => Some("use the newer program that wrote it".to_owned()),
            Self::Config { path, .. } => Some(format!(
                "the file is damaged and no copy of it is left: put one back from a backup as {}, \
                 or {remove}",
                path.display()
            )),
            Self::Side { path, .. } => Some(format!(
                "the file is damaged and no copy of it is left: put one back from a backup as {}, \
                 or {remove}; berth machine adopt then takes the host over again",
                path.display()
            )),
            Self::Unreadable { .. } | Self::Absent(_) | Self::Empty(_) => None,
        }
    }
}

/// Replaces a record's file and keeps a copy of what it holds now.
fn put(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    write_private(path, content)?;
    files::keep_copy(path, content);
    Ok(())
}

/// Keeps the text of an earlier version as docker-machine does, before it is replaced.
fn keep_former_version(path: &Path) -> Result<(), WriteError> {
    // A file that cannot be read has nothing to keep.
    let Ok(text) = fs::read(path) else {
        return Ok(());
    };
    let version = serde_json::from_slice::<serde_json::Value>(&text)
        .ok()
        .map(|document| document["ConfigVersion"].as_u64().unwrap_or(0));
    match version {
        Some(version) if version < CONFIG_VERSION => {
            write_private(&path.with_extension("json.bak"), &text)
        }
        _ => Ok(()),
    }
}

fn config_error(path: &Path, broken: Broken<ConfigError>) -> LoadError {
    let path = path.to_owned();
    match broken {
        Broken::Unreadable(source) => LoadError::Unreadable { path, source },
        Broken::Senseless(source) => LoadError::Config { path, source },
    }
}

#[cfg(test)]
mod tests;
