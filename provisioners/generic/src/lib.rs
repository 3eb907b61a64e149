//! The `generic` driver: any host that exists and has an SSH server.
//!
//! It makes nothing and removes nothing outside the machine's directory: `create` keeps a copy of
//! the private key there, so that the machine works on when the operator's own key moves.
//! Whether the machine runs is whether its SSH port answers.

mod driver;
mod machine;

pub use driver::{Dial, DiallingDriver, GenericDriver};
