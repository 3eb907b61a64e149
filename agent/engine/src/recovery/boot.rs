//! Starts containers after the machine's boot, several at a time.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::Engine;
use crate::container::Container;
use crate::container::status::Phase;

/// Containers that are being started at the same time: enough to keep a disk and some processors busy.
const AT_ONCE: usize = 8;

/// How long a container waits for one that it needs.
const NEEDS_WITHIN: Duration = Duration::from_secs(30);

/// Where the kernel tells which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Returns whether this is the agent's first start since the machine's boot that came so far as to note it.
/// The folder does not outlive a boot; the kernel's number is for machines on which it does.
pub(crate) fn is_first_start(run_root: &Path) -> bool {
    let now = fs::read_to_string(BOOT_ID).unwrap_or_default();
    !fs::read_to_string(run_root.join(NOTE)).is_ok_and(|known| known == now)
}

/// Notes that everything has been done that a boot asks for.
pub(crate) fn note_start(run_root: &Path) {
    let note = run_root.join(NOTE);
    let now = fs::read_to_string(BOOT_ID).unwrap_or_default();
    if let Err(error) = fs::write(&note, &now) {
        tracing::error!(path = %note.display(), error = %error, "boot not noted");
    }
}

/// The file that says in which boot the agent was started before.
const NOTE: &str = "boot-id";

impl Engine {
    /// Starts containers in the background, those that others need before these.
    pub(crate) fn start_all(self: &Arc<Self>, containers: Vec<Arc<Container>>) {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        for container in containers {
            let (engine, places) = (Arc::clone(self), Arc::clone(&places));
            tokio::spawn(async move {
                for needed in engine.needs(&container) {
                    let mut observed = needed.observe();
                    let started = observed.wait_for(|o| o.phase != Phase::Restarting);
                    // Without it the start fails and says so.
                    drop(tokio::time::timeout(NEEDS_WITHIN, started).await);
                }
                // The semaphore is never closed.
                let Ok(_place) = places.acquire().await else {
                    return;
                };
                let guard = container.lifecycle.lock().await;
                // Somebody may have stopped or removed it by now.
                if container.phase() == Phase::Restarting {
                    engine.start_by_itself(&container).await;
                }
                drop(guard);
            });
        }
    }

    /// Returns the containers that one cannot start without.
    fn needs(&self, container: &Container) -> Vec<Arc<Container>> {
        let names: Vec<String> = container.with_record(|record| {
            let host = &record.host;
            let modes = [&host.network_mode, &host.pid_mode, &host.ipc_mode];
            let shared = modes
                .into_iter()
                .filter_map(|mode| mode.strip_prefix("container:"));
            let linked = record.links.iter().map(|link| link.container.as_str());
            shared.chain(linked).map(str::to_owned).collect()
        });
        let found = names
            .iter()
            .filter_map(|name| self.containers.find(name).ok());
        found
            .filter(|needed| needed.id() != container.id())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_noticed_once() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(is_first_start(folder.path()));
        assert!(is_first_start(folder.path()));
        note_start(folder.path());
        assert!(!is_first_start(folder.path()));
        fs::write(folder.path().join("boot-id"), "another").expect("note");
        assert!(is_first_start(folder.path()));
    }
}
