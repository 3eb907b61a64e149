//! Fills in what Docker decides on when a container is created, so that `inspect` shows it and a
//! later default does not change it.

use crate::Engine;
use crate::create::CreateError;
use crate::create::network_request::PortError;
use crate::networks::check_addresses;
use crate::options::mode::{is_user_defined, neighbour};
use crate::options::{ContainerOptions, EndpointOptions, HostOptions};

/// Processes have their own shared memory, which nobody else may join.
const DEFAULT_IPC_MODE: &str = "private";

impl Engine {
    /// Calls networks by their names, checks what is asked of them, and adds the one of the mode: from
    /// here on the list is complete.
    pub(super) fn name_networks(&self, options: &mut ContainerOptions) -> Result<(), CreateError> {
        let name = |text: &mut String| -> Result<(), CreateError> {
            if is_user_defined(text) {
                let found = self.find_network(text);
                let found = found.map_err(|_none| PortError::Network(text.clone()))?;
                found.name.clone_into(text);
            }
            Ok(())
        };
        name(&mut options.host.network_mode)?;
        for endpoint in &mut options.networks {
            name(&mut endpoint.network)?;
            if let Some(entry) = self.network_named(&endpoint.network) {
                check_addresses(endpoint, &entry).map_err(CreateError::Endpoint)?;
            }
        }
        let mode = options.host.network_mode.as_str();
        let plain = |text: &str| match text {
            "" | "default" => "bridge".to_owned(),
            other => other.to_owned(),
        };
        let has_main = options
            .networks
            .iter()
            .any(|e| plain(&e.network) == plain(mode));
        if !has_main && neighbour(mode).is_none() {
            let main = EndpointOptions {
                network: plain(mode),
                ..EndpointOptions::default()
            };
            options.networks.insert(0, main);
        }
        Ok(())
    }

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
