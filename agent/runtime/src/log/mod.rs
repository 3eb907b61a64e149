//! The container's log: binary records, one after the other, each what one read from the container gave.
//!
//! **The log is a stream** of records whose bytes are counted from the container's creation on; attached clients are
//! offsets into it, and are sent the same bytes. It is kept in segments: `container.log` is the one that is written,
//! `container.log.N` one that begins at offset N and is complete, `container.log.N.gz` the same compressed. A segment
//! begins with 16 bytes that tell its own offset.
//!
//! A record is a header of 16 bytes (payload length u32, kind u8, padding u8, flags u8, a zero byte, nanoseconds since
//! 1970 u64, all little-endian), the payload, and the padding. No record crosses a multiple of 256 KiB in its file: what
//! would is split, and room that no record fits into is padding. So a log can be read from its end.

mod cursor;
mod lines;
mod pack;
mod policy;
mod reader;
mod record;
mod recover;
mod segment;
mod tail;
mod writer;

#[cfg(test)]
mod tests;

pub use cursor::{Cursor, InvalidCursor};
pub use lines::{LineSplitter, Lines};
pub use policy::LogPolicy;
pub use reader::{LogSelection, ReadLogError, Reader};
pub(crate) use record::{HEADER, Header, Kind};
pub use record::{Record, Stream};
pub(crate) use recover::claim;
pub(crate) use segment::is_at;
pub(crate) use writer::{Found, Held, Writer};

/// Name of the segment that is written, inside a bundle directory.
pub const FILE_NAME: &str = "container.log";
