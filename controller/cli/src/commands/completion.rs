//! `berth completion`.

use clap_complete::Shell;

use crate::app;
use crate::failure::Outcome;
use crate::ui;

/// Print a script by which a shell completes commands, flags and names of what exists
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth completion bash > /etc/bash_completion.d/berth")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &Args) -> Outcome {
    ui::print(&app::complete::script(&args.shell.to_string())?)?;
    Ok(0)
}
