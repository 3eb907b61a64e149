//! Bringing records and kernel together when the agent starts.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;

use crate::change::remove_interface;
use crate::definition::{DEFAULT_NETWORK, Definition};
use crate::host::Host;
use crate::lease::{Lease, is_interface_name};
use crate::netlink::links::Links;
use crate::network::Inner;
use crate::ports::reserve_quietly;
use crate::{AttachError, RestoreError};

// === impl Inner ===

impl Inner {
    pub(crate) fn restore(
        self: &Arc<Self>,
        live: &HashSet<String>,
        definitions: Vec<Definition>,
        runtime: &Handle,
    ) -> Result<(), RestoreError> {
        self.drop_dead(live)?;
        self.drop_unknown_namespaces();
        for definition in definitions {
            self.host().define(definition);
        }
        if let Err(error) = self.host().plan_default(&self.state) {
            let error = AttachError::from(error);
            tracing::warn!(%error, "the default network has no subnet yet");
        }
        self.mend_leases();
        self.reserve_ports();
        let result = self.restore_networks();
        self.restart_name_servers(runtime);
        result
    }

    fn restore_networks(&self) -> Result<(), RestoreError> {
        let mut host = self.host();
        let failed = |step| move |source| RestoreError::SetUp { step, source };
        let needs = self.needs();
        let mut keys: BTreeSet<String> = host.defined().into_iter().collect();
        let on_default = |(_, lease): (&String, &Lease)| lease.endpoint(DEFAULT_NETWORK).is_some();
        let has_default = host
            .has_default_bridge()
            .map_err(failed("find the bridge"))?;
        if has_default || self.leases().attached().any(on_default) {
            keys.insert(DEFAULT_NETWORK.to_owned());
        }
        let mut first_failure = None;
        for key in keys {
            if let Err(error) = host.set_up(&key, &self.state, needs.default_subnet) {
                let source = Box::new(AttachError::from(error));
                tracing::error!(network = key, error = %source, "network not set up");
                first_failure.get_or_insert(RestoreError::Network { name: key, source });
            }
        }
        host.remove_strays()
            .map_err(failed("remove interfaces of networks that are gone"))?;
        let is_needed = self
            .leases()
            .attached()
            .any(|(_, lease)| !lease.endpoints.is_empty());
        if is_needed {
            host.replace_firewall(&needs.forwards)
                .map_err(|error| failed(error.step)(error.source))?;
        } else {
            host.clear_old_firewall()
                .map_err(|error| failed(error.step)(error.source))?;
        }
        self.tidy_interfaces(&mut host)
            .map_err(failed("tidy the interfaces of the bridges"))?;
        first_failure.map_or(Ok(()), Err)
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

    /// Takes back what a killed agent had begun: endpoints that were being made or removed. Whoever
    /// wants them asks again.
    fn mend_leases(&self) {
        for (id, lease) in self.all_leases() {
            let (broken, kept): (Vec<_>, Vec<_>) = lease
                .endpoints
                .iter()
                .cloned()
                .partition(|endpoint| endpoint.incomplete);
            if broken.is_empty() {
                continue;
            }
            let mut mended = lease.clone();
            mended.endpoints = kept;
            let work = || -> io::Result<()> {
                let _namespace = self.namespaces.enter(&id)?;
                broken
                    .iter()
                    .try_for_each(|e| remove_interface(&e.interface, &mended))
            };
            let removed = thread::scope(|scope| scope.spawn(work).join());
            if let Ok(Err(error)) = removed {
                tracing::warn!(id, %error, "a half-made interface was not removed");
            }
            if let Err(error) = self.lease_files.put(&id, &mended) {
                tracing::warn!(id, %error, "a mended record was not written");
            }
            if let Some(attached) = self.leases().get_mut(&id) {
                attached.lease = mended;
            }
        }
    }

    fn all_leases(&self) -> Vec<(String, Lease)> {
        let leases = self.leases();
        let all = leases
            .attached()
            .map(|(id, lease)| (id.clone(), lease.clone()));
        all.collect()
    }

    /// Reserves the ports of live containers again. One that another program took while the agent was
    /// down stays published, as the containers' packets do not ask for the socket.
    fn reserve_ports(&self) {
        for (id, lease) in self.all_leases() {
            // A second call of restore must not find the ports taken by the first.
            if let Some(attached) = self.leases().get_mut(&id) {
                attached.reservations.clear();
            }
            if lease.forwards().is_empty() {
                continue;
            }
            let reservations = reserve_quietly(&id, &lease.ports);
            if let Some(attached) = self.leases().get_mut(&id) {
                attached.reservations = reservations;
            }
        }
    }

    /// Connects the live containers' interfaces to their bridges, if these had to be made anew, and
    /// removes interfaces that belong to nobody.
    fn tidy_interfaces(&self, host: &mut Host) -> io::Result<()> {
        let mut wanted: HashMap<String, (u32, bool)> = HashMap::new();
        let mut bridges = Vec::new();
        for ready in host.ready() {
            let Some(options) = ready.definition.bridge() else {
                continue;
            };
            bridges.push(ready.index);
            for (_, lease) in self.leases().attached() {
                if let Some(endpoint) = lease.endpoint(&ready.definition.id) {
                    wanted.insert(endpoint.peer.clone(), (ready.index, !options.talks));
                }
            }
        }
        let links = host.links()?;
        for bridge in bridges {
            for port in links.ports_of(bridge)? {
                if is_interface_name(&port.name) && !wanted.contains_key(&port.name) {
                    tracing::info!(interface = port.name, "removing a leftover interface");
                    links.remove(port.index)?;
                }
            }
        }
        for (name, (bridge, isolated)) in &wanted {
            reconnect(links, name, *bridge, *isolated)?;
        }
        Ok(())
    }

    fn restart_name_servers(self: &Arc<Self>, runtime: &Handle) {
        for (id, lease) in self.all_leases() {
            if !lease.has_names() {
                continue;
            }
            let work = || -> io::Result<_> {
                let namespace = self.namespaces.enter(&id)?;
                self.name_server(&id, namespace, runtime)
            };
            match thread::scope(|scope| scope.spawn(work).join()) {
                Ok(Ok(server)) => {
                    if let Some(attached) = self.leases().get_mut(&id) {
                        attached.nameserver = Some(server);
                    }
                }
                Ok(Err(error)) => {
                    tracing::error!(id, %error, "names are not served to a container");
                }
                Err(_panic) => tracing::error!(id, "names are not served to a container"),
            }
        }
    }
}

fn reconnect(links: &mut Links, name: &str, bridge: u32, isolated: bool) -> io::Result<()> {
    match links.by_name(name)? {
        Some(link) if link.controller != Some(bridge) => {
            links.connect_port(link.index, bridge, isolated)
        }
        Some(_) => Ok(()),
        None => {
            tracing::warn!(interface = name, "a live container has lost its interface");
            Ok(())
        }
    }
}
