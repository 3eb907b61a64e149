//! Plugins as processes of ours.
//!
//! One thread ([`thread`]) looks after all of them, so that heartbeats go on and pipes are drained
//! whatever the rest of the program does. [`process`] starts and ends a plugin, [`keeper`] makes
//! the kernel end it when berth dies, [`lines`] reads what it prints, [`session`] speaks with it.

pub(crate) mod keeper;
pub(crate) mod lines;
pub(crate) mod process;
pub(crate) mod session;
pub(crate) mod thread;

pub(crate) use session::{Label, Session};
