//! Reading and writing tar archives, as layers use them.
//!
//! Own code for two reasons: archives come from strangers, so every length in them is bounded
//! before memory is taken for it, and the data of files is handed on without being copied.
//! Understood are ustar, PAX and GNU archives with long names and all kinds of sparse files.

mod header;
mod pax;
mod reader;
mod sparse;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

pub(crate) use reader::{Entry, EntryKind, TarError, TarReader};
pub(crate) use writer::{NewEntry, TarWriter};

/// The unit that everything in an archive is padded to.
const BLOCK: usize = 512;
