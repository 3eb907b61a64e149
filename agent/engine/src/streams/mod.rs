//! What flows between clients and processes: attaching, logs, further commands.

pub(crate) mod attach;
pub(crate) mod detach_keys;
pub(crate) mod exec;
pub(crate) mod exec_registry;
mod exec_request;
pub(crate) mod log_driver;
pub(crate) mod logs;
pub(crate) mod session;
