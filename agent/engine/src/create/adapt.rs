//! Fills in what Docker decides on when a container is created, so that `inspect` shows it and a
//! later default does not change it.

use crate::Engine;
use crate::options::HostOptions;
use crate::options::mode::neighbour;

/// Processes have their own shared memory, which nobody else may join.
const DEFAULT_IPC_MODE: &str = "private";

impl Engine {
    /// Fills in the modes that were not chosen, and names other containers by their ids: they may be
    /// renamed.
    pub(crate) fn adapt(&self, host: &mut HostOptions) {
        if host.memory_bytes > 0 && host.resources.memory_swap_bytes == 0 {
            host.resources.memory_swap_bytes = host.memory_bytes.saturating_mul(2);
        }
        host.shm_size_bytes = host.shm_size();
        if host.ipc_mode.is_empty() {
            DEFAULT_IPC_MODE.clone_into(&mut host.ipc_mode);
        }
        if host.cgroupns_mode.is_empty() {
            let mode = if self.unified_cgroups {
                "private"
            } else {
                "host"
            };
            mode.clone_into(&mut host.cgroupns_mode);
        }
        if host.resources.oom_kill_disable.is_none() && self.kernel.oom_kill_disable {
            host.resources.oom_kill_disable = Some(false);
        }
        for mode in [
            &mut host.network_mode,
            &mut host.ipc_mode,
            &mut host.pid_mode,
        ] {
            // One that does not exist is told at the start, when it may exist.
            let found = neighbour(mode).and_then(|name| self.containers.find(name).ok());
            if let Some(other) = found {
                *mode = format!("container:{}", other.id().as_str());
            }
        }
    }
}
