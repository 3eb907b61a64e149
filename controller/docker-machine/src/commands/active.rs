//! `active`: which machine the shell's `DOCKER_HOST` means.

use std::time::Duration;

use berth_controller_fleet::RowState;

use super::ls;
use crate::app::{Order, Outcome};
use crate::world::Failure;
use crate::{machines, rows, words};

/// Prints the name of the active machine.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    if !order.args().is_empty() {
        return Err(Failure::new(machines::TOO_MANY));
    }
    let fleet = order.fleet()?;
    let names = fleet.names().map_err(|error| {
        let why = words::chain(&error);
        Failure::new(format!("Error getting active host: {why}"))
    })?;
    let limit: Duration = ls::limit(order);
    let host = order.world().env("DOCKER_HOST");
    // Without DOCKER_HOST no machine can be it, and nobody needs to be asked.
    let names = if host.is_some() { names } else { Vec::new() };
    let rows = rows::ask(&fleet, names, limit, host.as_deref()).await;
    if let Some(row) = rows.iter().find(|row| row.is_active()) {
        return order.world().line(&row.name);
    }
    let timeout = RowState::Timeout.as_str();
    Err(Failure::new(
        if rows.iter().any(|row| row.state == timeout) {
            "Error getting active host: timeout"
        } else {
            "No active host found"
        },
    ))
}
