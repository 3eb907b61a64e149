//! Connecting a running container to one more network, and disconnecting it from one.

use std::fs::File;
use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::attach::connect;
use crate::endpoint::set_routes;
use crate::firewall::{FirewallError, Forward};
use crate::host::Ready;
use crate::lease::{EndpointLease, Lease, Unavailable};
use crate::names::NameServer;
use crate::netlink::links::Links;
use crate::network::Inner;
use crate::ports::{Reservation, reserve_published};
use crate::{AttachError, DetachError, Endpoint, EndpointRequest, NetworkMode};

// === impl Inner ===

impl Inner {
    /// Connects an attached container. The calling thread is in another namespace afterwards.
    pub(crate) fn join(
        self: &Arc<Self>,
        id: &str,
        request: &EndpointRequest,
        runtime: &Handle,
    ) -> Result<Endpoint, AttachError> {
        let key = &request.network;
        let before = self
            .leases()
            .begin_change(id)
            .map_err(|unavailable| match unavailable {
                Unavailable::Absent => AttachError::NotAttached { id: id.to_owned() },
                Unavailable::Changing => AttachError::AlreadyAttached { id: id.to_owned() },
            })?;
        let _change = Change { network: self, id };
        if before.endpoint(key).is_some() {
            return Err(AttachError::AlreadyConnected {
                id: id.to_owned(),
                network: key.clone(),
            });
        }
        let ready = self.host().ensure(key, &self.state, || self.needs())?;
        let mut endpoint = self.plan(id, &before, request, &ready)?;
        endpoint.incomplete = true;
        let mut lease = before.clone();
        // Whoever was alone until now is not any more.
        lease.mode = NetworkMode::Bridge;
        lease.endpoints.push(endpoint.clone());
        // Inside the namespace the sockets would be the container's.
        let reservations = self.reserve_returning(&before, &lease)?;
        let enter = "enter the network namespace";
        let namespace = self.namespaces.enter(id).map_err(connect(id, enter))?;
        self.record(id, &lease)?;
        let made = self.make_endpoint(id, &lease, &endpoint, (&ready, namespace), runtime);
        match made {
            Ok(nameserver) => {
                if let Some(last) = lease.endpoints.last_mut() {
                    last.incomplete = false;
                }
                self.record(id, &lease)?;
                self.settle(id, lease, (nameserver, reservations)).map_err(
                    |FirewallError { step, source }| AttachError::SetUp { step, source },
                )?;
                Ok(Self::describe_endpoint(&endpoint))
            }
            Err(error) => {
                // What stays is removed when the agent starts again.
                if let Err(error) = remove_interface(&endpoint.interface, &before) {
                    tracing::warn!(id, %error, "the interface of a failed connection was not removed");
                }
                self.record(id, &before)?;
                Err(error)
            }
        }
    }

    /// Reserves the ports that a connection brings back, on the machine, in whose namespace the thread
    /// still is.
    fn reserve_returning(
        &self,
        before: &Lease,
        after: &Lease,
    ) -> Result<Vec<Reservation>, AttachError> {
        if !before.forwards().is_empty() || after.forwards().is_empty() {
            return Ok(Vec::new());
        }
        reserve_published(&after.ports).map_err(|error| self.with_holder(error))
    }

    fn make_endpoint(
        self: &Arc<Self>,
        id: &str,
        lease: &Lease,
        endpoint: &EndpointLease,
        (ready, namespace): (&Ready, File),
        runtime: &Handle,
    ) -> Result<Option<NameServer>, AttachError> {
        self.connect(id, lease, endpoint, ready, &namespace)?;
        set_routes(lease).map_err(connect(id, "change the default route"))?;
        let is_served = self
            .leases()
            .get_mut(id)
            .is_some_and(|known| known.nameserver.is_some());
        if is_served {
            return Ok(None);
        }
        self.serve_names(id, lease, namespace, runtime)
    }

    /// Disconnects an attached container. The calling thread is in another namespace afterwards.
    pub(crate) fn leave(&self, id: &str, key: &str) -> Result<(), DetachError> {
        let before = self
            .leases()
            .begin_change(id)
            .map_err(|unavailable| match unavailable {
                Unavailable::Absent => DetachError::NotConnected { id: id.to_owned() },
                Unavailable::Changing => DetachError::Busy { id: id.to_owned() },
            })?;
        let _change = Change { network: self, id };
        let failed = |step| {
            let id = id.to_owned();
            move |source| DetachError::Disconnect { id, step, source }
        };
        let Some(endpoint) = before.endpoint(key).cloned() else {
            return Err(DetachError::NotConnected { id: id.to_owned() });
        };
        let mut marked = before.clone();
        for endpoint in marked.endpoints.iter_mut().filter(|e| e.network == key) {
            endpoint.incomplete = true;
        }
        let mut after = before;
        after.endpoints.retain(|endpoint| endpoint.network != key);
        let record = |lease: &Lease| {
            let put = self.lease_files.put(id, lease);
            put.map_err(failed("record that it is disconnected"))
        };
        record(&marked)?;
        // Opened here they are the machine's, and not the container's.
        self.host().open().map_err(failed("reach the kernel"))?;
        self.namespaces
            .enter(id)
            .and_then(|_namespace| remove_interface(&endpoint.interface, &after))
            .map_err(failed("remove its interface"))?;
        record(&after)?;
        self.settle(id, after, (None, Vec::new()))
            .map_err(|FirewallError { step, source }| failed(step)(source))
    }

    /// Makes the changed lease what everybody sees, and brings the published ports to it.
    fn settle(
        &self,
        id: &str,
        lease: Lease,
        (nameserver, reservations): (Option<NameServer>, Vec<Reservation>),
    ) -> Result<(), FirewallError> {
        let now = lease.forwards();
        let mut host = self.host();
        let mut before = Vec::new();
        if let Some(attached) = self.leases().get_mut(id) {
            before = attached.lease.forwards();
            if !lease.has_names() {
                attached.nameserver = None;
            } else if nameserver.is_some() {
                attached.nameserver = nameserver;
            }
            if now.is_empty() {
                // Nobody else answers there for a container that cannot.
                attached.reservations.clear();
            } else if before.is_empty() {
                attached.reservations = reservations;
            }
            attached.lease = lease;
        }
        let without = |all: &[Forward], others: &[Forward]| -> Vec<Forward> {
            let all = all.iter().filter(|forward| !others.contains(forward));
            all.copied().collect()
        };
        host.withdraw(&without(&before, &now), || self.needs().forwards)?;
        host.publish(&without(&now, &before), || self.needs().forwards)
    }

    /// Changes the names that a container has on a network; one that is not on it keeps none.
    pub(crate) fn rename(&self, id: &str, key: &str, names: &[String]) -> io::Result<()> {
        let mut leases = self.leases();
        let Some(attached) = leases.get_mut(id) else {
            return Ok(());
        };
        for endpoint in attached
            .lease
            .endpoints
            .iter_mut()
            .filter(|e| e.network == key)
        {
            endpoint.names = names.to_vec();
        }
        // The lock keeps a change that follows from being overtaken by this.
        self.lease_files.put(id, &attached.lease)
    }
}

/// A container that is being changed; others may do so afterwards.
struct Change<'a> {
    network: &'a Inner,
    id: &'a str,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.network.leases().end_change(self.id);
    }
}

/// Removes an interface from the namespace in which the calling thread is, and sets its routes.
pub(crate) fn remove_interface(name: &str, after: &Lease) -> io::Result<()> {
    let mut links = Links::open()?;
    if let Some(link) = links.by_name(name)? {
        links.remove(link.index)?;
    }
    set_routes(after)
}
