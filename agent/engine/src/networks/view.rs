//! Networks as callers see them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::options::PoolOptions;
use super::record::{NetworkEntry, PoolRecord};
use crate::Engine;
use crate::view::human::rfc3339;

/// A network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own of Docker's API"
)]
pub struct NetworkView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: SystemTime,
    /// `local`.
    pub scope: String,
    /// `bridge`, `macvlan`, `ipvlan`, `host` or `null`.
    pub driver: String,
    /// Whether containers have IPv4 addresses.
    pub enable_ipv4: bool,
    /// Whether containers have IPv6 addresses.
    pub enable_ipv6: bool,
    /// Who chooses addresses.
    pub ipam_driver: String,
    /// Options for that; nothing for networks that are always there.
    pub ipam_options: Option<BTreeMap<String, String>>,
    /// Its subnets.
    pub pools: Vec<PoolOptions>,
    /// Nothing enters or leaves it.
    pub internal: bool,
    /// Shown as it was given.
    pub attachable: bool,
    /// Only lends its settings to others.
    pub config_only: bool,
    /// The network that lends its settings.
    pub config_from: String,
    /// The running containers on it, by their ids.
    pub members: BTreeMap<String, NetworkMember>,
    /// Options for the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A running container on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkMember {
    /// The container's name.
    pub name: String,
    /// Id of its place on the network.
    pub endpoint_id: String,
    /// Hardware address.
    pub mac_address: String,
    /// `address/bits`, or empty.
    pub ipv4_address: String,
    /// `address/bits`, or empty.
    pub ipv6_address: String,
}

// === impl NetworkView ===

impl NetworkView {
    /// Returns the object that Docker's API shows.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let pools: Vec<Value> = self.pools.iter().map(pool).collect();
        let members = self
            .members
            .iter()
            .map(|(id, member)| (id.clone(), member.to_json()));
        let members: Map<String, Value> = members.collect();
        json!({
            "Name": self.name,
            "Id": self.id,
            "Created": rfc3339(Some(self.created)),
            "Scope": self.scope,
            "Driver": self.driver,
            "EnableIPv4": self.enable_ipv4,
            "EnableIPv6": self.enable_ipv6,
            "IPAM": {
                "Driver": self.ipam_driver,
                "Options": self.ipam_options,
                "Config": if pools.is_empty() { Value::Null } else { Value::Array(pools) },
            },
            "Internal": self.internal,
            "Attachable": self.attachable,
            "Ingress": false,
            "ConfigFrom": { "Network": self.config_from },
            "ConfigOnly": self.config_only,
            "Containers": members,
            "Options": self.options,
            "Labels": self.labels,
        })
    }
}

impl NetworkMember {
    fn to_json(&self) -> Value {
        json!({
            "Name": self.name,
            "EndpointID": self.endpoint_id,
            "MacAddress": self.mac_address,
            "IPv4Address": self.ipv4_address,
            "IPv6Address": self.ipv6_address,
        })
    }
}

fn pool(pool: &PoolOptions) -> Value {
    let mut object = Map::new();
    object.insert("Subnet".to_owned(), json!(pool.subnet));
    if !pool.ip_range.is_empty() {
        object.insert("IPRange".to_owned(), json!(pool.ip_range));
    }
    if !pool.gateway.is_empty() {
        object.insert("Gateway".to_owned(), json!(pool.gateway));
    }
    if !pool.aux_addresses.is_empty() {
        object.insert("AuxiliaryAddresses".to_owned(), json!(pool.aux_addresses));
    }
    Value::Object(object)
}

/// Returns subnets as a caller would ask for them.
pub(super) fn asked_pools(pools: &[PoolRecord]) -> Vec<PoolOptions> {
    let asked = pools.iter().map(|pool| PoolOptions {
        subnet: pool.subnet.to_string(),
        gateway: pool
            .gateway
            .map(|address| address.to_string())
            .unwrap_or_default(),
        ip_range: pool
            .range
            .map(|range| range.to_string())
            .unwrap_or_default(),
        aux_addresses: pool
            .aux
            .iter()
            .map(|(name, a)| (name.clone(), a.to_string()))
            .collect(),
    });
    asked.collect()
}

impl Engine {
    pub(super) fn network_view(&self, entry: &NetworkEntry) -> NetworkView {
        NetworkView {
            id: entry.id.clone(),
            name: entry.name.clone(),
            created: entry.created,
            scope: "local".to_owned(),
            driver: entry.driver.clone(),
            enable_ipv4: entry.enable_ipv4,
            enable_ipv6: entry.enable_ipv6,
            ipam_driver: entry.ipam_driver.clone(),
            ipam_options: (!entry.is_predefined()).then(|| entry.ipam_options.clone()),
            pools: asked_pools(&entry.pools),
            internal: entry.internal,
            attachable: entry.attachable,
            config_only: entry.config_only,
            config_from: entry.config_from.clone(),
            members: self.members(&entry.name),
            options: entry.options.clone(),
            labels: entry.labels.clone(),
        }
    }

    /// Returns the running containers on a network.
    pub(super) fn members(&self, network: &str) -> BTreeMap<String, NetworkMember> {
        let mut members = BTreeMap::new();
        for container in self.containers.all() {
            let member = container.with_record(|record| {
                let endpoint = record.network.as_ref()?.endpoint(network)?;
                let with_bits = |address: &str, bits: u8| match address {
                    "" => String::new(),
                    address => format!("{address}/{bits}"),
                };
                Some(NetworkMember {
                    name: record.name.clone(),
                    endpoint_id: endpoint.endpoint_id.clone(),
                    mac_address: endpoint.mac.clone(),
                    ipv4_address: with_bits(&endpoint.ip, endpoint.prefix),
                    ipv6_address: with_bits(&endpoint.ipv6, endpoint.ipv6_prefix),
                })
            });
            if let Some(member) = member {
                members.insert(container.id().to_string(), member);
            }
        }
        members
    }
}
