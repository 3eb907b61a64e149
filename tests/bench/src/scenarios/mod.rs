//! What is measured, in parts that can be asked for one by one.

pub(crate) mod basics;
mod crowd;
mod files;
mod fleet;
mod life;
mod local;
mod publish;
mod streams;

use std::path::Path;

use anyhow::Result;

use crate::arguments::Arguments;
use crate::contestants::{Berth, Contestant};
use crate::measure::Row;

/// What the parts work with.
pub(crate) struct Bench<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) berth: &'a Berth,
    /// All contestants, berth first.
    pub(crate) contestants: &'a [&'a dyn Contestant],
    /// A folder that the bench may fill.
    pub(crate) folder: &'a Path,
}

/// A part of the bench.
pub(crate) type Part = fn(&Bench<'_>) -> Result<Vec<Row>>;

/// The parts, in the order in which they are measured.
pub(crate) const PARTS: [(&str, Part); 8] = [
    ("basics", basics::measure),
    ("life", life::measure),
    ("publish", publish::measure),
    ("streams", streams::measure),
    ("files", files::measure),
    ("local", local::measure),
    ("crowd", crowd::measure),
    ("fleet", fleet::measure),
];
