//! `berth machine version`.

use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::Outcome;
use crate::ui;
use crate::ui::progress::MachineSteps;

/// Show berth's version, or that of a machine's agent
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Machine
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Prints a version.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let Some(name) = args.name else {
        ui::line(&format!("berth version {}", env!("CARGO_PKG_VERSION")))?;
        return Ok(0);
    };
    let fleet = global.fleet()?;
    let version = fleet.engine_version(&name, &MachineSteps::quiet()).await;
    ui::line(&version.map_err(|error| error.failure())?)?;
    Ok(0)
}
