//! Commands on containers.
//!
//! A new command is a file here, a line in each of [`Command`]'s two lists, and by that both
//! `berth NAME` and `berth container NAME`; one that has only a long name goes to [`LongCommand`].

mod about;
mod attach;
mod create;
mod ending;
mod exec;
mod kill;
mod logs;
mod options;
mod pause;
mod port;
mod prune;
pub(super) mod ps;
mod rename;
