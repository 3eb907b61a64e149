//! The bridge network of one agent.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use berth_agent_state::State;

use tokio::sync::oneshot;

use crate::bridge::{Bridge, Needs, mac_of};
use crate::lease::{BridgeRecord, Lease, Leases};
use crate::lease_files::LeaseFiles;
use crate::namespace::Namespaces;
use crate::{
    AttachError, AttachRequest, Attachment, DetachError, Interface, Resolver, RestoreError, Subnet,
};

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

/// What the clones share. Where both locks are needed, the bridge's is taken first.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: NetworkConfig,
    pub(crate) state: State,
    pub(crate) namespaces: Namespaces,
    pub(crate) lease_files: LeaseFiles,
    bridge: Mutex<Bridge>,
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
                bridge: Mutex::new(Bridge::new(bridge.clone(), config.subnet)),
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
        let inner = Arc::clone(&self.inner);
        let id = id.to_owned();
        let failed = |source| AttachError::Connect {
            id: id.clone(),
            step: "run a thread",
            source,
        };
        let (sender, receiver) = oneshot::channel();
        let own_id = id.clone();
        // The thread moves into the container's namespace, which no other work may do after it.
        thread::Builder::new()
            .name("attach".to_owned())
            .spawn(move || {
                // Nobody may be waiting any more.
                let _ = sender.send(inner.attach(&own_id, &request));
            })
            .map_err(failed)?;
        receiver
            .await
            .unwrap_or_else(|_panicked| Err(failed(io::ErrorKind::Interrupted.into())))
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
        tokio::task::spawn_blocking(move || inner.detach(&own_id))
            .await
            .unwrap_or_else(|panicked| {
                Err(DetachError::Disconnect {
                    id,
                    step: "run a thread",
                    source: panicked.into(),
                })
            })
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
        let name = &self.inner.config.bridge;
        let record = self.inner.state.read(|r| r.get::<BridgeRecord>(name));
        match record {
            Ok(found) => found.map(|record| record.subnet.gateway()),
            Err(error) => {
                tracing::warn!(%error, "the subnet of containers cannot be read");
                None
            }
        }
    }

    /// Brings records and kernel together after a restart of the agent.
    ///
    /// Networks of the containers in `live` are kept, with their rules made anew and their ports
    /// reserved again; all others are detached and leftovers of a killed agent are removed.
    ///
    /// # Errors
    ///
    /// Returns an error when the bridge or the firewall cannot be set up or the records not written.
    ///
    /// # Cancel safety
    ///
    /// The work goes on when the future is dropped.
    pub async fn restore(&self, live: &[String]) -> Result<(), RestoreError> {
        let inner = Arc::clone(&self.inner);
        let live = live.iter().cloned().collect();
        tokio::task::spawn_blocking(move || inner.restore(&live))
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
    pub(crate) fn bridge(&self) -> MutexGuard<'_, Bridge> {
        // Each change of the kernel is one request, so a panic leaves nothing half-done behind.
        self.bridge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what the bridge must provide for everybody who is attached.
    pub(crate) fn needs(&self) -> Needs {
        let leases = self.leases();
        let subnet = leases
            .attached()
            .find_map(|(_, lease)| lease.address.map(|(_, subnet)| subnet));
        Needs {
            subnet,
            forwards: leases
                .attached()
                .flat_map(|(_, lease)| lease.forwards())
                .collect(),
        }
    }

    pub(crate) fn describe(&self, id: &str, lease: &Lease) -> Attachment {
        Attachment {
            mode: lease.mode,
            netns: Some(self.namespaces.path(id)),
            interface: lease.address.map(|(ip, subnet)| Interface {
                ip,
                prefix: subnet.prefix(),
                gateway: subnet.gateway(),
                mac: lease.mac.unwrap_or_else(|| mac_of(ip)),
            }),
            ports: lease.ports.clone(),
            dns: Resolver::of_container(&self.config.resolv_conf),
        }
    }
}
