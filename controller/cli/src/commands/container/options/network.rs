//! Flags about the network.

use std::collections::BTreeSet;

use berth_proto::v1::{ContainerConfig, EndpointConfig, HostConfig};

use crate::failure::Failure;
use crate::spec::{hosts, links, network, ports};

/// Flags about the network.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkOptions {
    /// Network: bridge, host, none, container:NAME or a network's name; repeatable, also as
    /// name=NAME,alias=ALIAS,ip=IP
    #[arg(long, value_name = "NETWORK", alias = "net", value_parser = network::parse)]
    network: Vec<EndpointConfig>,

    /// Another name of the container on its first network
    #[arg(long, value_name = "NAME", alias = "net-alias")]
    network_alias: Vec<String>,

    /// Publish a port: [[IP:]HOST:]CONTAINER[/tcp|udp], also ranges
    #[arg(long, short, value_name = "PORTS")]
    publish: Vec<String>,

    /// Publish every exposed port at one that is free
    #[arg(long, short = 'P')]
    publish_all: bool,

    /// Expose a port or a range
    #[arg(long, value_name = "PORTS")]
    expose: Vec<String>,

    /// Address on the first network
    #[arg(long, value_name = "IP")]
    ip: Option<String>,

    /// IPv6 address on the first network
    #[arg(long, value_name = "IP")]
    ip6: Option<String>,

    /// Link-local address
    #[arg(long, value_name = "IP")]
    link_local_ip: Vec<String>,

    /// Hardware address of the interface
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<String>,

    /// Make another container known by a name: CONTAINER[:ALIAS]
    #[arg(long, value_name = "LINK", value_parser = links::parse)]
    link: Vec<String>,

    /// Line for /etc/hosts; the address may be "host-gateway"
    #[arg(long, value_name = "HOST:IP", value_parser = hosts::parse)]
    add_host: Vec<String>,

    /// Name server
    #[arg(long, value_name = "IP", value_parser = hosts::address)]
    dns: Vec<String>,

    /// Option of the resolver, such as ndots:2
    #[arg(long, value_name = "OPTION", alias = "dns-opt")]
    dns_option: Vec<String>,

    /// Domain to look names up in; a dot for none
    #[arg(long, value_name = "DOMAIN", value_parser = hosts::search_domain)]
    dns_search: Vec<String>,
}

// === impl NetworkOptions ===

impl NetworkOptions {
    /// Puts what the flags say where the agent looks for it.
    pub(crate) fn apply(
        &self,
        config: &mut ContainerConfig,
        host: &mut HostConfig,
    ) -> Result<(), Failure> {
        if let Some(address) = &self.mac_address {
            network::check_mac_address(address).map_err(Failure::new)?;
            config.mac_address.clone_from(address);
        }
        let mut exposed = BTreeSet::new();
        for text in &self.publish {
            for binding in ports::publish(text).map_err(Failure::new)? {
                exposed.insert((binding.container_port, binding.protocol.clone()));
                host.port_bindings.push(binding);
            }
        }
        for text in &self.expose {
            exposed.extend(ports::expose(text).map_err(Failure::new)?);
        }
        config.exposed_ports = exposed
            .into_iter()
            .map(|(port, protocol)| format!("{port}/{protocol}"))
            .collect();
        if let Some(first) = self.network.first() {
            host.network_mode.clone_from(&first.network);
        }
        config.networks = self.endpoints().map_err(Failure::new)?;
        host.publish_all_ports = self.publish_all;
        host.links.clone_from(&self.link);
        host.extra_hosts.clone_from(&self.add_host);
        host.dns.clone_from(&self.dns);
        host.dns_options.clone_from(&self.dns_option);
        host.dns_search.clone_from(&self.dns_search);
        Ok(())
    }

    /// What is asked of each network; a single one of which nothing is asked is left out.
    fn endpoints(&self) -> Result<Vec<EndpointConfig>, String> {
        let mut endpoints = self.network.clone();
        if endpoints.is_empty() {
            endpoints.push(EndpointConfig {
                network: "default".to_owned(),
                ..EndpointConfig::default()
            });
        }
        if let Some(first) = endpoints.first_mut() {
            self.complete(first)?;
        }
        network::check(&endpoints)?;
        if let [only] = endpoints.as_slice() {
            let plain = EndpointConfig {
                network: only.network.clone(),
                ..EndpointConfig::default()
            };
            if *only == plain {
                endpoints.clear();
            }
        }
        Ok(endpoints)
    }

    /// The flags that name no network are about the first one.
    fn complete(&self, first: &mut EndpointConfig) -> Result<(), String> {
        let conflict = |flag: &str, own: &str| {
            Err(format!(
                "conflicting options: cannot specify both {flag} and per-network {own}"
            ))
        };
        let text = |flag: &Option<String>| flag.clone().unwrap_or_default();
        if !self.network_alias.is_empty() {
            if !first.aliases.is_empty() {
                return conflict("--network-alias", "alias");
            }
            first.aliases.clone_from(&self.network_alias);
        }
        if network::is_user_defined(&first.network) {
            first.links.clone_from(&self.link);
        }
        for (flag, name, own, field) in [
            (&self.ip, "--ip", "IPv4 address", &mut first.ipv4_address),
            (&self.ip6, "--ip6", "IPv6 address", &mut first.ipv6_address),
            (
                &self.mac_address,
                "--mac-address",
                "MAC address",
                &mut first.mac_address,
            ),
        ] {
            if flag.is_some() {
                if !field.is_empty() {
                    return conflict(name, own);
                }
                *field = text(flag);
            }
        }
        first
            .link_local_ips
            .extend(self.link_local_ip.iter().cloned());
        Ok(())
    }
}
