//! The engine of one machine: what containers are, and every use case over them, as a typed API
//! without a wire format. The gRPC and the Docker faces translate to and from it.
//!
//! One file is one use case and extends [`Engine`]; the folders follow the life of a container. A
//! container in memory (`container`) pairs the durable record (`container/record`) with a handle on
//! the running supervisor; the state machine between them is pure (`container/status`).
//!
//! What is waited to the disk: that a container exists, with its name and options, and that it does
//! not exist any more. That it runs, and how it ended, is written behind, since the supervisor and
//! its own record tell it again (`recovery`).

mod class;
mod container;
mod create;
mod engine;
mod events;
mod files;
mod filters;
mod id;
mod images;
mod life;
mod moment;
mod networks;
mod options;
mod paths;
mod recovery;
mod spec;
mod start;
mod step;
mod streams;
mod system;
mod task;
#[cfg(test)]
mod vectors;
mod view;
mod volumes;

pub use class::{Classified, ErrorClass};
pub use container::Unreachable;
pub use container::containers::{LookupError, NameInUse};
pub use container::health::HealthStatus;
pub use container::restart::RestartPolicyError;
pub use container::status::{Exit, Phase, Status};
pub use create::check::{InvalidOption, SysctlError, UlimitError};
pub use create::health::HealthCheckError;
pub use create::limits::LimitError;
pub use create::links::LinkError;
pub use create::merge::NoCommand;
pub use create::mount::{InvalidMount, MountFault, MountSyntaxError};
pub use create::mounts::MountError;
pub use create::network_request::PortError;
pub use create::rootfs::UserLookupError;
pub use create::user::UserError;
pub use create::{CreateError, Created};
pub use engine::{Engine, EngineConfig, OpenError};
pub use events::{Event, EventFilterError, EventKind, EventsError, Subscription};
pub use files::changes::{Change, ChangeKind};
pub use files::chunks::{ArchiveChunks, ArchiveInput};
pub use files::commit::{CommitError, CommitOptions};
pub use files::error::FilesError;
pub use files::get::GetOptions;
pub use files::put::{ArchiveSender, PutOptions, archive_input};
pub use files::stat::PathStat;
pub use filters::{FilterArgs, FilterError};
pub use id::ContainerId;
pub use images::prune::{PruneImagesError, PrunedImages};
pub use images::transfer::ImageChunks;
pub use images::usage::{ListImagesError, created_seconds, unix_seconds};
pub use life::pause::PauseError;
pub use life::prune::{PruneError, Pruned};
pub use life::remove::{RemoveError, RemoveOptions};
pub use life::rename::RenameError;
pub use life::signal::{InvalidSignal, SignalNumber};
pub use life::stop::{KillError, RestartError, StopError, StopOptions};
pub use life::update::{UpdateConflict, UpdateError, UpdateOptions};
pub use life::wait::{NotRemoved, ResizeError, WaitCondition, Waiting};
pub use networks::{
    CreatedNetwork, NetworkError, NetworkMember, NetworkOptions, NetworkView, PoolOptions,
};
pub use options::defaults::{ContainerDefaults, ParseUlimitError, Ulimit};
pub use options::{
    ContainerOptions, DriverDevices, EndpointOptions, HealthOptions, HostOptions, LogOptions,
    MountOptions, PortBinding, ResourceOptions, RestartPolicy, TerminalSize, ThrottleDevice,
    UlimitOption, WeightDevice,
};
pub use spec::{DeviceError, SecurityError, SpecError};
pub use start::error::StartError;
pub use start::neighbours::{NeighbourError, NeighbourFault};
pub use step::{FinishedStep, StepError, StepOutput, StepRequest};
pub use streams::attach::{AttachError, AttachOptions};
pub use streams::detach_keys::{DetachKeys, InvalidDetachKeys, Typed};
pub use streams::exec::{ExecError, ExecOptions, ExecStarted, ResizeExecError};
pub use streams::exec_registry::{ExecState, NoSuchExec};
pub use streams::log_driver::LogDriverError;
pub use streams::logs::{LogBatch, Logs, LogsError, LogsOptions};
pub use streams::session::{InputFlow, Session, SessionEvent, SessionInput, SessionOutput};
pub use system::{DiskUsage, DiskUsageError, ImageUsage};
pub use view::human::duration as human_duration;
pub use view::info::{Info, KernelFeatures, executable_digest, go_architecture, kernel_release};
pub use view::inspect::details::ListDetails;
pub use view::list::{ContainerSummary, ListError, ListOptions, PortSummary};
pub use view::stats::{ContainerStats, Sample, Stats, StatsError, StatsOptions};
pub use view::top::{ProcessTable, TopError};
pub use volumes::{PrunedVolumes, UseError, VolumeError, VolumeRequest, VolumeUsage};

/// A volume, as the volumes' room describes it.
pub use berth_agent_volumes::Volume;

/// Counters of containers, as the runtime reads them.
pub use berth_agent_runtime::counters;
/// A piece of a log or of attached output, as the runtime gives it.
pub use berth_agent_runtime::log::{Lines, Stream};
