//! `berth machine ip`.

use super::names;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::Outcome;
use crate::ui;

/// Show the addresses of machines
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Machines; the one called "default" if none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Prints an address a line.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let mut code = 0;
    for name in names::several(&fleet, global, args.names)? {
        match fleet.ip(&name).await {
            Ok(address) => ui::line(&address)?,
            Err(error) => {
                ui::tell(crate::PROGRAM, &error.failure());
                code = 1;
            }
        }
    }
    Ok(code)
}
