//! Machines of docker-machine's own store: taken into this one, and their Docker replaced by our
//! agent where that is wanted.
//!
//! A machine that was taken over keeps its engine, Docker's daemon, and its certificates; a store
//! that is already this one needs no copying. Nothing in another store is changed.

mod convert;
mod error;

use std::fs;
use std::path::{Path, PathBuf};

use berth_controller_store::{
    Engine, HostConfig, MachineName, MachineRecord, SideRecord, Staging, Store, write_private,
};

use crate::share::small_files;
use crate::{Fleet, MachineError, Progress};

pub use convert::Conversion;
pub use error::{ConvertError, DockerMachineError};

/// Files by which an engine is reached.
const CLIENT: [&str; 3] = ["ca.pem", "cert.pem", "key.pem"];

/// A machine that was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOver {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Whether this berth has that driver.
    pub has_driver: bool,
    /// Whether it was in this store already.
    pub in_place: bool,
}

impl Fleet {
    /// Returns the names of the machines in the store of docker-machine at `source`, sorted.
    ///
    /// # Errors
    ///
    /// When there is no such store.
    pub fn docker_machines(&self, source: &Path) -> Result<Vec<String>, DockerMachineError> {
        let missing = |source_error| DockerMachineError::NoStore {
            path: source.to_owned(),
            source: source_error,
        };
        let store = Store::view(source).map_err(|error| missing(error.source))?;
        let names = store.list().map_err(|error| missing(error.source))?;
        Ok(names.iter().map(ToString::to_string).collect())
    }

    /// Takes a machine of the store at `source` over into this one, as it is.
    ///
    /// # Errors
    ///
    /// When there is no such machine, its record cannot be read, or there is one of that name.
    pub fn take_docker_machine(
        &self,
        source: &Path,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<TakenOver, DockerMachineError> {
        let checked: MachineName = name
            .parse()
            .map_err(|_error| MachineError::Absent(name.to_owned()))?;
        let other = Store::view(source).map_err(|error| DockerMachineError::NoStore {
            path: source.to_owned(),
            source: error.source,
        })?;
        let lock = self.store.lock_machine(&checked)?;
        let taken = if same_folder(other.root(), self.store.root()) {
            self.take_in_place(&checked)
        } else {
            self.take_copy(&other, &checked, progress)
        };
        let mut lock = lock;
        if !self.store.exists(&checked) {
            lock.retire();
        }
        let (record, in_place) = taken?;
        let driver = record.config.driver_name().to_owned();
        Ok(TakenOver {
            name: name.to_owned(),
            has_driver: self.drivers.get(&driver).is_some(),
            driver,
            in_place,
        })
    }

    /// Writes down what the record already means.
    fn take_in_place(
        &self,
        name: &MachineName,
    ) -> Result<(MachineRecord, bool), DockerMachineError> {
        let record = self.record(name.as_str())?;
        self.store.save(&record)?;
        Ok((record, true))
    }

    fn take_copy(
        &self,
        other: &Store,
        name: &MachineName,
        progress: &dyn Progress,
    ) -> Result<(MachineRecord, bool), DockerMachineError> {
        if self.store.exists(name) {
            return Err(DockerMachineError::Exists(name.to_string()));
        }
        let record = other
            .load(name)
            .map_err(|source| DockerMachineError::Record {
                machine: name.to_string(),
                path: other.machine(name).directory,
                source,
            })?;
        let staged = self.store.stage()?;
        copy_files(other, name, &staged)?;
        let config = settle(&self.store, name, record.config);
        let trusted = self.adopt_authority(other, name, progress)?;
        let side = SideRecord {
            trusted,
            ..record.side
        };
        let record = MachineRecord {
            name: name.clone(),
            config,
            side,
        };
        staged
            .commit(&self.store, &record)
            .map_err(|error| match error.source.kind() {
                std::io::ErrorKind::AlreadyExists => DockerMachineError::Exists(name.to_string()),
                _ => error.into(),
            })?;
        Ok((record, false))
    }

    /// Makes the other store's authority this store's, when this one has none; returns the
    /// authorities that stay foreign.
    fn adopt_authority(
        &self,
        other: &Store,
        name: &MachineName,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, DockerMachineError> {
        let (theirs, ours) = (other.certs(), self.store.certs());
        let Ok(ca) = fs::read_to_string(&theirs.ca) else {
            return Ok(Vec::new());
        };
        let _lock = self.store.lock_certs()?;
        if let Ok(own) = fs::read_to_string(&ours.ca) {
            let foreign = own.trim() != ca.trim();
            return Ok(foreign.then_some(ca).into_iter().collect());
        }
        // The certificate of the authority comes last: without it, the rest counts for nothing.
        let pairs = [
            (&theirs.ca_key, &ours.ca_key),
            (&theirs.key, &ours.key),
            (&theirs.cert, &ours.cert),
            (&theirs.ca, &ours.ca),
        ];
        let mut contents = Vec::new();
        for (from, to) in pairs {
            match fs::read(from) {
                Ok(content) => contents.push((to, content)),
                // Whoever lacks the authority's key keeps the machine, but not the authority.
                Err(_) => return Ok(vec![ca]),
            }
        }
        for (to, content) in contents {
            write_private(to, &content)?;
        }
        let text = format!(
            "the authority of {} is this store's now",
            other.root().display()
        );
        progress.notice(name.as_str(), &text);
        Ok(Vec::new())
    }
}

/// Gives a record of another store its place in this one.
fn settle(store: &Store, name: &MachineName, mut config: HostConfig) -> HostConfig {
    let former = config.folder().to_owned();
    config.move_to(name, (&store.certs(), &store.machine(name)), &former);
    config
}

/// Copies keys and certificates; a machine whose disks are in its folder cannot be copied.
fn copy_files(
    other: &Store,
    name: &MachineName,
    staged: &Staging,
) -> Result<(), DockerMachineError> {
    let from = other.machine(name).directory;
    let mut left_out = Vec::new();
    let mut files = small_files(&from, |name| left_out.push(name.to_owned()))?;
    if !left_out.is_empty() {
        return Err(DockerMachineError::Disks {
            machine: name.to_string(),
            files: left_out.join(", "),
            root: other.root().to_owned(),
        });
    }
    // docker-machine gives machines of driver `none` no certificates of their own.
    for file in CLIENT {
        if !files.contains_key(file)
            && let Ok(content) = fs::read(other.certs().directory.join(file))
        {
            files.insert(file.to_owned(), content);
        }
    }
    for (file, content) in &files {
        if !matches!(
            file.as_str(),
            "config.json" | "berth.json" | "config.json.bak"
        ) {
            staged.put(file, content)?;
        }
    }
    Ok(())
}

fn same_folder(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| -> Option<PathBuf> { fs::canonicalize(path).ok() };
    one == other || (real(one).is_some() && real(one) == real(other))
}

/// Returns whether a machine's engine is Docker's daemon.
fn is_docker(record: &MachineRecord) -> bool {
    record.side.engine == Engine::Docker
}
