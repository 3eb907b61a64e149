//! Makes a network.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::SystemTime;

use berth_agent_network::Subnet;

use super::check;
use super::error::NetworkError;
use super::options::NetworkOptions;
use super::record::{NetworkEntry, PoolRecord};
use crate::Engine;
use crate::id::random_hex;

/// A network that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedNetwork {
    /// Its id.
    pub id: String,
    /// What will not be as asked; empty: nothing.
    pub warning: String,
}

/// Bits of a chosen IPv6 subnet, and of the part of them that is this engine's.
const SUBNET_BITS: u8 = 64;
const ENGINE_BITS: u8 = 48;

impl Engine {
    /// Makes a network; it is on the disk when this returns.
    ///
    /// # Errors
    /// When something asked for is wrong or cannot be made; nothing is left of it then.
    ///
    /// # Cancel safety
    /// Goes on when the future is dropped.
    pub async fn create_network(
        self: &Arc<Self>,
        options: NetworkOptions,
    ) -> Result<CreatedNetwork, NetworkError> {
        let engine = Arc::clone(self);
        let work = tokio::spawn(async move { engine.make_network(options).await });
        crate::task::outcome(work).await
    }

    async fn make_network(
        self: &Arc<Self>,
        mut options: NetworkOptions,
    ) -> Result<CreatedNetwork, NetworkError> {
        check::check(&options)?;
        let guard = self.networks.changing.write().await;
        let name = options.name.trim().to_owned();
        if self.network_named(&name).is_some() {
            return Err(NetworkError::Exists(name));
        }
        self.borrow_settings(&mut options)?;
        let mut pools = check::pools(&options)?;
        let has_chosen_subnet = !pools.is_empty();
        if options.ipam_driver != "null" && !options.config_only {
            let (engine, wanted) = (Arc::clone(self), options.clone());
            let work = tokio::task::spawn_blocking(move || engine.complete(&wanted, pools));
            pools = crate::task::outcome(work).await?;
        }
        let entry = NetworkEntry {
            id: random_hex(32),
            name,
            created: SystemTime::now(),
            driver: or(options.driver, "bridge"),
            internal: options.internal,
            attachable: options.attachable,
            config_only: options.config_only,
            config_from: options.config_from,
            enable_ipv4: options.enable_ipv4.unwrap_or(true),
            enable_ipv6: options.enable_ipv6.unwrap_or(false),
            ipam_driver: or(options.ipam_driver, "default"),
            ipam_options: options.ipam_options,
            pools,
            has_chosen_subnet,
            options: options.options,
            labels: options.labels,
        };
        if let Some(definition) = entry.definition() {
            self.network
                .define(definition)
                .await
                .map_err(NetworkError::Make)?;
        }
        let (engine, stored) = (Arc::clone(self), entry.clone());
        let work = move || engine.state.write(|w| w.put(&stored.id, &stored));
        if let Err(error) = crate::task::outcome(tokio::task::spawn_blocking(work)).await {
            if let Err(error) = self.network.undefine(&entry.id).await {
                tracing::error!(network = entry.name, %error, "half-made network not removed");
            }
            return Err(error.into());
        }
        let id = entry.id.clone();
        self.networks.insert(entry.clone());
        drop(guard);
        self.network_event(&entry, "create", None);
        Ok(CreatedNetwork {
            id,
            warning: String::new(),
        })
    }

    /// Takes the settings of the network that lends them.
    fn borrow_settings(&self, options: &mut NetworkOptions) -> Result<(), NetworkError> {
        let source = options.config_from.clone();
        if source.is_empty() {
            return Ok(());
        }
        let lender = self
            .network_named(&source)
            .filter(|entry| entry.config_only);
        let lender = lender.ok_or_else(|| {
            NetworkError::Invalid(format!("configuration network {source:?} not found"))
        })?;
        if !options.pools.is_empty() || !options.options.is_empty() {
            return Err(NetworkError::Invalid(
                "user defined configurations are not supported if the network depends on a configuration network".to_owned(),
            ));
        }
        let asked = super::view::asked_pools(&lender.pools);
        options.pools = asked;
        options.options.clone_from(&lender.options);
        options.internal |= lender.internal;
        options.enable_ipv6 = Some(lender.enable_ipv6);
        Ok(())
    }

    /// Adds the subnets and gateways that were left to choose. Blocks.
    fn complete(
        &self,
        options: &NetworkOptions,
        mut pools: Vec<PoolRecord>,
    ) -> Result<Vec<PoolRecord>, NetworkError> {
        let mut known: Vec<Subnet> = self.known_subnets();
        for pool in &pools {
            if known.iter().any(|other| other.overlaps(pool.subnet)) {
                return Err(NetworkError::Overlap);
            }
            known.push(pool.subnet);
        }
        let mut taken = self
            .network
            .taken_subnets()
            .map_err(NetworkError::Subnets)?;
        taken.extend(known);
        let has = |is_ipv4| {
            pools
                .iter()
                .any(|pool: &PoolRecord| pool.subnet.is_ipv4() == is_ipv4)
        };
        let wants_ipv4 = options.enable_ipv4.unwrap_or(true) && !has(true);
        let wants_ipv6 = options.enable_ipv6.unwrap_or(false) && !has(false);
        if wants_ipv4 {
            let chosen = first_free(self.config.address_pools(), &taken)?;
            pools.push(pool_of(chosen));
        }
        if wants_ipv6 {
            let chosen = first_free(self.own_ipv6().parts(SUBNET_BITS), &taken)?;
            pools.push(pool_of(chosen));
        }
        for pool in &mut pools {
            if pool.gateway.is_none() {
                pool.gateway = first_gateway(pool);
            }
        }
        Ok(pools)
    }

    /// Returns the subnets of all networks that are defined.
    fn known_subnets(&self) -> Vec<Subnet> {
        let all = self.all_networks();
        all.iter()
            .filter(|entry| !entry.config_only)
            .flat_map(|entry| entry.pools.iter().map(|pool| pool.subnet))
            .collect()
    }

    /// Returns the range of local IPv6 addresses that is this engine's, as likely as not alone:
    /// forty bits of its identity (RFC 4193).
    fn own_ipv6(&self) -> Subnet {
        let hash = self.network_id("ipv6");
        let bits = u128::from_str_radix(&hash[..10], 16).unwrap_or_default();
        let address = Ipv6Addr::from_bits(0xfd << 120 | bits << 80);
        Subnet::containing(address.into(), ENGINE_BITS)
    }
}

fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() {
        otherwise.to_owned()
    } else {
        text
    }
}

fn first_free(
    mut candidates: impl Iterator<Item = Subnet>,
    taken: &[Subnet],
) -> Result<Subnet, NetworkError> {
    let is_free = |candidate: &Subnet| !taken.iter().any(|other| other.overlaps(*candidate));
    candidates.find(is_free).ok_or(NetworkError::NoFreeSubnet)
}

fn pool_of(subnet: Subnet) -> PoolRecord {
    PoolRecord {
        subnet,
        gateway: None,
        range: None,
        aux: std::collections::BTreeMap::new(),
    }
}

/// Returns the first address that nobody else has, of the part that containers get addresses of.
fn first_gateway(pool: &PoolRecord) -> Option<IpAddr> {
    /// More names of addresses than anybody gives.
    const MOST: usize = 4096;
    let range = pool.range.unwrap_or(pool.subnet);
    let width = if range.is_ipv4() { 32 } else { 128 };
    let is_free = |address: &IpAddr| {
        pool.subnet.is_host(*address) && !pool.aux.values().any(|other| other == address)
    };
    let mut addresses = range.parts(width).map(Subnet::network).take(MOST);
    addresses.find(is_free)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn gateways_keep_out_of_the_way() {
        let mut pool = pool_of("10.0.0.0/24".parse().expect("subnet"));
        assert_eq!(first_gateway(&pool), Some([10, 0, 0, 1].into()));
        pool.aux = BTreeMap::from([("router".to_owned(), [10, 0, 0, 1].into())]);
        assert_eq!(first_gateway(&pool), Some([10, 0, 0, 2].into()));
        pool.range = Some("10.0.0.128/25".parse().expect("range"));
        assert_eq!(first_gateway(&pool), Some([10, 0, 0, 128].into()));
        let v6 = pool_of("fd00::/64".parse().expect("subnet"));
        assert_eq!(
            first_gateway(&v6),
            Some("fd00::1".parse().expect("address"))
        );
    }

    #[test]
    fn a_subnet_is_the_first_that_nobody_uses() {
        let taken = ["172.17.0.0/16", "172.18.4.0/24"].map(|t| t.parse().expect("subnet"));
        let found = first_free(Subnet::candidates(), &taken).expect("free");
        assert_eq!(found.to_string(), "172.19.0.0/16");
        let all: Vec<Subnet> = vec![
            "0.0.0.0/1".parse().expect("half"),
            "128.0.0.0/1".parse().expect("half"),
        ];
        let error = first_free(Subnet::candidates(), &all).expect_err("none");
        assert_eq!(
            error.to_string(),
            "all predefined address pools have been fully subnetted"
        );
    }
}
