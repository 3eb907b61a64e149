//! The commands, one file each.

mod active;
mod config;
pub(crate) mod create;
mod env;
mod filters;
mod inspect;
mod ip;
mod lifecycle;
mod ls;
mod mount;
mod provision;
mod regenerate_certs;
mod rm;
mod scp;
mod ssh;
mod status;
mod upgrade;
mod url;
pub(crate) mod version;

use berth_controller_fleet::Fleet;

use crate::app::{Order, Outcome, unknown};
use crate::catalogue::commands;
use crate::world::Failure;
use crate::{help, words};

/// Does what was ordered.
pub(crate) fn run(order: Order<'_>) -> Outcome {
    match order.command.name {
        "help" => help_page(&order),
        "inspect" => inspect::run(&order),
        "version" if order.args().is_empty() => version::of_program(order.context),
        "ls" if ls::needs_nobody(&order) => ls::names(&order),
        _ => block_on(asking(&order))?,
    }
}

/// The commands that ask somebody.
async fn asking(order: &Order<'_>) -> Outcome {
    use lifecycle::Verb;
    match order.command.name {
        "active" => active::run(order).await,
        "config" => config::run(order).await,
        "env" => env::run(order).await,
        "ip" => ip::run(order).await,
        "kill" => lifecycle::run(order, Verb::Kill).await,
        "ls" => ls::run(order).await,
        "mount" => mount::run(order).await,
        "provision" => provision::run(order).await,
        "regenerate-certs" => regenerate_certs::run(order).await,
        "restart" => lifecycle::run(order, Verb::Restart).await,
        "rm" => rm::run(order).await,
        "scp" => scp::run(order).await,
        "ssh" => ssh::run(order).await,
        "start" => lifecycle::run(order, Verb::Start).await,
        "status" => status::run(order).await,
        "stop" => lifecycle::run(order, Verb::Stop).await,
        "upgrade" => upgrade::run(order).await,
        "url" => url::run(order).await,
        "version" => version::of_machine(order).await,
        name => Err(unknown(order.context, name)),
    }
}

/// Runs what waits for others.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(work);
    // A thread may still wait for standard input; nobody waits for that thread.
    runtime.shutdown_background();
    Ok(result)
}

/// Makes sure that the record of a machine can be read, in the words of the commands for files.
fn loaded(fleet: &Fleet, machine: &str) -> Outcome {
    let record = fleet.inspect(machine);
    record.map(drop).map_err(|error| {
        let why = words::machine(&error);
        Failure::new(format!("Error loading host: Error loading host: {why}"))
    })
}

fn help_page(order: &Order<'_>) -> Outcome {
    let Some(name) = order.args().first() else {
        // The page of the program is what it prints when it is called with nothing.
        return crate::app::program_page(order.context);
    };
    let wanted = if name == "h" { "help" } else { name };
    let all = commands(order.context);
    match all.iter().find(|command| command.name == wanted) {
        Some(command) => order.world().print(&help::of_command(command)),
        None => Err(unknown(order.context, name)),
    }
}
