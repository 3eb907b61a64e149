//! `regenerate-certs`: machines get new certificates, after a question.

use berth_controller_fleet::RegenerateOptions;
use futures::future::join_all;

use crate::app::{Order, Outcome};
use crate::progress::{Doing, Lines};
use crate::world::Failure;
use crate::{machines, words};

/// Regenerates certificates.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    let world = order.world();
    if !order.options.switch("force") {
        let question = "Regenerate TLS machine certs?  Warning: this is irreversible.";
        if !world.ask(question)?.to_lowercase().starts_with('y') {
            return Ok(());
        }
    }
    world.info("Regenerating TLS certificates");
    let fleet = order.fleet()?;
    let names = machines::several(&fleet, order.args())?;
    if order.options.switch("client-certs") {
        world.info("Regenerating local certificates");
        let made = fleet.regenerate_client();
        made.map_err(|error| Failure::new(words::chain(&error)))?;
    }
    let lines = Lines::new(world, Doing::Provisioning);
    let regenerate = async |name: &String| {
        let options = RegenerateOptions::default();
        let done = fleet.regenerate_certificates(name, options, &lines).await;
        done.map_err(|error| words::certificates(&error))
    };
    let results = join_all(names.iter().map(regenerate)).await;
    machines::joined(results.into_iter().filter_map(Result::err).collect())
}
