//! `berth update`.

use berth_proto::v1::UpdateRequest;

use super::each;
use super::options::limits::AdjustableLimits;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::spec::restart;
use crate::ui;

/// Change limits and the restart policy of containers, of running ones at once
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    limits: AdjustableLimits,

    /// When it is started again by itself: no, on-failure[:TRIES], always or unless-stopped
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,

    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Updates containers and prints their names.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let limits = &args.limits;
    let policy = args.restart.as_deref().unwrap_or_default();
    let request = UpdateRequest {
        container: String::new(),
        memory_bytes: limits.memory.unwrap_or(0),
        nano_cpus: limits.cpus.unwrap_or(0),
        pids_limit: limits.pids_limit,
        cpu_shares: limits.cpu_shares.unwrap_or(0),
        resources: Some(limits.resources()),
        restart_policy: restart::parse(policy).map_err(Failure::new)?,
    };
    if request == nothing() {
        return Err(Failure::new(
            "you must provide one or more flags when using this command",
        ));
    }
    let engine = global.engine().await?;
    each::print(&args.containers, |name| async {
        let request = UpdateRequest {
            container: name.clone(),
            ..request.clone()
        };
        let response = engine.containers().update(request).await?.into_inner();
        for warning in &response.warnings {
            ui::warn(warning);
        }
        Ok(Some(name))
    })
    .await
}

/// Returns the request that changes nothing.
fn nothing() -> UpdateRequest {
    UpdateRequest {
        resources: Some(berth_proto::v1::Resources::default()),
        ..UpdateRequest::default()
    }
}
