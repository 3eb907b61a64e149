//! Which machines are meant when some, or none, are named.

use berth_controller_fleet::Fleet;
use berth_controller_template::quote::quoted;
use berth_provisioners_api::MachineState;

use crate::app::Outcome;
use crate::words;
use crate::world::Failure;

/// The machine that is meant when none is named.
pub(crate) const DEFAULT: &str = "default";

pub(crate) const ONE_EXPECTED: &str = "Error: Expected one machine name as an argument";
pub(crate) const SOME_EXPECTED: &str =
    "Error: Expected to get one or more machine names as arguments";
pub(crate) const TOO_MANY: &str = "Error: Too many arguments given";
pub(crate) const NOT_RUNNING: &str = "Host is not running";

/// The one machine that is meant; its record can be read.
pub(crate) fn one(fleet: &Fleet, args: &[String]) -> Result<String, Failure> {
    let name = target(fleet, args)?;
    known(fleet, &name).map_err(Failure::new)?;
    Ok(name)
}

/// The machines that are meant, each once; the records of all can be read.
pub(crate) fn several(fleet: &Fleet, args: &[String]) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = Vec::new();
    if args.is_empty() {
        names.push(target(fleet, args)?);
    }
    for name in args {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let problems = names.iter().filter_map(|name| known(fleet, name).err());
    joined(problems.collect())?;
    Ok(names)
}

/// One failure of many problems.
pub(crate) fn joined(problems: Vec<String>) -> Outcome {
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::new(problems.join("\n").trim()))
}

/// The one machine that is meant, whether there is such a one or not.
pub(crate) fn target(fleet: &Fleet, args: &[String]) -> Result<String, Failure> {
    match args.first() {
        Some(name) => Ok(name.clone()),
        None if fleet.exists(DEFAULT) => Ok(DEFAULT.to_owned()),
        None => Err(Failure::new(format!(
            "Error: No machine name(s) specified and no {} machine exists",
            quoted(DEFAULT)
        ))),
    }
}

fn known(fleet: &Fleet, name: &str) -> Result<(), String> {
    let record = fleet.inspect(name);
    record.map(drop).map_err(|error| words::machine(&error))
}

/// The engine's address of a machine that runs.
///
/// Drivers that are part of this program are asked whether it does; others would need a process of
/// their own for it, so what is on record has to do.
pub(crate) async fn url(fleet: &Fleet, name: &str) -> Result<String, String> {
    let url = fleet.url(name).await;
    let url = url.map_err(|error| words::machine(&error))?;
    if is_built_in(fleet, name)
        && let Ok(state) = fleet.state(name).await
        && state != MachineState::Running
    {
        return Err(NOT_RUNNING.to_owned());
    }
    Ok(url)
}

fn is_built_in(fleet: &Fleet, name: &str) -> bool {
    let driver = fleet.inspect(name).ok();
    let driver = driver
        .as_ref()
        .and_then(|record| record["DriverName"].as_str());
    driver.is_some_and(|driver| fleet.drivers().names().any(|known| known == driver))
}

/// The word that the original has for a state.
pub(crate) fn state_word(state: MachineState) -> &'static str {
    match state {
        // It has a state for this that has no word.
        MachineState::NotFound => "",
        other => other.as_str(),
    }
}
