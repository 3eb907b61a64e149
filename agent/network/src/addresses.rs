//! The choice of addresses.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::Subnet;
use crate::definition::Pool;
use crate::subnet::next;

/// An address cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Somebody has it.
    #[error("Address already in use")]
    InUse,
    /// It is in none of the network's subnets.
    #[error("no configured subnet or ip-range contain the IP address {0}")]
    Outside(IpAddr),
    /// All of them are taken.
    #[error("no available {} addresses on this network's address pools: {_0}", if _0.is_ipv4() { "IPv4" } else { "IPv6" })]
    Exhausted(Subnet),
}

/// Returns the address if it can be had.
pub(crate) fn check(pool: &Pool, wanted: IpAddr, used: &[IpAddr]) -> Result<IpAddr, AddressError> {
    if !pool.subnet.contains(wanted) {
        return Err(AddressError::Outside(wanted));
    }
    if !pool.can_have(wanted) || used.contains(&wanted) {
        return Err(AddressError::InUse);
    }
    Ok(wanted)
}

/// Returns the first free address after `last`, going round once.
pub(crate) fn next_free(pool: &Pool, last: Option<IpAddr>, used: &[IpAddr]) -> Option<IpAddr> {
    let used: HashSet<&IpAddr> = used.iter().collect();
    let range = pool.range.unwrap_or(pool.subnet);
    let (first, end) = (range.network(), range.last());
    let start = last
        .map(next)
        .filter(|start| range.contains(*start))
        .unwrap_or(first);
    let is_free = |address: &IpAddr| pool.can_have(*address) && !used.contains(address);
    let found = from_to(start, end).find(is_free);
    found.or_else(|| from_to(first, start).find(is_free))
}

/// Returns addresses in order, both ends included.
fn from_to(first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
    let mut at = Some(first);
    std::iter::from_fn(move || {
        let now = at?;
        at = (now < last).then(|| next(now));
        Some(now)
    })
}

/// Returns a hardware address that is made from the IP address, so that the two always go together
/// and no neighbour remembers a wrong one.
pub(crate) fn mac_of(address: IpAddr) -> [u8; 6] {
    /// The bit that marks an address as locally administered is set in the first byte.
    const PREFIX: [u8; 2] = [0x02, 0x42];
    let [a, b, c, d] = match address {
        IpAddr::V4(v4) => v4.octets(),
        // Two halves of 64 bits may each be the one in which containers differ.
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            let [.., a, b, c, d] = (bits ^ (bits >> 64)).to_be_bytes();
            [a, b, c, d]
        }
    };
    [PREFIX[0], PREFIX[1], a, b, c, d]
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_and_reservations_are_kept() {
        let mut pool = Pool::of("10.0.0.0/24".parse().unwrap());
        pool.range = Some("10.0.0.128/30".parse().unwrap());
        pool.reserved = vec![[10, 0, 0, 129].into()];
        let mut used = Vec::new();
        while let Some(address) = next_free(&pool, used.last().copied(), &used) {
            used.push(address);
        }
        assert_eq!(used, [128, 130, 131].map(|n| IpAddr::from([10, 0, 0, n])));
        let reserved = check(&pool, [10, 0, 0, 129].into(), &used);
        assert_eq!(reserved, Err(AddressError::InUse));
        let outside = check(&pool, [10, 0, 1, 1].into(), &used).unwrap_err();
        assert_eq!(
            outside.to_string(),
            "no configured subnet or ip-range contain the IP address 10.0.1.1"
        );
    }

    #[test]
    fn large_networks_begin_at_their_beginning() {
        let pool = Pool::of("fd00::/64".parse().unwrap());
        let first = next_free(&pool, None, &[]).unwrap();
        assert_eq!(first, "fd00::2".parse::<IpAddr>().unwrap());
        assert_eq!(
            next_free(&pool, Some(first), &[first]).unwrap(),
            "fd00::3".parse::<IpAddr>().unwrap()
        );
    }

    proptest! {
        #[test]
        fn an_address_is_inside_unused_and_not_special(
            prefix in 16_u8..=30,
            last: Option<u32>,
            used in proptest::collection::vec(2_u32..40, 0..30),
        ) {
            let subnet = Subnet::containing(Ipv4Addr::new(10, 1, 0, 0).into(), prefix);
            let pool = Pool::of(subnet);
            let base = Ipv4Addr::new(10, 1, 0, 0).to_bits();
            let used: Vec<IpAddr> = used.iter().map(|n| Ipv4Addr::from_bits(base + n).into()).collect();
            let last = last.map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits)));
            if let Some(address) = next_free(&pool, last, &used) {
                prop_assert!(subnet.contains(address));
                prop_assert!(!used.contains(&address));
                for special in [subnet.network(), subnet.first_host(), subnet.last()] {
                    prop_assert_ne!(address, special);
                }
            } else {
                let places = (1_usize << (32 - prefix)) - 3;
                prop_assert!(places <= used.len());
            }
        }
    }
}
