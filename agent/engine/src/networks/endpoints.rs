//! What a container asks of its networks, and what it got.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use berth_agent_network::{
    AttachRequest, Attachment, Endpoint, EndpointRequest, Interface, NetworkMode,
};

use super::record::NetworkEntry;
use crate::Engine;
use crate::container::Container;
use crate::container::record::{ContainerRecord, EndpointRecord, NetworkRecord};
use crate::create::check::parse_mac;
use crate::create::network_request::{self, PortError};
use crate::id::random_hex;
use crate::options::EndpointOptions;
use crate::options::mode::neighbour;
use crate::view::list::network_name;

/// Returns what a container asks of each of its networks, the one of its mode first and the others by
/// name. None are left once a container was disconnected from all of them.
pub(crate) fn asked(record: &ContainerRecord) -> Vec<EndpointOptions> {
    let main = network_name(record);
    let mut all = record.config.networks.clone();
    for endpoint in &mut all {
        if matches!(endpoint.network.as_str(), "" | "default") {
            "bridge".clone_into(&mut endpoint.network);
        }
    }
    let is_complete =
        record.config.networks_are_complete && neighbour(&record.host.network_mode).is_none();
    if all.is_empty() && !is_complete {
        all.push(EndpointOptions {
            network: main.to_owned(),
            ..EndpointOptions::default()
        });
    }
    all.sort_by(|a, b| (a.network != main, &a.network).cmp(&(b.network != main, &b.network)));
    all
}

impl Engine {
    /// Returns the request for a container's networks.
    pub(crate) fn attach_request(
        &self,
        record: &ContainerRecord,
    ) -> Result<AttachRequest, PortError> {
        let mut request = network_request::of_record(record)?;
        let shares = neighbour(&record.host.network_mode).is_some();
        if request.mode == NetworkMode::Host || record.config.network_disabled || shares {
            return Ok(request);
        }
        // Which networks it is on may have changed since the mode was chosen.
        let mut all = asked(record);
        all.retain(|asked| asked.network != "none");
        request.mode = if all.is_empty() {
            NetworkMode::None
        } else {
            NetworkMode::Bridge
        };
        for asked in all {
            let entry = self.network_named(&asked.network);
            let entry = entry.ok_or_else(|| PortError::Network(asked.network.clone()))?;
            request
                .endpoints
                .push(self.endpoint_request(record, &asked, &entry));
        }
        request.nameservers = record
            .host
            .dns
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect();
        Ok(request)
    }

    /// Returns the request for a container's place on one network. Addresses were checked before.
    pub(crate) fn endpoint_request(
        &self,
        record: &ContainerRecord,
        asked: &EndpointOptions,
        entry: &Arc<NetworkEntry>,
    ) -> EndpointRequest {
        let is_main = entry.name == network_name(record);
        let mac = match asked.mac_address.as_str() {
            "" if is_main => parse_mac(&record.config.mac_address),
            text => parse_mac(text),
        };
        let addresses = [&asked.ipv4_address, &asked.ipv6_address];
        EndpointRequest {
            network: Self::network_key(entry),
            addresses: addresses
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
            link_local: asked
                .link_local_ips
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
            mac,
            names: names(record, asked, entry),
            links: links(&asked.links),
            priority: asked.gw_priority,
        }
    }

    /// Makes a container known on its networks by the names that it has now.
    pub(crate) fn rename_on_networks(&self, container: &Container) {
        let record = container.record();
        for asked in asked(&record) {
            let Some(entry) = self.network_named(&asked.network) else {
                continue;
            };
            let names = names(&record, &asked, &entry);
            let key = Self::network_key(&entry);
            if let Err(error) = self.network.set_names(record.id.as_str(), &key, &names) {
                tracing::warn!(container = %record.id, %error, "new name not recorded on a network");
            }
            container.change_record(|record| {
                let endpoints = record.network.iter_mut().flat_map(|n| &mut n.endpoints);
                for endpoint in endpoints.filter(|endpoint| endpoint.network == entry.name) {
                    endpoint.dns_names.clone_from(&names);
                }
            });
        }
    }

    /// Returns what the network gave to a container, as it is kept.
    pub(crate) fn network_record(
        &self,
        record: &ContainerRecord,
        attachment: &Attachment,
    ) -> NetworkRecord {
        let mut found = NetworkRecord {
            endpoint_id: random_hex(32),
            sandbox_id: random_hex(32),
            sandbox_key: attachment
                .netns
                .as_ref()
                .map(|path| path.display().to_string())
                .unwrap_or_default(),
            ..NetworkRecord::default()
        };
        found.ports = network_request::published(attachment);
        for endpoint in &attachment.endpoints {
            let kept = self.endpoint_record(record, endpoint);
            found.endpoints.extend(kept);
        }
        let is_on_main = || {
            asked(record)
                .iter()
                .any(|e| e.network == network_name(record))
        };
        if attachment.endpoints.is_empty() && is_on_main() {
            // A network without interfaces is one all the same.
            if let Some(entry) = self.network_named(network_name(record)) {
                found.endpoints.push(EndpointRecord {
                    network: entry.name.clone(),
                    network_id: entry.id.clone(),
                    endpoint_id: found.endpoint_id.clone(),
                    ..EndpointRecord::default()
                });
            }
        }
        found.summarize();
        found
    }

    /// Returns a place on a network as it is kept; nothing when the network is gone.
    pub(crate) fn endpoint_record(
        &self,
        record: &ContainerRecord,
        endpoint: &Endpoint,
    ) -> Option<EndpointRecord> {
        let all = self.all_networks();
        let entry = all
            .iter()
            .find(|entry| Self::network_key(entry) == endpoint.network)?;
        let asked = asked(record)
            .into_iter()
            .find(|asked| asked.network == entry.name);
        let address = |is_ipv4: bool| {
            let mut all = endpoint.addresses.iter();
            let found = all.find(|(address, _)| address.is_ipv4() == is_ipv4);
            found.map_or((String::new(), 0), |(address, subnet)| {
                (address.to_string(), subnet.prefix())
            })
        };
        let gateway = |is_ipv4: bool| {
            let mut all = endpoint.gateways.iter();
            let found =
                all.find(|gateway| gateway.is_ipv4() == is_ipv4 && !gateway.is_unspecified());
            found.map(IpAddr::to_string).unwrap_or_default()
        };
        let ((ip, prefix), (ipv6, ipv6_prefix)) = (address(true), address(false));
        Some(EndpointRecord {
            network: entry.name.clone(),
            network_id: entry.id.clone(),
            endpoint_id: random_hex(32),
            ip,
            prefix,
            gateway: gateway(true),
            ipv6,
            ipv6_prefix,
            ipv6_gateway: gateway(false),
            mac: endpoint.mac.map(Interface::text_of).unwrap_or_default(),
            dns_names: names(record, &asked.unwrap_or_default(), entry),
        })
    }
}

/// Returns the names of a container on a network: none on those that are always there.
pub(crate) fn names(
    record: &ContainerRecord,
    asked: &EndpointOptions,
    entry: &NetworkEntry,
) -> Vec<String> {
    if entry.is_predefined() {
        return Vec::new();
    }
    let mut names = vec![record.name.clone()];
    let short = record.id.short().to_owned();
    for name in asked
        .aliases
        .iter()
        .chain([&short, &record.config.hostname])
    {
        if !name.is_empty() && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Returns own names and the names that they stand for.
fn links(texts: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| match text.split_once(':') {
        Some((name, alias)) => (alias.to_owned(), name.to_owned()),
        None => (text.clone(), text.clone()),
    };
    texts.iter().map(pair).collect()
}
