//! Switches that may be written `--rm=false`, as Go programs take them.

use clap::{Arg, ArgAction};

/// Lets a switch take an optional value behind an equals sign; leaves other arguments alone.
pub(crate) fn with_value(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    arg.action(ArgAction::Set)
        .value_parser(clap::value_parser!(bool))
        .num_args(0..=1)
        .require_equals(true)
        .default_value("false")
        .default_missing_value("true")
        .value_name("BOOL")
        .hide_default_value(true)
        .hide_possible_values(true)
}
