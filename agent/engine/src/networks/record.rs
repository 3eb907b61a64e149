//! What the database keeps of a network.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use berth_agent_network::{
    BridgeOptions, Definition, Driver, IpvlanMode, MacvlanMode, Parent, Pool, Subnet,
};
use berth_agent_state::Record;
use serde::{Deserialize, Serialize};

/// A network as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own of Docker's API"
)]
pub(crate) struct NetworkEntry {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created: SystemTime,
    /// `bridge`, `macvlan`, `ipvlan`, `host` or `null`.
    pub(crate) driver: String,
    pub(crate) internal: bool,
    pub(crate) attachable: bool,
    pub(crate) config_only: bool,
    pub(crate) config_from: String,
    pub(crate) enable_ipv4: bool,
    pub(crate) enable_ipv6: bool,
    pub(crate) ipam_driver: String,
    pub(crate) ipam_options: BTreeMap<String, String>,
    pub(crate) pools: Vec<PoolRecord>,
    /// Whether the caller chose a subnet, so that containers may choose addresses.
    pub(crate) has_chosen_subnet: bool,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
}

/// A subnet as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PoolRecord {
    pub(crate) subnet: Subnet,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) range: Option<Subnet>,
    pub(crate) aux: BTreeMap<String, IpAddr>,
}

impl Record for NetworkEntry {
    const TABLE: &'static str = "networks";
    const VERSION: u32 = 1;
}

/// Options of bridges that Docker has.
pub(crate) mod option {
    pub(crate) const NAME: &str = "com.docker.network.bridge.name";
    pub(crate) const ICC: &str = "com.docker.network.bridge.enable_icc";
    pub(crate) const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
    pub(crate) const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
    pub(crate) const MTU: &str = "com.docker.network.driver.mtu";
    pub(crate) const PARENT: &str = "parent";
    pub(crate) const MACVLAN_MODE: &str = "macvlan_mode";
    pub(crate) const IPVLAN_MODE: &str = "ipvlan_mode";
}

// === impl NetworkEntry ===

impl NetworkEntry {
    /// Returns what the kernel is to have of it; nothing for networks without anything in the kernel.
    /// Values were checked when it was created.
    pub(crate) fn definition(&self) -> Option<Definition> {
        if self.config_only {
            return None;
        }
        let driver = match self.driver.as_str() {
            "bridge" => Driver::Bridge(self.bridge()),
            "macvlan" => Driver::Macvlan(Parent {
                interface: self.text(option::PARENT),
                mode: macvlan_mode(&self.text(option::MACVLAN_MODE)).unwrap_or_default(),
                mtu: self.mtu(),
            }),
            "ipvlan" => Driver::Ipvlan(Parent {
                interface: self.text(option::PARENT),
                mode: ipvlan_mode(&self.text(option::IPVLAN_MODE)).unwrap_or_default(),
                mtu: self.mtu(),
            }),
            _ => return None,
        };
        Some(Definition {
            id: self.id.clone(),
            name: self.name.clone(),
            driver,
            pools: self.pools.iter().map(PoolRecord::pool).collect(),
            internal: self.internal,
            has_names: true,
        })
    }

    fn bridge(&self) -> BridgeOptions {
        let name = self.text(option::NAME);
        let own = || format!("br-{}", self.id.get(..12).unwrap_or(&self.id));
        BridgeOptions {
            interface: if name.is_empty() { own() } else { name },
            talks: self.truth(option::ICC, true),
            masquerade: self.truth(option::MASQUERADE, true),
            mtu: self.mtu(),
            host_binding: self.text(option::HOST_BINDING).parse().ok(),
        }
    }

    fn mtu(&self) -> Option<u32> {
        self.text(option::MTU).parse().ok().filter(|mtu| *mtu > 0)
    }

    fn text(&self, key: &str) -> String {
        self.options.get(key).cloned().unwrap_or_default()
    }

    fn truth(&self, key: &str, otherwise: bool) -> bool {
        self.options
            .get(key)
            .and_then(|text| truth(text))
            .unwrap_or(otherwise)
    }

    /// Whether it is one of those that are always there.
    pub(crate) fn is_predefined(&self) -> bool {
        is_predefined(&self.name)
    }
}

/// Whether a name is that of a network that is always there.
pub(crate) fn is_predefined(name: &str) -> bool {
    matches!(name, "bridge" | "host" | "none" | "default")
}

/// Reads a truth as Go does.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

pub(crate) fn macvlan_mode(text: &str) -> Option<MacvlanMode> {
    match text {
        "" | "bridge" => Some(MacvlanMode::Bridge),
        "private" => Some(MacvlanMode::Private),
        "vepa" => Some(MacvlanMode::Vepa),
        "passthru" => Some(MacvlanMode::Passthru),
        _ => None,
    }
}

pub(crate) fn ipvlan_mode(text: &str) -> Option<IpvlanMode> {
    match text {
        "" | "l2" => Some(IpvlanMode::L2),
        "l3" => Some(IpvlanMode::L3),
        "l3s" => Some(IpvlanMode::L3s),
        _ => None,
    }
}

impl PoolRecord {
    fn pool(&self) -> Pool {
        Pool {
            subnet: self.subnet,
            gateway: self.gateway,
            range: self.range,
            reserved: self.aux.values().copied().collect(),
        }
    }
}
