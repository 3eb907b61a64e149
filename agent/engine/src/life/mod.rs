//! The turns in the life of a container after its start: stop, pause, wait, the end, removal.

pub(crate) mod finish;
pub(crate) mod pause;
pub(crate) mod remove;
pub(crate) mod signal;
pub(crate) mod stop;
pub(crate) mod wait;
