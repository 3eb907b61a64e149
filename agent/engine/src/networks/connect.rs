//! Connects containers to networks and disconnects them, running or not.

use std::net::IpAddr;
use std::sync::Arc;

use berth_agent_network::{AttachError, DetachError};

use super::error::NetworkError;
use super::record::NetworkEntry;
use crate::Engine;
use crate::container::Container;
use crate::container::record::{ContainerRecord, EndpointRecord};
use crate::container::status::Phase;
use crate::networks::endpoints;
use crate::options::EndpointOptions;
use crate::options::mode::neighbour;
use crate::start::{lock, network_files};

const SHARED: &str = "container sharing network namespace with another container or host cannot be connected to any other network";
const HOST: &str =
    "cannot connect container to host network - container must be created in host network mode";
const LEAVE_HOST: &str =
    "cannot disconnect container from host network - container was created in host network mode";
const NONE: &str = "container cannot be connected to multiple networks with one of the networks in private (none) mode";

impl Engine {
    /// Connects a container to a network, at once when it runs.
    ///
    /// # Errors
    /// When one of them does not exist, when it is connected already, or when an address cannot be had.
    ///
    /// # Cancel safety
    /// Goes on when the future is dropped.
    pub async fn connect_network(
        self: &Arc<Self>,
        network: &str,
        container: &str,
        asked: EndpointOptions,
    ) -> Result<(), NetworkError> {
        let container = self.containers.find(container)?;
        let (engine, network) = (Arc::clone(self), network.to_owned());
        let work = tokio::spawn(async move {
            let guard = container.lifecycle.lock().await;
            let using = engine.networks.changing.read().await;
            let result = engine.connect_found(&network, &container, asked).await;
            drop((using, guard));
            result
        });
        crate::task::outcome(work).await
    }

    async fn connect_found(
        self: &Arc<Self>,
        network: &str,
        container: &Arc<Container>,
        mut asked: EndpointOptions,
    ) -> Result<(), NetworkError> {
        let entry = self.find_network(network)?;
        let record = container.record();
        check_kinds(&record, &entry)?;
        let is_connected = endpoints::asked(&record)
            .iter()
            .any(|e| e.network == entry.name);
        let runs = record.status.phase.has_process();
        if is_connected && runs {
            return Err(NetworkError::AlreadyConnected {
                container: record.name,
                network: entry.name.clone(),
            });
        }
        entry.name.clone_into(&mut asked.network);
        check_addresses(&asked, &entry)?;
        if runs {
            let request = self.endpoint_request(&record, &asked, &entry);
            let made = self.network.connect(record.id.as_str(), request).await;
            let endpoint = made.map_err(|error| told(error, &record, &entry))?;
            let mut with = record.clone();
            with.config.networks = with_endpoint(&record, asked.clone());
            let kept = self.endpoint_record(&with, &endpoint);
            container.change_record(|current| {
                if let (Some(network), Some(kept)) = (&mut current.network, kept) {
                    network
                        .endpoints
                        .retain(|known| known.network != kept.network);
                    network.endpoints.push(kept);
                    network.summarize();
                }
            });
        }
        let networks = with_endpoint(&record, asked);
        if let Err(error) = self.record_networks(container, networks).await {
            if runs {
                self.leave_quietly(container, &entry).await;
            }
            return Err(error);
        }
        if runs {
            self.rewrite_files(container, None).await;
            self.network_event(&entry, "connect", Some(container));
        }
        Ok(())
    }

    /// Disconnects a container from a network, at once when it runs.
    ///
    /// # Errors
    /// When one of them does not exist, or when it is not connected.
    ///
    /// # Cancel safety
    /// Goes on when the future is dropped.
    pub async fn disconnect_network(
        self: &Arc<Self>,
        network: &str,
        container: &str,
    ) -> Result<(), NetworkError> {
        let container = self.containers.find(container)?;
        let (engine, network) = (Arc::clone(self), network.to_owned());
        let work = tokio::spawn(async move {
            let guard = container.lifecycle.lock().await;
            let using = engine.networks.changing.read().await;
            let result = engine.disconnect_found(&network, &container).await;
            drop((using, guard));
            result
        });
        crate::task::outcome(work).await
    }

    async fn disconnect_found(
        self: &Arc<Self>,
        network: &str,
        container: &Arc<Container>,
    ) -> Result<(), NetworkError> {
        let record = container.record();
        // A container may still be told to be on a network that is gone.
        let entry = self.find_network(network);
        let name = entry
            .as_ref()
            .map_or(network, |entry| entry.name.as_str())
            .to_owned();
        if record.host.network_mode == "host" && name == "host" {
            return Err(NetworkError::Forbidden(LEAVE_HOST.to_owned()));
        }
        let mut networks = endpoints::asked(&record);
        let before = networks.len();
        networks.retain(|endpoint| endpoint.network != name);
        // What the kernel refused to take away before is tried again.
        let is_left_behind = entry
            .as_ref()
            .is_ok_and(|entry| self.is_attached(&record, entry));
        let is_on = networks.len() != before || is_left_behind;
        if !is_on || neighbour(&record.host.network_mode).is_some() {
            entry?;
            return Err(NetworkError::NotConnected {
                container: record.id.to_string(),
                network: name,
            });
        }
        if matches!(record.status.phase, Phase::Removing | Phase::Dead) {
            return Err(NetworkError::BeingRemoved(record.id.to_string()));
        }
        // From here on it is not to be connected any more; see `reconcile` for what a crash leaves.
        self.record_networks(container, networks).await?;
        let Ok(entry) = entry else {
            return Ok(());
        };
        if record.status.phase.has_process() {
            let key = Self::network_key(&entry);
            match self.network.disconnect(record.id.as_str(), &key).await {
                Ok(()) | Err(DetachError::NotConnected { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            self.forget_endpoint(container, &entry).await;
            self.network_event(&entry, "disconnect", Some(container));
        }
        Ok(())
    }

    /// Returns whether a container is on a network, whatever its record says.
    fn is_attached(&self, record: &ContainerRecord, entry: &NetworkEntry) -> bool {
        let key = Self::network_key(entry);
        let attachment = self.network.attachment(record.id.as_str());
        attachment.is_some_and(|a| a.endpoints.iter().any(|e| e.network == key))
    }

    /// Brings a running container's record and files to its not being on a network any more.
    pub(super) async fn forget_endpoint(
        self: &Arc<Self>,
        container: &Arc<Container>,
        entry: &NetworkEntry,
    ) {
        let mut gone = None;
        container.change_record(|current| {
            if let Some(network) = &mut current.network {
                let place = network
                    .endpoints
                    .iter()
                    .position(|e| e.network == entry.name);
                gone = place.map(|place| network.endpoints.remove(place));
                network.summarize();
                if let Some(attachment) = self.network.attachment(current.id.as_str()) {
                    network.ports = crate::create::network_request::published(&attachment);
                }
            }
        });
        self.rewrite_files(container, gone).await;
        self.store_behind(container);
    }

    async fn leave_quietly(self: &Arc<Self>, container: &Arc<Container>, entry: &NetworkEntry) {
        let key = Self::network_key(entry);
        if let Err(error) = self.network.disconnect(container.id().as_str(), &key).await {
            tracing::error!(container = %container.id(), %error, "container not disconnected");
        }
        self.forget_endpoint(container, entry).await;
    }

    /// Writes which networks a container is on; it is on the disk when this returns.
    async fn record_networks(
        self: &Arc<Self>,
        container: &Arc<Container>,
        networks: Vec<EndpointOptions>,
    ) -> Result<(), NetworkError> {
        let (engine, target) = (Arc::clone(self), Arc::clone(container));
        let work = tokio::task::spawn_blocking(move || {
            engine.change_durably(&target, |record| {
                record.config.networks = networks;
                record.config.networks_are_complete = true;
            })
        });
        Ok(crate::task::outcome(work).await?)
    }

    /// Brings `/etc/hosts` and `/etc/resolv.conf` of a running container to its networks.
    async fn rewrite_files(
        self: &Arc<Self>,
        container: &Arc<Container>,
        gone: Option<EndpointRecord>,
    ) {
        let (engine, container) = (Arc::clone(self), Arc::clone(container));
        let work = tokio::task::spawn_blocking(move || {
            let _one_at_a_time = lock(&container.network_files);
            let record = container.record();
            let Some(attachment) = engine.network.attachment(record.id.as_str()) else {
                return;
            };
            let folder = engine.paths.container(&record.id);
            let changed = network_files::follow(&folder, &record, &attachment, gone.as_ref());
            if let Err(error) = changed {
                tracing::warn!(container = %record.id, %error, "network files not changed");
            }
        });
        crate::task::outcome(work).await;
    }
}

fn with_endpoint(record: &ContainerRecord, asked: EndpointOptions) -> Vec<EndpointOptions> {
    let mut networks = endpoints::asked(record);
    networks.retain(|endpoint| endpoint.network != asked.network);
    networks.push(asked);
    networks
}

/// Refuses kinds of networks that do not go together.
fn check_kinds(record: &ContainerRecord, entry: &NetworkEntry) -> Result<(), NetworkError> {
    let mode = record.host.network_mode.as_str();
    let refused = |text: &str| Err(NetworkError::Forbidden(text.to_owned()));
    if matches!(record.status.phase, Phase::Removing | Phase::Dead) {
        return Err(NetworkError::BeingRemoved(record.id.to_string()));
    }
    if entry.config_only {
        let name = &entry.name;
        return refused(&format!(
            "cannot connect container to configuration-only network {name}"
        ));
    }
    if neighbour(mode).is_some() || mode == "host" {
        return refused(SHARED);
    }
    if entry.driver == "host" {
        return refused(HOST);
    }
    let has_none = endpoints::asked(record).iter().any(|e| e.network == "none");
    if record.config.network_disabled || has_none || entry.driver == "null" {
        return refused(NONE);
    }
    Ok(())
}

/// Checks addresses that were asked for against the network.
pub(crate) fn check_addresses(
    asked: &EndpointOptions,
    entry: &NetworkEntry,
) -> Result<(), NetworkError> {
    let mut wrong = Vec::new();
    for text in [&asked.ipv4_address, &asked.ipv6_address] {
        if text.is_empty() {
            continue;
        }
        let Ok(address) = text.parse::<IpAddr>() else {
            wrong.push(format!("invalid IPv4 address: {text}"));
            continue;
        };
        if entry.is_predefined() {
            wrong.push(
                "user specified IP address is supported on user defined networks only".to_owned(),
            );
        } else if !entry.has_chosen_subnet {
            wrong.push("user specified IP address is supported only when connecting to networks with user configured subnets".to_owned());
        } else if !entry.pools.iter().any(|pool| pool.subnet.contains(address)) {
            wrong.push(format!("no configured subnet contains IP address {text}"));
        }
    }
    if entry.is_predefined() && !asked.aliases.is_empty() {
        wrong.push(
            "network-scoped alias is supported only for containers in user defined networks"
                .to_owned(),
        );
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let reason = format!(
        "invalid config for network {}: invalid endpoint settings:\n{}",
        entry.name,
        wrong.join("\n")
    );
    Err(NetworkError::Address {
        reason,
        address: None,
    })
}

fn told(error: AttachError, record: &ContainerRecord, entry: &NetworkEntry) -> NetworkError {
    match error {
        AttachError::AlreadyConnected { .. } => NetworkError::AlreadyConnected {
            container: record.name.clone(),
            network: entry.name.clone(),
        },
        AttachError::NoSuchNetwork(_) => NetworkError::NotFound(entry.name.clone()),
        AttachError::Address(error) => NetworkError::Address {
            reason: error.to_string(),
            address: None,
        },
        other => NetworkError::Attach(other),
    }
}
