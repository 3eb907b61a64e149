//! Lists containers, with Docker's filters.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::Container;
use crate::container::containers::LookupError;
use crate::container::record::{ContainerRecord, MountKind};
use crate::container::status::Phase;
use crate::create::network_request::exposed_ports;
use crate::filters::FilterError;
use crate::id::ContainerId;
use crate::networks::endpoints;
use crate::view::disk_usage;
use crate::view::filter::{Ancestor, Filters};

/// Which containers to list.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Those that do not run, too.
    pub all: bool,
    /// `key=value`.
    pub filters: Vec<String>,
    /// 0: all of them; else the newest so many, running or not.
    pub limit: usize,
    /// Add up the sizes of files.
    pub size: bool,
}

/// One line of a list.
#[derive(Clone, Debug)]
pub struct ContainerSummary {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The image as the caller wrote it, or its id once that name points elsewhere.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// Entrypoint and command joined by spaces.
    pub command: String,
    /// When it was created.
    pub created: SystemTime,
    /// Where it is in its life.
    pub phase: Phase,
    /// The same for people.
    pub status: String,
    /// Ports, published or only exposed.
    pub ports: Vec<PortSummary>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Names of volumes and paths of binds.
    pub mounts: Vec<String>,
    /// Names of networks.
    pub networks: Vec<String>,
    /// Bytes that it wrote, when sizes were asked for.
    pub size_rw: u64,
    /// Bytes of everything, when sizes were asked for.
    pub size_root_fs: u64,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortSummary {
    /// The machine's address; empty when it is not published.
    pub host_ip: String,
    /// The machine's port; 0 when it is not published.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
    /// Its protocol.
    pub protocol: String,
}

/// Containers cannot be listed so.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// A filter is wrong.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A filter names a container that does not exist.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

impl Engine {
    /// Lists containers, newest first.
    ///
    /// # Errors
    /// When a filter is wrong.
    pub fn list(&self, options: &ListOptions) -> Result<Vec<ContainerSummary>, ListError> {
        let filters = Filters::parse(&options.filters, &|name| self.ancestor(name))?;
        let network_id = |name: &str| {
            let found = self.network_named(name);
            found.map(|entry| entry.id.clone()).unwrap_or_default()
        };
        let before = self.bound(filters.bound("before"))?;
        let since = self.bound(filters.bound("since"))?;
        let all = options.all || options.limit > 0 || filters.names_a_state();
        let mut found: Vec<ContainerRecord> = self
            .containers
            .all()
            .iter()
            .filter(|container| all || container.phase().is_alive())
            .filter_map(|container| {
                container.with_record(|record| {
                    filters.matches(record, &network_id).then(|| record.clone())
                })
            })
            .filter(|record| before.as_ref().is_none_or(|bound| order(record) > *bound))
            .filter(|record| since.as_ref().is_none_or(|bound| order(record) < *bound))
            .collect();
        found.sort_by_cached_key(order);
        if options.limit > 0 {
            found.truncate(options.limit);
        }
        Ok(found
            .iter()
            .map(|record| self.summary(record, options.size))
            .collect())
    }

    fn bound(&self, name: Option<&str>) -> Result<Option<Place>, LookupError> {
        let Some(name) = name else {
            return Ok(None);
        };
        Ok(Some(self.containers.find(name)?.with_record(order)))
    }

    /// Finds the image that containers are to descend from.
    fn ancestor(&self, name: &str) -> Option<Ancestor> {
        let id = self.images.resolve(name).ok()?;
        let layers = self.images.get(&id).ok()?.layers;
        // A broken image is nobody's child.
        let all = self.images.list().unwrap_or_default();
        let mut ids = BTreeSet::from([id.to_string()]);
        loop {
            let n_known = ids.len();
            for image in &all {
                let parent = image.parent.as_ref();
                if parent.is_some_and(|parent| ids.contains(parent.to_string().as_str())) {
                    ids.insert(image.id.to_string());
                }
            }
            if ids.len() == n_known {
                break;
            }
        }
        Some(Ancestor {
            ids,
            layers: layers.iter().map(ToString::to_string).collect(),
        })
    }

    pub(crate) fn image_id_of(&self, name: &str) -> Option<String> {
        self.images.resolve(name).ok().map(|id| id.to_string())
    }

    fn summary(&self, record: &ContainerRecord, with_size: bool) -> ContainerSummary {
        let still_named = self
            .image_id_of(&record.image)
            .is_none_or(|id| id == record.image_id);
        let (size_rw, size_root_fs) = if with_size {
            self.sizes(record)
        } else {
            (0, 0)
        };
        ContainerSummary {
            id: record.id.to_string(),
            name: record.name.clone(),
            image: if still_named {
                record.image.clone()
            } else {
                record.image_id.clone()
            },
            image_id: record.image_id.clone(),
            command: record.argv().join(" "),
            created: record.created,
            phase: record.status.phase,
            status: record.status.text(),
            ports: ports(record),
            labels: record.config.labels.clone(),
            mounts: record
                .mounts
                .iter()
                .map(|mount| match &mount.kind {
                    MountKind::Volume { name, .. } => name.clone(),
                    MountKind::Bind | MountKind::Tmpfs { .. } => mount.source.clone(),
                })
                .collect(),
            networks: network_names(record),
            size_rw,
            size_root_fs,
        }
    }

    /// Returns the bytes that a container wrote, and those together with its image's.
    pub(crate) fn sizes(&self, record: &ContainerRecord) -> (u64, u64) {
        let own = self
            .snapshots
            .resume(record.id.as_str())
            .map_or(0, |prepared| disk_usage::of_tree(&prepared.upper));
        let image = record
            .image_id
            .parse()
            .ok()
            .and_then(|id| self.images.get(&id).ok())
            .map_or(0, |image| image.size);
        (own, own + image)
    }

    /// Returns the containers that use an image.
    pub(crate) fn users_of_image(&self, image_id: &str) -> Vec<Arc<Container>> {
        let mut all = self.containers.all();
        all.retain(|container| container.with_record(|record| record.image_id == image_id));
        all
    }
}

/// Place of a container in lists, newest first.
type Place = (Reverse<SystemTime>, ContainerId);

fn order(record: &ContainerRecord) -> Place {
    (Reverse(record.created), record.id.clone())
}

/// Returns Docker's word for the container's network.
pub(crate) fn network_name(record: &ContainerRecord) -> &str {
    match record.host.network_mode.as_str() {
        "" | "default" => "bridge",
        other => other,
    }
}

/// Returns the names of the networks that a container is on, or will be.
pub(crate) fn network_names(record: &ContainerRecord) -> Vec<String> {
    let asked = endpoints::asked(record);
    let mut names: Vec<String> = asked.into_iter().map(|endpoint| endpoint.network).collect();
    names.sort();
    names
}

/// Returns the ports of a container, published or only exposed.
pub(crate) fn ports(record: &ContainerRecord) -> Vec<PortSummary> {
    let published = record.network.iter().flat_map(|network| &network.ports);
    let mut ports: Vec<PortSummary> = published
        .map(|port| PortSummary {
            host_ip: port.host_ip.clone(),
            host_port: port.host_port,
            container_port: port.container_port,
            protocol: port.protocol.clone(),
        })
        .collect();
    if record.status.phase.is_alive() {
        for (number, protocol) in record
            .config
            .exposed_ports
            .iter()
            .filter_map(|p| exposed_ports(p).ok())
            .flatten()
        {
            let protocol = protocol.to_string();
            let known = |p: &PortSummary| p.container_port == number && p.protocol == protocol;
            if !ports.iter().any(known) {
                ports.push(PortSummary {
                    host_ip: String::new(),
                    host_port: 0,
                    container_port: number,
                    protocol,
                });
            }
        }
    }
    ports.sort_by(|a, b| {
        (a.container_port, &a.protocol, a.host_port).cmp(&(
            b.container_port,
            &b.protocol,
            b.host_port,
        ))
    });
    ports
}

impl Classified for ListError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Filter(_) => ErrorClass::InvalidArgument,
            Self::Lookup(error) => error.class(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Filter(_) => "invalid-filter",
            Self::Lookup(error) => error.reason(),
        }
    }
}
