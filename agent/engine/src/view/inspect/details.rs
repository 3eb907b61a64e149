//! What lists of containers have of an inspected object.

use serde_json::Value;

use super::mounts;
use crate::Engine;
use crate::container::containers::LookupError;
use crate::container::status::Phase;

/// A container's network and mounts, as in the inspected object.
#[derive(Clone, Debug)]
pub struct ListDetails {
    /// Kind of its network.
    pub network_mode: String,
    /// `NetworkSettings.Networks`.
    pub networks: Value,
    /// `Mounts`.
    pub mounts: Value,
}

impl Engine {
    /// Returns what a list tells of a container besides its summary.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn list_details(&self, name: &str) -> Result<ListDetails, LookupError> {
        let record = self.containers.find(name)?.record();
        let mut settings = self.network_settings(&record);
        let mode = record.host.network_mode.as_str();
        Ok(ListDetails {
            network_mode: if mode.is_empty() { "default" } else { mode }.to_owned(),
            networks: settings["Networks"].take(),
            mounts: record.mounts.iter().map(mounts::mount).collect(),
        })
    }

    /// Returns where a container is in its life.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn phase(&self, name: &str) -> Result<Phase, LookupError> {
        Ok(self.containers.find(name)?.phase())
    }
}
