//! IPv4 subnets: parsing, arithmetic, and the ones to choose from.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 network, kept without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    address: Ipv4Addr,
    prefix: u8,
}

/// The text is not an IPv4 network with room for a bridge and a container.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not an IPv4 network such as 172.17.0.0/16 with a prefix of at most 30 bits")]
pub struct ParseSubnetError {
    text: String,
}

/// A container needs an address beside the bridge's, the network's and the broadcast address.
const LONGEST_PREFIX: u8 = 30;

// === impl Subnet ===

impl Subnet {
    /// Returns the network of this prefix length that the address lies in.
    #[must_use]
    pub const fn containing(address: Ipv4Addr, prefix: u8) -> Self {
        Self {
            address: Ipv4Addr::from_bits(address.to_bits() & mask(prefix)),
            prefix,
        }
    }

    /// Returns the length of the prefix in bits.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Returns the network's own address.
    #[must_use]
    pub const fn network(self) -> Ipv4Addr {
        self.address
    }

    /// Returns the network's broadcast address.
    #[must_use]
    pub const fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !mask(self.prefix))
    }

    /// Returns the first usable address, which is the bridge's.
    #[must_use]
    pub const fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() + 1)
    }

    /// Says whether the address lies in the network.
    #[must_use]
    pub const fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.address.to_bits()
    }

    /// Says whether the two networks have an address in common.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        let shorter = if self.prefix < other.prefix {
            self.prefix
        } else {
            other.prefix
        };
        self.address.to_bits() & mask(shorter) == other.address.to_bits() & mask(shorter)
    }

    /// Returns the networks that Docker chooses from too, in the same order, since people know them.
    pub(crate) fn candidates() -> impl Iterator<Item = Self> {
        let sixteens = (17..=31).map(|n| Self::containing(Ipv4Addr::new(172, n, 0, 0), 16));
        let twenties = (0..=240)
            .step_by(16)
            .map(|n| Self::containing(Ipv4Addr::new(192, 168, n, 0), 20));
        sixteens.chain(twenties)
    }
}

const fn mask(prefix: u8) -> u32 {
    match prefix {
        0 => 0,
        1..=32 => u32::MAX << (32 - prefix),
        _ => u32::MAX,
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = ParseSubnetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let prefix = prefix
                .parse()
                .ok()
                .filter(|prefix| (1..=LONGEST_PREFIX).contains(prefix))?;
            Some(Self::containing(address.parse().ok()?, prefix))
        };
        parse().ok_or_else(|| ParseSubnetError {
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for Subnet {
    type Error = ParseSubnetError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn host_bits_are_dropped_and_nonsense_is_refused() {
        let subnet: Subnet = "172.17.3.4/16".parse().unwrap();
        assert_eq!(subnet.to_string(), "172.17.0.0/16");
        assert_eq!(subnet.gateway(), Ipv4Addr::new(172, 17, 0, 1));
        assert_eq!(subnet.broadcast(), Ipv4Addr::new(172, 17, 255, 255));
        for text in [
            "",
            "172.17.0.0",
            "172.17.0.0/0",
            "172.17.0.0/31",
            "172.17.0.0/x",
            "::/16",
            "1.2.3/8",
        ] {
            text.parse::<Subnet>().unwrap_err();
        }
    }

    #[test]
    fn candidates_do_not_overlap_each_other() {
        let all: Vec<_> = Subnet::candidates().collect();
        assert_eq!(all.len(), 31);
        for (n, one) in all.iter().enumerate() {
            assert!(all[n + 1..].iter().all(|other| !one.overlaps(*other)));
        }
    }

    proptest! {
        #[test]
        fn two_networks_overlap_when_one_contains_the_other(a: u32, b: u32, p in 1_u8..=30, q in 1_u8..=30) {
            let (one, other) = (Subnet::containing(a.into(), p), Subnet::containing(b.into(), q));
            let expected = one.contains(other.network()) || other.contains(one.network());
            prop_assert_eq!(one.overlaps(other), expected);
        }

        #[test]
        fn text_reads_back(a: u32, p in 1_u8..=30) {
            let subnet = Subnet::containing(a.into(), p);
            prop_assert_eq!(subnet.to_string().parse::<Subnet>().unwrap(), subnet);
        }
    }
}
