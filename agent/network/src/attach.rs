//! Connecting one container, step by step, and undoing it when a step fails.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

use crate::bridge::{Ready, SetUpError, mac_of};
use crate::firewall::FirewallError;
use crate::lease::{Attached, Lease};
use crate::namespace::set_parameter;
use crate::netlink::links::{Links, Pair};
use crate::network::Inner;
use crate::ports::{Reservation, reserve_all};
use crate::{AttachError, AttachRequest, Attachment, NetworkMode, Resolver};

/// The name of the interface that a container sees.
const INTERFACE: &str = "eth0";

/// Ids become names of files.
const LONGEST_ID: usize = 128;

// === impl Inner ===

impl Inner {
    /// Attaches a container. The calling thread is in another namespace afterwards.
    pub(crate) fn attach(
        &self,
        id: &str,
        request: &AttachRequest,
    ) -> Result<Attachment, AttachError> {
        if !is_usable(id) {
            return Err(AttachError::InvalidId { id: id.to_owned() });
        }
        if request.mode == NetworkMode::Host {
            return Ok(self.host());
        }
        if !self.leases().begin(id) {
            return Err(AttachError::AlreadyAttached { id: id.to_owned() });
        }
        let claim = Claim { network: self, id };
        let attachment = match request.mode {
            NetworkMode::Bridge => self.attach_to_bridge(id, request),
            NetworkMode::None | NetworkMode::Host => self.attach_to_nothing(id),
        }?;
        std::mem::forget(claim);
        Ok(attachment)
    }

    fn host(&self) -> Attachment {
        Attachment {
            mode: NetworkMode::Host,
            netns: None,
            interface: None,
            ports: Vec::new(),
            dns: Resolver::of_host(&self.config.resolv_conf),
        }
    }

    fn attach_to_nothing(&self, id: &str) -> Result<Attachment, AttachError> {
        let lease = Lease {
            mode: NetworkMode::None,
            address: None,
            ports: Vec::new(),
            mac: None,
        };
        self.record(id, &lease)?;
        let made = self.make_namespace(id).and_then(|_namespace| {
            Links::open()
                .and_then(|mut links| links.bring_up_loopback())
                .map_err(connect(id, "bring up the loopback interface"))
        });
        self.or_undo(id, made)?;
        Ok(self.complete(id, lease, Vec::new()))
    }

    fn attach_to_bridge(
        &self,
        id: &str,
        request: &AttachRequest,
    ) -> Result<Attachment, AttachError> {
        let ready = self.bridge().ensure(&self.state, || self.needs())?;
        let address = self
            .leases()
            .take_address(id, ready.subnet)
            .ok_or_else(|| AttachError::NoFreeAddress {
                subnet: ready.subnet.to_string(),
            })?;
        let reservations = reserve_all(&request.ports).map_err(|error| self.with_holder(error))?;
        let lease = Lease {
            mode: NetworkMode::Bridge,
            address: Some((address, ready.subnet)),
            ports: reservations.iter().map(|reserved| reserved.port).collect(),
            mac: request.mac,
        };
        self.record(id, &lease)?;
        let made = self
            .make_namespace(id)
            .and_then(|namespace| self.connect(id, &lease, ready, &namespace));
        self.or_undo(id, made)?;
        self.publish(id, lease, reservations)
    }

    /// Creates the namespace and moves the calling thread into it.
    fn make_namespace(&self, id: &str) -> Result<File, AttachError> {
        let namespace = self
            .namespaces
            .enter_new(id)
            .map_err(connect(id, "create the network namespace"))?;
        // An ordinary user of the container may serve on low ports and ping, as with Docker, since
        // both concern nobody but this container. Its interfaces have no IPv6 addresses, and none of
        // this keeps a container from starting.
        for (name, value) in [
            ("ipv4/ip_unprivileged_port_start", "0"),
            ("ipv4/ping_group_range", "0\t2147483647"),
            ("ipv6/conf/default/disable_ipv6", "1"),
        ] {
            if let Err(error) = set_parameter(name, value) {
                tracing::debug!(name, %error, "a parameter of the namespace was not set");
            }
        }
        Ok(namespace)
    }

    /// Connects the namespace, in which the calling thread is, to the bridge.
    fn connect(
        &self,
        id: &str,
        lease: &Lease,
        ready: Ready,
        namespace: &File,
    ) -> Result<(), AttachError> {
        let Some((address, subnet)) = lease.address else {
            return Ok(());
        };
        let pair = Pair {
            name: &lease.interface().unwrap_or_default(),
            bridge: ready.index,
            peer_name: INTERFACE,
            peer_mac: lease.mac.unwrap_or_else(|| mac_of(address)),
            peer_namespace: namespace.as_fd(),
        };
        let create = "create the pair of interfaces";
        let mut bridge = self.bridge();
        let links = bridge.links().map_err(connect(id, create))?;
        create_pair(links, &pair).map_err(connect(id, create))?;
        drop(bridge);
        Links::open()
            .and_then(|mut links| links.configure(INTERFACE, address, subnet))
            .map_err(connect(id, "configure the container's interface"))
    }

    /// Lets the published ports through. The bridge's lock is held until the container counts as
    /// attached, so that nobody replaces the firewall's table without these ports.
    fn publish(
        &self,
        id: &str,
        lease: Lease,
        reservations: Vec<Reservation>,
    ) -> Result<Attachment, AttachError> {
        let forwards = lease.forwards();
        let mut bridge = self.bridge();
        let published = bridge
            .publish(&forwards, || {
                let mut all = self.needs().forwards;
                all.extend(&forwards);
                all
            })
            .map_err(|FirewallError { step, source }| AttachError::SetUp { step, source });
        self.or_undo(id, published)?;
        Ok(self.complete(id, lease, reservations))
    }

    fn complete(&self, id: &str, lease: Lease, reservations: Vec<Reservation>) -> Attachment {
        let attachment = self.describe(id, &lease);
        self.leases().put(
            id,
            Attached {
                lease,
                reservations,
            },
        );
        attachment
    }

    fn record(&self, id: &str, lease: &Lease) -> Result<(), AttachError> {
        self.lease_files
            .put(id, lease)
            .map_err(connect(id, "record its address"))
    }

    /// Removes what a failed attach has made. What cannot be removed now is removed after the next
    /// start of the agent, so the first error is the one that is told.
    fn or_undo(&self, id: &str, result: Result<(), AttachError>) -> Result<(), AttachError> {
        if result.is_err() {
            if let Err(error) = self.namespaces.remove(id) {
                tracing::warn!(id, %error, "the namespace of a failed attach was not removed");
            }
            if let Err(error) = self.lease_files.remove(id) {
                tracing::warn!(id, %error, "the record of a failed attach was not removed");
            }
        }
        result
    }

    /// Adds to a refused port which container has it.
    fn with_holder(&self, error: AttachError) -> AttachError {
        match error {
            AttachError::PortInUse {
                host_ip,
                port,
                protocol,
                ..
            } => AttachError::PortInUse {
                host_ip,
                port,
                protocol,
                holder: self.leases().publisher(host_ip, port, protocol),
            },
            error => error,
        }
    }
}

/// An id that is being attached; given back if that fails, by an error or by a panic.
struct Claim<'a> {
    network: &'a Inner,
    id: &'a str,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.network.leases().forget(self.id);
    }
}

/// Interfaces are named after addresses. One of this name belonged to a container that is gone and
/// whose namespace something still keeps.
fn create_pair(links: &mut Links, pair: &Pair<'_>) -> io::Result<()> {
    match links.create_pair(pair) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
            if let Some(stale) = links.by_name(pair.name)? {
                links.remove(stale.index)?;
            }
            links.create_pair(pair)
        }
        result => result,
    }
}

fn is_usable(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=LONGEST_ID).contains(&id.len()) && !id.starts_with('.') && id.bytes().all(allowed)
}

fn connect(id: &str, step: &'static str) -> impl FnOnce(io::Error) -> AttachError {
    let id = id.to_owned();
    move |source| AttachError::Connect { id, step, source }
}

impl From<SetUpError> for AttachError {
    fn from(error: SetUpError) -> Self {
        match error {
            SetUpError::Step { step, source } => Self::SetUp { step, source },
            SetUpError::NoFreeSubnet => Self::NoFreeSubnet,
            SetUpError::State(source) => Self::State { source },
        }
    }
}
