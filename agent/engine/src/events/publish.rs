//! What the engine says when something happens: the attributes that Docker gives to each kind of
//! actor.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Engine;
use crate::container::Container;
use crate::container::record::{ContainerRecord, MountKind};
use crate::events::{EventKind, Events};
use crate::networks::record::NetworkEntry;

/// Something that is going to be told when it happens.
#[derive(Debug)]
pub(crate) struct Announcement {
    events: Arc<Events>,
    action: &'static str,
    container: String,
    attributes: BTreeMap<String, String>,
}

/// Returns attributes from pairs.
pub(crate) fn attributes<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

impl Announcement {
    /// Tells that it has happened, and one thing more about it.
    pub(crate) fn publish_with(mut self, key: &str, value: String) {
        self.attributes.insert(key.to_owned(), value);
        self.publish();
    }

    /// Tells that it has happened.
    pub(crate) fn publish(self) {
        let Self {
            events,
            action,
            container,
            attributes,
        } = self;
        events.publish(EventKind::Container, action, container, attributes);
    }
}

impl Engine {
    /// Returns what is to be told of a container when it happens.
    pub(crate) fn announcement<const N: usize>(
        &self,
        container: &Container,
        action: &'static str,
        more: [(&str, &str); N],
    ) -> Announcement {
        let mut all = container.with_record(container_attributes);
        all.extend(attributes(more));
        Announcement {
            events: Arc::clone(&self.events),
            action,
            container: container.id().to_string(),
            attributes: all,
        }
    }

    /// Tells what happened to a container.
    pub(crate) fn container_event(&self, container: &Container, action: &str) {
        self.container_event_with(container, action, []);
    }

    /// Tells what happened to a container, with attributes besides its name, image and labels.
    pub(crate) fn container_event_with<const N: usize>(
        &self,
        container: &Container,
        action: &str,
        more: [(&str, &str); N],
    ) {
        let mut all = container.with_record(container_attributes);
        all.extend(attributes(more));
        self.events
            .publish(EventKind::Container, action, container.id().as_str(), all);
    }

    /// Tells what happened to an image: by `id` or name, `name` as the caller knows it.
    pub fn image_event(&self, action: &str, id: &str, name: &str) {
        let mut all: BTreeMap<String, String> = self
            .images
            .resolve(id)
            .ok()
            .and_then(|id| self.images.get(&id).ok())
            .map(|image| image.config.config.labels)
            .unwrap_or_default();
        all.insert("name".to_owned(), name.to_owned());
        self.events.publish(EventKind::Image, action, id, all);
    }

    /// Tells what happened to a volume.
    pub(crate) fn volume_event<const N: usize>(
        &self,
        name: &str,
        action: &str,
        more: [(&str, &str); N],
    ) {
        let mut all = attributes(more);
        all.insert("driver".to_owned(), "local".to_owned());
        self.events.publish(EventKind::Volume, action, name, all);
    }

    /// Tells that the volumes of a container are in use now, or are not any more.
    pub(crate) fn mount_events(&self, container: &Container, action: &str) {
        let mounts = container.with_record(|record| record.mounts.clone());
        for mount in mounts {
            let MountKind::Volume { name, .. } = &mount.kind else {
                continue;
            };
            let id = container.id().as_str();
            if action == "unmount" {
                self.volume_event(name, action, [("container", id)]);
                continue;
            }
            let writable = (!mount.read_only).to_string();
            let more = [
                ("container", id),
                ("destination", mount.target.as_str()),
                ("propagation", mount.propagation.as_str()),
                ("read/write", writable.as_str()),
            ];
            self.volume_event(name, action, more);
        }
    }

    /// Tells what happened to a network and, when given, the container on it.
    pub(crate) fn network_event(
        &self,
        network: &NetworkEntry,
        action: &str,
        container: Option<&Container>,
    ) {
        let mut all = network.labels.clone();
        all.extend(attributes([
            ("name", &network.name),
            ("type", &network.driver),
        ]));
        if let Some(container) = container {
            all.insert("container".to_owned(), container.id().to_string());
        }
        self.events
            .publish(EventKind::Network, action, &network.id, all);
    }

    /// Tells what happened to a container on a network, unless that is gone.
    pub(crate) fn named_network_event(&self, name: &str, action: &str, container: &Container) {
        if let Some(network) = self.network_named(name) {
            self.network_event(&network, action, Some(container));
        }
    }
}

fn container_attributes(record: &ContainerRecord) -> BTreeMap<String, String> {
    let mut all = record.config.labels.clone();
    all.insert("image".to_owned(), record.image.clone());
    all.insert("name".to_owned(), record.name.clone());
    all
}
