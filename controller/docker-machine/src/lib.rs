//! docker-machine's surface over berth's machines: the same commands, flags, texts, streams and
//! exit codes, to the byte where other programs read them.
//!
//! What the commands do is the fleet's business; here is only how they are called and what they
//! say. The command line is read by rules of its own (`args`): Go's flags, with the words before
//! the first flag moved behind the flags. Errors of the fleet are put into the original's words in
//! `words`; where the original has a defect (a crash, a wrong line of `env`) the better behaviour
//! is kept and the form is its own.
//!
//! Deliberately not here: berth's own manners, which are in the command line's crate.

mod app;
mod args;
mod catalogue;
mod check;
mod commands;
mod help;
mod machines;
mod progress;
mod rows;
pub mod shell;
mod words;
mod world;

use std::ffi::OsString;

use berth_provisioners_api::Registry;

pub use world::{Variables, World};

/// The version of docker-machine that this surface is the same as.
const SURFACE: &str = "0.16.2";

/// How the program was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was typed to call it, such as `/usr/bin/docker-machine` or `berth docker-machine`.
    pub program: String,
    /// The words after that.
    pub words: Vec<OsString>,
}

/// Does what the words say, and returns the exit code.
#[must_use]
pub fn run(call: Call, drivers: Registry, world: &World) -> u8 {
    let words = call.words.iter();
    let words = words.map(|word| word.to_string_lossy().into_owned());
    app::run(app::Context {
        name: app::base_name(&call.program),
        program: call.program,
        words: words.collect(),
        drivers,
        world,
    })
}
