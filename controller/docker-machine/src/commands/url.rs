//! `url`: the address of a machine's engine.

use crate::app::{Order, Outcome};
use crate::machines;
use crate::world::Failure;

/// Prints the address.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    if order.args().len() > 1 {
        return Err(Failure::new(machines::ONE_EXPECTED));
    }
    let fleet = order.fleet()?;
    let name = machines::one(&fleet, order.args())?;
    let url = machines::url(&fleet, &name).await.map_err(Failure::new)?;
    order.world().line(&url)
}
