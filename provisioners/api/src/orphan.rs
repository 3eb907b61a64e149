//! What machines leave behind that no store knows any more.

use serde_json::Value;

/// What is left of a machine whose record is gone.
///
/// Drivers find it by the tags that everything of theirs carries: the machine's name and the store
/// that it belonged to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The name that the machine had.
    pub machine: String,
    /// What is left, in words for the operator: "3 processes", "address 10.98.0.2".
    pub resources: Vec<String>,
    /// What [`crate::Driver::load`] takes for a machine whose [`crate::Machine::remove`] removes
    /// all of it.
    pub config: Value,
}
