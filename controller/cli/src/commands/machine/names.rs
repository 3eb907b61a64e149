//! Which machines are meant when some, or none, are named.

use berth_controller_fleet::Fleet;

use crate::engine::{DEFAULT_MACHINE, Global};
use crate::failure::Failure;

/// The one machine that is meant: the one named, `--machine`, or the one called "default".
pub(super) fn one(
    fleet: &Fleet,
    global: &Global,
    named: Option<String>,
) -> Result<String, Failure> {
    let named = named
        .or_else(|| global.machine.clone())
        .filter(|name| !name.is_empty());
    match named {
        Some(name) => Ok(name),
        None if fleet.exists(DEFAULT_MACHINE) => Ok(DEFAULT_MACHINE.to_owned()),
        None => Err(Failure::new(
            "Error: No machine name(s) specified and no \"default\" machine exists",
        )
        .hint("`berth machine ls` lists the machines")),
    }
}

/// The machines that are meant; each once, however often it was named.
pub(super) fn several(
    fleet: &Fleet,
    global: &Global,
    named: Vec<String>,
) -> Result<Vec<String>, Failure> {
    if named.is_empty() {
        return Ok(vec![one(fleet, global, None)?]);
    }
    let mut names: Vec<String> = Vec::new();
    for name in named {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}
