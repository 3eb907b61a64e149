//! The store of volumes: creating, finding and removing them.

mod fill;
mod recover;
mod remove;
mod using;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_agent_state::{State, StateError};

use crate::record::{Stage, VolumeRecord, mountpoint};
use crate::{InvalidVolumeName, InvalidVolumeOption, Volume, name, options};

pub use remove::{RemoveVolumeError, RemovedVolume};
pub use using::{UseVolumeError, Used};

/// The volumes of one agent; clones share them. Calls are synchronous and short, except for
/// [`Volumes::copy_up`] and [`Volumes::remove`], which take as long as the files take.
#[derive(Debug, Clone)]
pub struct Volumes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    state: State,
    /// Held while a volume is created, filled or renamed away, so that no two do it at once.
    changing: Mutex<()>,
    /// Who uses those that are mounted on the machine.
    users: Mutex<HashMap<String, using::Users>>,
}

/// What a new volume shall be like.
#[derive(Debug, Clone, Default)]
pub struct CreateVolume {
    /// Its name; `None` makes one up.
    pub name: Option<String>,
    /// What to attach to it.
    pub labels: BTreeMap<String, String>,
    /// Options for its driver.
    pub options: BTreeMap<String, String>,
}

/// The reasons why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or cleared of leftovers.
    #[error("cannot prepare the volumes in {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The state database failed.
    #[error("cannot read the recorded volumes")]
    State {
        /// What the database said.
        #[source]
        source: StateError,
    },
}

/// The reasons why a volume cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateVolumeError {
    /// The name is not allowed.
    #[error(transparent)]
    Name(#[from] InvalidVolumeName),
    /// An option is wrong.
    #[error(transparent)]
    Option(#[from] InvalidVolumeOption),
    /// The volume's directory cannot be made.
    #[error("cannot create the directory of volume {name}")]
    Directory {
        /// The volume.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The state database failed.
    #[error("cannot record volume {name}")]
    State {
        /// The volume.
        name: String,
        /// What the database said.
        #[source]
        source: StateError,
    },
}

/// The volumes cannot be looked up.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the recorded volumes")]
pub struct ReadVolumeError {
    #[source]
    source: StateError,
}

/// The directory for what is being deleted, which no volume can be called.
const TRASH: &str = ".removed";

// === impl Volumes ===

impl Volumes {
    /// Opens the store and finishes what a killed agent began.
    ///
    /// # Errors
    ///
    /// Returns an error when the directory cannot be prepared or the records cannot be read.
    pub fn open(root: PathBuf, state: State) -> Result<Self, OpenError> {
        let volumes = Self {
            shared: Arc::new(Shared {
                root,
                state,
                changing: Mutex::default(),
                users: Mutex::default(),
            }),
        };
        volumes.shared.recover()?;
        Ok(volumes)
    }

    /// Creates a volume. One of that name that exists is returned as it is, as Docker does.
    ///
    /// # Errors
    ///
    /// Returns an error when the name is not allowed or when the disk or the database fails.
    pub fn create(&self, request: CreateVolume) -> Result<Volume, CreateVolumeError> {
        let anonymous = request.name.is_none();
        let name = request.name.unwrap_or_else(name::random);
        name::check(&name)?;
        options::check(&request.options)?;
        let _changing = self.shared.lock();
        let state_error = |source| CreateVolumeError::State {
            name: name.clone(),
            source,
        };
        let directory_error = |source| CreateVolumeError::Directory {
            name: name.clone(),
            source,
        };
        let record = match self.shared.any_record(&name).map_err(state_error)? {
            Some(found) if found.stage != Stage::Removing => found,
            found => {
                if found.is_some() {
                    // The files of the volume that had the name are not those of the new one.
                    self.shared.rename_away(&name).map_err(directory_error)?;
                }
                let new = VolumeRecord::new(request.labels, request.options, anonymous);
                self.shared
                    .state
                    .write(|writer| writer.put(&name, &new))
                    .map_err(state_error)?;
                new
            }
        };
        self.shared.make_directory(&name).map_err(directory_error)?;
        Ok(record.describe(name, &self.shared.root))
    }

    /// Returns the volume of that name, creating it when there is none.
    ///
    /// # Errors
    ///
    /// Fails as [`Volumes::create`] does.
    pub fn ensure(&self, name: &str) -> Result<Volume, CreateVolumeError> {
        self.create(CreateVolume {
            name: Some(name.to_owned()),
            ..CreateVolume::default()
        })
    }

    /// Returns the volume of that name.
    ///
    /// # Errors
    ///
    /// Returns an error when the record cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<Volume>, ReadVolumeError> {
        let record = self
            .shared
            .record(name)
            .map_err(|source| ReadVolumeError { source })?;
        Ok(record.map(|record| record.describe(name.to_owned(), &self.shared.root)))
    }

    /// Returns all volumes in the order of their names.
    ///
    /// # Errors
    ///
    /// Returns an error when the records cannot be read.
    pub fn list(&self) -> Result<Vec<Volume>, ReadVolumeError> {
        let records = self
            .shared
            .state
            .read(|reader| reader.list::<VolumeRecord>())
            .map_err(|source| ReadVolumeError { source })?;
        let present = records
            .into_iter()
            .filter(|(_, record)| record.stage != Stage::Removing);
        Ok(present
            .map(|(name, record)| record.describe(name, &self.shared.root))
            .collect())
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, ()> {
        // The lock protects no memory, and what a panic leaves half-done is like after a kill.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the record of a volume that is not on its way out.
    fn record(&self, name: &str) -> Result<Option<VolumeRecord>, StateError> {
        let record = self.any_record(name)?;
        Ok(record.filter(|record| record.stage != Stage::Removing))
    }

    fn any_record(&self, name: &str) -> Result<Option<VolumeRecord>, StateError> {
        self.state.read(|reader| reader.get(name))
    }

    /// Waits for the disk each time: before files are copied, so that a killed agent's half is known
    /// as such, and after, so that what containers write from then on is never taken for a half.
    fn set_stage(
        &self,
        name: &str,
        mut record: VolumeRecord,
        stage: Stage,
    ) -> Result<(), StateError> {
        record.stage = stage;
        self.state.write(|writer| writer.put(name, &record))
    }

    /// Containers' users get to the files through mounts; on the machine itself only root does.
    fn make_directory(&self, name: &str) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(self.root.join(name))?;
        let data = mountpoint(&self.root, name);
        match DirBuilder::new().create(&data) {
            Ok(()) => fs::set_permissions(&data, fs::Permissions::from_mode(0o755)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Moves a volume's directory out of the way in one step, and says where it is now.
    fn rename_away(&self, name: &str) -> io::Result<Option<PathBuf>> {
        let trash = self.root.join(TRASH);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&trash)?;
        let place = trash.join(name::random());
        match fs::rename(self.root.join(name), &place) {
            Ok(()) => {
                // On the disk before the record changes: after a power failure the files would be back, with a record
                // of another volume or with none.
                fs::File::open(&self.root)?.sync_all()?;
                Ok(Some(place))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
