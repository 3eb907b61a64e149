//! What a container asks of networks.

use std::collections::BTreeMap;

use berth_agent_engine::EndpointOptions;
use serde::Deserialize;

/// What is asked of networks, by their names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct NetworkingConfig {
    endpoints_config: BTreeMap<String, EndpointSettings>,
}

/// What is asked of one network.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct EndpointSettings {
    #[serde(rename = "IPAMConfig")]
    ipam_config: IpamConfig,
    links: Vec<String>,
    aliases: Vec<String>,
    mac_address: String,
    driver_opts: BTreeMap<String, String>,
    gw_priority: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct IpamConfig {
    #[serde(rename = "IPv4Address")]
    ipv4_address: String,
    #[serde(rename = "IPv6Address")]
    ipv6_address: String,
    #[serde(rename = "LinkLocalIPs")]
    link_local_ips: Vec<String>,
}

/// Translates what is asked. The docker client names the usual network `default` whatever the mode is.
pub(super) fn endpoints(config: NetworkingConfig, mode: &str) -> Vec<EndpointOptions> {
    let own_name = |name: String| match (name.as_str(), mode) {
        ("default", "") => "default".to_owned(),
        ("default", mode) => mode.to_owned(),
        _ => name,
    };
    let all = config.endpoints_config.into_iter();
    all.map(|(name, settings)| settings.into_options(own_name(name)))
        .collect()
}

impl EndpointSettings {
    /// Translates what is asked of a network.
    pub(crate) fn into_options(self, network: String) -> EndpointOptions {
        EndpointOptions {
            network,
            aliases: self.aliases,
            ipv4_address: self.ipam_config.ipv4_address,
            ipv6_address: self.ipam_config.ipv6_address,
            mac_address: self.mac_address,
            links: self.links,
            driver_opts: self.driver_opts,
            link_local_ips: self.ipam_config.link_local_ips,
            gw_priority: self.gw_priority,
        }
    }
}
