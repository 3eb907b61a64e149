//! The commands in `berth --help`, in the groups in which docker shows its own.

use std::fmt::Write as _;

use clap::Command;

/// What most people came for, in the order in which docker shows it.
const COMMON: [&str; 11] = [
    "run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "version", "info",
];

/// What concerns the program and no engine.
const PROGRAM: [&str; 2] = ["completion", "man"];

/// Lays the help of `app` out in groups; the commands themselves stay as they are.
///
/// It is not built for that, which would take longer than everything else before a connection.
pub(super) fn lay_out(app: Command) -> Command {
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}{}\n{{options}}{{after-help}}",
        groups(&app),
        heading(&app, "Global options"),
    );
    app.help_template(template)
}

fn groups(app: &Command) -> String {
    let commands: Vec<&Command> = app
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .collect();
    let is_common = |command: &Command| COMMON.contains(&command.get_name());
    let is_programs = |command: &Command| PROGRAM.contains(&command.get_name());
    let (managing, single): (Vec<&Command>, Vec<&Command>) = commands
        .iter()
        .filter(|command| !is_common(command) && !is_programs(command))
        .partition(|command| command.has_subcommands());
    let mut common: Vec<&Command> = commands.iter().copied().filter(|c| is_common(c)).collect();
    common.sort_by_key(|command| COMMON.iter().position(|name| *name == command.get_name()));
    let programs: Vec<&Command> = commands
        .iter()
        .copied()
        .filter(|c| is_programs(c))
        .collect();

    let mut text = String::new();
    let groups = [
        ("Common commands", common),
        ("Management commands", sorted(managing)),
        ("Commands", sorted(single)),
        ("This program", programs),
    ];
    for (title, members) in groups {
        let _ = writeln!(text, "{}", heading(app, title));
        for command in members {
            let _ = writeln!(text, "{}", line(app, command));
        }
        text.push('\n');
    }
    text
}

fn sorted(mut commands: Vec<&Command>) -> Vec<&Command> {
    commands.sort_by_key(|command| command.get_name().to_owned());
    commands
}

fn heading(app: &Command, title: &str) -> String {
    let style = app.get_styles().get_header();
    format!("{style}{title}:{style:#}")
}

/// A command's name and what it does; the names of a group stand in a column of docker's width.
fn line(app: &Command, command: &Command) -> String {
    let style = app.get_styles().get_literal();
    let about = command.get_about().map(ToString::to_string);
    format!(
        "  {style}{:<11}{style:#} {}",
        command.get_name(),
        about.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_command_stands_in_one_group() {
        let help = super::super::command().render_help().to_string();
        for command in super::super::command().get_subcommands() {
            let name = command.get_name();
            let lines = help
                .lines()
                .filter(|line| line.split_whitespace().next() == Some(name))
                .count();
            let wanted = usize::from(!command.is_hide_set());
            assert_eq!(lines, wanted, "{name} in\n{help}");
        }
    }

    #[test]
    fn docker_shows_its_common_commands_first() {
        let help = super::super::command().render_help().to_string();
        let place = |words: &str| {
            help.find(words)
                .unwrap_or_else(|| panic!("{words}:\n{help}"))
        };
        assert!(place("Common commands:") < place("  run "));
        assert!(place("  run ") < place("Management commands:"));
        assert!(place("Management commands:") < place("  machine "));
        assert!(place("  machine ") < place("\nCommands:"));
        assert!(place("Global options:") < place("--machine"));
    }
}
