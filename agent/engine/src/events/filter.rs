//! Which events a listener wants.

use crate::events::{Event, EventKind};
use crate::filters::{FilterArgs, FilterError};

/// The keys that Docker knows; those of swarms and plugins match nothing here.
const KEYS: [&str; 15] = [
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "plugin",
    "scope",
    "type",
    "volume",
    "builder",
    "node",
    "service",
    "secret",
    "config",
];

/// A filter is wrong.
pub type EventFilterError = FilterError;

/// Conditions on events.
#[derive(Clone, Debug)]
pub(crate) struct EventFilter {
    filters: FilterArgs,
    daemon: String,
}

impl EventFilter {
    /// Reads `key=value` texts. `daemon` is the engine's identity.
    pub(crate) fn parse(texts: &[String], daemon: &str) -> Result<Self, FilterError> {
        let filters = FilterArgs::parse(texts)?;
        filters.validate(&KEYS)?;
        Ok(Self {
            filters,
            daemon: daemon.to_owned(),
        })
    }

    pub(crate) fn includes(&self, event: &Event) -> bool {
        let filters = &self.filters;
        self.has_action(&event.action)
            && filters.exact_match("type", event.kind.word())
            && filters.exact_match("scope", "local")
            && filters.exact_match("daemon", &self.daemon)
            && self.is_actor("container", event)
            && self.is_actor("volume", event)
            && self.is_actor("network", event)
            && self.is_actor("plugin", event)
            && self.has_image(event)
            && ["node", "service", "secret", "config"]
                .iter()
                .all(|key| self.is_actor(key, event))
            && filters.match_kv_list("label", &event.attributes)
    }

    /// These actions have something after a colon, which a filter may leave out.
    fn has_action(&self, action: &str) -> bool {
        let is_open = ["health_status", "exec_create", "exec_start"]
            .iter()
            .any(|word| self.filters.has("event", word));
        if is_open {
            self.filters.fuzzy_match("event", action)
        } else {
            self.filters.exact_match("event", action)
        }
    }

    fn is_actor(&self, key: &str, event: &Event) -> bool {
        let name = event.attributes.get("name").map_or("", String::as_str);
        self.filters.fuzzy_match(key, &event.actor_id) || self.filters.fuzzy_match(key, name)
    }

    fn has_image(&self, event: &Event) -> bool {
        let key = if event.kind == EventKind::Image {
            "name"
        } else {
            "image"
        };
        let name = event.attributes.get(key).map_or("", String::as_str);
        [&event.actor_id, name]
            .iter()
            .flat_map(|text| [*text, without_tag(text)])
            .any(|text| self.filters.exact_match("image", text))
    }
}

/// Returns `name` without `:tag` or `@digest`.
fn without_tag(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _digest)| name);
    match name.rsplit_once(':') {
        // A colon before a slash is that of a registry's port.
        Some((before, after)) if !after.contains('/') => before,
        _ => name,
    }
}
