//! Brings running containers to the networks that their records name, after an agent was killed in
//! the middle of connecting or disconnecting one.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_agent_network::{Definition, NetworkMode};

use super::endpoints;
use crate::Engine;
use crate::container::Container;

impl Engine {
    /// Returns what the kernel is to have of all networks.
    pub(crate) fn network_definitions(&self) -> Vec<Definition> {
        let all = self.all_networks();
        let own = all.iter().filter(|entry| !entry.is_predefined());
        own.filter_map(|entry| entry.definition()).collect()
    }

    /// Connects and disconnects what was left half-done. The record is what counts.
    pub(crate) async fn reconcile_networks(self: &Arc<Self>) {
        for container in self.containers.all() {
            if container.phase().has_process() {
                let guard = container.lifecycle.lock().await;
                self.reconcile_container(&container).await;
                drop(guard);
            }
        }
    }

    async fn reconcile_container(self: &Arc<Self>, container: &Arc<Container>) {
        let record = container.record();
        let id = record.id.as_str();
        let Some(attachment) = self.network.attachment(id) else {
            return;
        };
        if attachment.mode != NetworkMode::Bridge {
            return;
        }
        let is: BTreeSet<String> = attachment
            .endpoints
            .iter()
            .map(|e| e.network.clone())
            .collect();
        let mut wanted = BTreeSet::new();
        for asked in endpoints::asked(&record) {
            let Some(entry) = self.network_named(&asked.network) else {
                continue;
            };
            let key = Self::network_key(&entry);
            if !is.contains(&key) {
                let request = self.endpoint_request(&record, &asked, &entry);
                if let Err(error) = self.network.connect(id, request).await {
                    tracing::error!(container = id, network = entry.name, %error, "not connected again");
                }
            }
            wanted.insert(key);
        }
        for key in is.difference(&wanted) {
            if let Err(error) = self.network.disconnect(id, key).await {
                tracing::error!(container = id, network = key, %error, "not disconnected");
            }
        }
        if let Some(attachment) = self.network.attachment(id) {
            container.change_record(|record| {
                crate::start::refresh_network(self, record, &attachment);
            });
        }
    }
}
