//! `status`: what a machine is doing.

use crate::app::{Order, Outcome};
use crate::world::Failure;
use crate::{machines, words};

/// Prints the machine's state.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    if order.args().len() > 1 {
        return Err(Failure::new(machines::ONE_EXPECTED));
    }
    let fleet = order.fleet()?;
    let name = machines::one(&fleet, order.args())?;
    let state = fleet.state(&name).await.map_err(|error| {
        let why = words::machine(&error);
        Failure::new(format!("error getting state for host {name}: {why}"))
    })?;
    order.world().line(machines::state_word(state))
}
