//! `berthd connect`: standard input and output become a connection to the agent's unix socket.
//!
//! A controller that logs in by SSH speaks to the agent this way, also as a user who becomes root
//! with `sudo`, and where the SSH server forwards nothing.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::io::{AsyncWriteExt as _, copy, stdin, stdout};
use tokio::net::UnixStream;

use crate::arguments::ConnectArguments;
use crate::config::Config;

/// Passes bytes on until the agent closes.
pub(crate) fn run(arguments: &ConnectArguments) -> anyhow::Result<()> {
    let socket = match &arguments.socket {
        Some(path) => path.clone(),
        None => Config::load(&arguments.config)?.socket,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")?;
    let result = runtime.block_on(pass_on(socket));
    // A thread may still wait for standard input.
    runtime.shutdown_background();
    result
}

async fn pass_on(socket: PathBuf) -> anyhow::Result<()> {
    let stream = UnixStream::connect(&socket)
        .await
        .with_context(|| format!("the agent does not answer at {}", socket.display()))?;
    let (mut from_agent, mut to_agent) = stream.into_split();
    let upload = tokio::spawn(async move {
        // An end of the input is an end for the agent; a failure is one, too.
        let _ = copy(&mut stdin(), &mut to_agent).await;
        let _ = to_agent.shutdown().await;
    });
    let mut output = stdout();
    let passed = copy(&mut from_agent, &mut output).await;
    upload.abort();
    passed.context("passing on what the agent says")?;
    output
        .flush()
        .await
        .context("passing on what the agent says")
}
