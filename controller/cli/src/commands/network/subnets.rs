//! Which range, gateway and other addresses belong to which subnet, by Docker's rules.

use std::net::IpAddr;

use berth_proto::v1::NetworkPool;

/// What was given, each kind by itself.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) subnets: &'a [String],
    pub(super) ranges: &'a [String],
    pub(super) gateways: &'a [String],
    pub(super) aux_addresses: &'a [String],
}

/// A network by its address and prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// Puts together what belongs together.
pub(super) fn pools(asked: &Asked<'_>) -> Result<Vec<NetworkPool>, String> {
    if asked.subnets.len() < asked.ranges.len() || asked.subnets.len() < asked.gateways.len() {
        return Err("every ip-range or gateway must have a corresponding subnet".to_owned());
    }
    let mut pools: Vec<(Cidr, NetworkPool)> = Vec::new();
    for text in asked.subnets {
        let cidr = Cidr::parse(text)?;
        if pools.iter().any(|(other, _)| other.overlaps(cidr)) {
            return Err("multiple overlapping subnet configuration is not supported".to_owned());
        }
        let pool = NetworkPool {
            subnet: text.clone(),
            ..NetworkPool::default()
        };
        pools.push((cidr, pool));
    }
    for text in asked.ranges {
        let range = Cidr::parse(text)?;
        let pool = find(&mut pools, range.address)
            .ok_or_else(|| format!("no matching subnet for range {text}"))?;
        if !pool.ip_range.is_empty() {
            let (other, subnet) = (&pool.ip_range, &pool.subnet);
            return Err(format!(
                "cannot configure multiple ranges ({text}, {other}) on the same subnet ({subnet})"
            ));
        }
        text.clone_into(&mut pool.ip_range);
    }
    for text in asked.gateways {
        let none = || format!("no matching subnet for gateway {text}");
        let address: IpAddr = text.parse().map_err(|_not_one| none())?;
        let pool = find(&mut pools, address).ok_or_else(none)?;
        if !pool.gateway.is_empty() {
            let (other, subnet) = (&pool.gateway, &pool.subnet);
            return Err(format!(
                "cannot configure multiple gateways ({text}, {other}) for the same subnet ({subnet})"
            ));
        }
        text.clone_into(&mut pool.gateway);
    }
    for text in asked.aux_addresses {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let none = || format!("no matching subnet for aux-address {value}");
        let address: IpAddr = value.parse().map_err(|_not_one| none())?;
        let pool = find(&mut pools, address).ok_or_else(none)?;
        pool.aux_addresses.insert(name.to_owned(), value.to_owned());
    }
    Ok(pools.into_iter().map(|(_, pool)| pool).collect())
}

fn find(pools: &mut [(Cidr, NetworkPool)], address: IpAddr) -> Option<&mut NetworkPool> {
    let mut pools = pools.iter_mut();
    let found = pools.find(|(cidr, _)| cidr.contains(address));
    found.map(|(_, pool)| pool)
}

// === impl Cidr ===

impl Cidr {
    fn parse(text: &str) -> Result<Self, String> {
        let read = || {
            let (address, prefix) = text.split_once('/')?;
            let address: IpAddr = address.parse().ok()?;
            let width = if address.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.parse().ok().filter(|prefix| *prefix <= width)?;
            Some(Self { address, prefix })
        };
        read().ok_or_else(|| format!("invalid CIDR address: {text}"))
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ
                    .checked_shr(128 - u32::from(self.prefix))
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }

    fn overlaps(self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(
        subnets: &[&str],
        ranges: &[&str],
        gateways: &[&str],
        aux: &[&str],
    ) -> Result<Vec<NetworkPool>, String> {
        let words = |list: &[&str]| {
            list.iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let (subnets, ranges, gateways, aux) =
            (words(subnets), words(ranges), words(gateways), words(aux));
        pools(&Asked {
            subnets: &subnets,
            ranges: &ranges,
            gateways: &gateways,
            aux_addresses: &aux,
        })
    }

    #[test]
    fn addresses_find_their_subnets() {
        let pools = said(
            &["10.0.0.0/16", "fd00::/64"],
            &["10.0.5.0/24"],
            &["fd00::9", "10.0.5.254"],
            &["router=10.0.1.5"],
        )
        .unwrap();
        assert_eq!(pools[0].ip_range, "10.0.5.0/24");
        assert_eq!(pools[0].gateway, "10.0.5.254");
        assert_eq!(pools[0].aux_addresses["router"], "10.0.1.5");
        assert_eq!(pools[1].gateway, "fd00::9");
        assert_eq!(said(&[], &[], &[], &[]).unwrap(), []);
    }

    #[test]
    fn what_belongs_nowhere_is_refused() {
        let error =
            |subnets, ranges, gateways, aux| said(subnets, ranges, gateways, aux).unwrap_err();
        assert_eq!(
            error(&[], &[], &["10.0.0.1"], &[]),
            "every ip-range or gateway must have a corresponding subnet"
        );
        assert_eq!(
            error(&["10.0.0.0/16", "10.0.1.0/24"], &[], &[], &[]),
            "multiple overlapping subnet configuration is not supported"
        );
        assert_eq!(
            error(&["10.0.0.0/16"], &[], &["10.1.0.1"], &[]),
            "no matching subnet for gateway 10.1.0.1"
        );
        assert_eq!(
            error(
                &["10.0.0.0/16", "10.1.0.0/16"],
                &["10.0.1.0/24", "10.0.2.0/24"],
                &[],
                &[]
            ),
            "cannot configure multiple ranges (10.0.2.0/24, 10.0.1.0/24) on the same subnet (10.0.0.0/16)"
        );
        assert_eq!(
            error(&["10.0.0.0/16"], &[], &[], &["a=10.9.0.1"]),
            "no matching subnet for aux-address 10.9.0.1"
        );
        assert_eq!(
            error(&["nonsense"], &[], &[], &[]),
            "invalid CIDR address: nonsense"
        );
    }
}
