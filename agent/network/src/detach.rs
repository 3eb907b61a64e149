//! Disconnecting one container.

use crate::DetachError;
use crate::bridge::SetUpError;
use crate::lease::{Lease, Unavailable};
use crate::network::Inner;

// === impl Inner ===

impl Inner {
    /// Detaches a container. All parts are tried; if one cannot be removed the container stays
    /// attached in name, so that it can be tried again.
    pub(crate) fn detach(&self, id: &str) -> Result<(), DetachError> {
        let attached = match self.leases().end(id) {
            Ok(attached) => attached,
            Err(Unavailable::Absent) => return Ok(()),
            Err(Unavailable::Changing) => return Err(DetachError::Busy { id: id.to_owned() }),
        };
        // Ports first: nothing may be sent to an address that is about to have another owner.
        let withdrawn = self.withdraw(id, &attached.lease);
        let removed = self
            .namespaces
            .remove(id)
            .map_err(|source| DetachError::Disconnect {
                id: id.to_owned(),
                step: "remove the network namespace",
                source,
            });
        let result = withdrawn.and(removed).and_then(|()| self.erase(id));
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
        let mut bridge = self.bridge();
        bridge
            .withdraw(&forwards, || self.needs().forwards)
            .map_err(|error| match error {
                SetUpError::Step { step, source } => DetachError::Disconnect {
                    id: id.to_owned(),
                    step,
                    source,
                },
                SetUpError::State(source) => DetachError::State {
                    id: id.to_owned(),
                    source,
                },
                SetUpError::NoFreeSubnet => DetachError::Disconnect {
                    id: id.to_owned(),
                    step: "find the bridge's network",
                    source: std::io::ErrorKind::NotFound.into(),
                },
            })
    }

    /// A record that comes back after a crash is dropped then, since its container does not live.
    fn erase(&self, id: &str) -> Result<(), DetachError> {
        self.state
            .write_behind(|writer| writer.remove::<Lease>(id))
            .map(|_was_there| ())
            .map_err(|source| DetachError::State {
                id: id.to_owned(),
                source,
            })
    }
}
