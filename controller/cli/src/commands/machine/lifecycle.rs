//! `berth machine start|stop|restart|kill`: several machines at the same time.

use futures::future::join_all;

use super::names;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::ui::progress::MachineSteps;

/// Machines to do it with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Machines; the one called "default" if none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

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
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Start => ("Starting", "started"),
            Self::Stop => ("Stopping", "stopped"),
            Self::Restart => ("Restarting", "restarted"),
            Self::Kill => ("Killing", "killed"),
        }
    }
}

/// Does it with every machine at once; each that fails is told.
pub(super) async fn run(verb: Verb, args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let names = names::several(&fleet, global, args.names)?;
    let steps = MachineSteps::told();
    let (doing, done) = verb.words();
    let act = async |name: &String| -> Result<(), Failure> {
        ui::line(&format!("{doing} {name:?}..."))?;
        let result = match verb {
            Verb::Start => fleet.start(name, &steps).await,
            Verb::Stop => fleet.stop(name, &steps).await,
            Verb::Restart => fleet.restart(name, &steps).await,
            Verb::Kill => fleet.kill(name, &steps).await,
        };
        result.map_err(|error| error.failure())?;
        ui::line(&format!("Machine {name:?} was {done}."))?;
        Ok(())
    };
    let results = join_all(names.iter().map(act)).await;
    let code = told(results);
    if code == 0 && matches!(verb, Verb::Start | Verb::Restart) {
        let (first, rest) = done.split_at(1);
        ui::line(&format!(
            "{}{rest} machines may have new IP addresses. You may need to re-run the `berth machine env` command.",
            first.to_uppercase()
        ))?;
    }
    Ok(code)
}

/// Tells each failure; returns the exit code.
pub(super) fn told(results: Vec<Result<(), Failure>>) -> u8 {
    let mut code = 0;
    for failure in results.into_iter().filter_map(Result::err) {
        ui::tell(crate::PROGRAM, &failure);
        code = failure.code();
    }
    code
}
