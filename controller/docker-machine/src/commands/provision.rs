//! `provision`: the agent is put on machines, or brought up to date.

use futures::future::join_all;

use crate::app::{Order, Outcome};
use crate::progress::{Doing, Lines};
use crate::{machines, words};

/// Provisions every machine at once; what goes wrong is told together.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    let fleet = order.fleet()?;
    let names = machines::several(&fleet, order.args())?;
    let lines = Lines::new(order.world(), Doing::Provisioning);
    let provision = async |name: &String| {
        let done = fleet.provision(name, &lines).await;
        done.map(drop).map_err(|error| words::provision(&error))
    };
    let results = join_all(names.iter().map(provision)).await;
    machines::joined(results.into_iter().filter_map(Result::err).collect())
}
