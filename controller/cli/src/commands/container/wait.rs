//! `berth wait`.

use berth_proto::v1::{WaitRequest, wait_request, wait_response};

use super::each;
use crate::engine::{Engine, Global};
use crate::failure::{Failure, Outcome};

/// Wait until containers end, and print their exit codes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Prints the exit code of each container once it has ended.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    each::print(&args.containers, |name| async {
        let code = exit_code(&engine, name).await?;
        Ok(Some(code.to_string()))
    })
    .await
}

async fn exit_code(engine: &Engine, container: String) -> Result<i32, Failure> {
    let request = WaitRequest {
        container,
        condition: wait_request::Condition::NotRunning.into(),
    };
    let mut waiting = engine.containers().wait(request).await?.into_inner();
    while let Some(response) = waiting.message().await? {
        if let Some(wait_response::Message::Exited(exited)) = response.message {
            return Ok(exited.code);
        }
    }
    Err(Failure::new(
        "the agent ended the wait without an exit code",
    ))
}
