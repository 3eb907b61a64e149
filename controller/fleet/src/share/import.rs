//! Making a machine of a bundle.

use berth_controller_store::{
    ConfigError, HostConfig, LockError, MachineName, MachineRecord, SideRecord, WriteError,
};

use super::age::{self, SealError};
use super::bundle::{Bundle, BundleError, MAX_BUNDLE};
use super::record::{self, CONFIG, SIDE};
use crate::{Fleet, MachineError, Progress};

/// How to import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// The machine's name here; the one that it had when there is none.
    pub name: Option<String>,
    /// Whether to believe where the bundle says that secrets are. A bundle from somebody else
    /// could name any file of the operator's and have its content sent anywhere.
    pub keep_secret_references: bool,
}

/// What became of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The machine's name.
    pub name: String,
    /// Its driver here.
    pub driver: String,
    /// Whether its driver was another one, which cannot be used here.
    pub replaced_driver: Option<String>,
}

/// A bundle cannot be imported. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The name cannot be that of a machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// There is a machine of that name.
    #[error("machine {0:?} already exists")]
    Exists(String),
    /// Another process works on a machine of that name.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] WriteError),
    /// It is too large to be a bundle.
    #[error("larger than any bundle ({} MB)", MAX_BUNDLE >> 20)]
    Size,
    /// The bundle cannot be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What is in it is no bundle.
    #[error("the bundle cannot be used")]
    Bundle(#[from] BundleError),
    /// A file is missing in it.
    #[error("the bundle has no {0}")]
    Missing(&'static str),
    /// The record in it makes no sense.
    #[error("the bundle's config.json cannot be used")]
    Config(#[source] ConfigError),
    /// Its host or user would be taken for something else.
    #[error("the bundle's config.json is not to be trusted")]
    Names(#[from] berth_controller_ssh::NameError),
    /// Our part of the record in it makes no sense.
    #[error("the bundle's berth.json cannot be used")]
    Side(#[source] serde_json::Error),
}

impl ImportError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::Exists(_) => Some("choose another name with --name".to_owned()),
            Self::Store(error) => error.hint(),
            Self::Seal(SealError::Damaged) | Self::Bundle(BundleError::Archive(_)) => {
                Some("get the file again from whoever exported it".to_owned())
            }
            Self::Bundle(BundleError::Future(_)) => Some("import it with a newer berth".to_owned()),
            _ => None,
        }
    }
}

impl Fleet {
    /// Makes a machine of what [`Fleet::export`] returned. It appears whole or not at all.
    ///
    /// # Errors
    ///
    /// When the passphrase is wrong, the bundle is damaged or not to be trusted, or there is a
    /// machine of that name.
    pub fn import(
        &self,
        sealed: &[u8],
        passphrase: &str,
        options: &ImportOptions,
        progress: &dyn Progress,
    ) -> Result<Imported, ImportError> {
        if sealed.len() as u64 > MAX_BUNDLE {
            return Err(ImportError::Size);
        }
        let bundle = Bundle::unpack(&age::open(sealed, passphrase)?)?;
        let wanted = options.name.as_deref().unwrap_or(&bundle.manifest.name);
        let name: MachineName = wanted.parse().map_err(MachineError::from)?;
        let mut lock = self.store.lock_machine(&name)?;
        if self.store.exists(&name) {
            return Err(ImportError::Exists(name.to_string()));
        }
        let done = self.import_as(&name, &bundle, options, progress);
        if done.is_err() {
            lock.retire();
        }
        done
    }

    fn import_as(
        &self,
        name: &MachineName,
        bundle: &Bundle,
        options: &ImportOptions,
        progress: &dyn Progress,
    ) -> Result<Imported, ImportError> {
        let mut side = side(bundle)?;
        if !options.keep_secret_references {
            for (flag, reference) in std::mem::take(&mut side.secrets) {
                let text = format!(
                    "the bundle says that the secret of --{flag} is at {reference}; it is not \
                     looked up there (--keep-secret-references allows it)"
                );
                progress.notice(name.as_str(), &text);
            }
        }
        let record = self.imported_record(name, bundle, side)?;
        crate::ssh::check_names(&record)?;
        let staged = self.store.stage()?;
        for (file, content) in &bundle.files {
            if file != CONFIG && file != SIDE {
                staged.put(file, content)?;
            }
        }
        staged
            .commit(&self.store, &record)
            .map_err(|error| match error.source.kind() {
                std::io::ErrorKind::AlreadyExists => ImportError::Exists(name.to_string()),
                _ => error.into(),
            })?;
        let driver = record.config.driver_name().to_owned();
        let was = &bundle.manifest.driver;
        Ok(Imported {
            name: name.to_string(),
            replaced_driver: (driver != *was).then(|| was.clone()),
            driver,
        })
    }

    fn imported_record(
        &self,
        name: &MachineName,
        bundle: &Bundle,
        mut side: SideRecord,
    ) -> Result<MachineRecord, ImportError> {
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            // Whoever has no engine of their own to reach has no certificates either.
            if !bundle.files.contains_key(file) && bundle.manifest.driver != "none" {
                return Err(ImportError::Missing(file));
            }
        }
        let text = bundle
            .files
            .get(CONFIG)
            .ok_or(ImportError::Missing(CONFIG))?;
        let config = HostConfig::parse(text).map_err(ImportError::Config)?;
        // Whoever exported the machine keeps their way to it.
        if let Some(ca) = bundle.files.get("ca.pem") {
            let ca = String::from_utf8_lossy(ca).into_owned();
            if !side.trusted.contains(&ca) {
                side.trusted.push(ca);
            }
        }
        let known = self.drivers.get(config.driver_name());
        let usable = known.is_some_and(|driver| !driver.is_local()) && !bundle.manifest.local;
        let mut facts = bundle.manifest.facts.clone();
        // It is a file of the bundle, or none.
        if !bundle.files.contains_key(&facts.ssh_key) {
            facts.ssh_key.clear();
        }
        if usable {
            return Ok(record::settle(&self.store, name, config, (&facts, side)));
        }
        let engine = config.engine();
        Ok(record::generic(&self.store, name, &facts, &engine, side))
    }
}

fn side(bundle: &Bundle) -> Result<SideRecord, ImportError> {
    match bundle.files.get(SIDE) {
        Some(text) => serde_json::from_slice(text).map_err(ImportError::Side),
        None => Ok(SideRecord::default()),
    }
}
