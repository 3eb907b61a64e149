//! Help pages, set as the original sets them: with tabs.

use berth_controller_template::table::{HELP, align};

use crate::SURFACE;
use crate::app::Context;
use crate::args::Flag;
use crate::catalogue::{Command, commands};

/// The page of the whole program.
pub(crate) fn of_program(context: &Context<'_>, flags: &[Flag]) -> String {
    let name = &context.name;
    let options: String = flags
        .iter()
        .map(|flag| format!("{}\n  ", flag.line()))
        .collect();
    let list: String = commands(context)
        .iter()
        .map(|command| format!("{}\t{}\n  ", command.name, command.usage))
        .collect();
    let version = version(context);
    align(
        &format!(
            "Usage: {name} [OPTIONS] COMMAND [arg...]\n\n\
             Create and manage machines running Docker.\n\n\
             Version: {version}\n\n\
             Author:\n  The authors of berth\n\n\
             Options:\n  {options}\n\
             Commands:\n  {list}\n\
             Run '{name} COMMAND --help' for more information on a command.\n"
        ),
        HELP,
    )
}

/// The page of a command.
pub(crate) fn of_command(command: &Command) -> String {
    let mut page = format!("Usage: docker-machine {}", command.name);
    if !command.flags.is_empty() {
        page.push_str(" [OPTIONS]");
    }
    page.push_str(" [arg...]\n\n");
    page.push_str(command.usage);
    if !command.description.is_empty() {
        page.push_str("\n\nDescription:\n   ");
        page.push_str(&command.description);
    }
    if !command.flags.is_empty() {
        page.push_str("\n\nOptions:\n   ");
        for flag in &command.flags {
            page.push_str("\n   ");
            page.push_str(&flag.line());
        }
    }
    page.push('\n');
    align(&page, HELP)
}

/// The version as help and `--version` show it.
pub(crate) fn version(_context: &Context<'_>) -> String {
    format!("{SURFACE}, build berth-{}", env!("CARGO_PKG_VERSION"))
}
