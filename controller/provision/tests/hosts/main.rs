//! Provisioning over a real SSH server, on hosts that are this one with a private layer over it.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

mod fixture;
mod install;
mod places;
mod tries;
mod users;
