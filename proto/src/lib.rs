//! The wire between controller and agent: the messages and services of package `berth.v1`,
//! generated from the documented `.proto` files beside this crate, and the few names both sides
//! must agree on.

/// Messages, clients and servers of `berth.v1`.
pub mod v1 {
    #![expect(
        missing_docs,
        unused_qualifications,
        clippy::allow_attributes_without_reason,
        clippy::large_enum_variant,
        clippy::missing_errors_doc,
        clippy::too_many_lines,
        reason = "generated; the documentation is in the .proto files"
    )]
    tonic::include_proto!("berth.v1");
}

/// TCP port on which an agent serves, the one that Docker uses for TLS.
pub const DEFAULT_PORT: u16 = 2376;

/// Trailer with the stable word for the kind of an error, such as `image-not-found`.
pub const REASON_TRAILER: &str = "berth-reason";

/// Trailer of a failed build with the exit code of the command that failed.
pub const EXIT_CODE_TRAILER: &str = "berth-exit-code";

/// Longest message either side accepts, in bytes. Streams send far smaller ones.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
