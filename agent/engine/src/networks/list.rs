//! Lists networks, with Docker's filters.

use super::error::NetworkError;
use super::record::NetworkEntry;
use super::view::NetworkView;
use crate::Engine;
use crate::filters::{FilterArgs, FilterError};

/// The keys of the lists.
const KEYS: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];

impl Engine {
    /// Lists networks by name; `filters` are `key=value`.
    ///
    /// # Errors
    /// When a filter is wrong.
    pub fn list_networks(&self, filters: &[String]) -> Result<Vec<NetworkView>, NetworkError> {
        let args = FilterArgs::parse(filters)?;
        args.validate(&KEYS)?;
        let dangling = match args.contains("dangling") {
            true => Some(args.truth("dangling", false)?),
            false => None,
        };
        let wrong_kind = args
            .values("type")
            .find(|kind| !matches!(*kind, "builtin" | "custom"));
        if let Some(kind) = wrong_kind {
            return Err(FilterError::Sentence(format!("invalid filter: 'type'='{kind}'")).into());
        }
        let mut found: Vec<NetworkView> = self
            .all_networks()
            .iter()
            .filter(|entry| includes(&args, entry))
            .map(|entry| self.network_view(entry))
            .filter(|view| dangling.is_none_or(|dangling| is_dangling(view) == dangling))
            .collect();
        found.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(found)
    }

    /// Returns one network.
    ///
    /// # Errors
    /// When there is none.
    pub fn inspect_network(&self, name: &str) -> Result<NetworkView, NetworkError> {
        let entry = self.find_network(name)?;
        Ok(self.network_view(&entry))
    }
}

fn includes(args: &FilterArgs, entry: &NetworkEntry) -> bool {
    let kind = if entry.is_predefined() {
        "builtin"
    } else {
        "custom"
    };
    args.exact_match("driver", &entry.driver)
        && args.regex_match("id", &entry.id)
        && args.regex_match("name", &entry.name)
        && args.match_kv_list("label", &entry.labels)
        && args.exact_match("scope", "local")
        && args.exact_match("type", kind)
}

fn is_dangling(view: &NetworkView) -> bool {
    !super::record::is_predefined(&view.name) && view.members.is_empty()
}
