//! Decides on a new container's mounts and makes its volumes. Bind mounts' sources are looked at
//! when the container starts, as they may come and go.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use berth_agent_snapshots::Prepared;
use berth_agent_state::StateError;
use berth_agent_volumes::{CreateVolume, CreateVolumeError, RemoveVolumeError, Volume};

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::containers::LookupError;
use crate::container::record::{
    ContainerRecord, LooseVolumes, MergedConfig, MountKind, MountRecord,
};
use crate::create::mount::volumes_from::VolumesFrom;
use crate::create::mount::{
    self, InvalidMount, MountFault, MountPoint, MountSyntaxError, PointSource, Tmpfs, clean,
};
use crate::id::{ContainerId, random_hex};
use crate::options::HostOptions;
use crate::volumes::error::class_of_creation;
use crate::volumes::using::UseError;

/// Label that Docker gives to volumes without a name of their own.
pub(crate) const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// The only driver of volumes.
pub(crate) const LOCAL_DRIVER: &str = "local";

/// A container's volumes cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The text is wrong.
    #[error(transparent)]
    Syntax(#[from] MountSyntaxError),
    /// A container to take volumes from does not exist.
    #[error(transparent)]
    From(#[from] LookupError),
    /// The volume cannot be made.
    #[error("create {name}")]
    Volume {
        /// The volume.
        name: String,
        /// Why.
        #[source]
        source: CreateVolumeError,
    },
    /// It cannot be mounted, or not be filled from the image.
    #[error(transparent)]
    Use(#[from] UseError),
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
        let taken = self.volumes_from(&host.volumes_from)?;
        let points = points(config, host, &taken)?;
        let loose: Vec<String> = points
            .iter()
            .filter(|point| point.source == PointSource::Anonymous)
            .map(|_| random_hex(32))
            .collect();
        if !loose.is_empty() {
            let record = LooseVolumes {
                volumes: loose.clone(),
            };
            self.state.write(|w| w.put(id.as_str(), &record))?;
        }
        let mut names = loose.iter().cloned();
        // What is asked for itself replaces what another container has at the same place.
        let mut mounts: Vec<MountRecord> = taken
            .into_iter()
            .filter(|taken| !points.iter().any(|point| point.target == taken.target))
            .collect();
        for point in points {
            match self.mount_record(point, &mut names) {
                Ok(record) => mounts.push(record),
                Err(error) => {
                    self.drop_loose_volumes(id, &loose);
                    return Err(error);
                }
            }
        }
        Ok(mounts)
    }

    /// Returns the mounts of other containers, as they are to appear in a new one. Of two at one
    /// place the later counts.
    fn volumes_from(&self, list: &[String]) -> Result<Vec<MountRecord>, MountError> {
        let mut mounts: Vec<MountRecord> = Vec::new();
        for text in list {
            let from = VolumesFrom::parse(text)?;
            let other = self.containers.find(&from.container)?;
            for mut mount in other.with_record(|record| record.mounts.clone()) {
                mount.read_only |= from.read_only;
                mount.no_copy = true;
                mount.mode.clear();
                mounts.retain(|earlier| earlier.target != mount.target);
                mounts.push(mount);
            }
        }
        Ok(mounts)
    }

    fn mount_record(
        &self,
        point: MountPoint,
        anonymous: &mut impl Iterator<Item = String>,
    ) -> Result<MountRecord, MountError> {
        let mut mode = point.mode.clone();
        let (kind, source) = match &point.source {
            PointSource::HostPath(path) => {
                if point.must_exist && !Path::new(path).exists() {
                    return Err(MountError::from(MountSyntaxError::from(InvalidMount {
                        kind: "bind".to_owned(),
                        fault: MountFault::NoSource(path.clone()),
                    })));
                }
                (MountKind::Bind, path.clone())
            }
            PointSource::Tmpfs(options) => {
                let options = options.clone();
                (MountKind::Tmpfs { options }, String::new())
            }
            PointSource::Volume(name) => {
                if mode.is_empty() {
                    "z".clone_into(&mut mode);
                }
                let volume = self.named_volume(name, &point)?;
                let kind = MountKind::Volume {
                    name: name.clone(),
                    anonymous: false,
                };
                (kind, volume.mountpoint.to_string_lossy().into_owned())
            }
            PointSource::Anonymous => {
                let name = anonymous.next().unwrap_or_else(|| random_hex(32));
                let volume = self.anonymous_volume(&name, &point)?;
                let kind = MountKind::Volume {
                    name,
                    anonymous: true,
                };
                (kind, volume.mountpoint.to_string_lossy().into_owned())
            }
        };
        Ok(MountRecord {
            kind,
            source,
            target: point.target,
            read_only: point.read_only,
            propagation: point.propagation,
            mode,
            must_exist: point.must_exist,
            non_recursive: point.non_recursive,
            writable_below: point.writable_below,
            subpath: point.subpath,
            no_copy: !point.copy_up,
        })
    }

    fn named_volume(&self, name: &str, point: &MountPoint) -> Result<Volume, MountError> {
        if !crate::container::names::is_valid(name) {
            return Err(MountSyntaxError::VolumeName(name.to_owned()).into());
        }
        self.volume(name, point.labels.clone(), point)
    }

    fn anonymous_volume(&self, name: &str, point: &MountPoint) -> Result<Volume, MountError> {
        let mut labels = point.labels.clone();
        labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
        self.volume(name, labels, point)
    }

    fn volume(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
        point: &MountPoint,
    ) -> Result<Volume, MountError> {
        if !matches!(point.driver.as_str(), "" | LOCAL_DRIVER) {
            return Err(MountSyntaxError::Driver(point.driver.clone()).into());
        }
        let is_new = !matches!(self.volumes.get(name), Ok(Some(_)));
        let request = CreateVolume {
            name: Some(name.to_owned()),
            labels,
            options: point.driver_options.clone(),
        };
        let volume = self
            .volumes
            .create(request)
            .map_err(|source| MountError::Volume {
                name: name.to_owned(),
                source,
            })?;
        if is_new {
            self.volume_event(name, "create", []);
        }
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
                MountKind::Volume { name, .. } if !mount.no_copy => Some((name.as_str(), mount)),
                MountKind::Volume { .. } | MountKind::Bind | MountKind::Tmpfs { .. } => None,
            })
            .collect();
        if wanting.is_empty() || record.layers.is_empty() {
            return Ok(());
        }
        let user = format!("create-{}", record.id);
        let filled = self
            .acquire_volumes(record, &user)
            .and_then(|_fresh| self.copy_up(record, &wanting, prepared));
        self.release_volumes(&user);
        Ok(filled?)
    }

    /// Removes volumes that no container got to own, and the note about them.
    pub(crate) fn drop_loose_volumes(&self, id: &ContainerId, volumes: &[String]) {
        if volumes.is_empty() {
            return;
        }
        for name in volumes
            .iter()
            .filter(|name| self.users_of_volume(name).is_empty())
        {
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

/// Returns what is asked for, with what the image declares and nobody else has a place for.
fn points(
    config: &MergedConfig,
    host: &HostOptions,
    taken: &[MountRecord],
) -> Result<Vec<MountPoint>, MountError> {
    let mut points: Vec<MountPoint> = Vec::new();
    let tmpfs = host
        .tmpfs
        .iter()
        .map(|text| Tmpfs::parse(text).map(|tmpfs| tmpfs.target))
        .collect::<Result<Vec<_>, _>>()?;
    let short = host
        .binds
        .iter()
        .map(|text| mount::parse_bind(text, &host.volume_driver));
    let long = host
        .mounts
        .iter()
        .map(|options| Ok(mount::long::parse(options)?));
    for point in short.chain(long) {
        let point = point?;
        if points.iter().any(|p| p.target == point.target) || tmpfs.contains(&point.target) {
            return Err(MountSyntaxError::Duplicate(point.target).into());
        }
        points.push(point);
    }
    for declared in &config.volumes {
        let target = clean(declared);
        let is_taken = points.iter().any(|p| p.target == target)
            || taken.iter().any(|t| t.target == target)
            || tmpfs.contains(&target)
            || target == "/";
        if !is_taken {
            points.push(mount::parse_bind(&target, &host.volume_driver)?);
        }
    }
    Ok(points)
}

impl Classified for MountError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Syntax(_) | Self::From(_) => ErrorClass::InvalidArgument,
            Self::Volume { source, .. } => class_of_creation(source),
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
