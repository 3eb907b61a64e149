//! All networks of the engine, found by name, id or unique prefix of an id.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use berth_agent_state::{State, StateError};

use super::error::NetworkError;
use super::record::{NetworkEntry, PoolRecord};
use crate::Engine;

/// The networks that users defined.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    by_id: RwLock<BTreeMap<String, Arc<NetworkEntry>>>,
    /// Held for writing while a network comes or goes, for reading while a container is connected.
    pub(crate) changing: tokio::sync::RwLock<()>,
}

// === impl Networks ===

impl Networks {
    pub(crate) fn open(state: &State) -> Result<Self, StateError> {
        let records = state.read(|reader| reader.list::<NetworkEntry>())?;
        let by_id = records.into_iter().map(|(id, entry)| (id, Arc::new(entry)));
        Ok(Self {
            by_id: RwLock::new(by_id.collect()),
            ..Self::default()
        })
    }

    pub(crate) fn insert(&self, entry: NetworkEntry) {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        by_id.insert(entry.id.clone(), Arc::new(entry));
    }

    pub(crate) fn remove(&self, id: &str) {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        by_id.remove(id);
    }

    fn all(&self) -> Vec<Arc<NetworkEntry>> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        by_id.values().cloned().collect()
    }

    fn named(&self, name: &str) -> Option<Arc<NetworkEntry>> {
        self.all().into_iter().find(|entry| entry.name == name)
    }
}

impl Engine {
    /// Returns all networks, also those that are always there.
    pub(crate) fn all_networks(&self) -> Vec<Arc<NetworkEntry>> {
        let mut all: Vec<_> = ["bridge", "host", "none"]
            .map(|name| self.predefined(name))
            .into();
        all.extend(self.networks.all());
        all
    }

    /// Returns a network by its whole name.
    pub(crate) fn network_named(&self, name: &str) -> Option<Arc<NetworkEntry>> {
        match name {
            "" | "default" | "bridge" => Some(self.predefined("bridge")),
            "host" | "none" => Some(self.predefined(name)),
            other => self.networks.named(other),
        }
    }

    /// Finds a network by id, name or unique prefix of an id, in this order as Docker.
    pub(crate) fn find_network(&self, text: &str) -> Result<Arc<NetworkEntry>, NetworkError> {
        let not_found = || NetworkError::NotFound(text.to_owned());
        if text.is_empty() {
            return Err(not_found());
        }
        let all = self.all_networks();
        let exact = all.iter().find(|entry| entry.id == text);
        if let Some(found) = exact.or_else(|| all.iter().find(|entry| entry.name == text)) {
            return Ok(Arc::clone(found));
        }
        let mut matches = all.iter().filter(|entry| entry.id.starts_with(text));
        let found = matches.next().ok_or_else(not_found)?;
        let n_more = matches.count();
        if n_more > 0 {
            return Err(NetworkError::Ambiguous {
                text: text.to_owned(),
                n_matches: n_more + 1,
            });
        }
        Ok(Arc::clone(found))
    }

    /// Returns the key by which the network room knows a network.
    pub(crate) fn network_key(entry: &NetworkEntry) -> String {
        if entry.name == "bridge" {
            return berth_agent_network::DEFAULT_NETWORK.to_owned();
        }
        entry.id.clone()
    }

    fn predefined(&self, name: &str) -> Arc<NetworkEntry> {
        let driver = if name == "none" { "null" } else { name };
        let mut pools = Vec::new();
        let mut options = BTreeMap::new();
        if name == "bridge" {
            if let Some(subnet) = self.network.default_subnet() {
                pools.push(PoolRecord {
                    subnet,
                    gateway: Some(subnet.first_host()),
                    range: None,
                    aux: BTreeMap::new(),
                });
            }
            let interface = self.network.default_bridge();
            for (key, value) in [
                ("com.docker.network.bridge.default_bridge", "true"),
                ("com.docker.network.bridge.enable_icc", "true"),
                ("com.docker.network.bridge.enable_ip_masquerade", "true"),
                ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
                ("com.docker.network.bridge.name", interface),
                ("com.docker.network.driver.mtu", "1500"),
            ] {
                options.insert(key.to_owned(), value.to_owned());
            }
        }
        Arc::new(NetworkEntry {
            id: self.network_id(name),
            name: name.to_owned(),
            created: self.opened,
            driver: driver.to_owned(),
            internal: false,
            attachable: false,
            config_only: false,
            config_from: String::new(),
            enable_ipv4: true,
            enable_ipv6: false,
            ipam_driver: "default".to_owned(),
            ipam_options: BTreeMap::new(),
            pools,
            has_chosen_subnet: false,
            options,
            labels: BTreeMap::new(),
        })
    }
}
