//! `upgrade`: machines get this berth's agent.

use berth_controller_fleet::Fleet;
use berth_provisioners_api::MachineState;
use futures::future::join_all;

use crate::app::{Order, Outcome};
use crate::progress::{Doing, Lines};
use crate::{machines, words};

/// Upgrades every machine at once; what goes wrong is told together.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    let fleet = order.fleet()?;
    let names = machines::several(&fleet, order.args())?;
    let lines = Lines::new(order.world(), Doing::Provisioning);
    let upgrade = async |name: &String| one(order, &fleet, name, &lines).await;
    let results = join_all(names.iter().map(upgrade)).await;
    machines::joined(results.into_iter().filter_map(Result::err).collect())
}

async fn one(
    order: &Order<'_>,
    fleet: &Fleet,
    name: &str,
    lines: &Lines<'_>,
) -> Result<(), String> {
    let world = order.world();
    let state = fleet.state(name).await;
    let state = state.map_err(|error| words::machine(&error))?;
    if state != MachineState::Running {
        world.info("Starting machine so machine can be upgraded...");
    }
    world.info("Upgrading docker...");
    let upgraded = fleet.upgrade(name, lines).await;
    upgraded.map(drop).map_err(|error| words::provision(&error))
}
