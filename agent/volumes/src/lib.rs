//! Volumes: named directories that outlive containers.
//!
//! The database says which volumes exist; the directory of a volume is made after its record and
//! removed before it, so that an agent killed in between leaves nothing that the next one does not
//! finish. Whether a container uses a volume is for callers to know.

mod copy;
mod mounted;
mod name;
mod options;
mod record;
mod volumes;

pub use copy::CopyUpError;
pub use name::InvalidVolumeName;
pub use options::InvalidVolumeOption;
pub use record::Volume;
pub use volumes::{
    CreateVolume, CreateVolumeError, OpenError, ReadVolumeError, RemoveVolumeError, RemovedVolume,
    UseVolumeError, Used, Volumes,
};
