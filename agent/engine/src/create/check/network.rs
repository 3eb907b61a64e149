//! Checks of network options against the kind of network.

use super::InvalidOption;
use super::extra_host::ExtraHost;
use crate::container::record::MergedConfig;
use crate::options::mode::{is_user_defined, neighbour};
use crate::options::{ContainerOptions, EndpointOptions};

pub(super) fn check(
    options: &ContainerOptions,
    config: &MergedConfig,
) -> Result<(), InvalidOption> {
    let host = &options.host;
    for text in &host.extra_hosts {
        ExtraHost::parse(text)?;
    }
    let shared = neighbour(&host.network_mode);
    if shared == Some("") {
        return Err(InvalidOption::NetworkNeighbour);
    }
    let is_host = host.network_mode == "host";
    let is_shared = shared.is_some();
    let conflicts = [
        (
            is_shared && !options.hostname.is_empty(),
            "hostname and the network mode",
        ),
        (
            is_shared && !host.links.is_empty(),
            "container type network can't be used with links. This would result in undefined behavior",
        ),
        (
            is_shared && !host.dns.is_empty(),
            "dns and the network mode",
        ),
        (
            is_shared && !host.extra_hosts.is_empty(),
            "custom host-to-IP mapping and the network mode",
        ),
        (
            (is_shared || is_host) && has_mac(options),
            "mac-address and the network mode",
        ),
        (
            is_shared && (!host.port_bindings.is_empty() || host.publish_all_ports),
            "port publishing and the container type network mode",
        ),
        // Those of the image are nobody's wish.
        (
            is_shared && !options.exposed_ports.is_empty(),
            "port exposing and the container type network mode",
        ),
        (
            host.uts_mode == "host" && !options.hostname.is_empty(),
            "hostname and the UTS mode",
        ),
        (
            is_host && !host.links.is_empty(),
            "host type networking can't be used with links. This would result in undefined behavior",
        ),
    ];
    if let Some((_, text)) = conflicts.iter().find(|(is_so, _)| *is_so) {
        return Err(InvalidOption::Conflict(text));
    }
    macs(options, config)?;
    options.networks.iter().try_for_each(endpoint)
}

fn has_mac(options: &ContainerOptions) -> bool {
    let mut asked = options.networks.iter().map(|network| &network.mac_address);
    !options.mac_address.is_empty() || asked.any(|mac| !mac.is_empty())
}

fn macs(options: &ContainerOptions, config: &MergedConfig) -> Result<(), InvalidOption> {
    let all = options.networks.iter().map(|network| &network.mac_address);
    for mac in all.chain([&config.mac_address]) {
        if !mac.is_empty() && parse_mac(mac).is_none() {
            return Err(InvalidOption::Mac(mac.clone()));
        }
    }
    let main = main_endpoint(&options.host.network_mode, &options.networks);
    let own = main.map_or("", |endpoint| endpoint.mac_address.as_str());
    let differ = parse_mac(own) != parse_mac(&config.mac_address);
    if !own.is_empty() && !config.mac_address.is_empty() && differ {
        return Err(InvalidOption::TwoMacs);
    }
    Ok(())
}

/// Returns what is asked of the network that the mode names.
fn main_endpoint<'a>(mode: &str, endpoints: &'a [EndpointOptions]) -> Option<&'a EndpointOptions> {
    endpoints
        .iter()
        .find(|endpoint| plain(&endpoint.network) == plain(mode))
}

/// The default network has several names.
fn plain(network: &str) -> &str {
    match network {
        "" | "default" => "bridge",
        other => other,
    }
}

fn endpoint(endpoint: &EndpointOptions) -> Result<(), InvalidOption> {
    if is_user_defined(&endpoint.network) {
        return Ok(());
    }
    let has_address = !endpoint.ipv4_address.is_empty() || !endpoint.ipv6_address.is_empty();
    let reasons = [
        (
            has_address,
            "user specified IP address is supported on user defined networks only",
        ),
        (
            !endpoint.aliases.is_empty(),
            "network-scoped alias is supported only for containers in user defined networks",
        ),
    ];
    match reasons.iter().find(|(is_so, _)| *is_so) {
        Some((_, reason)) => Err(InvalidOption::Endpoint {
            network: plain(&endpoint.network).to_owned(),
            reason,
        }),
        None => Ok(()),
    }
}

/// Reads an address of an Ethernet interface that one container can have.
pub(crate) fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    // Neither everybody's nor nobody's.
    let is_usable = parts.next().is_none() && mac[0] & 1 == 0 && mac != [0; 6];
    is_usable.then_some(mac)
}
