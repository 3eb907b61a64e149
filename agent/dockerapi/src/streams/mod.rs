//! The forms in which things are sent that do not end soon: bytes of processes in frames, objects in
//! lines, archives in chunks.

pub(crate) mod archive;
pub(crate) mod blocking;
pub(crate) mod frame;
pub(crate) mod hijack;
pub(crate) mod lines;
pub(crate) mod plain;
pub(crate) mod progress;
pub(crate) mod session;
pub(crate) mod transfer;
