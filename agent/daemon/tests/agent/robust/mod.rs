//! What the agent survives: kills at any step, storms, full disks, power cuts, and hosts that others
//! tamper with. Whatever happens, nothing that was promised is lost and nothing is left behind.

mod full_disk;
pub(crate) mod ground;
mod hostile;
mod journal;
mod kills;
mod mix;
mod parity;
mod power_cut;
mod storms;
mod verify;
