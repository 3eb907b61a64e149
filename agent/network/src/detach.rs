//! Disconnecting one container from everything.

use std::io;

use crate::DetachError;
use crate::firewall::FirewallError;
use crate::lease::{Lease, Unavailable};
use crate::network::Inner;

// === impl Inner ===

impl Inner {
    /// Detaches a container. All parts are tried; if one cannot be removed the container stays
    /// attached in name, so that it can be tried again.
    pub(crate) fn detach(&self, id: &str) -> Result<(), DetachError> {
        let mut attached = match self.leases().end(id) {
            Ok(attached) => attached,
            Err(Unavailable::Absent) => return Ok(()),
            Err(Unavailable::Changing) => return Err(DetachError::Busy { id: id.to_owned() }),
        };
        // It keeps the namespace from ending.
        drop(attached.nameserver.take());
        // Ports first: nothing may be sent to an address that is about to have another owner.
        let withdrawn = self.withdraw(id, &attached.lease);
        let removed = self
            .namespaces
            .remove(id)
            .map_err(disconnect(id, "remove the network namespace"));
        let result = withdrawn.and(removed).and_then(|()| {
            self.lease_files
                .remove(id)
                .map_err(disconnect(id, "forget its address"))
        });
        match result {
            Ok(()) => self.leases().forget(id),
            Err(_) => self.leases().put(id, attached),
        }
        result
    }

    fn withdraw(&self, id: &str, lease: &Lease) -> Result<(), DetachError> {
        let forwards = lease.forwards();
        if forwards.is_empty() {
            return Ok(());
        }
        let mut host = self.host();
        host.withdraw(&forwards, || self.needs().forwards)
            .map_err(|FirewallError { step, source }| disconnect(id, step)(source))
    }

    /// Takes the firewall's tables away when nobody needs them.
    pub(crate) fn tidy_firewall(&self) {
        let mut host = self.host();
        if !self.leases().is_empty() {
            return;
        }
        if let Err(error) = host.clear_firewall() {
            tracing::warn!(step = error.step, error = %error.source, "firewall not cleared");
        }
    }
}

fn disconnect(id: &str, step: &'static str) -> impl FnOnce(io::Error) -> DetachError {
    let id = id.to_owned();
    move |source| DetachError::Disconnect { id, step, source }
}
