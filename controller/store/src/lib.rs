//! What the controller remembers of its machines, in docker-machine's layout, so that other tools
//! that read that store find what they expect.
//!
//! ```text
//! ROOT/certs/{ca,ca-key,cert,key}.pem        the operator's authority and client certificate
//! ROOT/machines/NAME/config.json             version 3, as docker-machine writes it
//! ROOT/machines/NAME/berth.json              what only berth knows: journal, host key, agent
//! ROOT/machines/NAME/.config.json.good       what was written last, for when the file is torn
//! ROOT/machines/NAME/*.pem, id_ed25519, …    certificates and the driver's files
//! ROOT/.locks/…                              one lock per machine and one for the certificates
//! ```
//!
//! A machine exists when its directory does. Files are replaced by a rename, directories are 0700
//! and files 0600. Locks are advisory and belong to a process: whoever changes a machine holds its
//! lock, whoever reads does not need it. Records of versions 0 to 2 are changed in memory and
//! written as version 3 when they are next saved (then `config.json.bak` has the former text); paths
//! of a store that was copied or moved are read as paths in the store that is open. Keys and
//! certificates are made elsewhere, drivers' configurations are opaque here.

mod config;
mod files;
mod lock;
mod migrations;
mod name;
mod recover;
mod relocate;
mod side;
mod stage;
mod store;
mod swarm;

pub use config::{ConfigError, EngineOptions, HostConfig};
pub use files::{CertPaths, MachinePaths, WriteError, write_private};
pub use lock::{LockError, StoreLock};
pub use name::{MachineName, NameError};
pub use side::{AgentRecord, Engine, Progress, SideRecord, StepRecord};
pub use stage::Staging;
pub use store::{LoadError, MachineRecord, OpenError, RemoveError, Store};
pub use swarm::SwarmOptions;
