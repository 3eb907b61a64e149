//! The surface as other programs see it: what is typed in, what comes out on which stream, and
//! with which exit code, to the byte.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests themselves do"
)]

mod certificates;
mod create;
mod environment;
mod fake;
mod files;
mod help;
mod inspect;
mod lifecycle;
mod listing;
mod removal;
mod server;
mod support;
