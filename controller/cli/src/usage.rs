//! Command lines that make no sense, in Docker's words and with its exit codes.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::failure::{ENGINE_ERROR, Failure};
use crate::ui;
use crate::ui::quote::quoted;

/// The command that words are about, as far as they name one, and its full name.
#[derive(Debug)]
pub(crate) struct Meant {
    command: clap::Command,
    name: String,
}

// === impl Meant ===

impl Meant {
    /// A command under its full name.
    pub(crate) fn new(command: clap::Command, name: &str) -> Self {
        Self {
            command,
            name: name.to_owned(),
        }
    }

    /// Follows the names of commands among the words.
    pub(crate) fn by(words: &[OsString], whole: clap::Command) -> Self {
        let mut meant = Self {
            name: whole.get_name().to_owned(),
            command: whole,
        };
        for word in words.iter().skip(1) {
            if let Some(part) = meant.command.find_subcommand(word) {
                let name = format!("{} {}", meant.name, part.get_name());
                meant = Self {
                    command: part.clone(),
                    name,
                };
            } else if !meant.command.has_subcommands() {
                break;
            }
        }
        meant
    }

    /// Both names of a flag, quoted, of which clap has one: `"-m, --memory"`.
    fn flag(&self, shown: &str) -> String {
        let long = shown.split([' ', '=', '[']).next().unwrap_or(shown);
        let name = long.trim_start_matches('-');
        let mut args = self.command.get_arguments();
        let short = args.find(|arg| arg.get_long() == Some(name));
        match short.and_then(clap::Arg::get_short) {
            Some(short) => format!("\"-{short}, {long}\""),
            None => format!("\"{long}\""),
        }
    }
}

/// Makes a failure of what clap found. Help and version are printed here.
pub(crate) fn failure(error: &clap::Error, meant: &Meant, as_machine: bool) -> Failure {
    if !error.use_stderr() {
        return match ui::print(&error.render().to_string()) {
            Ok(()) => Failure::silent(0),
            Err(error) => error.into(),
        };
    }
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        Some(ContextValue::StyledStr(text)) => Some(text.to_string()),
        _ => None,
    };
    let arg = context(ContextKind::InvalidArg).unwrap_or_default();
    let (text, exit) = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            ui::note(error.render().to_string().trim_end());
            return Failure::silent(1);
        }
        ErrorKind::UnknownArgument if arg.starts_with("--") => {
            let name = arg.split('=').next().unwrap_or(&arg);
            (format!("unknown flag: {name}"), ENGINE_ERROR)
        }
        ErrorKind::UnknownArgument if arg.starts_with('-') && arg.len() > 1 => {
            let letter = arg.chars().nth(1).unwrap_or('-');
            (
                format!("unknown shorthand flag: '{letter}' in {arg}"),
                ENGINE_ERROR,
            )
        }
        ErrorKind::UnknownArgument => (format!("too many arguments: {arg}"), 1),
        ErrorKind::InvalidSubcommand => {
            let word = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            (format!("unknown command: {word}"), 1)
        }
        ErrorKind::MissingRequiredArgument | ErrorKind::TooFewValues => {
            (format!("arguments are missing: {}", wanted(&arg)), 1)
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => (
            invalid(error, &arg, meant, context(ContextKind::InvalidValue)),
            ENGINE_ERROR,
        ),
        _ => (first_line(error), ENGINE_ERROR),
    };
    let mut failure = Failure::new(text).exit(if as_machine { 1 } else { exit });
    for kind in [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ] {
        if let Some(better) = context(kind) {
            failure = failure.hint(format!("did you mean {better}?"));
        }
    }
    if let Some(usage) = context(ContextKind::Usage) {
        let usage = usage.trim().replace("\n", "\n  ");
        failure = failure.hint(
            usage
                .strip_prefix("Usage: ")
                .map_or_else(|| usage.clone(), |usage| format!("usage: {usage}")),
        );
    }
    failure.hint(format!("`{} --help` says more", meant.name))
}

fn wanted(arg: &str) -> String {
    arg.replace(['<', '>'], "").trim_end_matches('.').to_owned()
}

fn invalid(error: &clap::Error, arg: &str, meant: &Meant, value: Option<String>) -> String {
    let flag = arg.split(' ').next().unwrap_or(arg);
    let value = value.unwrap_or_default();
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let cause = cause.or_else(|| match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            Some(format!("must be {}", values.join(", ")))
        }
        _ => None,
    });
    let value = quoted(&value);
    match cause {
        _ if !arg.starts_with('-') => match cause {
            Some(cause) => format!("invalid argument {value}: {cause}"),
            None => format!("invalid argument {value}"),
        },
        Some(cause) => {
            let flag = meant.flag(flag);
            format!("invalid argument {value} for {flag} flag: {cause}")
        }
        None => format!("flag needs an argument: {flag}"),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}
