//! Files of containers: copying in and out, changes, whole file systems, images made of them.
//!
//! Everything happens on descriptors below the container's root (`view`): the kernel resolves names
//! inside of it, whatever links there are and however they change meanwhile. No thread that does this
//! is in the container's process id namespace, and nothing of the container is loaded or executed.
//! Files of the kernel (`/proc`, `/sys` and their like) are shown as empty folders and never written.

pub(crate) mod changes;
pub(crate) mod chunks;
pub(crate) mod commit;
mod commit_config;
pub(crate) mod copying;
pub(crate) mod error;
pub(crate) mod export;
pub(crate) mod get;
mod look;
mod pack;
mod path;
pub(crate) mod places;
pub(crate) mod put;
mod running;
pub(crate) mod stat;
mod view;
mod walk;
