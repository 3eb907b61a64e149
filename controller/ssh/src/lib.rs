//! The one SSH client that everything of the controller uses.
//!
//! A [`Session`] is one authenticated connection; commands, shells, copies and tunnels are channels
//! of it. Host keys are part of the call ([`HostKeyPolicy`]): a connection is never made to a host
//! that nobody has verified or chosen to learn. The way there, and what to log in with, comes from
//! an [`Endpoint`], which [`Config`] completes by what the operator's own SSH configuration says.
//! Nothing here knows what a machine is.

mod agent;
mod ask;
mod config;
mod connect;
pub mod copy;
mod dial;
mod endpoint;
mod exec;
mod forward;
mod host_key;
mod identity;
mod interactive;
mod key_file;
mod known_hosts;
mod login;
mod options;
pub mod sftp;
mod shell;
mod system;
mod transport;
mod verify;

pub use config::{AgentChoice, Config, ConfigError, Family, HostConfig, Strict};
pub use connect::{ConnectError, Session};
pub use dial::dial;
pub use endpoint::{Endpoint, Via};
pub use exec::{ExecError, ExitStatus, Output};
pub use forward::{Forward, ForwardError, Forwards, Place};
pub use host_key::{HostKey, HostKeyError};
pub use identity::IdentityError;
pub use interactive::InteractError;
pub use login::{NameError, check_host, check_user};
pub use options::{Beyond, Options};
pub use shell::{Pty, Streams, WindowSize};
pub use system::{SystemError, SystemSsh, run as run_program};
pub use transport::reach;
pub use verify::HostKeyPolicy;
