//! `berth`: machines with an engine on them, and the containers and images of those engines.
//!
//! One file per command is in [`commands`]; what people see is made in [`ui`], the only room that
//! prints; [`units`] and [`spec`] are plain functions on texts. What machines are is
//! the fleet's business, what containers are the agent's.

mod app;
mod commands;
mod copy;
mod engine;
mod failure;
mod interrupt;
mod plugins;
mod registry_auth;
mod session;
mod settings;
mod spec;
mod switch;
mod ui;
mod units;
mod usage;

use std::process::ExitCode;

use berth_controller_template as template;

/// The name with which messages begin.
const PROGRAM: &str = "berth";

fn main() -> ExitCode {
    // The sandbox driver starts this program again as a machine's monitor and init.
    if let Some(code) = berth_provisioners_sandbox::run_if_internal(std::env::args_os()) {
        return code;
    }
    // And on the way to a plugin, which then ends with the program that wanted it.
    if let Some(code) = berth_provisioners_plugin::run_if_internal(std::env::args_os()) {
        return code;
    }
    if let Some(code) = plugins::serve_if_called() {
        return code;
    }
    let code = app::main(std::env::args_os().collect());
    berth_provisioners_plugin::finish();
    code
}
