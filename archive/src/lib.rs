//! Reading and writing tar archives: layers, and files on their way into and out of containers.
//!
//! Own code for two reasons: archives come from strangers, so every length in them is bounded
//! before memory is taken for it, and the data of files is handed on without being copied.
//! Understood are ustar, PAX and GNU archives with long names and all kinds of sparse files.
//!
//! Nothing here makes or opens files. Where members may be put is decided by whoever unpacks, with
//! the help of [`clean`].

mod header;
mod holes;
mod name;
mod padded;
mod pax;
mod reader;
mod sparse;
#[cfg(test)]
mod tests;
mod writer;

pub use holes::Holes;
pub use name::clean;
pub use padded::read_padded;
pub use reader::{Entry, EntryKind, TarError, TarReader};
pub use sparse::SparseMap;
pub use writer::{NewEntry, TarWriter};

/// The unit that everything in an archive is padded to.
const BLOCK: usize = 512;
