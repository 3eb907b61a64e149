//! Machines as the operator sees them: made, listed, reached, stopped and removed.
//!
//! A [`Fleet`] joins the store (what is on record), the drivers (what exists), provisioning (what
//! is installed) and the authority (who is trusted). Every operation names its machine; several
//! machines at once are several calls at once, which is fine from one or many processes: whatever
//! changes a machine holds its lock.
//!
//! Creation is a journal: each step is on disk before it is done, so that `create` can go on where
//! it was cut off and `remove` finds everything. Not here: what a driver does, what provisioning
//! sends, and every word that a terminal shows.

mod adopt;
mod agent;
mod certificates;
mod copy;
mod create;
mod docker;
mod docker_machine;
mod doctor;
mod fleet;
mod host;
mod hush;
mod journal;
mod lifecycle;
mod list;
mod many;
mod mount;
mod order;
mod orphans;
mod progress;
mod provision;
mod remove;
mod resume;
mod secret;
mod share;
mod shared_flags;
mod ssh;
mod sudo;
mod upgrade;
mod veil;

pub use adopt::{AdoptError, AdoptRequest, Adopted};
pub use agent::AgentError;
pub use certificates::{
    CertificateKind, CertificateRow, CertificateStatus, CertificatesError, ClientRights,
    CredentialsError, IssuedClient, RegenerateOptions, RevokeError, RevokeOutcome, RevokeReport,
    RolloverError, RolloverReport, RolloverState,
};
pub use copy::{FilePlace, FilesError};
pub use create::{CreateError, CreateRequest, Created};
pub use docker_machine::{Conversion, ConvertError, DockerMachineError, TakenOver};
pub use doctor::{Check, Diagnosis, Health};
pub use fleet::{EnvFacts, Fleet, MachineError};
pub use host::HostError;
pub use hush::hushed;
pub use lifecycle::LifecycleError;
pub use list::{LsRow, RecordFacts, RowState};
pub use mount::MountError;
pub use order::natural;
pub use orphans::{Leftover, OrphanError, OrphanReport};
pub use progress::{Progress, Silent};
pub use provision::{ProvisionError, ProvisionReport};
pub use remove::RemoveError;
pub use resume::{Resumed, Unfinished};
pub use secret::SecretError;
pub use share::{
    BundleError, ExportError, ExportOptions, Exported, ImportError, ImportOptions, Imported,
    SealError,
};
pub use ssh::{SshError, SshProgram};
pub use sudo::{Sudo, SudoAsk};
pub use upgrade::UpgradeReport;
