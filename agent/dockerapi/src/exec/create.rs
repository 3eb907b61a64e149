//! Describing a further command.

use berth_agent_engine::{ExecOptions, TerminalSize};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::answer;
use crate::api::Api;
use crate::audit;
use crate::body::Body;
use crate::call::Call;
use crate::decode::words;
use crate::error::ApiError;

/// A command.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ExecConfig {
    user: String,
    privileged: bool,
    tty: bool,
    console_size: [u16; 2],
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    detach_keys: String,
    env: Vec<String>,
    working_dir: String,
    #[serde(deserialize_with = "words")]
    cmd: Vec<String>,
}

/// Notes a command that is to be started.
pub(crate) async fn create(
    api: &Api,
    mut call: Call,
    name: &str,
) -> Result<Response<Body>, ApiError> {
    let config: ExecConfig = call.json().await?;
    // Its arguments may be secret.
    let program = config.cmd.first().cloned().unwrap_or_default();
    let options = ExecOptions {
        command: config.cmd,
        env: config.env,
        working_dir: config.working_dir,
        user: config.user,
        tty: config.tty,
        stdin: config.attach_stdin,
        stdout: config.attach_stdout,
        stderr: config.attach_stderr,
        privileged: config.privileged,
        detach: false,
        detach_keys: config.detach_keys,
        size: terminal_size(config.console_size),
    };
    let id = api.engine().create_exec(name, options)?;
    let response = answer::json(StatusCode::CREATED, &json!({ "Id": id }));
    Ok(audit::about(response, format!("id={id} program={program}")))
}

/// Reads the size of a new terminal.
pub(super) fn terminal_size(size: [u16; 2]) -> Option<TerminalSize> {
    match size {
        [0, _] | [_, 0] => None,
        [rows, columns] => Some(TerminalSize { rows, columns }),
    }
}
