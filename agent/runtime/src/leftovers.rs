//! Ending and removing what a killed supervisor left behind: processes, control groups, its run directory.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::cgroup::{Cgroup, Layout};
use crate::protocol::{RunState, STATE};
use crate::reattach::has_supervisor;

/// How long a supervisor that has closed its connection may still be there.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked for meanwhile.
const AGAIN: Duration = Duration::from_millis(5);

/// Removes what is left once the supervisor is gone for certain. What cannot be removed is logged, and tried again by
/// the container's next start and by the next agent.
pub(crate) async fn remove_when_gone(id: &str, bundle_dir: &Path, run_dir: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while has_supervisor(bundle_dir).unwrap_or(false) {
        if Instant::now() >= deadline {
            warn!(id, "a supervisor has hung up, but is still there");
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
    remove(id, run_dir).await;
}

/// Removes what a supervisor has left that is gone.
pub(crate) async fn remove(id: &str, run_dir: &Path) {
    let run_dir = run_dir.to_owned();
    let removed = tokio::task::spawn_blocking(move || remove_now(&run_dir)).await;
    if let Err(error) = removed.map_err(io::Error::from).flatten() {
        warn!(id, %error, "what a killed supervisor left is not removed");
    }
}

fn remove_now(run_dir: &Path) -> io::Result<()> {
    let state = match std::fs::read(run_dir.join(STATE)) {
        Ok(bytes) => serde_json::from_slice::<RunState>(&bytes)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let cgroup = Cgroup::new(Layout::detect()?, &state.cgroup).map_err(io::Error::other)?;
    cgroup.kill_all();
    cgroup.delete().map_err(io::Error::other)?;
    std::fs::remove_dir_all(run_dir)
}
