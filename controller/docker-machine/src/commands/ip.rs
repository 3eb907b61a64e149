//! `ip`: the addresses of machines.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::app::{Order, Outcome};
use crate::{machines, words};

/// Prints an address a line, in the order in which they become known.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    let fleet = order.fleet()?;
    let names = machines::several(&fleet, order.args())?;
    let mut asked: FuturesUnordered<_> = names.iter().map(|name| fleet.ip(name)).collect();
    let mut problems = Vec::new();
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(address) => order.world().line(&address)?,
            Err(error) => {
                let why = words::machine(&error);
                problems.push(format!("Error getting IP address: {why}"));
            }
        }
    }
    machines::joined(problems)
}
