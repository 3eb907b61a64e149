//! `berth machine regenerate-certs`.

use berth_controller_fleet::RegenerateOptions;
use futures::future::join_all;

use super::names;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::ui::progress::MachineSteps;

/// Give machines new certificates, with all names and addresses that they have now
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The engine is not restarted, containers and open streams go on. A machine whose
certificate has expired or was revoked is reached through ssh."
)]
pub(crate) struct Args {
    /// Do not ask
    #[arg(long, short)]
    force: bool,

    /// Also make a new client certificate, which all machines share
    #[arg(long)]
    client_certs: bool,

    /// Machines; the one called "default" if none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Regenerates certificates, after a question.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let names = names::several(&fleet, global, args.names)?;
    let question = "Regenerate TLS machine certs?  Warning: this is irreversible. (y/n): ";
    if !args.force && !ui::confirm(question)? {
        return Ok(0);
    }
    if args.client_certs {
        fleet.regenerate_client().map_err(|error| {
            let failure = Failure::because(&error);
            match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })?;
    }
    let steps = MachineSteps::told();
    let regenerate = async |name: &String| -> Result<(), Failure> {
        let options = RegenerateOptions::default();
        let done = fleet.regenerate_certificates(name, options, &steps).await;
        done.map_err(|error| error.failure())?;
        ui::line(&format!("Machine {name:?} has a new certificate."))?;
        Ok(())
    };
    Ok(super::lifecycle::told(
        join_all(names.iter().map(regenerate)).await,
    ))
}
