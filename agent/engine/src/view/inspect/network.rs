//! `NetworkSettings`: what the network gave to a container.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{nullable, push};
use crate::Engine;
use crate::container::record::{ContainerRecord, PublishedRecord};
use crate::create::merge::with_protocol;
use crate::networks::endpoints;
use crate::options::EndpointOptions;
use crate::options::mode::neighbour;

impl Engine {
    /// Returns the id of a network that is always there, the same as long as the engine exists.
    pub(crate) fn network_id(&self, name: &str) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.identity.as_bytes());
        hasher.update([0]);
        hasher.update(name.as_bytes());
        hex::encode(hasher.finalize())
    }

    pub(super) fn network_settings(&self, record: &ContainerRecord) -> Value {
        let network = record.network.clone().unwrap_or_default();
        let mut networks: Map<String, Value> = Map::new();
        // Who shares the network of another has none of its own.
        if neighbour(&record.host.network_mode).is_none() && !record.config.network_disabled {
            let mut asked = endpoints::asked(record);
            asked.sort_by(|a, b| a.network.cmp(&b.network));
            for asked in asked {
                networks.insert(asked.network.clone(), self.endpoint(record, &asked));
            }
        }
        // As Docker, which tells these here for its default network only.
        let bridge = network.endpoint("bridge").cloned().unwrap_or_default();
        json!({
            "Bridge": "",
            "SandboxID": network.sandbox_id,
            "SandboxKey": network.sandbox_key,
            "Ports": ports(record, &network.ports),
            "HairpinMode": false,
            "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0,
            "SecondaryIPAddresses": null,
            "SecondaryIPv6Addresses": null,
            "EndpointID": bridge.endpoint_id,
            "Gateway": bridge.gateway,
            "GlobalIPv6Address": bridge.ipv6,
            "GlobalIPv6PrefixLen": bridge.ipv6_prefix,
            "IPAddress": bridge.ip,
            "IPPrefixLen": bridge.prefix,
            "IPv6Gateway": bridge.ipv6_gateway,
            "MacAddress": bridge.mac,
            "Networks": networks,
        })
    }

    fn endpoint(&self, record: &ContainerRecord, asked: &EndpointOptions) -> Value {
        let network = record.network.as_ref();
        let found = network.and_then(|network| network.endpoint(&asked.network));
        let found = found.cloned().unwrap_or_default();
        let entry = self.network_named(&asked.network);
        let has_started = record.status.started_at.is_some() || record.network.is_some();
        let id = match &entry {
            Some(entry) if has_started => entry.id.clone(),
            _ => found.network_id.clone(),
        };
        let names = entry.map(|entry| endpoints::names(record, asked, &entry));
        let names = names.filter(|_| has_started).unwrap_or_default();
        let options = if asked.driver_opts.is_empty() {
            Value::Null
        } else {
            json!(asked.driver_opts)
        };
        json!({
            "IPAMConfig": ipam(asked),
            "Links": nullable(&asked.links),
            "Aliases": nullable(&asked.aliases),
            "MacAddress": found.mac,
            "DriverOpts": options,
            "GwPriority": asked.gw_priority,
            "NetworkID": id,
            "EndpointID": found.endpoint_id,
            "Gateway": found.gateway,
            "IPAddress": found.ip,
            "IPPrefixLen": found.prefix,
            "IPv6Gateway": found.ipv6_gateway,
            "GlobalIPv6Address": found.ipv6,
            "GlobalIPv6PrefixLen": found.ipv6_prefix,
            "DNSNames": nullable(&names),
        })
    }
}

/// Returns the addresses that were asked for; nothing when none were.
fn ipam(asked: &EndpointOptions) -> Value {
    let mut object = Map::new();
    for (key, text) in [
        ("IPv4Address", &asked.ipv4_address),
        ("IPv6Address", &asked.ipv6_address),
    ] {
        if !text.is_empty() {
            object.insert(key.to_owned(), json!(text));
        }
    }
    if !asked.link_local_ips.is_empty() {
        object.insert("LinkLocalIPs".to_owned(), json!(asked.link_local_ips));
    }
    if object.is_empty() {
        Value::Null
    } else {
        Value::Object(object)
    }
}

fn ports(record: &ContainerRecord, published: &[PublishedRecord]) -> Map<String, Value> {
    let mut ports: Map<String, Value> = Map::new();
    let is_own = neighbour(&record.host.network_mode).is_none();
    if record.status.phase.has_process() && is_own && record.host.network_mode != "host" {
        for port in &record.config.exposed_ports {
            ports.insert(with_protocol(port), Value::Null);
        }
    }
    for port in published {
        let key = format!("{}/{}", port.container_port, port.protocol);
        let entry = json!({ "HostIp": port.host_ip, "HostPort": port.host_port.to_string() });
        push(&mut ports, key, entry);
    }
    ports
}
