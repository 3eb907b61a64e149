//! The bridge network of one agent.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use berth_agent_state::{State, StateError};

use crate::{AttachError, AttachRequest, Attachment, DetachError, RestoreError, Subnet};

/// Where and how the agent makes networks.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// The name of the bridge interface, at most 15 bytes.
    pub bridge: String,
    /// The bridge's subnet; `None` takes a private one that the machine does not use.
    pub subnet: Option<Subnet>,
    /// The directory for files that go with the machine's next boot; namespaces are in `netns` below it.
    pub run_root: PathBuf,
    /// The machine's own `resolv.conf`.
    pub resolv_conf: PathBuf,
}

/// The networks of one agent's containers; clones share them.
#[derive(Debug, Clone)]
pub struct Network {
    inner: Arc<()>,
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
    /// The directory for namespaces cannot be made.
    #[error("cannot prepare the directory {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The state database failed.
    #[error("cannot read the recorded networks")]
    State {
        /// What the database said.
        #[source]
        source: StateError,
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
        let _ = (config, state);
        todo!()
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
        let _ = (id, request);
        todo!()
    }

    /// Takes back everything that [`Network::attach`] made. Detaching what is not attached is fine.
    ///
    /// # Errors
    ///
    /// Returns an error when something could not be removed; the rest is removed all the same.
    pub async fn detach(&self, id: &str) -> Result<(), DetachError> {
        let _ = id;
        todo!()
    }

    /// Returns the network of an attached container.
    #[must_use]
    pub fn attachment(&self, id: &str) -> Option<Attachment> {
        let _ = id;
        todo!()
    }

    /// Brings records and kernel together after a restart of the agent.
    ///
    /// Networks of the containers in `live` are kept, with their rules made anew and their ports
    /// reserved again; all others are detached and leftovers of a killed agent are removed.
    ///
    /// # Errors
    ///
    /// Returns an error when the bridge or the firewall cannot be set up or the records not written.
    pub async fn restore(&self, live: &[String]) -> Result<(), RestoreError> {
        let _ = live;
        todo!()
    }
}
