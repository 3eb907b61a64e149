//! System calls behind safe functions; the only room with unsafe code.

pub mod memory;
pub mod root_dir;
