//! The suite that every driver of machines passes, against real machines.
//!
//! Each check is a function that makes its machines through a [`Bench`] and can be run beside the
//! others. A driver's test has one test function for each check that applies to it:
//!
//! - [`life_cycle`], for drivers that can switch machines on and off;
//! - [`repeated_calls_are_harmless`], [`two_at_once`] and [`cut_off_create_is_removed_or_resumed`],
//!   for all.
//!
//! The bench removes what a check leaves behind, also when the check fails.

mod bench;
mod checks;
mod journal;
mod remote;

pub use bench::{Bench, Subject};
pub use checks::{
    cut_off_create_is_removed_or_resumed, life_cycle, repeated_calls_are_harmless, two_at_once,
};
pub use journal::RecordingJournal;
pub use remote::Remote;
