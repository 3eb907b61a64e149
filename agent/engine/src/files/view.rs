//! A container's file system, open to be worked on: as its processes see it while it runs, mounted for
//! us alone while it does not.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use berth_agent_snapshots::{Bind, Mounted};
use berth_agent_sys::root_dir::RootDir;
use tokio::sync::OwnedMutexGuard;

use super::copying::Pass;
use super::error::{FilesError, is_missing};
use super::running::{Part, open_root};
use crate::Engine;
use crate::container::Container;
use crate::container::record::ContainerRecord;

/// An open file system; dropping it closes it.
#[derive(Debug)]
pub(super) struct View {
    files: Files,
    pass: Pass,
    /// Keeps a container that does not run from being started.
    _stopped: Option<OwnedMutexGuard<()>>,
}

#[derive(Debug)]
enum Files {
    Running { root: RootDir, _namespace: OwnedFd },
    Stopped(Mounted),
}

impl View {
    pub(super) fn root(&self) -> &RootDir {
        match &self.files {
            Files::Running { root, .. } => root,
            Files::Stopped(mounted) => mounted.root(),
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
            let stopped = Arc::clone(&container.lifecycle).lock_owned().await;
            if container.running_or_unreachable()?.is_some() {
                continue;
            }
            return self.view_stopped(container, part, stopped).await;
        }
    }

    async fn view_stopped(
        self: &Arc<Self>,
        container: &Arc<Container>,
        part: Part,
        stopped: OwnedMutexGuard<()>,
    ) -> Result<View, FilesError> {
        if container.observe().borrow().removed {
            return Err(FilesError::BeingRemoved(container.name()));
        }
        // Copies of the last run may still have its mounts.
        container.copying.end_all().await;
        let pass = container.copying.begin().await;
        let (engine, record) = (Arc::clone(self), container.record());
        let work = tokio::task::spawn_blocking(move || engine.mount_stopped(&record, part));
        let mounted = crate::task::outcome(work).await?;
        Ok(View {
            files: Files::Stopped(mounted),
            pass,
            _stopped: Some(stopped),
        })
    }

    fn mount_stopped(&self, record: &ContainerRecord, part: Part) -> Result<Mounted, FilesError> {
        let mut prepared = self.snapshots.resume(record.id.as_str())?;
        prepared.lower.push(self.paths.mount_points());
        if part == Part::RootOnly {
            return Ok(self.snapshots.mount_temporarily(&prepared)?);
        }
        let binds = self.binds(record);
        let read_only = record.host.read_only_rootfs;
        Ok(self.snapshots.mount_with(&prepared, &binds, read_only)?)
    }

    /// Returns what a start would mount from the machine, parents before what lies in them.
    fn binds(&self, record: &ContainerRecord) -> Vec<Bind> {
        let bundle = self.paths.container(&record.id);
        let files = ["resolv.conf", "hostname", "hosts"].map(|name| Bind {
            source: bundle.join(name),
            target: PathBuf::from("/etc").join(name),
            read_only: record.host.read_only_rootfs,
        });
        let mounts = record.mounts.iter().map(|mount| Bind {
            source: PathBuf::from(&mount.source),
            target: PathBuf::from(&mount.target),
            read_only: mount.read_only,
        });
        let mut binds: Vec<Bind> = mounts.collect();
        for file in files {
            if !binds.iter().any(|bind| bind.target == file.target) {
                binds.push(file);
            }
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
        tokio::task::spawn_blocking(move || open_root(pid, &id, part))
    };
    match crate::task::outcome(opened).await {
        Ok((root, namespace)) => Ok(Some(View {
            files: Files::Running {
                root,
                _namespace: namespace,
            },
            pass,
            _stopped: None,
        })),
        Err(error) if is_missing(&error) => {
            drop(pass);
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
