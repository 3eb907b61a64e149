//! The turns in the life of a container after its start: stop, pause, wait, the end, removal.

pub(crate) mod again;
pub(crate) mod finish;
pub(crate) mod health;
pub(crate) mod mounts;
pub(crate) mod pause;
mod probe;
mod process_tree;
pub(crate) mod prune;
pub(crate) mod remove;
pub(crate) mod rename;
pub(crate) mod signal;
pub(crate) mod stop;
mod undo;
pub(crate) mod update;
pub(crate) mod wait;
