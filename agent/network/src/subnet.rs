//! Networks of both families: parsing, arithmetic, and the ones to choose from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A range of addresses with a common prefix, kept without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    address: IpAddr,
    prefix: u8,
}

/// The text is not a network.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a network such as 172.17.0.0/16 or fd00:1::/64")]
pub struct ParseSubnetError {
    text: String,
}

// === impl Subnet ===

impl Subnet {
    /// Returns the network of this prefix length that the address lies in.
    #[must_use]
    pub fn containing(address: IpAddr, prefix: u8) -> Self {
        let prefix = prefix.min(width(address));
        let address = match address {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask32(prefix))),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask128(prefix))),
        };
        Self { address, prefix }
    }

    /// Returns the length of the prefix in bits.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether its addresses are of IPv4.
    #[must_use]
    pub const fn is_ipv4(self) -> bool {
        self.address.is_ipv4()
    }

    /// Returns the network's own address, which is its first.
    #[must_use]
    pub const fn network(self) -> IpAddr {
        self.address
    }

    /// Returns the last address; of IPv4 it is the one for everybody.
    #[must_use]
    pub fn last(self) -> IpAddr {
        match self.address {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() | !mask32(self.prefix)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() | !mask128(self.prefix)).into(),
        }
    }

    /// Returns the first address that somebody can have, which is usually the gateway's.
    #[must_use]
    pub fn first_host(self) -> IpAddr {
        next(self.address)
    }

    /// Whether an address is one that a container can have: of IPv4, neither the network's own nor
    /// the one for everybody, unless the network is too small to have these.
    #[must_use]
    pub fn is_host(self, address: IpAddr) -> bool {
        if !self.contains(address) {
            return false;
        }
        let is_first = address == self.network() && self.prefix + 1 < width(address);
        let is_last = address.is_ipv4() && address == self.last() && self.prefix < 31;
        !is_first && !is_last
    }

    /// Says whether the address lies in the network.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4()
            && Self::containing(address, self.prefix).address == self.address
    }

    /// Says whether the two networks have an address in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// Cuts the network into those of a longer prefix, in order.
    pub fn parts(self, prefix: u8) -> impl Iterator<Item = Self> {
        let mut next_part = (prefix >= self.prefix).then_some(self.address);
        std::iter::from_fn(move || {
            let part = Self::containing(next_part?, prefix);
            let last = part.last();
            let following = next(last);
            next_part = (following > last && self.contains(following)).then_some(following);
            Some(part)
        })
    }

    /// Returns the networks that Docker chooses from too, in the same order, since people know them.
    pub fn candidates() -> impl Iterator<Item = Self> {
        let sixteens = (17..=31).map(|n| Self::containing(Ipv4Addr::new(172, n, 0, 0).into(), 16));
        let twenties = (0..=240)
            .step_by(16)
            .map(|n| Self::containing(Ipv4Addr::new(192, 168, n, 0).into(), 20));
        sixteens.chain(twenties)
    }
}

/// Returns the bits of an address of this family.
fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Returns the next address; the last of all is its own.
pub(crate) fn next(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().saturating_add(1)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().saturating_add(1)).into(),
    }
}

fn mask32(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn mask128(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
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
            let address: IpAddr = address.parse().ok()?;
            let prefix = prefix
                .parse()
                .ok()
                .filter(|prefix| (1..=width(address)).contains(prefix))?;
            Some(Self::containing(address, prefix))
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

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_dropped_and_nonsense_is_refused() {
        let found = subnet("172.17.3.4/16");
        assert_eq!(found.to_string(), "172.17.0.0/16");
        assert_eq!(found.first_host(), IpAddr::from([172, 17, 0, 1]));
        assert_eq!(found.last(), IpAddr::from([172, 17, 255, 255]));
        assert_eq!(subnet("fd00::1:2/112").to_string(), "fd00::1:0/112");
        for text in [
            "",
            "172.17.0.0",
            "172.17.0.0/0",
            "172.17.0.0/33",
            "172.17.0.0/x",
            "::/129",
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

    #[test]
    fn parts_fill_the_whole() {
        let parts: Vec<String> = subnet("10.0.0.0/22")
            .parts(24)
            .map(|part| part.to_string())
            .collect();
        assert_eq!(
            parts,
            ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"]
        );
        assert_eq!(subnet("255.255.255.0/24").parts(25).count(), 2);
        assert_eq!(subnet("fd00::/62").parts(64).count(), 4);
        assert_eq!(subnet("10.0.0.0/24").parts(16).count(), 0);
    }

    #[test]
    fn special_addresses_are_nobodys() {
        let found = subnet("10.0.0.0/24");
        for (last, expected) in [(0, false), (1, true), (254, true), (255, false)] {
            assert_eq!(
                found.is_host(IpAddr::from([10, 0, 0, last])),
                expected,
                "{last}"
            );
        }
        assert!(!found.is_host(IpAddr::from([10, 0, 1, 1])));
        assert!(subnet("10.0.0.4/31").is_host(IpAddr::from([10, 0, 0, 4])));
        assert!(subnet("fd00::/64").is_host("fd00::ffff:ffff:ffff:ffff".parse().unwrap()));
        assert!(!subnet("fd00::/64").is_host("fd00::".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn two_networks_overlap_when_one_contains_the_other(a: u32, b: u32, p in 1_u8..=32, q in 1_u8..=32) {
            let v4 = |bits: u32| IpAddr::from(Ipv4Addr::from_bits(bits));
            let (one, other) = (Subnet::containing(v4(a), p), Subnet::containing(v4(b), q));
            let expected = one.network() <= other.last() && other.network() <= one.last();
            prop_assert_eq!(one.overlaps(other), expected);
        }

        #[test]
        fn text_reads_back(a: u128, p in 1_u8..=128) {
            let found = Subnet::containing(Ipv6Addr::from_bits(a).into(), p);
            prop_assert_eq!(found.to_string().parse::<Subnet>().unwrap(), found);
        }
    }
}
