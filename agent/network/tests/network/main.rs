//! The network against the kernel, on machines that are network namespaces of their own.

#![expect(
    clippy::unwrap_used,
    reason = "what supports tests fails as tests do, by panicking"
)]

mod changes;
mod lifecycle;
mod names;
mod support;
mod traffic;
mod users;
