//! `config`: the options with which the docker command reaches a machine.

use berth_controller_template::quote::quoted;

use crate::app::{Order, Outcome};
use crate::world::Failure;
use crate::{check, machines};

/// Prints an option a line, once the engine has answered.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    let world = order.world();
    world.is_evaluated();
    let fleet = order.fleet()?;
    let name = machines::one(&fleet, order.args())?;
    let url = check::check(&fleet, &name, order.options.switch("swarm")).await;
    let url = url.map_err(|problem| {
        Failure::new(format!("Error running connection boilerplate: {problem}"))
    })?;
    let directory = fleet.store().root().join("machines").join(&name);
    let file = |file: &str| quoted(&directory.join(file).to_string_lossy());
    world.print(&format!(
        "--tlsverify\n--tlscacert={}\n--tlscert={}\n--tlskey={}\n-H={url}\n",
        file("ca.pem"),
        file("cert.pem"),
        file("key.pem"),
    ))
}
