//! The encoding of Go's `encoding/gob`, as far as drivers speak it.
//!
//! [`wire`] holds numbers and texts, [`types`] what a peer says about its types, [`decode`] makes a
//! [`Value`] of any message within bounds that a hostile peer cannot pass, [`stream`] cuts a
//! connection into messages, and [`encode`] writes the few types that berth itself sends, with
//! the descriptions of `describe`.

pub(crate) mod decode;
mod describe;
pub(crate) mod encode;
pub(crate) mod stream;
pub(crate) mod types;
pub(crate) mod value;
pub(crate) mod wire;

pub(crate) use encode::{Body, Head, Writer};
pub(crate) use stream::Reader;
pub(crate) use value::Value;

/// What a peer sent is not gob, or more than anybody needs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GobError {
    /// The bytes make no sense.
    #[error("garbage on the wire: {0}")]
    Malformed(&'static str),
    /// The bytes make sense, but there are too many of something.
    #[error("more than {limit} {what}")]
    Limit { what: &'static str, limit: u64 },
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    /// The value goes on in another message.
    #[error("garbage on the wire: a value ends early")]
    Continued,
}
