//! The same through an external runtime: runc, as Debian has it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
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
async fn a_slow_external_runtime_does_not_hold_up_the_containers_output() {
    let container = Container::new();
    // It is quick about everything but further commands, which it starts when there is a word.
    let (program, go) = (
        container.dir.path().join("slow"),
        container.dir.path().join("go"),
    );
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' exec '*) until [ -e {} ]; do sleep 0.01; done;; esac\nexec /usr/sbin/runc \"$@\"\n",
        go.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut request = container.script("while read word; do echo got $word; done");
    (request.open_stdin, request.external_runtime) = (true, Some(program));
    let running = container.start(request).await;
    let mut attachment = attach(&running, AttachFrom::Start, true).await;
    let mut first = Box::pin(running.exec(exec_request(&["echo", "first"])));
    let mut second = Box::pin(running.exec(exec_request(&["sh", "-c", "exit 9"])));
    let serve = async {
        let mut stdin = attachment.stdin.take().unwrap();
        for word in ["one\n", "two\n"] {
            stdin.write_all(word.as_bytes()).await.unwrap();
            read_until(&mut attachment.output, word).await;
        }
        stdin
    };
    let stdin = tokio::select! {
        _ = &mut first => panic!("the first command has started"),
        _ = &mut second => panic!("the second command has started"),
        stdin = serve => stdin,
    };
    fs::write(go, "").unwrap();
    let (first, second) = within(async { tokio::join!(first, second) }).await;
    let mut first = first.unwrap();
    let output = read_all(&mut first.attachment.take().unwrap().output).await;
    assert_eq!(output, "first\n");
    assert_eq!(within(first.handle.wait()).await, Some(0));
    assert_eq!(within(second.unwrap().handle.wait()).await, Some(9));
    drop(stdin);
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
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
