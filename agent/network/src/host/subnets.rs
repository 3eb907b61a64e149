//! Which subnets are free on the machine.

use std::io;

use berth_agent_state::{State, StateError};

use super::{Host, SetUpError, step};
use crate::Subnet;
use crate::definition::{DEFAULT_NETWORK, Definition};
use crate::lease::BridgeRecord;

// === impl Host ===

impl Host {
    /// Keeps the recorded subnet while nobody else uses it, and otherwise takes the first free one.
    pub(super) fn choose_subnet(&mut self, state: &State) -> Result<Subnet, SetUpError> {
        let recorded = state
            .read(|reader| reader.get::<BridgeRecord>(&self.default_bridge))
            .map_err(SetUpError::State)?
            .map(|record| record.subnet);
        let taken = self
            .taken(Some(DEFAULT_NETWORK))
            .map_err(step("list the machine's networks"))?;
        recorded
            .into_iter()
            .chain(Subnet::candidates())
            .find(|candidate| !taken.iter().any(|other| other.overlaps(*candidate)))
            .ok_or(SetUpError::NoFreeSubnet)
    }

    /// Decides on the default network's subnet before anybody needs it, so that no other gets what people
    /// know as its own.
    pub(crate) fn plan_default(&mut self, state: &State) -> Result<(), SetUpError> {
        let name = &self.default_bridge;
        let known = state.read(|reader| reader.get::<BridgeRecord>(name));
        if known.map_err(SetUpError::State)?.is_some() {
            return Ok(());
        }
        let definition = self.default_definition(state, None)?;
        self.record(state, &definition).map_err(SetUpError::State)
    }

    /// Returns the networks that are in use by the machine and by other networks of containers than
    /// the one named.
    pub(crate) fn taken(&mut self, but: Option<&str>) -> io::Result<Vec<Subnet>> {
        let own = match but {
            Some(DEFAULT_NETWORK) => {
                let bridge = self.default_bridge.clone();
                self.find(&bridge)?.map(|link| link.index)
            }
            _ => None,
        };
        let links = self.links()?;
        let addresses = links.addresses()?.into_iter();
        let addresses = addresses.filter(|(index, ..)| Some(*index) != own);
        let mut taken: Vec<Subnet> = addresses.map(|(_, _, subnet)| subnet).collect();
        let routes = links.routed_networks()?.into_iter();
        let routes = routes.filter(|(index, _)| index.is_none() || *index != own);
        taken.extend(routes.map(|(_, subnet)| subnet));
        let others = self
            .definitions
            .values()
            .filter(|other| Some(other.id.as_str()) != but);
        taken.extend(others.flat_map(|other| other.pools.iter().map(|pool| pool.subnet)));
        Ok(taken)
    }

    pub(super) fn record(&self, state: &State, definition: &Definition) -> Result<(), StateError> {
        let Some(pool) = definition.pools.first() else {
            return Ok(());
        };
        let record = BridgeRecord {
            subnet: pool.subnet,
        };
        let name = &self.default_bridge;
        if state.read(|reader| reader.get(name))?.as_ref() == Some(&record) {
            return Ok(());
        }
        state.write(|writer| writer.put(name, &record))
    }
}
