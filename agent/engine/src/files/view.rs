//! A container's file system, open to be worked on: as its processes see it while it runs, mounted for
//! us alone while it does not.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_agent_snapshots::{Access, Bind, Mounted, PrivateMount};
use berth_agent_sys::root_dir::RootDir;
use tokio::runtime::Handle;

use super::copying::{Pass, Stopped};
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
        _stopped: Arc<Stopped>,
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

/// Leave to open a container's files, which may take for ever: other machines or the container itself
/// may have to answer. So it is done on a thread of the copy's own.
#[derive(Debug)]
pub(super) struct Opening {
    engine: Arc<Engine>,
    container: Arc<Container>,
    part: Part,
    way: Way,
    /// Given back last, as that of a view.
    pass: Pass,
}

#[derive(Debug)]
enum Way {
    Running(i32),
    Stopped(Arc<Stopped>),
}

// === impl Opening ===

impl Opening {
    /// Opens the files. Blocks, in a runtime's context, but on none of its threads.
    pub(super) fn open(mut self) -> Result<View, FilesError> {
        let runtime = Handle::current();
        loop {
            // What comes last is dropped first.
            let Self {
                engine,
                container,
                part,
                pass,
                way,
            } = self;
            let pid = match way {
                Way::Running(pid) => pid,
                Way::Stopped(stopped) => {
                    return open_stopped(&engine, &container, part, pass, stopped);
                }
            };
            if let Some(view) = open_running(pid, &container, part, pass)? {
                return Ok(view);
            }
            self = runtime.block_on(async {
                until_noted(&container, pid).await;
                engine.opening(&container, part).await
            })?;
        }
    }
}

/// Opens the files of a container that runs; nothing when it has ended in the meantime.
fn open_running(
    pid: i32,
    container: &Container,
    part: Part,
    pass: Pass,
) -> Result<Option<View>, FilesError> {
    let id = container.id().as_str();
    match open_root(pid, id, part) {
        Ok((root, _namespace)) => {
            let files = Files::Running { root, _namespace };
            Ok(Some(View { files, pass }))
        }
        Err(error) if is_missing(&error) => Ok(None),
        Err(source) => Err(FilesError::Open {
            container: id.to_owned(),
            source,
        }),
    }
}

fn open_stopped(
    engine: &Engine,
    container: &Container,
    part: Part,
    pass: Pass,
    stopped: Arc<Stopped>,
) -> Result<View, FilesError> {
    let record = container.record();
    let mount = stopped.mount(|| engine.mount_stopped(&record))?;
    let mounted = match part {
        Part::RootOnly => mount.alone()?,
        Part::Everything => engine.mount_everything(&mount, &record)?,
    };
    // Before the pass, should it be the last one.
    drop(mount);
    let files = Files::Stopped {
        mounted,
        _stopped: stopped,
    };
    Ok(View { files, pass })
}

/// Waits until it is noted that a container's process has ended.
async fn until_noted(container: &Container, pid: i32) {
    let mut observed = container.observe();
    let is_noted = container.running().is_none_or(|now| now.pid() != pid);
    if !is_noted {
        // It fails only when the container is gone, which the next look tells.
        let _ = observed.changed().await;
    }
}

impl Engine {
    /// Gets leave to open what the container's processes see, or a part of it.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub(super) async fn opening(
        self: &Arc<Self>,
        container: &Arc<Container>,
        part: Part,
    ) -> Result<Opening, FilesError> {
        let opening = |way, pass| Opening {
            engine: Arc::clone(self),
            container: Arc::clone(container),
            part,
            way,
            pass,
        };
        loop {
            if container.running_or_unreachable()?.is_some() {
                let pass = container.copying.begin().await;
                match container.running() {
                    Some(running) => return Ok(opening(Way::Running(running.pid()), pass)),
                    None => continue,
                }
            }
            // Until the pass is there, which keeps a start out: the rest may take for ever.
            let _lifecycle = container.lifecycle.lock().await;
            if container.running_or_unreachable()?.is_some() {
                continue;
            }
            if container.observe().borrow().removed {
                return Err(FilesError::BeingRemoved(container.name()));
            }
            let stopped = match container.copying.join() {
                Some(stopped) => stopped,
                None => {
                    // Copies of the last run may still have its mounts.
                    container.copying.end_all().await;
                    container.copying.be_first()
                }
            };
            let pass = container.copying.begin().await;
            return Ok(opening(Way::Stopped(stopped), pass));
        }
    }

    fn mount_stopped(&self, record: &ContainerRecord) -> Result<PrivateMount, FilesError> {
        let mut prepared = self.snapshots.resume(record.id.as_str())?;
        prepared.lower.push(self.paths.mount_points());
        Ok(self.snapshots.mount_privately(&prepared)?)
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
