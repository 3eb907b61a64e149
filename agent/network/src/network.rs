//! The networks of one agent.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use berth_agent_state::State;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::definition::{DEFAULT_NETWORK, Definition};
use crate::host::{Host, Needs};
use crate::lease::{BridgeRecord, EndpointLease, Lease, Leases};
use crate::lease_files::LeaseFiles;
use crate::namespace::Namespaces;
use crate::{
    AttachError, AttachRequest, Attachment, DetachError, Endpoint, EndpointRequest, Interface,
    Resolver, RestoreError, Subnet,
};

/// How long nobody needs the firewall until its tables go. A container that follows soon finds them.
const IDLE: Duration = Duration::from_secs(3);

/// Where and how the agent makes networks.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// The name of the bridge interface, at most 15 bytes.
    pub bridge: String,
    /// The bridge's subnet; `None` takes a private one that the machine does not use.
    pub subnet: Option<Subnet>,
    /// The directory for files that go with the machine's next boot: `netns` and `leases` below it.
    pub run_root: PathBuf,
    /// The machine's own `resolv.conf`.
    pub resolv_conf: PathBuf,
}

/// The networks of one agent's containers; clones share them.
#[derive(Debug, Clone)]
pub struct Network {
    inner: Arc<Inner>,
}

/// What the clones share. Where both locks are needed, the host's is taken first.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: NetworkConfig,
    pub(crate) state: State,
    pub(crate) namespaces: Namespaces,
    pub(crate) lease_files: LeaseFiles,
    /// How many attachments there have been.
    pub(crate) n_attached: AtomicU64,
    host: Mutex<Host>,
    leases: Mutex<Leases>,
}

/// The reasons why the agent cannot make networks at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bridge's name cannot be that of an interface.
    #[error("{bridge:?} is not usable as the name of a bridge")]
    BridgeName {
        /// The configured name.
        bridge: String,
    },
    /// A directory for what is attached cannot be made or read.
    #[error("cannot prepare the directory {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

// === impl NetworkConfig ===

impl NetworkConfig {
    /// Returns the usual configuration: bridge `berth0`, a free subnet, `/etc/resolv.conf`.
    #[must_use]
    pub fn new(run_root: PathBuf) -> Self {
        Self {
            bridge: "berth0".to_owned(),
            subnet: None,
            run_root,
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
        }
    }
}

// === impl Network ===

impl Network {
    /// Reads what is recorded about networks. It changes nothing on the machine; call
    /// [`Network::restore`] next.
    ///
    /// # Errors
    ///
    /// Returns an error when the configuration is unusable or the records cannot be read.
    pub fn open(config: NetworkConfig, state: State) -> Result<Self, OpenError> {
        let bridge = &config.bridge;
        let usable = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':';
        if bridge.is_empty() || bridge.len() >= libc::IFNAMSIZ || !bridge.bytes().all(usable) {
            return Err(OpenError::BridgeName {
                bridge: bridge.clone(),
            });
        }
        let namespaces = prepare(config.run_root.join("netns"), Namespaces::open)?;
        let lease_files = prepare(config.run_root.join("leases"), LeaseFiles::open)?;
        let leases = prepare(config.run_root.join("leases"), |_| lease_files.list())?;
        Ok(Self {
            inner: Arc::new(Inner {
                n_attached: AtomicU64::new(0),
                host: Mutex::new(Host::new(bridge.clone(), config.subnet)),
                leases: Mutex::new(Leases::from_records(leases)),
                config,
                state,
                namespaces,
                lease_files,
            }),
        })
    }

    /// Makes the network of a container that is about to start.
    ///
    /// The bridge and the firewall are set up first if they are not there. When it fails, nothing is
    /// left of it.
    ///
    /// # Errors
    ///
    /// Returns [`AttachError::PortInUse`] and its siblings when a port cannot be had, and otherwise
    /// which step of the work failed.
    ///
    /// # Cancel safety
    ///
    /// The work goes on when the future is dropped; call [`Network::detach`] then.
    pub async fn attach(
        &self,
        id: &str,
        request: AttachRequest,
    ) -> Result<Attachment, AttachError> {
        let own_id = id.to_owned();
        let work =
            move |inner: &Arc<Inner>, runtime: &Handle| inner.attach(&own_id, &request, runtime);
        let failed = |source| AttachError::Connect {
            id: id.to_owned(),
            step: "run a thread",
            source,
        };
        self.on_own_thread(work)
            .await
            .unwrap_or_else(|error| Err(failed(error)))
    }

    /// Connects an attached container to one more network.
    ///
    /// # Errors
    ///
    /// Returns an error when it is connected already, when the network is not there, or which step of
    /// the work failed. Nothing is left of it then.
    ///
    /// # Cancel safety
    ///
    /// The work goes on when the future is dropped.
    pub async fn connect(
        &self,
        id: &str,
        request: EndpointRequest,
    ) -> Result<Endpoint, AttachError> {
        let own_id = id.to_owned();
        let work =
            move |inner: &Arc<Inner>, runtime: &Handle| inner.join(&own_id, &request, runtime);
        let failed = |source| AttachError::Connect {
            id: id.to_owned(),
            step: "run a thread",
            source,
        };
        self.on_own_thread(work)
            .await
            .unwrap_or_else(|error| Err(failed(error)))
    }

    /// Disconnects an attached container from one network.
    ///
    /// # Errors
    ///
    /// Returns an error when it is not connected, or which step of the work failed.
    ///
    /// # Cancel safety
    ///
    /// The work goes on when the future is dropped.
    pub async fn disconnect(&self, id: &str, network: &str) -> Result<(), DetachError> {
        let (own_id, network) = (id.to_owned(), network.to_owned());
        let work = move |inner: &Arc<Inner>, _runtime: &Handle| inner.leave(&own_id, &network);
        let failed = |source| DetachError::Disconnect {
            id: id.to_owned(),
            step: "run a thread",
            source,
        };
        self.on_own_thread(work)
            .await
            .unwrap_or_else(|error| Err(failed(error)))
    }

    /// Runs work on a thread that may move into another namespace, which no other work may do after it.
    async fn on_own_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>, &Handle) -> T + Send + 'static,
    ) -> io::Result<T> {
        let inner = Arc::clone(&self.inner);
        let runtime = Handle::current();
        let (sender, receiver) = oneshot::channel();
        thread::Builder::new()
            .name("attach".to_owned())
            .spawn(move || {
                let result = work(&inner, &runtime);
                // Whoever waits may be about to open the database again.
                drop(inner);
                // Nobody may be waiting any more.
                let _ = sender.send(result);
            })?;
        receiver
            .await
            .map_err(|_panicked| io::ErrorKind::Interrupted.into())
    }

    /// Takes back everything that [`Network::attach`] made. Detaching what is not attached is fine.
    ///
    /// # Errors
    ///
    /// Returns an error when something could not be removed; the rest is removed all the same.
    ///
    /// # Cancel safety
    ///
    /// The work goes on when the future is dropped.
    pub async fn detach(&self, id: &str) -> Result<(), DetachError> {
        let inner = Arc::clone(&self.inner);
        let id = id.to_owned();
        let own_id = id.clone();
        let detached = tokio::task::spawn_blocking(move || inner.detach(&own_id))
            .await
            .unwrap_or_else(|panicked| {
                Err(DetachError::Disconnect {
                    id,
                    step: "run a thread",
                    source: panicked.into(),
                })
            });
        self.tidy_later();
        detached
    }

    /// Takes the firewall's tables away when no container has come for a while.
    fn tidy_later(&self) {
        if !self.inner.leases().is_empty() {
            return;
        }
        let n_attached = self.inner.n_attached.load(Ordering::SeqCst);
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            let inner = inner.upgrade();
            // Another container that came meanwhile has its own end.
            let is_idle =
                |inner: &Arc<Inner>| inner.n_attached.load(Ordering::SeqCst) == n_attached;
            if let Some(inner) = inner.filter(is_idle) {
                // It fails by a panic only, which has been told.
                let _ = tokio::task::spawn_blocking(move || inner.tidy_firewall()).await;
            }
        });
    }

    /// Makes a network, so that containers can be connected to it.
    ///
    /// # Errors
    ///
    /// Returns an error when its interface is somebody else's or cannot be made. Nothing is left of
    /// it then.
    ///
    /// # Cancel safety
    ///
    /// The work goes on when the future is dropped.
    pub async fn define(&self, definition: Definition) -> Result<(), AttachError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.define(definition))
            .await
            .unwrap_or_else(|panicked| {
                Err(AttachError::SetUp {
                    step: "run a thread",
                    source: panicked.into(),
                })
            })
    }

    /// Takes a network away. Containers must have been disconnected from it.
    ///
    /// # Errors
    ///
    /// Returns an error when its interface or its rules cannot be removed.
    ///
    /// # Cancel safety
    ///
    /// The work goes on when the future is dropped.
    pub async fn undefine(&self, network: &str) -> Result<(), AttachError> {
        let (inner, network) = (Arc::clone(&self.inner), network.to_owned());
        let work = move || {
            let mut host = inner.host();
            host.undefine(&network, &inner.needs().forwards)
                .map_err(AttachError::from)
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|panicked| {
                Err(AttachError::SetUp {
                    step: "run a thread",
                    source: panicked.into(),
                })
            })
    }

    /// Returns the subnets that the machine or a network uses. Blocks.
    ///
    /// # Errors
    ///
    /// Returns an error when the kernel does not tell.
    pub fn taken_subnets(&self) -> io::Result<Vec<Subnet>> {
        self.inner.host().taken(None)
    }

    /// Changes the names that a container has on a network.
    ///
    /// # Errors
    ///
    /// Returns an error when they cannot be recorded; they hold until the agent ends.
    pub fn set_names(&self, id: &str, network: &str, names: &[String]) -> io::Result<()> {
        self.inner.rename(id, network, names)
    }

    /// Returns the ids of the attached containers that are on a network.
    #[must_use]
    pub fn members(&self, network: &str) -> Vec<String> {
        let leases = self.inner.leases();
        let on = leases
            .attached()
            .filter(|(_, lease)| lease.endpoint(network).is_some());
        on.map(|(id, _)| id.clone()).collect()
    }

    /// Returns the subnet of the default network, once there was one.
    #[must_use]
    pub fn default_subnet(&self) -> Option<Subnet> {
        let name = &self.inner.config.bridge;
        let record = self.inner.state.read(|r| r.get::<BridgeRecord>(name));
        record.ok().flatten().map(|record| record.subnet)
    }

    /// Returns the name of the default network's bridge.
    #[must_use]
    pub fn default_bridge(&self) -> &str {
        &self.inner.config.bridge
    }

    /// Returns the network of an attached container; one that shares the machine's is not known here.
    #[must_use]
    pub fn attachment(&self, id: &str) -> Option<Attachment> {
        let leases = self.inner.leases();
        leases.get(id).map(|lease| self.inner.describe(id, lease))
    }

    /// Returns the machine's address on the containers' network, once there was one.
    #[must_use]
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        match self.default_subnet()?.first_host() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    /// Brings records and kernel together after a restart of the agent.
    ///
    /// `definitions` are the networks that were made. Those of the containers in `live` are kept, with
    /// their rules made anew and their ports reserved again; all others are detached and leftovers of a killed agent are removed.
    ///
    /// # Errors
    ///
    /// Returns an error when the bridge or the firewall cannot be set up or the records not written.
    ///
    /// # Cancel safety
    ///
    /// The work goes on when the future is dropped.
    pub async fn restore(
        &self,
        live: &[String],
        definitions: Vec<Definition>,
    ) -> Result<(), RestoreError> {
        let inner = Arc::clone(&self.inner);
        let live = live.iter().cloned().collect();
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || inner.restore(&live, definitions, &runtime))
            .await
            .unwrap_or_else(|panicked| {
                Err(RestoreError::SetUp {
                    step: "run a thread",
                    source: panicked.into(),
                })
            })
    }
}

fn prepare<T>(path: PathBuf, open: impl FnOnce(PathBuf) -> io::Result<T>) -> Result<T, OpenError> {
    open(path.clone()).map_err(|source| OpenError::Directory { path, source })
}

// === impl Inner ===

impl Inner {
    pub(crate) fn host(&self) -> MutexGuard<'_, Host> {
        // Each change of the kernel is one request, so a panic leaves nothing half-done behind.
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn define(&self, definition: Definition) -> Result<(), AttachError> {
        let key = definition.id.clone();
        let mut host = self.host();
        host.check_interface(&definition)?;
        host.define(definition);
        let needs = self.needs();
        let made = host.set_up(&key, &self.state, None);
        let made = made.map_err(AttachError::from).and_then(|_ready| {
            if !host.has_rules() {
                // They come with the first container. A table that stays for a moment after the last
                // one must know the network: the next container relies on it.
                return Ok(());
            }
            host.replace_firewall(&needs.forwards)
                .map_err(|error| AttachError::SetUp {
                    step: error.step,
                    source: error.source,
                })
        });
        if made.is_err() {
            host.undefine(&key, &needs.forwards)?;
        }
        made
    }

    /// Returns what the machine must provide for everybody who is attached.
    pub(crate) fn needs(&self) -> Needs {
        let leases = self.leases();
        let on_default = |(_, lease): (&String, &Lease)| {
            let (_, subnet) = lease.endpoint(DEFAULT_NETWORK)?.address(true)?;
            Some(subnet)
        };
        Needs {
            default_subnet: leases.attached().find_map(on_default),
            forwards: leases
                .attached()
                .flat_map(|(_, lease)| lease.forwards())
                .collect(),
        }
    }

    pub(crate) fn describe(&self, id: &str, lease: &Lease) -> Attachment {
        let first = |endpoint: &EndpointLease| {
            let (IpAddr::V4(ip), subnet) = endpoint.address(true)? else {
                return None;
            };
            let IpAddr::V4(gateway) = endpoint.gateway(true)? else {
                return None;
            };
            Some(Interface {
                ip,
                prefix: subnet.prefix(),
                gateway,
                mac: endpoint.mac?,
            })
        };
        Attachment {
            mode: lease.mode,
            netns: Some(self.namespaces.path(id)),
            interface: lease.endpoints.iter().find_map(first),
            endpoints: lease
                .endpoints
                .iter()
                .map(Self::describe_endpoint)
                .collect(),
            // Without a way out there is nobody to reach.
            ports: if lease.forwards().is_empty() {
                Vec::new()
            } else {
                lease.ports.clone()
            },
            dns: self.resolver(lease),
        }
    }

    /// Returns what belongs into the `resolv.conf`: the container's own name server, when it has one.
    fn resolver(&self, lease: &Lease) -> Resolver {
        if lease.has_names() {
            return Resolver::of_named(&self.config.resolv_conf);
        }
        Resolver::of_container(&self.config.resolv_conf)
    }

    pub(crate) fn describe_endpoint(endpoint: &EndpointLease) -> Endpoint {
        Endpoint {
            network: endpoint.network.clone(),
            interface: endpoint.interface.clone(),
            addresses: endpoint.addresses.clone(),
            gateways: endpoint.gateways.clone(),
            mac: endpoint.mac,
            names: endpoint.names.clone(),
        }
    }
}
