//! Bringing records and kernel together when the agent starts.

use std::collections::HashSet;
use std::io;

use crate::RestoreError;
use crate::bridge::{Bridge, SetUpError};
use crate::lease::{Attached, Lease, is_interface_name};
use crate::network::Inner;
use crate::ports::reserve_again;

// === impl Inner ===

impl Inner {
    pub(crate) fn restore(&self, live: &HashSet<String>) -> Result<(), RestoreError> {
        self.drop_dead(live)?;
        self.drop_unknown_namespaces();
        self.reserve_ports();
        let mut bridge = self.bridge();
        let exists = bridge
            .index()
            .map_err(|source| RestoreError::SetUp {
                step: "find the bridge",
                source,
            })?
            .is_some();
        let needs = self.needs();
        if needs.subnet.is_none() && !exists {
            return Ok(());
        }
        let ready = bridge.set_up(&self.state, &needs)?;
        self.tidy_interfaces(&mut bridge, ready.index)
            .map_err(|source| RestoreError::SetUp {
                step: "tidy the bridge's interfaces",
                source,
            })
    }

    /// Forgets the containers that do not live, with their namespaces; the new firewall will not
    /// have their ports.
    fn drop_dead(&self, live: &HashSet<String>) -> Result<(), RestoreError> {
        let dead: Vec<String> = self
            .leases()
            .attached()
            .filter(|(id, _)| !live.contains(*id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &dead {
            self.lease_files
                .remove(id)
                .map_err(|source| RestoreError::SetUp {
                    step: "forget a container that does not run",
                    source,
                })?;
            self.leases().forget(id);
            tracing::info!(id, "dropped the network of a container that does not run");
        }
        Ok(())
    }

    /// Best effort: a namespace that stays costs a little memory until the machine starts again.
    fn drop_unknown_namespaces(&self) {
        let names = self.namespaces.list().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot list the network namespaces");
            Vec::new()
        });
        for id in names {
            if self.leases().knows(&id) {
                continue;
            }
            if let Err(error) = self.namespaces.remove(&id) {
                tracing::warn!(id, %error, "cannot remove a leftover network namespace");
            }
        }
    }

    /// Reserves the ports of live containers again. One that another program took while the agent was
    /// down stays published, as the containers' packets do not ask for the socket.
    fn reserve_ports(&self) {
        let leases: Vec<(String, Lease)> = self
            .leases()
            .attached()
            .map(|(id, lease)| (id.clone(), lease.clone()))
            .collect();
        for (id, lease) in leases {
            let Ok(Attached {
                reservations: held, ..
            }) = self.leases().end(&id)
            else {
                continue;
            };
            // A second call of restore must not find the ports taken by the first.
            drop(held);
            let reserve = |port| {
                reserve_again(port)
                    .inspect_err(
                        |error| tracing::warn!(id, %error, "a published port is not reserved"),
                    )
                    .ok()
            };
            let reservations = lease.ports.iter().filter_map(reserve).collect();
            self.leases().put(
                &id,
                Attached {
                    lease,
                    reservations,
                },
            );
        }
    }

    /// Connects the live containers' interfaces to the bridge, if it had to be made anew, and removes
    /// interfaces that belong to nobody.
    fn tidy_interfaces(&self, bridge: &mut Bridge, index: u32) -> io::Result<()> {
        let wanted: HashSet<String> = self
            .leases()
            .attached()
            .filter_map(|(_, lease)| lease.interface())
            .collect();
        let links = bridge.links()?;
        for port in links.ports_of(index)? {
            if is_interface_name(&port.name) && !wanted.contains(&port.name) {
                tracing::info!(interface = port.name, "removing a leftover interface");
                links.remove(port.index)?;
            }
        }
        for name in &wanted {
            match links.by_name(name)? {
                Some(link) if link.controller != Some(index) => {
                    links.connect_port(link.index, index)?;
                }
                Some(_) => {}
                None => tracing::warn!(interface = name, "a live container has lost its interface"),
            }
        }
        Ok(())
    }
}

impl From<SetUpError> for RestoreError {
    fn from(error: SetUpError) -> Self {
        match error {
            SetUpError::Step { step, source } => Self::SetUp { step, source },
            SetUpError::NoFreeSubnet => Self::NoFreeSubnet,
            SetUpError::State(source) => Self::State { source },
        }
    }
}
