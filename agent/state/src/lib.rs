//! The agent's durable state: one embedded, crash-safe database of versioned records.
//!
//! Every room of the agent that must remember something defines a [`Record`] and reads and writes
//! it in transactions of a [`State`]. What the kernel knows (does it run? does the interface exist?)
//! is deliberately not kept here, since a file can only be wrong about it.
//!
//! Calls are synchronous. A durable write waits for the disk once (well under a millisecond on an
//! ordinary SSD); use `spawn_blocking` where that matters. There is one writer at a time, so a
//! closure passed to [`State::write`] must neither block nor start another write.
//!
//! A disk that fills up does not end the database: some space is reserved in advance, a write that
//! still fails is reported and rolled back, and the next call opens the file again.

mod backend;
mod record;
mod state;
mod transaction;

pub use record::{MigrateError, Record};
pub use state::{OpenError, State, StateError};
pub use transaction::{Reader, Writer};
