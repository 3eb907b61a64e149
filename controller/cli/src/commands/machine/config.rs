//! `berth machine config`.

use super::names;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::ui::progress::MachineSteps;
use crate::ui::quote::quoted;

/// Show the options with which the docker command reaches a machine
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Machine; the one called "default" if none is named
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Prints an option a line, once the engine has answered.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let name = names::one(&fleet, global, args.name)?;
    let facts = fleet
        .env_facts(&name)
        .await
        .map_err(|error| error.failure())?;
    if let Err(error) = fleet.engine_version(&name, &MachineSteps::quiet()).await {
        let failure = error.failure();
        let said = failure.message().unwrap_or_default();
        return Err(
            Failure::new(format!("Error running connection boilerplate: {said}"))
                .hint(format!("berth machine provision {name}")),
        );
    }
    let file = |name: &str| quoted(&facts.cert_path.join(name).to_string_lossy());
    ui::line("--tlsverify")?;
    ui::line(&format!("--tlscacert={}", file("ca.pem")))?;
    ui::line(&format!("--tlscert={}", file("cert.pem")))?;
    ui::line(&format!("--tlskey={}", file("key.pem")))?;
    ui::line(&format!("-H={}", facts.url))?;
    Ok(0)
}
