//! `start`, `stop`, `restart` and `kill`: several machines at the same time.

use berth_controller_fleet::Fleet;
use berth_controller_template::quote::quoted;
use berth_provisioners_api::MachineState;
use futures::future::join_all;

use crate::app::{Order, Outcome};
use crate::progress::{Doing, Lines};
use crate::{machines, words};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop,
    Restart,
    Kill,
}

// === impl Verb ===

impl Verb {
    fn doing(self) -> &'static str {
        match self {
            Self::Start => "Starting",
            Self::Stop => "Stopping",
            Self::Restart => "Restarting",
            Self::Kill => "Killing",
        }
    }

    /// The state in which there is nothing left to do, and the word for what was done.
    fn done(self) -> (MachineState, &'static str) {
        match self {
            Self::Start | Self::Restart => (MachineState::Running, "started"),
            Self::Stop => (MachineState::Stopped, "stopped"),
            Self::Kill => (MachineState::Stopped, "killed"),
        }
    }
}

/// Does it with every machine at once; what goes wrong is told together.
pub(super) async fn run(order: &Order<'_>, verb: Verb) -> Outcome {
    let world = order.world();
    let fleet = order.fleet()?;
    let names = machines::several(&fleet, order.args())?;
    let lines = Lines::new(world, Doing::Starting);
    let act = async |name: &String| {
        world.info(&format!("{} {}...", verb.doing(), quoted(name)));
        match verb {
            Verb::Restart => restart(order, &fleet, name, &lines).await,
            _ => change(order, &fleet, name, verb, &lines).await,
        }
    };
    let results = join_all(names.iter().map(act)).await;
    machines::joined(results.into_iter().filter_map(Result::err).collect())?;
    let again = "machines may have new IP addresses. You may need to re-run the \
                 `docker-machine env` command.";
    match verb {
        Verb::Start => world.info(&format!("Started {again}")),
        Verb::Restart => world.info(&format!("Restarted {again}")),
        Verb::Stop | Verb::Kill => {}
    }
    Ok(())
}

/// Brings a machine into the state that the verb means, unless it is in it.
async fn change(
    order: &Order<'_>,
    fleet: &Fleet,
    name: &str,
    verb: Verb,
    lines: &Lines<'_>,
) -> Result<(), String> {
    let (wanted, participle) = verb.done();
    if fleet.state(name).await.is_ok_and(|state| state == wanted) {
        let state = wanted.as_str().to_lowercase();
        return Err(format!("Machine {} is already {state}.", quoted(name)));
    }
    if verb == Verb::Start {
        let started = fleet.start(name, lines).await;
        started.map_err(|error| words::lifecycle(&error))?;
        lines.started(name);
        return Ok(());
    }
    // The driver's own steps are not announced by the original here.
    let done = match verb {
        Verb::Kill => fleet.kill(name, &berth_controller_fleet::Silent).await,
        _ => fleet.stop(name, &berth_controller_fleet::Silent).await,
    };
    done.map_err(|error| words::lifecycle(&error))?;
    let name = quoted(name);
    order
        .world()
        .info(&format!("Machine {name} was {participle}."));
    Ok(())
}

async fn restart(
    order: &Order<'_>,
    fleet: &Fleet,
    name: &str,
    lines: &Lines<'_>,
) -> Result<(), String> {
    let state = fleet.state(name).await;
    if state.is_ok_and(|state| state == MachineState::Stopped) {
        let world = order.world();
        world.info(&format!("{} {}...", Verb::Start.doing(), quoted(name)));
        return change(order, fleet, name, Verb::Start, lines).await;
    }
    let quiet = Lines::new(order.world(), Doing::Provisioning);
    let restarted = fleet.restart(name, &quiet).await;
    restarted.map_err(|error| words::lifecycle(&error))
}
