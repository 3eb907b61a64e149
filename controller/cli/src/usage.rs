//! Command lines that make no sense, in Docker's words and with its exit codes.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::failure::{ENGINE_ERROR, Failure};
use crate::ui;

/// Makes a failure of what clap found. Help and version are printed here.
pub(crate) fn failure(error: &clap::Error, as_machine: bool) -> Failure {
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
            (format!("unknown shorthand flag: {arg}"), ENGINE_ERROR)
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
            invalid(error, &arg, context(ContextKind::InvalidValue)),
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
    failure.hint("--help says more")
}

fn wanted(arg: &str) -> String {
    arg.replace(['<', '>'], "").trim_end_matches('.').to_owned()
}

fn invalid(error: &clap::Error, arg: &str, value: Option<String>) -> String {
    let flag = arg.split(' ').next().unwrap_or(arg);
    let value = value.unwrap_or_default();
    if value.is_empty() {
        return format!("flag needs an argument: {flag}");
    }
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let cause = cause.or_else(|| match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => Some(format!("must be {}", values.join(", "))),
        _ => None,
    });
    match cause {
        Some(cause) => format!("invalid argument {value:?} for {flag}: {cause}"),
        None => format!("invalid argument {value:?} for {flag}"),
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}
