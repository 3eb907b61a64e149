//! `ssh`: a shell on a machine, or a command on it.

use berth_controller_fleet::SshProgram;

use crate::app::{Order, Outcome};
use crate::world::Failure;
use crate::{help, machines, words};

/// Runs a shell or a command. As with the original, the remote status only decides whether this
/// one is zero.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    let args = order.args();
    let first = args.first().map(String::as_str);
    if matches!(first, Some("-h" | "-help" | "--help")) {
        return order.world().print(&help::of_command(order.command));
    }
    let fleet = order.fleet()?;
    let name = machines::one(&fleet, args)?;
    let program = if order.global.switch("native-ssh") {
        SshProgram::Native
    } else {
        SshProgram::Either
    };
    let rest = args.get(1..).unwrap_or_default();
    let status = fleet.ssh_words(&name, rest, program).await;
    exited(status.map_err(|error| Failure::new(words::ssh(&error)))?)
}

/// What is said of a program that ended with this status.
pub(super) fn exited(status: u8) -> Outcome {
    match status {
        0 => Ok(()),
        status => Err(Failure::new(format!("exit status {status}"))),
    }
}
