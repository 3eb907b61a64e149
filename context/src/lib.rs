//! What of a directory belongs to a build: `.dockerignore`, and the tar stream that carries the rest.
//!
//! Both ends of a build use this crate. The controller packs the context with it; the agent asks the
//! same [`Ignore`] which of the two control files (the Dockerfile and `.dockerignore`), that are
//! always sent, the instructions must not see.
//!
//! Not here: network, Dockerfiles, unpacking.

mod clean;
mod ignore;
mod pack;
mod pattern;

pub use self::clean::clean;
pub use self::ignore::{Ignore, IgnoreError, LoadIgnoreError, ignore_file};
pub use self::pack::{PackError, Packed, pack};
pub use self::pattern::{Pattern, PatternError};
