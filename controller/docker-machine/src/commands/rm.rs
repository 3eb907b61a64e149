//! `rm`: machines are removed, after a question.

use berth_controller_fleet::Fleet;
use berth_controller_template::quote::quoted;

use crate::app::{Order, Outcome};
use crate::progress::{Doing, Lines};
use crate::{machines, words};

/// Removes machines, one after the other.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    let names = order.args();
    if names.is_empty() {
        return Err(order.wrong(machines::SOME_EXPECTED));
    }
    let world = order.world();
    world.info(&format!("About to remove {}", names.join(", ")));
    world.info("WARNING: This action will delete both local reference and remote instance.");
    let force = order.options.switch("force");
    if !force && !order.options.switch("y") {
        // Nobody there to answer is no.
        let answer = world.ask("Are you sure?").unwrap_or_default();
        if !answer.to_lowercase().starts_with('y') {
            return Ok(());
        }
    }
    let fleet = order.fleet()?;
    let mut problems = Vec::new();
    for name in names {
        let Err(found) = remove(order, &fleet, name, force).await else {
            continue;
        };
        if force {
            found.iter().for_each(|problem| world.error(problem));
        } else {
            problems.extend(found);
        }
    }
    machines::joined(problems)
}

async fn remove(
    order: &Order<'_>,
    fleet: &Fleet,
    name: &str,
    force: bool,
) -> Result<(), Vec<String>> {
    let shown = quoted(name);
    let failed = |why: &str| format!("Error removing host {shown}: {why}");
    let kept = || format!("Can't remove {shown}");
    if !fleet.exists(name) {
        let mut problems = vec![failed(&words::absent(name))];
        problems.extend(force.then(kept));
        return Err(problems);
    }
    // What fails in spite of force is told as it happens.
    let lines = Lines::new(order.world(), Doing::Removing);
    let removed = fleet.remove(name, force, &lines).await;
    removed.map_err(|error| {
        let mut problems = vec![failed(&words::remove(&error))];
        problems.extend(force.then(kept));
        problems
    })?;
    order.world().info(&format!("Successfully removed {name}"));
    Ok(())
}
