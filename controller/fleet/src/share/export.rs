//! Packing a machine.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use berth_controller_store::{HostConfig, LockError, MachineRecord};
use berth_provisioners_api::DriverError;
use berth_provisioners_api::Machine;

use super::age::{self, SealError};
use super::bundle::{Bundle, BundleError, Facts, MAX_FILE, Manifest, is_plain};
use super::record::{CONFIG, MACHINE, SIDE, STORE};
use crate::fleet::Loaded;
use crate::{Fleet, MachineError, Progress};

/// A machine cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Another process works on that machine.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// A file of its folder cannot be read.
    #[error("file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The bundle cannot be made.
    #[error("machine {machine:?} cannot be packed")]
    Pack {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: BundleError,
    },
    /// The bundle cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl ExportError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            _ => None,
        }
    }
}

impl Fleet {
    /// Returns a machine as a bundle that only `passphrase` opens.
    ///
    /// # Errors
    ///
    /// When there is no such machine, it is not complete, or a file cannot be read.
    pub async fn export(
        &self,
        name: &str,
        passphrase: &str,
        progress: &dyn Progress,
    ) -> Result<Vec<u8>, ExportError> {
        let checked = self.record(name)?.name;
        let _lock = self.store.lock_machine(&checked)?;
        let Loaded { record, machine } = self.load(name)?;
        if record.side.progress != berth_controller_store::Progress::Ready {
            return Err(MachineError::Incomplete(name.to_owned()).into());
        }
        for (flag, reference) in &record.side.secrets {
            let text = format!(
                "the secret of --{flag} stays where it is ({reference}); whoever imports the \
                 machine needs their own to start, stop or remove it"
            );
            progress.notice(name, &text);
        }
        let bundle = self.bundle(&record, &*machine, progress).await?;
        let packed = bundle.pack().map_err(|source| ExportError::Pack {
            machine: name.to_owned(),
            source,
        })?;
        Ok(age::seal(&packed, passphrase)?)
    }

    async fn bundle(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        progress: &dyn Progress,
    ) -> Result<Bundle, ExportError> {
        let folder = self.store.machine(&record.name).directory;
        let mut files = small_files(&folder, |left_out| {
            let text = format!("{left_out} belongs to this computer and is left out");
            progress.notice(record.name.as_str(), &text);
        })?;
        // What proves that the host is itself stays with the host.
        files.retain(|name, _content| !name.starts_with("ssh_host_"));
        let facts = facts(machine, &folder, &mut files)
            .await
            .map_err(MachineError::from)?;
        let driver = record.config.driver_name();
        let local = self.driver(driver).is_ok_and(|driver| driver.is_local());
        let config = portable(&record.config, &folder, self.store.root());
        files.insert(CONFIG.to_owned(), config.to_bytes());
        let side = serde_json::to_vec_pretty(&record.side).unwrap_or_default();
        files.insert(SIDE.to_owned(), side);
        let manifest = Manifest {
            name: record.name.to_string(),
            driver: driver.to_owned(),
            facts,
            local,
            ..Manifest::default()
        };
        Ok(Bundle { manifest, files })
    }
}

/// Returns the record with marks in the place of this computer's folders.
fn portable(config: &HostConfig, folder: &Path, root: &Path) -> HostConfig {
    let mut config = config.clone();
    config.replace_paths(&folder.to_string_lossy(), MACHINE);
    config.replace_paths(&root.to_string_lossy(), STORE);
    config
}

/// Returns what the machine is to somebody who does not have its driver.
async fn facts(
    machine: &dyn Machine,
    folder: &Path,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<Facts, DriverError> {
    let mut facts = Facts {
        ip: machine.ip().await?,
        engine_port: machine.engine_port(),
        ..Facts::default()
    };
    // Some machines cannot be logged in to, and travel all the same.
    let Ok(endpoint) = machine.ssh_endpoint().await else {
        return Ok(facts);
    };
    if let Some(key) = &endpoint.key {
        let name = key
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if key.parent() != Some(folder)
            && is_plain(&name)
            && !files.contains_key(&name)
            && let Ok(content) = fs::read(key)
        {
            files.insert(name.clone(), content);
        }
        if files.contains_key(&name) {
            facts.ssh_key = name;
        }
    }
    facts.ssh_host = endpoint.host;
    facts.ssh_port = endpoint.port;
    facts.ssh_user = endpoint.user;
    Ok(facts)
}

/// Reads the records, keys and certificates of a machine's folder, and tells what is left out:
/// folders and large files, such as disks.
pub(crate) fn small_files(
    folder: &Path,
    mut left_out: impl FnMut(&str),
) -> Result<BTreeMap<String, Vec<u8>>, ExportError> {
    let failed = |path: &Path, source| ExportError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let entry = entry.map_err(|error| failed(folder, error))?;
        let (path, name) = (
            entry.path(),
            entry.file_name().to_string_lossy().into_owned(),
        );
        // Copies and unfinished files.
        if name.starts_with('.') {
            continue;
        }
        let about = fs::metadata(&path).map_err(|error| failed(&path, error))?;
        if !about.is_file() || about.len() > MAX_FILE || !is_plain(&name) {
            left_out(&name);
            continue;
        }
        let content = fs::read(&path).map_err(|error| failed(&path, error))?;
        files.insert(name, content);
    }
    Ok(files)
}
