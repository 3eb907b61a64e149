//! Removes networks.

use std::sync::Arc;
use std::time::SystemTime;

use super::error::NetworkError;
use super::record::NetworkEntry;
use crate::Engine;
use crate::class::Classified as _;
use crate::events::EventKind;
use crate::filters::{FilterArgs, FilterError};
use crate::moment;

/// The keys of the filters of a prune.
const KEYS: [&str; 3] = ["label", "label!", "until"];

impl Engine {
    /// Removes a network; what no running container is on may go.
    ///
    /// # Errors
    /// When there is none, when it is always there, or when a running container is on it.
    ///
    /// # Cancel safety
    /// Goes on when the future is dropped.
    pub async fn remove_network(self: &Arc<Self>, name: &str) -> Result<(), NetworkError> {
        let (engine, name) = (Arc::clone(self), name.to_owned());
        let work = tokio::spawn(async move {
            let guard = engine.networks.changing.write().await;
            let entry = engine.find_network(&name)?;
            let result = engine.remove_found_network(&entry).await;
            drop(guard);
            result
        });
        crate::task::outcome(work).await
    }

    async fn remove_found_network(
        self: &Arc<Self>,
        entry: &NetworkEntry,
    ) -> Result<(), NetworkError> {
        if entry.is_predefined() {
            let name = &entry.name;
            let text = format!("{name} is a pre-defined network and cannot be removed");
            return Err(NetworkError::Forbidden(text));
        }
        let lends =
            |other: &Arc<NetworkEntry>| entry.config_only && other.config_from == entry.name;
        if self.all_networks().iter().any(lends) {
            return Err(NetworkError::Lends(entry.name.clone()));
        }
        self.check_unused(entry)?;
        // The record goes first: what is left of the kernel's part without one is cleared away when
        // the agent starts.
        let (engine, id) = (Arc::clone(self), entry.id.clone());
        let work = move || {
            engine
                .state
                .write(|w| w.remove::<NetworkEntry>(&id).map(drop))
        };
        crate::task::outcome(tokio::task::spawn_blocking(work)).await?;
        self.networks.remove(&entry.id);
        if let Err(error) = self.network.undefine(&entry.id).await {
            tracing::error!(network = entry.name, %error, "network not removed from the kernel");
        }
        self.network_event(entry, "destroy", None);
        Ok(())
    }

    /// Refuses while containers are on a network.
    fn check_unused(&self, entry: &NetworkEntry) -> Result<(), NetworkError> {
        let on = self.network.members(&Self::network_key(entry));
        if on.is_empty() {
            return Ok(());
        }
        let endpoint = |id: &String| {
            let name = self
                .containers
                .find(id)
                .map(|c| c.name())
                .unwrap_or_default();
            let short = id.get(..12).unwrap_or(id);
            format!("name:{name:?} id:{short:?}")
        };
        let mut endpoints: Vec<String> = on.iter().map(endpoint).collect();
        endpoints.sort();
        Err(NetworkError::InUse {
            name: entry.name.clone(),
            endpoints: endpoints.join(", "),
        })
    }

    /// Removes all networks that no running container is on and that pass the filters, but for those
    /// that only lend their settings. Returns their names.
    ///
    /// # Errors
    /// When a filter is wrong.
    ///
    /// # Cancel safety
    /// When the future is dropped, some are removed and some are not.
    pub async fn prune_networks(
        self: &Arc<Self>,
        filters: &[String],
    ) -> Result<Vec<String>, NetworkError> {
        let args = FilterArgs::parse(filters)?;
        args.validate(&KEYS)?;
        let until = until(&args)?;
        let mut removed = Vec::new();
        for entry in self.all_networks() {
            let is_spared = args.contains("label!") && args.match_kv_list("label!", &entry.labels);
            let is_wanted = !entry.is_predefined()
                && !entry.config_only
                && !is_spared
                && args.match_kv_list("label", &entry.labels)
                && until.is_none_or(|until| entry.created <= until)
                && self.check_unused(&entry).is_ok();
            if !is_wanted {
                continue;
            }
            match self.remove_network(&entry.id).await {
                Ok(()) => removed.push(entry.name.clone()),
                Err(error) => {
                    let error = error.sentence();
                    tracing::warn!(network = entry.name, error, "network not removed");
                }
            }
        }
        let attributes = crate::events::attributes([("reclaimed", "0")]);
        self.events
            .publish(EventKind::Network, "prune", "", attributes);
        Ok(removed)
    }
}

fn until(args: &FilterArgs) -> Result<Option<SystemTime>, FilterError> {
    let mut values = args.values("until");
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        let sentence = "more than one until filter specified".to_owned();
        return Err(FilterError::Sentence(sentence));
    }
    let until = first.map(|text| moment::parse(text, SystemTime::now()));
    until
        .transpose()
        .map_err(|error| FilterError::Sentence(error.to_string()))
}
