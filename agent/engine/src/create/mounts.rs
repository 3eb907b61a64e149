//! Decides on a new container's mounts and makes its volumes. Bind mounts' sources are looked at
//! when the container starts, as they may come and go.

use std::collections::BTreeMap;
use std::io;

use berth_agent_snapshots::{Prepared, SnapshotError};
use berth_agent_state::StateError;
use berth_agent_volumes::{
    CopyUpError, CreateVolume, CreateVolumeError, RemoveVolumeError, Volume,
};

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::record::{
    ContainerRecord, LooseVolumes, MergedConfig, MountKind, MountRecord,
};
use crate::create::bind::{Bind, BindSource, MountSyntaxError, Tmpfs, clean};
use crate::id::{ContainerId, random_hex};
use crate::options::HostOptions;

/// Label that Docker gives to volumes without a name of their own.
const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// A container's volumes cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The text is wrong.
    #[error(transparent)]
    Syntax(#[from] MountSyntaxError),
    /// The volume cannot be made.
    #[error("creating volume {name}")]
    Volume {
        /// The volume.
        name: String,
        /// Why.
        #[source]
        source: CreateVolumeError,
    },
    /// What the image has there cannot be copied.
    #[error("copying the image's files into volume {name}")]
    CopyUp {
        /// The volume.
        name: String,
        /// Why.
        #[source]
        source: CopyUpError,
    },
    /// The image cannot be looked into.
    #[error("opening the image's files")]
    Snapshot(#[source] SnapshotError),
    /// The volumes cannot be written down.
    #[error("recording the container's volumes")]
    State(#[from] StateError),
}

impl Engine {
    /// Returns the mounts of a container; its volumes exist then. Those without a name are written
    /// down first, so that a crash cannot leave them behind.
    pub(crate) fn decide_mounts(
        &self,
        id: &ContainerId,
        config: &MergedConfig,
        host: &HostOptions,
    ) -> Result<Vec<MountRecord>, MountError> {
        let mut binds: Vec<Bind> = Vec::new();
        for text in &host.binds {
            let bind = Bind::parse(text)?;
            if binds.iter().any(|b| b.target == bind.target) {
                return Err(MountSyntaxError::Duplicate(bind.target).into());
            }
            binds.push(bind);
        }
        let tmpfs = host
            .tmpfs
            .iter()
            .map(|t| Tmpfs::parse(t))
            .collect::<Result<Vec<_>, _>>()?;
        for declared in &config.volumes {
            let target = clean(declared);
            let is_taken = binds.iter().any(|b| b.target == target)
                || tmpfs.iter().any(|t| t.target == target)
                || target == "/";
            if !is_taken {
                binds.push(Bind::parse(&target)?);
            }
        }
        let loose: Vec<String> = binds
            .iter()
            .filter(|bind| bind.source == BindSource::Anonymous)
            .map(|_| random_hex(32))
            .collect();
        if !loose.is_empty() {
            let record = LooseVolumes {
                volumes: loose.clone(),
            };
            self.state.write(|w| w.put(id.as_str(), &record))?;
        }
        let mut names = loose.iter().cloned();
        let made: Result<Vec<MountRecord>, MountError> = binds
            .into_iter()
            .map(|bind| self.mount_record(bind, &mut names))
            .collect();
        if made.is_err() {
            self.drop_loose_volumes(id, &loose);
        }
        made
    }

    fn mount_record(
        &self,
        bind: Bind,
        anonymous: &mut impl Iterator<Item = String>,
    ) -> Result<MountRecord, MountError> {
        let (kind, source) = match bind.source {
            BindSource::HostPath(path) => (MountKind::Bind, path),
            BindSource::Volume(name) => {
                let volume = self.ensure_volume(&name)?;
                let kind = MountKind::Volume {
                    name,
                    anonymous: false,
                };
                (kind, volume.mountpoint.to_string_lossy().into_owned())
            }
            BindSource::Anonymous => {
                let name = anonymous.next().unwrap_or_else(|| random_hex(32));
                let volume = self.anonymous_volume(&name)?;
                let kind = MountKind::Volume {
                    name,
                    anonymous: true,
                };
                (kind, volume.mountpoint.to_string_lossy().into_owned())
            }
        };
        let mode = if bind.copy_up || bind.mode.contains("nocopy") {
            bind.mode
        } else {
            format!("{},nocopy", bind.mode)
        };
        Ok(MountRecord {
            kind,
            source,
            target: bind.target,
            read_only: bind.read_only,
            propagation: bind.propagation,
            mode,
        })
    }

    fn ensure_volume(&self, name: &str) -> Result<Volume, MountError> {
        let is_new = !matches!(self.volumes.get(name), Ok(Some(_)));
        let volume = self
            .volumes
            .ensure(name)
            .map_err(|source| MountError::Volume {
                name: name.to_owned(),
                source,
            })?;
        if is_new {
            self.volume_event(name, "create", []);
        }
        Ok(volume)
    }

    fn anonymous_volume(&self, name: &str) -> Result<Volume, MountError> {
        let request = CreateVolume {
            name: Some(name.to_owned()),
            labels: BTreeMap::from([(ANONYMOUS_LABEL.to_owned(), String::new())]),
        };
        let volume = self
            .volumes
            .create(request)
            .map_err(|source| MountError::Volume {
                name: name.to_owned(),
                source,
            })?;
        self.volume_event(name, "create", []);
        Ok(volume)
    }

    /// Copies what the image has at the volumes' places into those that are empty.
    pub(crate) fn fill_volumes(
        &self,
        record: &ContainerRecord,
        prepared: &Prepared,
    ) -> Result<(), MountError> {
        let wanting: Vec<(&str, &MountRecord)> = record
            .mounts
            .iter()
            .filter_map(|mount| match &mount.kind {
                MountKind::Volume { name, .. } if !mount.mode.contains("nocopy") => {
                    Some((name.as_str(), mount))
                }
                MountKind::Volume { .. } | MountKind::Bind => None,
            })
            .collect();
        if wanting.is_empty() || record.layers.is_empty() {
            return Ok(());
        }
        let mounted = self
            .snapshots
            .mount_temporarily(prepared)
            .map_err(MountError::Snapshot)?;
        for (name, mount) in wanting {
            self.volumes
                .copy_up(name, mounted.root(), mount.target.as_ref())
                .map_err(|source| MountError::CopyUp {
                    name: name.to_owned(),
                    source,
                })?;
        }
        Ok(())
    }

    fn uses_volume(&self, wanted: &str) -> bool {
        let is_wanted = |mount: &MountRecord| matches!(&mount.kind, MountKind::Volume { name, .. } if name == wanted);
        self.containers
            .all()
            .iter()
            .any(|container| container.with_record(|record| record.mounts.iter().any(is_wanted)))
    }

    /// Removes volumes that no container got to own, and the note about them.
    pub(crate) fn drop_loose_volumes(&self, id: &ContainerId, volumes: &[String]) {
        if volumes.is_empty() {
            return;
        }
        for name in volumes.iter().filter(|name| !self.uses_volume(name)) {
            match self.volumes.remove(name) {
                Ok(()) => self.volume_event(name, "destroy", []),
                Err(RemoveVolumeError::NotFound { .. }) => {}
                Err(error) => {
                    tracing::warn!(volume = name, error = %error, "volume not removed");
                    return;
                }
            }
        }
        // Lost with a crash, the note makes the next start of the agent try once more.
        if let Err(error) = self
            .state
            .write_behind(|w| w.remove::<LooseVolumes>(id.as_str()))
        {
            tracing::warn!(container = %id, error = %error, "note about volumes not removed");
        }
    }
}

impl Classified for MountError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Syntax(_) => ErrorClass::InvalidArgument,
            error => {
                let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
                while let Some(inner) = cause {
                    let full = inner
                        .downcast_ref::<io::Error>()
                        .is_some_and(|e| e.kind() == io::ErrorKind::StorageFull);
                    if full {
                        return ErrorClass::Exhausted;
                    }
                    cause = inner.source();
                }
                ErrorClass::Internal
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self.class() {
            ErrorClass::InvalidArgument => "invalid-mount",
            ErrorClass::Exhausted => "disk-full",
            _ => "volume-failed",
        }
    }
}
