//! Connecting one container, step by step, and undoing it when a step fails.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::runtime::Handle;

use crate::definition::DEFAULT_NETWORK;
use crate::firewall::FirewallError;
use crate::host::SetUpError;
use crate::lease::{Attached, Lease};
use crate::names::NameServer;
use crate::namespace::set_parameter;
use crate::netlink::links::Links;
use crate::network::Inner;
use crate::ports::{Reservation, Target, reserve_all};
use crate::{AttachError, AttachRequest, Attachment, EndpointRequest, NetworkMode, Resolver};

/// Ids become names of files.
const LONGEST_ID: usize = 128;

// === impl Inner ===

impl Inner {
    /// Attaches a container. The calling thread is in another namespace afterwards.
    pub(crate) fn attach(
        self: &Arc<Self>,
        id: &str,
        request: &AttachRequest,
        runtime: &Handle,
    ) -> Result<Attachment, AttachError> {
        if !is_usable(id) {
            return Err(AttachError::InvalidId { id: id.to_owned() });
        }
        if request.mode == NetworkMode::Host {
            return Ok(self.host_attachment());
        }
        self.n_attached.fetch_add(1, Ordering::SeqCst);
        if !self.leases().begin(id) {
            return Err(AttachError::AlreadyAttached { id: id.to_owned() });
        }
        let claim = Claim { network: self, id };
        let attachment = match request.mode {
            NetworkMode::Bridge => self.attach_to_networks(id, request, runtime),
            NetworkMode::None | NetworkMode::Host => self.attach_to_nothing(id, request),
        }?;
        std::mem::forget(claim);
        Ok(attachment)
    }

    fn host_attachment(&self) -> Attachment {
        Attachment {
            mode: NetworkMode::Host,
            netns: None,
            interface: None,
            endpoints: Vec::new(),
            ports: Vec::new(),
            dns: Resolver::of_host(&self.config.resolv_conf),
        }
    }

    fn attach_to_nothing(
        &self,
        id: &str,
        request: &AttachRequest,
    ) -> Result<Attachment, AttachError> {
        let lease = Lease::new(NetworkMode::None, request.nameservers.clone());
        self.record(id, &lease)?;
        let made = self.make_namespace(id).and_then(|_namespace| {
            Links::open()
                .and_then(|mut links| links.bring_up_loopback())
                .map_err(connect(id, "bring up the loopback interface"))
        });
        self.or_undo(id, made)?;
        Ok(self.complete(
            id,
            Attached {
                lease,
                ..Attached::default()
            },
        ))
    }

    fn attach_to_networks(
        self: &Arc<Self>,
        id: &str,
        request: &AttachRequest,
        runtime: &Handle,
    ) -> Result<Attachment, AttachError> {
        let default = [EndpointRequest::default()];
        let wanted = if request.endpoints.is_empty() {
            &default[..]
        } else {
            &request.endpoints
        };
        let mut lease = Lease::new(NetworkMode::Bridge, request.nameservers.clone());
        let mut networks = Vec::new();
        for endpoint in wanted {
            let key = match endpoint.network.as_str() {
                "" => DEFAULT_NETWORK,
                key => key,
            };
            let ready = self.host().ensure(key, &self.state, || self.needs())?;
            let planned = self.plan(id, &lease, endpoint, &ready)?;
            lease.endpoints.push(planned);
            networks.push(ready);
        }
        let reservations = self.reserve(request, &lease, &networks)?;
        lease.ports = reservations.iter().map(|reserved| reserved.port).collect();
        self.record(id, &lease)?;
        let made = self.make_namespace(id).and_then(|namespace| {
            for (endpoint, ready) in lease.endpoints.iter().zip(&networks) {
                self.connect(id, &lease, endpoint, ready, &namespace)?;
            }
            self.serve_names(id, &lease, namespace, runtime)
        });
        let nameserver = self.or_undo(id, made)?;
        let attached = Attached {
            lease,
            reservations,
            nameserver,
        };
        self.publish(id, attached)
    }

    fn reserve(
        &self,
        request: &AttachRequest,
        lease: &Lease,
        networks: &[crate::host::Ready],
    ) -> Result<Vec<Reservation>, AttachError> {
        let ways_out = [lease.way_out(true), lease.way_out(false)];
        // Nothing enters a network that nothing leaves, and others need no translation.
        let [has_ipv4, has_ipv6] = ways_out.map(|way| way.is_some_and(|e| !e.peer.is_empty()));
        if !has_ipv4 && !has_ipv6 {
            return Ok(Vec::new());
        }
        let key = ways_out[0].map_or("", |way| way.network.as_str());
        let mut ready = networks.iter();
        let ready = ready.find(|ready| ready.definition.id == key);
        let bridge = ready.and_then(|ready| ready.definition.bridge());
        let target = Target {
            has_ipv4,
            has_ipv6,
            default_ip: bridge.and_then(|bridge| bridge.host_binding),
        };
        reserve_all(&request.ports, target).map_err(|error| self.with_holder(error))
    }

    /// Creates the namespace and moves the calling thread into it.
    fn make_namespace(&self, id: &str) -> Result<File, AttachError> {
        let namespace = self
            .namespaces
            .enter_new(id)
            .map_err(connect(id, "create the network namespace"))?;
        // An ordinary user of the container may serve on low ports and ping, as with Docker, since
        // both concern nobody but this container. Interfaces have IPv6 where their network has, and
        // none of this keeps a container from starting.
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

    /// Lets the published ports through. The host's lock is held until the container counts as
    /// attached, so that nobody replaces the firewall's table without these ports.
    fn publish(&self, id: &str, attached: Attached) -> Result<Attachment, AttachError> {
        let forwards = attached.lease.forwards();
        let mut host = self.host();
        let published = host
            .publish(&forwards, || {
                let mut all = self.needs().forwards;
                all.extend(&forwards);
                all
            })
            .map_err(|FirewallError { step, source }| AttachError::SetUp { step, source });
        self.or_undo(id, published)?;
        Ok(self.complete(id, attached))
    }

    fn complete(&self, id: &str, attached: Attached) -> Attachment {
        let attachment = self.describe(id, &attached.lease);
        self.leases().put(id, attached);
        attachment
    }

    pub(crate) fn record(&self, id: &str, lease: &Lease) -> Result<(), AttachError> {
        self.lease_files
            .put(id, lease)
            .map_err(connect(id, "record its address"))
    }

    /// Removes what a failed attach has made. What cannot be removed now is removed after the next
    /// start of the agent, so the first error is the one that is told.
    fn or_undo<T>(&self, id: &str, result: Result<T, AttachError>) -> Result<T, AttachError> {
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
    pub(crate) fn with_holder(&self, error: AttachError) -> AttachError {
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

    /// Starts the name server of a container that needs one, in whose namespace the thread is.
    pub(crate) fn serve_names(
        self: &Arc<Self>,
        id: &str,
        lease: &Lease,
        namespace: File,
        runtime: &Handle,
    ) -> Result<Option<NameServer>, AttachError> {
        if !lease.has_names() {
            return Ok(None);
        }
        self.name_server(id, namespace, runtime)
            .map(Some)
            .map_err(connect(id, "serve names to it"))
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

fn is_usable(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=LONGEST_ID).contains(&id.len()) && !id.starts_with('.') && id.bytes().all(allowed)
}

pub(crate) fn connect(id: &str, step: &'static str) -> impl FnOnce(io::Error) -> AttachError {
    let id = id.to_owned();
    move |source| AttachError::Connect { id, step, source }
}

impl From<SetUpError> for AttachError {
    fn from(error: SetUpError) -> Self {
        match error {
            SetUpError::Step { step, source } => Self::SetUp { step, source },
            SetUpError::NoFreeSubnet => Self::NoFreeSubnet,
            SetUpError::NoSuchNetwork(key) => Self::NoSuchNetwork(key),
            SetUpError::NoSuchParent(name) => Self::NoSuchParent(name),
            SetUpError::InterfaceInUse(name) => Self::InterfaceInUse(name),
            SetUpError::State(source) => Self::State { source },
        }
    }
}
