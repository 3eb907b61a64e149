//! System calls behind safe functions; the only room with unsafe code.

pub mod arenas;
pub mod capability;
pub mod descriptor;
pub mod device_filter;
pub mod first_process;
pub mod keyring;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod process;
pub mod readiness;
pub mod residence;
pub mod root_dir;
pub mod seccomp;
pub mod socket;
pub mod terminal;

mod call;
