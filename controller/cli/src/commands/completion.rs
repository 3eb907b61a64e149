//! `berth completion`.

use clap_complete::Shell;

use crate::app;
use crate::failure::Outcome;
use crate::ui;

/// Print a script that completes berth's commands in a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth completion bash > /etc/bash_completion.d/berth")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut app::whole(), "berth", &mut script);
    ui::print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
