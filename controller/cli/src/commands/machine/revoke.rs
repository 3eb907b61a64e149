//! `berth machine revoke` and `revoke-client`.

use berth_controller_fleet::{RevokeError, RevokeReport};

use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome, PENDING};
use crate::ui;
use crate::ui::progress::MachineSteps;

/// Turn a client's certificate away from all machines
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Its open connections end at once. A machine that cannot be reached is told when
it is next contacted; `berth machine certs` shows which still have to be told. Your own certificate
is replaced by a new one first.

The exit code is 75 while machines still have to be told."
)]
pub(crate) struct ClientArgs {
    /// The client's name, or the beginning of the certificate's fingerprint
    #[arg(value_name = "NAME|FINGERPRINT")]
    client: String,
}

/// Stop trusting a machine's certificate
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For a machine whose key may be in somebody else's hands. berth does not speak to
it any more until `berth machine regenerate-certs` has given it another certificate through ssh, or
it is removed. The exit code is 75 while other machines still have to be told."
)]
pub(crate) struct MachineArgs {
    /// Do not ask
    #[arg(long, short)]
    force: bool,

    /// Machine
    #[arg(value_name = "NAME")]
    name: String,
}

/// Revokes a client.
pub(super) async fn client(args: ClientArgs, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let report = fleet
        .revoke_client(&args.client, &MachineSteps::quiet())
        .await
        .map_err(|error| failure(&error))?;
    tell(&report)
}

/// Revokes a machine, after a question.
pub(super) async fn machine(args: MachineArgs, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    if !fleet.exists(&args.name) {
        return Err(berth_controller_fleet::MachineError::Absent(args.name).failure());
    }
    let question = format!(
        "Stop trusting the certificate of machine {:?}? (y/n): ",
        args.name
    );
    if !args.force && !ui::confirm(&question)? {
        return Ok(0);
    }
    let report = fleet
        .revoke_machine(&args.name, &MachineSteps::quiet())
        .await
        .map_err(|error| failure(&error))?;
    tell(&report)
}

fn failure(error: &RevokeError) -> Failure {
    let failure = Failure::because(error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn tell(report: &RevokeReport) -> Outcome {
    for (fingerprint, name) in &report.revoked {
        let of = if name.is_empty() {
            String::new()
        } else {
            format!(" of {name:?}")
        };
        ui::line(&format!("Revoked certificate {fingerprint}{of}."))?;
    }
    if report.own_replaced {
        ui::line("It was your own; you have a new one.")?;
    }
    let told = report.machines.iter().filter(|one| one.pending.is_none());
    let n_told = told.count();
    if !report.machines.is_empty() {
        ui::line(&format!(
            "{n_told} of {} machines know.",
            report.machines.len()
        ))?;
    }
    for machine in &report.machines {
        if let Some(why) = &machine.pending {
            let name = &machine.machine;
            ui::warn(&format!(
                "machine {name:?} does not know yet and is told at the next contact: {why}"
            ));
        }
    }
    Ok(if n_told < report.machines.len() {
        PENDING
    } else {
        0
    })
}
