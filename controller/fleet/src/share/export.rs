//! Packing a machine.
//!
//! What travels is what somebody else needs, and not more where that can be had: a client
//! certificate made for this bundle, which can be revoked by its name, instead of the operator's own;
//! not the machine's private key, nor former texts of its record. The rest is told.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_controller_store::{HostConfig, LockError, MachineRecord};
use berth_provisioners_api::DriverError;
use berth_provisioners_api::Machine;

use super::age::{self, SealError};
use super::bundle::{Bundle, BundleError, Facts, MAX_FILE, Manifest, is_plain};
use super::record::{CONFIG, MACHINE, SIDE, STORE};
use super::telling;
use crate::certificates::Guest;
use crate::fleet::Loaded;
use crate::{CredentialsError, Fleet, MachineError, Progress};

/// The operator's client certificate in a machine's folder, and its key.
const CLIENT: [&str; 2] = ["cert.pem", "key.pem"];

/// How to export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// What the client certificate for this bundle is called; `NAME.berth` when there is nothing,
    /// or nothing that can be typed.
    pub client: Option<String>,
    /// How long it is good.
    pub life: Duration,
}

/// A bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// What only the passphrase opens.
    pub bundle: Vec<u8>,
    /// By what name the client certificate in it can be revoked; nothing when it is one that the
    /// operator has got from somebody else, or there is none.
    pub client: Option<String>,
}

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
    /// The client certificate for the bundle cannot be made.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The machine does not know the authority yet by which that would be signed.
    #[error("machine {0:?} does not know the operator's new authority yet")]
    Unsettled(String),
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
            Self::Credentials(error) => error.hint(),
            Self::Unsettled(name) => Some(format!(
                "berth machine start {name}, then berth machine rotate-ca, and export it again"
            )),
            _ => None,
        }
    }
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            client: None,
            life: Duration::from_secs(365 * 86_400),
        }
    }
}

impl Fleet {
    /// Returns a machine as a bundle that only `passphrase` opens, and tells what is in it that
    /// opens more than the machine.
    ///
    /// # Errors
    ///
    /// When there is no such machine, it is not complete, or a file cannot be read.
    pub async fn export(
        &self,
        name: &str,
        passphrase: &str,
        options: &ExportOptions,
        progress: &dyn Progress,
    ) -> Result<Exported, ExportError> {
        let checked = self.record(name)?.name;
        let _lock = self.store.lock_machine(&checked)?;
        let Loaded { record, machine } = self.load(name)?;
        if record.side.progress != berth_controller_store::Progress::Ready {
            return Err(MachineError::Incomplete(name.to_owned()).into());
        }
        telling::secrets(&record, progress);
        let (bundle, client) = self.bundle(&record, &*machine, options, progress).await?;
        let packed = bundle.pack().map_err(|source| ExportError::Pack {
            machine: name.to_owned(),
            source,
        })?;
        Ok(Exported {
            bundle: age::seal(&packed, passphrase)?,
            client,
        })
    }

    async fn bundle(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        options: &ExportOptions,
        progress: &dyn Progress,
    ) -> Result<(Bundle, Option<String>), ExportError> {
        let folder = self.store.machine(&record.name).directory;
        let mut files = small_files(&folder, |left_out| {
            let text = format!("{left_out} belongs to this computer and is left out");
            progress.notice(record.name.as_str(), &text);
        })?;
        files.retain(|name, _content| travels(name));
        let facts = facts(machine, &folder, &mut files)
            .await
            .map_err(MachineError::from)?;
        telling::ssh_key(record, &facts, &folder, progress);
        let client = self.put_client(record, &mut files, options, progress)?;
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
        Ok((Bundle { manifest, files }, client))
    }

    /// Puts a client certificate for this bundle in the place of the operator's own.
    fn put_client(
        &self,
        record: &MachineRecord,
        files: &mut BTreeMap<String, Vec<u8>>,
        options: &ExportOptions,
        progress: &dyn Progress,
    ) -> Result<Option<String>, ExportError> {
        // Machines that nobody serves containers on have none.
        if !CLIENT.iter().all(|file| files.contains_key(*file)) {
            files.retain(|name, _content| !CLIENT.contains(&name.as_str()));
            return Ok(None);
        }
        let wished = options.client.as_deref().filter(|name| is_plain(name));
        let name = wished.map_or_else(|| format!("{}.berth", record.name), ToOwned::to_owned);
        match self.issue_guest(record, &name, options.life)? {
            Guest::Issued { name, client } => {
                let texts = [client.certificate_pem.as_bytes(), client.key_pem.as_bytes()];
                for (file, text) in CLIENT.into_iter().zip(texts) {
                    files.insert(file.to_owned(), text.to_vec());
                }
                telling::client(record, &name, options.life, progress);
                Ok(Some(name))
            }
            Guest::Foreign => {
                telling::foreign(record, progress);
                Ok(None)
            }
            Guest::Unsettled => Err(ExportError::Unsettled(record.name.to_string())),
        }
    }
}

/// Returns whether a file of a machine's folder is for others: not what proves that the host or its
/// agent is itself, nor an authority's key, nor former and unfinished texts of records, in which
/// secrets may stand that the present one has not.
fn travels(name: &str) -> bool {
    let stays = ["server-key.pem", "ca-key.pem"];
    let former = [".bak", ".tmp", ".good", "~"];
    !stays.contains(&name)
        && !name.starts_with("next-")
        && !name.starts_with("ssh_host_")
        && !former.iter().any(|end| name.ends_with(end))
        && !name.contains(".json.")
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
