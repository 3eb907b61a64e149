//! A container's file system, open to be worked on: as its processes see it while it runs, mounted for
//! us alone while it does not.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_agent_snapshots::{Access, Bind, Mounted, PrivateMount};
use berth_agent_sys::root_dir::RootDir;

use super::copying::Pass;
use super::error::{FilesError, is_missing};
use super::running::{Part, open_root};
use crate::Engine;
use crate::container::Container;
use crate::container::record::ContainerRecord;
use crate::id::random_hex;
use crate::start::user_mounts::bind;

/// An open file system; dropping it closes it.
#[derive(Debug)]
pub(super) struct View {
    files: Files,
    /// Given back last: who waits for it mounts the same directories.
    pass: Pass,
}

#[derive(Debug)]
enum Files {
    Running {
        root: RootDir,
        _namespace: OwnedFd,
    },
    Stopped {
        mounted: Mounted,
        _mount: Arc<PrivateMount>,
    },
}

impl View {
    pub(super) fn root(&self) -> &RootDir {
        match &self.files {
            Files::Running { root, .. } => root,
            Files::Stopped { mounted, .. } => mounted.root(),
        }
    }

    /// Returns when the work on it must end.
    pub(super) async fn ended(&self) {
        self.pass.ended().await;
    }
}

impl Engine {
    /// Opens everything that the container's processes see.
    pub(super) async fn view(
        self: &Arc<Self>,
        container: &Arc<Container>,
    ) -> Result<View, FilesError> {
        self.open_view(container, Part::Everything).await
    }

    /// Opens the root file system without what is mounted in it.
    pub(super) async fn root_view(
        self: &Arc<Self>,
        container: &Arc<Container>,
    ) -> Result<View, FilesError> {
        self.open_view(container, Part::RootOnly).await
    }

    async fn open_view(
        self: &Arc<Self>,
        container: &Arc<Container>,
        part: Part,
    ) -> Result<View, FilesError> {
        loop {
            if container.running_or_unreachable()?.is_some() {
                if let Some(view) = view_running(container, part).await? {
                    return Ok(view);
                }
                continue;
            }
            // Only until they are open: what a client does with them may take for ever.
            let _lifecycle = container.lifecycle.lock().await;
            if container.running_or_unreachable()?.is_some() {
                continue;
            }
            return self.view_stopped(container, part).await;
        }
    }

    async fn view_stopped(
        self: &Arc<Self>,
        container: &Arc<Container>,
        part: Part,
    ) -> Result<View, FilesError> {
        if container.observe().borrow().removed {
            return Err(FilesError::BeingRemoved(container.name()));
        }
        let known = container.copying.mount();
        if known.is_none() {
            // Copies of the last run may still have its mounts.
            container.copying.end_all().await;
        }
        let pass = container.copying.begin().await;
        let (engine, container) = (Arc::clone(self), Arc::clone(container));
        // The pass goes with the work, which goes on when nobody waits for it any more.
        let work = tokio::task::spawn_blocking(move || {
            let record = container.record();
            let mount = match known {
                Some(mount) => mount,
                None => engine.mount_stopped(&container, &record)?,
            };
            let mounted = match part {
                Part::RootOnly => mount.alone()?,
                Part::Everything => engine.mount_everything(&mount, &record)?,
            };
            let files = Files::Stopped {
                mounted,
                _mount: mount,
            };
            Ok(View { files, pass })
        });
        crate::task::outcome(work).await
    }

    fn mount_stopped(
        &self,
        container: &Container,
        record: &ContainerRecord,
    ) -> Result<Arc<PrivateMount>, FilesError> {
        let mut prepared = self.snapshots.resume(record.id.as_str())?;
        prepared.lower.push(self.paths.mount_points());
        let mount = Arc::new(self.snapshots.mount_privately(&prepared)?);
        container.copying.share(&mount);
        Ok(mount)
    }

    /// Mounts what a start would mount. Volumes that have to be mounted on the machine for that are there
    /// for a moment only: what is mounted here stays without them.
    fn mount_everything(
        &self,
        mount: &PrivateMount,
        record: &ContainerRecord,
    ) -> Result<Mounted, FilesError> {
        let user = format!("files-{}", random_hex(8));
        let mounted = match self.acquire_volumes(record, &user) {
            Ok(_fresh) => mount
                .with(&self.binds(record), record.host.read_only_rootfs)
                .map_err(FilesError::from),
            Err(error) => Err(error.into()),
        };
        self.release_volumes(&user);
        mounted
    }

    /// Returns what a start would mount from the machine, parents before what lies in them.
    fn binds(&self, record: &ContainerRecord) -> Vec<Bind> {
        let bundle = self.paths.container(&record.id);
        let mut binds: Vec<Bind> = record.mounts.iter().filter_map(bind).collect();
        for name in ["resolv.conf", "hostname", "hosts"] {
            let target = Path::new("/etc").join(name);
            if record
                .mounts
                .iter()
                .any(|mount| Path::new(&mount.target) == target)
            {
                continue;
            }
            binds.push(Bind {
                source: bundle.join(name),
                subpath: PathBuf::new(),
                recursive: true,
                target,
                access: if record.host.read_only_rootfs {
                    Access::ReadOnly
                } else {
                    Access::ReadWrite
                },
            });
        }
        binds.sort_by_key(|bind| bind.target.components().count());
        binds
    }
}

/// Opens the files of a container that runs; nothing when it ended in the meantime, which has been
/// taken note of then.
async fn view_running(container: &Arc<Container>, part: Part) -> Result<Option<View>, FilesError> {
    let pass = container.copying.begin().await;
    let Some(running) = container.running() else {
        return Ok(None);
    };
    let (pid, id) = (running.pid(), container.id().to_string());
    let opened = {
        let id = id.clone();
        tokio::task::spawn_blocking(move || {
            let (root, _namespace) = open_root(pid, &id, part)?;
            let files = Files::Running { root, _namespace };
            Ok(View { files, pass })
        })
    };
    match crate::task::outcome(opened).await {
        Ok(view) => Ok(Some(view)),
        Err(error) if is_missing(&error) => {
            let mut observed = container.observe();
            let is_noted = container.running().is_none_or(|now| now.pid() != pid);
            if !is_noted {
                // It fails only when the container is gone, which the next look tells.
                let _ = observed.changed().await;
            }
            Ok(None)
        }
        Err(source) => Err(FilesError::Open {
            container: id,
            source,
        }),
    }
}

#[cfg(test)]
impl View {
    /// A folder of the machine, as if it were a container's.
    pub(super) async fn of_folder(path: &Path) -> Self {
        let namespace = std::fs::File::open("/proc/self/ns/mnt").expect("namespace");
        Self {
            files: Files::Running {
                root: RootDir::open(path).expect("folder"),
                _namespace: namespace.into(),
            },
            pass: super::copying::Copying::default().begin().await,
        }
    }
}
