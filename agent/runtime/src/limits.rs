//! Changing the limits of a running container.

use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;

use crate::cgroup::{Cgroup, CgroupError, Layout};
use crate::error::ControlError;
use crate::protocol::{RunState, STATE};
use crate::running::Running;

impl Running {
    /// Changes limits at once; what is unset or 0 stays as it is. Returns what had no effect, for people.
    ///
    /// Nothing of a container's device rules is changed. When the kernel refuses one limit, those before it have been
    /// changed.
    ///
    /// # Errors
    /// Fails when the container has ended, and with the kernel's reason when it refuses (a limit of memory below what is
    /// used, processors that the machine lacks).
    pub async fn update(&self, resources: LinuxResources) -> Result<Vec<String>, ControlError> {
        if self.exited().is_some() {
            let id = self.id().to_owned();
            return Err(ControlError::NotRunning { id });
        }
        let (id, run_dir) = (self.id().to_owned(), self.run_dir().to_owned());
        let work = tokio::task::spawn_blocking(move || {
            let cgroup = group_of(&run_dir).map_err(|e| not_read(&id, e))?;
            cgroup.update(&resources).map_err(|e| not_changed(&id, &e))
        });
        match work.await {
            Ok(result) => result,
            Err(error) => Err(ControlError::Refused {
                id: self.id().to_owned(),
                message: error.to_string(),
            }),
        }
    }
}

/// Returns the control group of the container that runs with this run directory.
fn group_of(run_dir: &Path) -> io::Result<Cgroup> {
    Cgroup::new(Layout::detect()?, &group_path(run_dir)?).map_err(io::Error::other)
}

/// Returns the path of the control group of the container that runs with this run directory.
pub(crate) fn group_path(run_dir: &Path) -> io::Result<PathBuf> {
    let state: RunState = serde_json::from_slice(&std::fs::read(run_dir.join(STATE))?)?;
    Ok(state.cgroup)
}

fn not_read(id: &str, source: io::Error) -> ControlError {
    let id = id.to_owned();
    if source.kind() == io::ErrorKind::NotFound {
        ControlError::NotRunning { id }
    } else {
        ControlError::Supervisor { id, source }
    }
}

fn not_changed(id: &str, error: &CgroupError) -> ControlError {
    let id = id.to_owned();
    match error.io_error().kind() {
        // Its group is gone: it has just ended.
        io::ErrorKind::NotFound => ControlError::NotRunning { id },
        _ => ControlError::Refused {
            id,
            message: format!("{error}: {}", error.io_error()),
        },
    }
}
