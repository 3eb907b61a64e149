//! `NetworkSettings`: what the network gave to a container.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{nullable, push};
use crate::Engine;
use crate::container::record::{ContainerRecord, PublishedRecord};
use crate::create::check::main_endpoint;
use crate::create::merge::with_protocol;
use crate::options::mode::neighbour;
use crate::view::list::network_name;

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
            networks.insert(network_name(record).to_owned(), self.endpoint(record));
        }
        // As Docker, which tells these here for its default network only.
        let is_bridge = network_name(record) == "bridge";
        let own = |text: &str| {
            if is_bridge {
                text.to_owned()
            } else {
                String::new()
            }
        };
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
            "EndpointID": own(&network.endpoint_id),
            "Gateway": network.gateway,
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "IPAddress": network.ip,
            "IPPrefixLen": network.prefix,
            "IPv6Gateway": "",
            "MacAddress": network.mac,
            "Networks": networks,
        })
    }

    fn endpoint(&self, record: &ContainerRecord) -> Value {
        let network = record.network.clone().unwrap_or_default();
        let asked = main_endpoint(&record.host.network_mode, &record.config.networks);
        let asked = asked.cloned().unwrap_or_default();
        let has_started = record.status.started_at.is_some() || record.network.is_some();
        let id = if has_started {
            self.network_id(network_name(record))
        } else {
            String::new()
        };
        let options = if asked.driver_opts.is_empty() {
            Value::Null
        } else {
            json!(asked.driver_opts)
        };
        json!({
            "IPAMConfig": null,
            "Links": nullable(&asked.links),
            "Aliases": nullable(&asked.aliases),
            "MacAddress": network.mac,
            "DriverOpts": options,
            "GwPriority": 0,
            "NetworkID": id,
            "EndpointID": network.endpoint_id,
            "Gateway": network.gateway,
            "IPAddress": network.ip,
            "IPPrefixLen": network.prefix,
            "IPv6Gateway": "",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "DNSNames": null,
        })
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
