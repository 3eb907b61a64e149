//! The container's log: binary records, one after the other, each what one read from the container gave.
//!
//! A record is a header of 16 bytes (payload length u32, stream u8, three zero bytes, nanoseconds since 1970 u64, all
//! little-endian) and the payload. Attached clients are sent the same bytes.

mod reader;
mod record;
mod writer;

pub use reader::{LogSelection, ReadLogError, Reader};
pub(crate) use record::{HEADER, Header};
pub use record::{Line, LineSplitter, Record, Stream};
pub(crate) use writer::Writer;

/// Name of the log inside a bundle directory.
pub const FILE_NAME: &str = "container.log";
