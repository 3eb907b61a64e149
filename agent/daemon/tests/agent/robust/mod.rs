//! What the agent survives: kills at any step, storms, full disks, power cuts, and hosts that others
//! tamper with. Whatever happens, nothing that was promised is lost and nothing is left behind.

mod descriptors;
mod full_disk;
pub(crate) mod ground;
mod hostile;
pub(crate) mod journal;
mod kills;
pub(crate) mod mix;
mod mix_files;
mod mix_networks;
mod parity;
mod power_cut;
mod storms;
pub(crate) mod verify;
