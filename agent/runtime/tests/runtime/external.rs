//! The same through an external runtime: runc, as Debian has it.

use std::path::PathBuf;

use berth_agent_runtime::{AttachFrom, FailureKind, StartRequest, TerminalSize};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    Container, attach, edit, end, exec_request, read_all, read_until, until, within,
};

fn with_runc(mut request: StartRequest) -> StartRequest {
    let program = PathBuf::from("/usr/sbin/runc");
    assert!(program.exists(), "this test needs Debian's package runc");
    request.external_runtime = Some(program);
    request
}

#[tokio::test]
async fn an_external_runtime_gives_output_exit_code_and_leaves_nothing() {
    let container = Container::new();
    let (record, output) = container
        .run(with_runc(container.script("echo out; hostname; exit 6")))
        .await;
    assert_eq!((record.code, output.as_str()), (6, "out\ninside\n"));
    until("the run directory is removed", || {
        !container.run_dir().exists()
    })
    .await;
}

#[tokio::test]
async fn an_external_runtime_takes_input_signals_and_commands() {
    let container = Container::new();
    let mut request = container.script("read word; echo got $word; exec sleep 1000");
    request.open_stdin = true;
    let running = container.start(with_runc(request)).await;
    let mut attachment = attach(&running, AttachFrom::Start, true).await;
    attachment
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"this\n")
        .await
        .unwrap();
    read_until(&mut attachment.output, "got this").await;
    let mut command = within(running.exec(exec_request(&["sh", "-c", "hostname; exit 3"])))
        .await
        .unwrap();
    assert_eq!(
        read_all(&mut command.attachment.take().unwrap().output).await,
        "inside\n"
    );
    assert_eq!(within(command.handle.wait()).await, Some(3));
    running.signal(libc::SIGKILL).await.unwrap();
    assert_eq!(end(&running).await.code, 137);
}

#[tokio::test]
async fn an_external_runtime_gives_a_terminal() {
    let container = Container::new();
    let mut request = container.script("stty size; test -t 0 && echo terminal");
    (request.open_stdin, request.terminal_size) = (true, Some(TerminalSize { rows: 21, cols: 87 }));
    edit(&mut request, |spec| {
        spec["process"]["terminal"] = json!(true);
    });
    let running = container.start(with_runc(request)).await;
    let mut attachment = attach(&running, AttachFrom::Start, false).await;
    assert_eq!(
        read_all(&mut attachment.output).await,
        "21 87\r\nterminal\r\n"
    );
    end(&running).await;
}

#[tokio::test]
async fn an_external_runtimes_failures_are_told_apart() {
    let container = Container::new();
    let error = container
        .fail(with_runc(container.request(&["nope"])))
        .await;
    assert_eq!(error.kind(), FailureKind::CommandNotFound, "{error}");
    until("the run directory is removed", || {
        !container.run_dir().exists()
    })
    .await;
}
