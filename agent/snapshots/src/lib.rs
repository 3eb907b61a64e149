//! Layered root filesystems: unpacked layers, and what containers write above them.
//!
//! A layer is unpacked on its own, without its parents, and named by its diff id; overlayfs stacks
//! layers when a container starts. Nothing is mounted here for a running container: the supervisor
//! mounts inside the container's own mount namespace, from the directories of a [`Prepared`].
//!
//! This room knows no images and no registries. What a layer holds is written by the unpacker of
//! `agent/images`; the form of whiteouts in it is overlayfs's (device 0/0, `trusted.overlay.opaque`).

mod bind;
mod error;
mod layer_id;
mod mounted;
mod overlay;
mod prepared;
mod snapshotter;
mod staging;

pub use bind::{Access, Bind};
pub use error::SnapshotError;
pub use layer_id::{LayerId, ParseLayerIdError};
pub use mounted::Mounted;
pub use overlay::{Overlay, PrivateMount};
pub use prepared::Prepared;
pub use snapshotter::Snapshotter;
pub use staging::Staging;
