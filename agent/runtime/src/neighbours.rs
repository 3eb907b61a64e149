//! Joining the namespaces of other containers, and of nobody else.
//!
//! A specification names them by the process id of the other container's first process, which may have ended since, and
//! its number may be another's. A namespace is therefore opened first; if the other's supervisor then says that the
//! process still runs, which nobody else has reaped, the number was its own all the time.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;

use crate::error::{FailureKind, StartError};
use crate::failure::step;
use crate::running::Running;

/// Opens the namespaces of `neighbours` that the specification names, and has it name them by these descriptors, which
/// must stay open until the container has started.
pub(crate) async fn pin(spec: &mut Spec, neighbours: &[Running]) -> Result<Vec<File>, StartError> {
    let mut pinned = Vec::new();
    let Some(linux) = spec.linux_mut().as_mut() else {
        return Ok(pinned);
    };
    for namespace in linux.namespaces_mut().iter_mut().flatten() {
        let Some(path) = namespace.path().clone() else {
            continue;
        };
        let Some(neighbour) = neighbours.iter().find(|other| is_of(&path, other.pid())) else {
            continue;
        };
        let file = File::open(&path);
        if !neighbour.is_running().await {
            return Err(failed(format!(
                "container {} is not running",
                neighbour.id()
            )));
        }
        let file = file.map_err(|e| failed(format!("{}: {e}", path.display())))?;
        let own = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        namespace.set_path(Some(PathBuf::from(own)));
        pinned.push(file);
    }
    Ok(pinned)
}

fn is_of(path: &Path, pid: i32) -> bool {
    path.starts_with(format!("/proc/{pid}/ns"))
}

fn failed(message: String) -> StartError {
    StartError::Step {
        step: step::NAMESPACES.to_owned(),
        message,
        kind: FailureKind::Other,
    }
}
