//! The engine of one machine: what containers are, and every use case over them, as a typed API
//! without a wire format. The gRPC and the Docker faces translate to and from it.
//!
//! One file is one use case (`create.rs`, `start.rs`, …) and extends [`Engine`]. A container in memory
//! (`container`) pairs the durable record (`record`) with a handle on the running supervisor; the
//! state machine between them is pure (`status`).
//!
//! What is waited to the disk: that a container exists, with its name and options, and that it does
//! not exist any more. That it runs, and how it ended, is written behind, since the supervisor and
//! its own record tell it again (`recovery`).

mod adopt;
mod attach;
mod bind;
mod class;
mod container;
mod containers;
mod create;
mod create_mounts;
mod defaults;
mod detach_keys;
mod disk_usage;
mod engine;
mod env;
mod exec;
mod filter;
mod finish;
mod human;
mod id;
mod image_filter;
mod image_use;
mod info;
mod inspect;
mod list;
mod logs;
mod merge;
mod mount_points;
mod names;
mod network_files;
mod network_request;
mod options;
mod paths;
mod pause;
mod record;
mod recovery;
mod remove;
mod rootfs;
mod session;
mod signal;
mod spec;
mod start;
mod start_error;
mod status;
mod step;
mod stop;
mod strays;
mod task;
mod user;
mod wait;

pub use attach::{AttachError, AttachOptions};
pub use bind::MountSyntaxError;
pub use class::{Classified, ErrorClass};
pub use container::Unreachable;
pub use containers::{LookupError, NameInUse};
pub use create::{CreateError, Created};
pub use create_mounts::MountError;
pub use defaults::{ContainerDefaults, ParseUlimitError, Ulimit};
pub use detach_keys::{DetachKeys, InvalidDetachKeys, Typed};
pub use engine::{Engine, EngineConfig, OpenError};
pub use exec::{ExecError, ExecOptions, ExecStarted};
pub use filter::FilterError;
pub use human::duration as human_duration;
pub use id::ContainerId;
pub use image_use::{ListImagesError, created_seconds};
pub use info::{Info, executable_digest, go_architecture, kernel_release};
pub use list::{ContainerSummary, ListError, ListOptions, PortSummary};
pub use logs::{Logs, LogsError, LogsOptions};
pub use merge::NoCommand;
pub use network_request::PortError;
pub use options::{ContainerOptions, HostOptions, PortBinding, TerminalSize};
pub use pause::PauseError;
pub use remove::{RemoveError, RemoveOptions};
pub use rootfs::UserLookupError;
pub use session::{InputFlow, Session, SessionEvent, SessionInput, SessionOutput};
pub use signal::{InvalidSignal, SignalNumber};
pub use spec::{DeviceError, SecurityError, SpecError};
pub use start_error::StartError;
pub use status::{Exit, Phase, Status};
pub use step::{FinishedStep, StepError, StepOutput, StepRequest};
pub use stop::{KillError, RestartError, StopError, StopOptions};
pub use user::UserError;
pub use wait::{ResizeError, WaitCondition, Waiting};

/// A piece of a log or of attached output, as the runtime gives it.
pub use berth_agent_runtime::log::{Line, Stream};
