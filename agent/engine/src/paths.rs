//! Where the engine's files are on the machine.

use std::path::{Path, PathBuf};

use crate::id::ContainerId;

/// Extension of a container's folder whose removal has begun.
const REMOVING: &str = "removing";

/// Returns the name that a container's folder has while it is being removed.
pub(crate) fn marked(folder: &Path) -> PathBuf {
    folder.with_extension(REMOVING)
}

/// The roots that everything lies under.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    data_root: PathBuf,
    run_root: PathBuf,
}

impl Paths {
    pub(crate) fn new(data_root: PathBuf, run_root: PathBuf) -> Self {
        Self {
            data_root,
            run_root,
        }
    }

    pub(crate) fn data_root(&self) -> &Path {
        &self.data_root
    }

    pub(crate) fn run_root(&self) -> &Path {
        &self.run_root
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.data_root.join("state.redb")
    }

    /// Held by the one agent that uses the data root.
    pub(crate) fn lock(&self) -> PathBuf {
        self.data_root.join("berthd.lock")
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.data_root.join("containers")
    }

    /// What the runtime calls the bundle: log, exit record, network files.
    pub(crate) fn container(&self, id: &ContainerId) -> PathBuf {
        self.containers().join(id.as_str())
    }

    /// What outlives the agent but not the machine: the supervisor's socket.
    pub(crate) fn container_run(&self, id: &str) -> PathBuf {
        self.run_root.join("containers").join(id)
    }

    pub(crate) fn container_runs(&self) -> PathBuf {
        self.run_root.join("containers")
    }

    /// What the machine has mounted for one container.
    pub(crate) fn host_mounts(&self, id: &str) -> PathBuf {
        self.all_host_mounts().join(id)
    }

    pub(crate) fn all_host_mounts(&self) -> PathBuf {
        self.run_root.join("mounts")
    }

    /// What a container has written, as the snapshotter keeps it.
    pub(crate) fn filesystem(&self, key: &str) -> PathBuf {
        self.data_root.join("snapshots/containers").join(key)
    }

    /// Bundles of build steps.
    pub(crate) fn steps(&self) -> PathBuf {
        self.data_root.join("steps")
    }

    /// The lowest layer of every container: the places where things are mounted.
    pub(crate) fn mount_points(&self) -> PathBuf {
        self.data_root.join("mount-points")
    }
}
