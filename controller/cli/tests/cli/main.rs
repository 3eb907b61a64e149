//! The `berth` program as it is run by people, against an agent made for the test that answers on
//! a unix socket. What real agents do is not tested here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;
mod containers;
mod copies;
mod flags;
mod images;
mod local;
mod machines;
mod program;
mod terminal;
mod usage;
