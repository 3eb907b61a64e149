//! `version`: of this program, or of a machine's engine.

use std::time::Duration;

use berth_controller_fleet::Silent;
use tokio::time::timeout;

use crate::app::{Context, Order, Outcome};
use crate::world::Failure;
use crate::{help, machines, words};

/// How long a machine has to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Prints the version of the program.
pub(crate) fn of_program(context: &Context<'_>) -> Outcome {
    let version = help::version(context);
    context
        .world
        .line(&format!("{} version {version}", context.name))
}

/// Prints the version of a machine's engine.
pub(super) async fn of_machine(order: &Order<'_>) -> Outcome {
    if order.args().len() > 1 {
        return Err(Failure::new(machines::ONE_EXPECTED));
    }
    let fleet = order.fleet()?;
    let name = machines::one(&fleet, order.args())?;
    let asked = timeout(PATIENCE, fleet.engine_version(&name, &Silent)).await;
    let version = match asked {
        Ok(Ok(version)) => version,
        Ok(Err(error)) => return Err(Failure::new(words::agent(&error))),
        Err(_elapsed) => return Err(Failure::new(words::no_version("i/o timeout"))),
    };
    order.world().line(&version)
}
