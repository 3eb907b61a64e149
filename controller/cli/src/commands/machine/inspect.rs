//! `berth machine inspect`.

use super::names;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::Outcome;
use crate::template::{self, Missing};
use crate::ui;

/// Show what is on record of a machine, as JSON
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth machine inspect -f '{{.Driver.IPAddress}}' demo")]
pub(crate) struct Args {
    /// Template
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,

    /// Machine; the one called "default" if none is named
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Prints the machine's record.
pub(super) fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let name = names::one(&fleet, global, args.name)?;
    let record = fleet.inspect(&name).map_err(|error| error.failure())?;
    let text = match args.format.as_deref().unwrap_or_default() {
        "" => ui::json::indented(&record),
        format => template::render(format, &record, Missing::NoValue)?,
    };
    ui::line(&text)?;
    Ok(0)
}
