//! The private network that machines of a host share.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 network with room for a gateway and machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Subnet {
    network: u32,
    prefix: u8,
}

/// A text is no network.
#[derive(Debug, thiserror::Error)]
#[error("needs an IPv4 network of 8 to 29 bits such as 10.98.0.0/16, not {0:?}")]
pub(crate) struct SubnetError(String);

impl Subnet {
    /// 10.98.0.0/16, which is what machines are on when nobody says otherwise.
    pub(crate) const DEFAULT: Self = Self {
        network: 0x0a62_0000,
        prefix: 16,
    };

    /// Returns the network that `address`/`prefix` lies in.
    pub(crate) fn containing(address: Ipv4Addr, prefix: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        Self {
            network: u32::from(address) & mask,
            prefix,
        }
    }

    /// Returns the length of the prefix in bits.
    pub(crate) fn prefix(self) -> u8 {
        self.prefix
    }

    /// Returns the host's own address in the network.
    pub(crate) fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from(self.network + 1)
    }

    /// Returns the addresses that machines can have, lowest first.
    pub(crate) fn machines(self) -> impl Iterator<Item = Ipv4Addr> {
        (self.network + 2..self.last()).map(Ipv4Addr::from)
    }

    /// Tells whether an address is in the network.
    pub(crate) fn contains(self, address: Ipv4Addr) -> bool {
        (self.network..=self.last()).contains(&u32::from(address))
    }

    /// Tells whether two networks share an address.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.network <= other.last() && other.network <= self.last()
    }

    /// Returns the name of the bridge that carries the network.
    pub(crate) fn bridge(self) -> String {
        format!("bsb{:08x}", self.network)
    }

    /// Returns the name of the network's table in the packet filter.
    pub(crate) fn table(self) -> String {
        format!("berth_sandbox_{:08x}", self.network)
    }

    fn last(self) -> u32 {
        self.network | u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0)
    }
}

/// Returns the hardware address that goes with an address.
///
/// It follows from the address, so that neighbours whose caches remember a removed machine are
/// right about the next one with the same address.
pub(crate) fn hardware_address(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x62, a, b, c, d]
}

impl fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}/{}",
            Ipv4Addr::from(self.network),
            self.prefix
        )
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let parsed = text.split_once('/').and_then(|(address, prefix)| {
            let prefix: u8 = prefix.parse().ok()?;
            let address: Ipv4Addr = address.parse().ok()?;
            (8..=29)
                .contains(&prefix)
                .then(|| Self::containing(address, prefix))
        });
        parsed.ok_or_else(|| SubnetError(text.to_owned()))
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;

    fn try_from(text: String) -> Result<Self, SubnetError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_cut_to_its_prefix() {
        let subnet: Subnet = "10.98.7.9/16".parse().unwrap();
        assert_eq!(subnet.to_string(), "10.98.0.0/16");
        assert_eq!(subnet.gateway(), Ipv4Addr::new(10, 98, 0, 1));
        assert_eq!(subnet.machines().next(), Some(Ipv4Addr::new(10, 98, 0, 2)));
        assert_eq!(subnet.bridge(), "bsb0a620000");
    }

    #[test]
    fn the_broadcast_address_is_no_machines() {
        let subnet: Subnet = "192.168.7.0/29".parse().unwrap();
        let machines: Vec<_> = subnet.machines().collect();
        assert_eq!(machines.len(), 5);
        assert!(!machines.contains(&Ipv4Addr::new(192, 168, 7, 7)));
    }

    #[test]
    fn overlap_goes_both_ways() {
        let wide: Subnet = "10.0.0.0/8".parse().unwrap();
        let narrow: Subnet = "10.98.0.0/16".parse().unwrap();
        let other: Subnet = "10.99.0.0/16".parse().unwrap();
        assert!(wide.overlaps(narrow) && narrow.overlaps(wide));
        assert!(!narrow.overlaps(other) && !other.overlaps(narrow));
        assert!(narrow.contains(Ipv4Addr::new(10, 98, 255, 255)));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "10.98.0.0",
            "10.98.0.0/33",
            "10.98.0.0/30",
            "::/16",
            "a/16",
        ] {
            assert!(text.parse::<Subnet>().is_err(), "{text} was taken");
        }
    }
}
