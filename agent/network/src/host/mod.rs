//! The machine's side of networks: bridges and parents, their addresses, kernel parameters and the
//! firewall.
//!
//! A network is set up when it is made or when its first container needs it, and found to be in order
//! (or mended) before each further one, since other programs of the machine may take it away: a
//! firewall service that starts again flushes every table.

mod subnets;
mod undo;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use berth_agent_state::{State, StateError};

use crate::Subnet;
use crate::addresses::mac_of;
use crate::definition::{BridgeOptions, DEFAULT_NETWORK, Definition, Driver, Pool};
use crate::firewall::{Firewall, FirewallError, Forward, NetworkRules};
use crate::namespace::set_parameter;
use crate::netlink::links::{Link, Links};

/// The networks of one agent, with connections to the kernel.
#[derive(Debug)]
pub(crate) struct Host {
    /// Name of the default network's bridge.
    default_bridge: String,
    configured: Option<Subnet>,
    definitions: HashMap<String, Arc<Definition>>,
    links: Option<Links>,
    firewall: Option<Firewall>,
    ready: HashMap<String, Ready>,
    /// Keys of the networks that the firewall's table knows; nothing: there is no table.
    in_rules: Option<BTreeSet<String>>,
}

/// A network that containers can be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ready {
    /// Index of the bridge or parent.
    pub(crate) index: u32,
    pub(crate) definition: Arc<Definition>,
}

/// Begins the alias of interfaces that were made for a network, and go with it.
const MARK: &str = "berth network ";

/// What attached containers need of the machine.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// The subnet that those on the default network have addresses of.
    pub(crate) default_subnet: Option<Subnet>,
    pub(crate) forwards: Vec<Forward>,
}

/// The reasons why a network cannot be set up.
#[derive(Debug)]
pub(crate) enum SetUpError {
    Step {
        step: &'static str,
        source: io::Error,
    },
    NoFreeSubnet,
    NoSuchNetwork(String),
    NoSuchParent(String),
    InterfaceInUse(String),
    State(StateError),
}

// === impl Host ===

impl Host {
    pub(crate) fn new(default_bridge: String, configured: Option<Subnet>) -> Self {
        Self {
            default_bridge,
            configured,
            definitions: HashMap::new(),
            links: None,
            firewall: None,
            ready: HashMap::new(),
            in_rules: None,
        }
    }

    /// Makes a network known.
    pub(crate) fn define(&mut self, definition: Definition) {
        self.definitions
            .insert(definition.id.clone(), Arc::new(definition));
    }

    /// Returns the connection to the interfaces of the agent's namespace.
    pub(crate) fn links(&mut self) -> io::Result<&mut Links> {
        if self.links.is_none() {
            self.links = Some(Links::open()?);
        }
        self.links
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Connects to the kernel in the calling thread's namespace, if that has not been done.
    pub(crate) fn open(&mut self) -> io::Result<()> {
        self.links()?;
        self.firewall().map_err(|error| error.source).map(drop)
    }

    fn firewall(&mut self) -> Result<&mut Firewall, FirewallError> {
        let reach = |source| FirewallError {
            step: "reach the kernel's firewall (nftables)",
            source,
        };
        if self.firewall.is_none() {
            self.firewall = Some(Firewall::open().map_err(reach)?);
        }
        self.firewall
            .as_mut()
            .ok_or_else(|| reach(io::ErrorKind::NotConnected.into()))
    }

    pub(crate) fn find(&mut self, interface: &str) -> io::Result<Option<Link>> {
        self.links()?.by_name(interface)
    }

    /// Returns whether the default network's bridge exists.
    pub(crate) fn has_default_bridge(&mut self) -> io::Result<bool> {
        let name = self.default_bridge.clone();
        Ok(self.find(&name)?.is_some())
    }

    pub(crate) fn ready(&self) -> impl Iterator<Item = &Ready> {
        self.ready.values()
    }

    /// Returns the keys of all networks that are known besides the default one.
    pub(crate) fn defined(&self) -> Vec<String> {
        self.definitions.keys().cloned().collect()
    }

    /// Returns whether there is a table, which must follow each change of the networks.
    pub(crate) fn has_rules(&self) -> bool {
        self.in_rules.is_some()
    }

    /// Makes sure that everything of a network is in place.
    pub(crate) fn ensure(
        &mut self,
        key: &str,
        state: &State,
        needs: impl FnOnce() -> Needs,
    ) -> Result<Ready, SetUpError> {
        if let Some(ready) = self.ready.get(key).cloned() {
            let interface = ready.definition.interface();
            let found = self.find(&interface).map_err(step("find the bridge"))?;
            let is_there = found.is_some_and(|link| link.index == ready.index);
            let is_known = |known: &BTreeSet<String>| known.contains(key);
            let has_rules = self.in_rules.as_ref().is_some_and(is_known)
                && self
                    .firewall()?
                    .is_set_up()
                    .map_err(step("find the firewall's table"))?;
            if is_there && has_rules {
                self.pass_docker();
                return Ok(ready);
            }
            if self.has_rules() {
                tracing::warn!(
                    interface,
                    "the container network was taken away, setting it up again"
                );
            }
        }
        let needs = needs();
        let ready = self.set_up(key, state, needs.default_subnet)?;
        self.replace_firewall(&needs.forwards)?;
        Ok(ready)
    }

    /// Puts everything of a network in place but the firewall, whatever is there.
    pub(crate) fn set_up(
        &mut self,
        key: &str,
        state: &State,
        default_subnet: Option<Subnet>,
    ) -> Result<Ready, SetUpError> {
        self.ready.remove(key);
        let definition = if key == DEFAULT_NETWORK {
            Arc::new(self.default_definition(state, default_subnet)?)
        } else {
            let known = self.definitions.get(key).cloned();
            known.ok_or_else(|| SetUpError::NoSuchNetwork(key.to_owned()))?
        };
        let index = match &definition.driver {
            Driver::Bridge(options) => self.set_up_bridge(options, &definition)?,
            Driver::Macvlan(_) | Driver::Ipvlan(_) => self.set_up_parent(&definition)?,
        };
        if key == DEFAULT_NETWORK {
            self.record(state, &definition).map_err(SetUpError::State)?;
        }
        let ready = Ready { index, definition };
        self.ready.insert(key.to_owned(), ready.clone());
        tracing::info!(
            network = ready.definition.name,
            "the container network is set up"
        );
        Ok(ready)
    }

    pub(super) fn default_definition(
        &mut self,
        state: &State,
        default_subnet: Option<Subnet>,
    ) -> Result<Definition, SetUpError> {
        let subnet = match default_subnet.or(self.configured) {
            Some(subnet) => subnet,
            None => self.choose_subnet(state)?,
        };
        Ok(Definition {
            id: DEFAULT_NETWORK.to_owned(),
            name: DEFAULT_NETWORK.to_owned(),
            driver: Driver::Bridge(BridgeOptions {
                interface: self.default_bridge.clone(),
                talks: true,
                masquerade: true,
                mtu: None,
                host_binding: None,
            }),
            pools: vec![Pool::of(subnet)],
            internal: false,
            has_names: false,
        })
    }

    fn set_up_bridge(
        &mut self,
        options: &BridgeOptions,
        definition: &Definition,
    ) -> Result<u32, SetUpError> {
        let existing = self
            .find(&options.interface)
            .map_err(step("find the bridge"))?;
        let index = match existing {
            Some(link) if self.is_made_for(&link, definition) => link.index,
            // A card or a bridge that got this name while the network was not set up.
            Some(link) => return Err(SetUpError::InterfaceInUse(link.name)),
            None => self
                .create_bridge(options, definition)
                .map_err(step("create the bridge"))?,
        };
        let has_ipv6 = definition.pools.iter().any(|pool| !pool.subnet.is_ipv4());
        // Before the addresses, which a bridge without IPv6 cannot have.
        set_parameters(&options.interface, has_ipv6, definition.internal)?;
        self.set_addresses(index, definition)
            .map_err(step("give the bridge its address"))?;
        Ok(index)
    }

    fn create_bridge(
        &mut self,
        options: &BridgeOptions,
        definition: &Definition,
    ) -> io::Result<u32> {
        let gateways = definition.pools.iter().filter_map(|pool| pool.gateway);
        let first = gateways.min_by_key(|gateway| !gateway.is_ipv4());
        let mac = mac_of(first.unwrap_or_else(|| IpAddr::from([0, 0, 0, 1])));
        let links = self.links()?;
        let mark = format!("{MARK}{}", definition.id);
        links.create_bridge(&options.interface, mac, (options.mtu, &mark))?;
        let link = links.by_name(&options.interface)?;
        Ok(link.ok_or(io::ErrorKind::NotFound)?.index)
    }

    fn set_addresses(&mut self, index: u32, definition: &Definition) -> io::Result<()> {
        let pools = definition.pools.iter();
        let mut wanted: Vec<(IpAddr, Subnet)> = pools
            .filter_map(|pool| Some((pool.gateway?, pool.subnet)))
            .collect();
        let links = self.links()?;
        for (owner, address, network) in links.addresses()? {
            let is_link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            if owner != index || is_link_local {
                continue;
            }
            let before = wanted.len();
            wanted.retain(|known| *known != (address, network));
            if wanted.len() == before {
                links.remove_address(index, address, network)?;
            }
        }
        for (address, subnet) in wanted {
            links.add_address(index, address, subnet)?;
        }
        links.bring_up(index)
    }

    /// Adds published ports. `all` are those of all containers, these included, for a firewall that
    /// turns out not to be what it should.
    pub(crate) fn publish(
        &mut self,
        forwards: &[Forward],
        all: impl FnOnce() -> Vec<Forward>,
    ) -> Result<(), FirewallError> {
        self.change(forwards, all, Firewall::add)
    }

    /// Removes published ports. `all` are those of all other containers.
    pub(crate) fn withdraw(
        &mut self,
        forwards: &[Forward],
        all: impl FnOnce() -> Vec<Forward>,
    ) -> Result<(), FirewallError> {
        self.change(forwards, all, Firewall::remove)
    }

    fn change(
        &mut self,
        forwards: &[Forward],
        all: impl FnOnce() -> Vec<Forward>,
        change: fn(&mut Firewall, &[Forward]) -> Result<(), FirewallError>,
    ) -> Result<(), FirewallError> {
        if forwards.is_empty() || !self.has_rules() {
            return Ok(());
        }
        match change(self.firewall()?, forwards) {
            Err(error)
                if matches!(
                    error.source.raw_os_error(),
                    Some(libc::ENOENT | libc::EEXIST)
                ) =>
            {
                tracing::warn!(step = error.step, error = %error.source, "replacing the firewall's table");
                self.replace_firewall(&all())
            }
            result => result,
        }
    }

    /// Puts the firewall in place for all networks that are set up.
    pub(crate) fn replace_firewall(&mut self, forwards: &[Forward]) -> Result<(), FirewallError> {
        let mut rules: Vec<NetworkRules> = self.ready.values().filter_map(rules).collect();
        rules.sort_by(|a, b| a.bridge.cmp(&b.bridge));
        self.in_rules = None;
        self.firewall()?.replace(&rules, forwards)?;
        self.in_rules = Some(self.ready.keys().cloned().collect());
        self.pass_docker();
        Ok(())
    }

    /// Lets the packets of our bridges pass Docker's firewall while our own table is there.
    fn pass_docker(&mut self) {
        if !self.firewall().is_ok_and(Firewall::finds_docker) {
            return;
        }
        let ready = self.ready.values().filter(|_| self.has_rules());
        let bridges = ready.filter_map(|ready| ready.definition.bridge());
        let mut bridges: Vec<String> = bridges.map(|bridge| bridge.interface.clone()).collect();
        bridges.sort();
        let links = self.links().and_then(Links::all).unwrap_or_default();
        let others = links
            .iter()
            .filter(|link| link.is_bridge && !bridges.contains(&link.name));
        let mut others: Vec<String> = others.map(|link| link.name.clone()).collect();
        others.sort();
        if let Ok(firewall) = self.firewall() {
            firewall.pass_docker(&bridges, &others);
        }
    }

    /// Takes away what a former agent left of the firewall, since no container needs it.
    pub(crate) fn clear_old_firewall(&mut self) -> Result<(), FirewallError> {
        let found = self.firewall()?.is_set_up().unwrap_or(false);
        self.in_rules = found.then(BTreeSet::new);
        self.clear_firewall()
    }

    /// Takes the firewall's tables away, since no container needs them.
    pub(crate) fn clear_firewall(&mut self) -> Result<(), FirewallError> {
        if self.in_rules.take().is_none() {
            return Ok(());
        }
        self.firewall()?.clear()?;
        self.pass_docker();
        Ok(())
    }
}

fn rules(ready: &Ready) -> Option<NetworkRules> {
    let options = ready.definition.bridge()?;
    Some(NetworkRules {
        bridge: options.interface.clone(),
        subnets: ready
            .definition
            .pools
            .iter()
            .map(|pool| pool.subnet)
            .collect(),
        internal: ready.definition.internal,
        masquerade: options.masquerade,
    })
}

fn set_parameters(bridge: &str, has_ipv6: bool, internal: bool) -> Result<(), SetUpError> {
    // Without IPv6 on the bridge, a container must not be able to announce routes to the machine; a
    // kernel without IPv6 has no such files.
    let mut ipv6 = vec![(
        format!("ipv6/conf/{bridge}/disable_ipv6"),
        if has_ipv6 { "0" } else { "1" },
    )];
    if has_ipv6 {
        ipv6.push((format!("ipv6/conf/{bridge}/accept_ra"), "0"));
        ipv6.push(("ipv6/conf/all/forwarding".to_owned(), "1"));
    }
    for (name, value) in ipv6 {
        if let Err(error) = set_parameter(&name, value) {
            tracing::debug!(name, %error, "a parameter of IPv6 was not set");
        }
    }
    if !internal {
        let loopback = format!("ipv4/conf/{bridge}/route_localnet");
        set_parameter(&loopback, "1").map_err(step("let the bridge route loopback addresses"))?;
    }
    set_parameter("ipv4/ip_forward", "1").map_err(step("switch on forwarding of packets"))
}

pub(super) fn step(step: &'static str) -> impl FnOnce(io::Error) -> SetUpError {
    move |source| SetUpError::Step { step, source }
}

impl From<FirewallError> for SetUpError {
    fn from(FirewallError { step, source }: FirewallError) -> Self {
        Self::Step { step, source }
    }
}
