//! The image store against Debian's docker-registry, and against servers that misbehave.

mod access;
mod build;
mod faults;
mod full_disk;
mod killed;
mod pull;
mod push;
mod remove;
mod support;
