//! The machine's side of the network: the bridge, its address, kernel parameters and the firewall.
//!
//! It is set up when the first container needs it, and found to be in order (or mended) before each
//! further one, since other programs of the machine may take it away: a firewall service that starts
//! again flushes every table.

use std::io;
use std::net::Ipv4Addr;

use berth_agent_state::{State, StateError};

use crate::Subnet;
use crate::firewall::{Firewall, FirewallError, Forward};
use crate::lease::BridgeRecord;
use crate::namespace::set_parameter;
use crate::netlink::links::Links;

/// The bridge of one agent, with connections to the kernel.
#[derive(Debug)]
pub(crate) struct Bridge {
    name: String,
    configured: Option<Subnet>,
    links: Option<Links>,
    firewall: Option<Firewall>,
    ready: Option<Ready>,
}

/// A bridge that containers can be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) index: u32,
    pub(crate) subnet: Subnet,
}

/// What attached containers need of the bridge.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// The subnet that they have addresses of.
    pub(crate) subnet: Option<Subnet>,
    pub(crate) forwards: Vec<Forward>,
}

/// The reasons why the bridge cannot be set up.
#[derive(Debug)]
pub(crate) enum SetUpError {
    Step {
        step: &'static str,
        source: io::Error,
    },
    NoFreeSubnet,
    State(StateError),
}

// === impl Bridge ===

impl Bridge {
    pub(crate) fn new(name: String, configured: Option<Subnet>) -> Self {
        Self {
            name,
            configured,
            links: None,
            firewall: None,
            ready: None,
        }
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

    fn firewall(&mut self) -> Result<&mut Firewall, FirewallError> {
        let reach = |source| FirewallError {
            step: "reach the kernel's firewall (nftables)",
            source,
        };
        if self.firewall.is_none() {
            self.firewall = Some(Firewall::open(&self.name).map_err(reach)?);
        }
        self.firewall
            .as_mut()
            .ok_or_else(|| reach(io::ErrorKind::NotConnected.into()))
    }

    /// Returns the bridge's index if the interface exists.
    pub(crate) fn index(&mut self) -> io::Result<Option<u32>> {
        let name = self.name.clone();
        Ok(self.links()?.by_name(&name)?.map(|link| link.index))
    }

    /// Makes sure that everything is in place.
    pub(crate) fn ensure(
        &mut self,
        state: &State,
        needs: impl FnOnce() -> Needs,
    ) -> Result<Ready, SetUpError> {
        if let Some(ready) = self.ready {
            let index = self.index().map_err(step("find the bridge"))?;
            let firewall = self.firewall()?.is_set_up();
            if index == Some(ready.index) && firewall.map_err(step("find the firewall's table"))? {
                return Ok(ready);
            }
            tracing::warn!(
                bridge = self.name,
                "the container network was taken away, setting it up again"
            );
        }
        self.set_up(state, &needs())
    }

    /// Puts everything in place, whatever is there.
    pub(crate) fn set_up(&mut self, state: &State, needs: &Needs) -> Result<Ready, SetUpError> {
        self.ready = None;
        let existing = self.index().map_err(step("find the bridge"))?;
        let subnet = match needs.subnet.or(self.configured) {
            Some(subnet) => subnet,
            None => self.choose_subnet(existing, state)?,
        };
        let index = self.create(existing, subnet)?;
        self.set_addresses(index, subnet)
            .map_err(step("give the bridge its address"))?;
        self.set_parameters()?;
        self.replace_firewall(subnet, &needs.forwards)?;
        self.record(state, subnet).map_err(SetUpError::State)?;
        let ready = Ready { index, subnet };
        self.ready = Some(ready);
        tracing::info!(bridge = self.name, %subnet, "the container network is set up");
        Ok(ready)
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
        let (Some(ready), false) = (self.ready, forwards.is_empty()) else {
            return Ok(());
        };
        let firewall = self.firewall()?;
        match change(firewall, forwards) {
            Err(error)
                if matches!(
                    error.source.raw_os_error(),
                    Some(libc::ENOENT | libc::EEXIST)
                ) =>
            {
                tracing::warn!(step = error.step, error = %error.source, "replacing the firewall's table");
                self.replace_firewall(ready.subnet, &all())
            }
            result => result,
        }
    }

    fn replace_firewall(
        &mut self,
        subnet: Subnet,
        forwards: &[Forward],
    ) -> Result<(), FirewallError> {
        self.firewall()?.replace(subnet, forwards)
    }

    /// Keeps the recorded subnet while nobody else uses it, and otherwise takes the first free one.
    fn choose_subnet(&mut self, bridge: Option<u32>, state: &State) -> Result<Subnet, SetUpError> {
        let recorded = state
            .read(|reader| reader.get::<BridgeRecord>(&self.name))
            .map_err(SetUpError::State)?
            .map(|record| record.subnet);
        let taken = self
            .networks_of_others(bridge)
            .map_err(step("list the machine's networks"))?;
        recorded
            .into_iter()
            .chain(Subnet::candidates())
            .find(|candidate| !taken.iter().any(|other| other.overlaps(*candidate)))
            .ok_or(SetUpError::NoFreeSubnet)
    }

    fn networks_of_others(&mut self, bridge: Option<u32>) -> io::Result<Vec<Subnet>> {
        let links = self.links()?;
        let addresses = links.addresses()?;
        let addresses = addresses
            .into_iter()
            .filter(|(index, ..)| Some(*index) != bridge)
            .map(|(_, _, subnet)| subnet);
        let routes = links.routed_networks()?;
        let routes = routes
            .into_iter()
            .filter(|(index, _)| index.is_none() || *index != bridge)
            .map(|(_, subnet)| subnet);
        Ok(addresses.chain(routes).collect())
    }

    fn create(&mut self, existing: Option<u32>, subnet: Subnet) -> Result<u32, SetUpError> {
        let create = "create the bridge";
        if let Some(index) = existing {
            return Ok(index);
        }
        let name = self.name.clone();
        let links = self.links().map_err(step(create))?;
        links
            .create_bridge(&name, mac_of(subnet.gateway()))
            .map_err(step(create))?;
        self.index()
            .and_then(|index| index.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(step(create))
    }

    fn set_addresses(&mut self, index: u32, subnet: Subnet) -> io::Result<()> {
        let links = self.links()?;
        let wanted = (subnet.gateway(), subnet.prefix());
        let mut present = false;
        for (owner, address, network) in links.addresses()? {
            if owner != index {
                continue;
            }
            if (address, network.prefix()) == wanted {
                present = true;
            } else {
                links.remove_address(index, address, network)?;
            }
        }
        if !present {
            links.add_address(index, subnet.gateway(), subnet)?;
        }
        links.bring_up(index)
    }

    fn record(&self, state: &State, subnet: Subnet) -> Result<(), StateError> {
        let record = BridgeRecord { subnet };
        if state.read(|reader| reader.get(&self.name))?.as_ref() == Some(&record) {
            return Ok(());
        }
        state.write(|writer| writer.put(&self.name, &record))
    }

    fn set_parameters(&self) -> Result<(), SetUpError> {
        // There is no IPv6 on the bridge, so a container must not be able to announce routes to the
        // machine; a kernel without IPv6 has no such file.
        let no_ipv6 = format!("ipv6/conf/{}/disable_ipv6", self.name);
        if let Err(error) = set_parameter(&no_ipv6, "1") {
            tracing::debug!(%error, "IPv6 was not switched off on the bridge");
        }
        let loopback = format!("ipv4/conf/{}/route_localnet", self.name);
        set_parameter(&loopback, "1").map_err(step("let the bridge route loopback addresses"))?;
        set_parameter("ipv4/ip_forward", "1").map_err(step("switch on forwarding of packets"))
    }
}

/// Returns a hardware address that is made from the IP address, so that the two always go together
/// and no neighbour remembers a wrong one.
pub(crate) fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    /// The bit that marks an address as locally administered is set in the first byte.
    const PREFIX: [u8; 2] = [0x02, 0x42];
    let [a, b, c, d] = address.octets();
    [PREFIX[0], PREFIX[1], a, b, c, d]
}

fn step(step: &'static str) -> impl FnOnce(io::Error) -> SetUpError {
    move |source| SetUpError::Step { step, source }
}

impl From<FirewallError> for SetUpError {
    fn from(FirewallError { step, source }: FirewallError) -> Self {
        Self::Step { step, source }
    }
}
