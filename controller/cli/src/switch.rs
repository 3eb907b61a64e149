//! Flags as Go programs take them: switches may be written `--rm=false`, and a flag with a value
//! takes the next word for it, whatever that looks like.

use clap::{Arg, ArgAction};

use crate::spec::number;

/// Reads the value of a switch.
pub(crate) fn go_bool(text: &str) -> Result<bool, String> {
    number::boolean(text)
}

/// Makes an argument one of Go's; leaves positional ones alone.
pub(crate) fn with_value(arg: Arg) -> Arg {
    if arg.is_positional() {
        return arg;
    }
    if matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
        && !arg.is_require_equals_set()
    {
        return arg.allow_hyphen_values(true);
    }
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    arg.action(ArgAction::Set)
        .value_parser(go_bool)
        .num_args(0..=1)
        .require_equals(true)
        .default_value("false")
        .default_missing_value("true")
        .value_name("BOOL")
        .hide_default_value(true)
        .hide_possible_values(true)
}
