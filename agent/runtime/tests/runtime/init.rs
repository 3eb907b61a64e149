//! The small init of a container.

use std::path::PathBuf;

use berth_agent_runtime::{AttachFrom, FailureKind, StartRequest, TerminalSize};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::{Container, attach, edit, end, read_until, within};

fn with_init(mut request: StartRequest) -> StartRequest {
    request.init = true;
    request
}

/// The same request for the built-in runtime and for runc.
fn both(request: StartRequest) -> [StartRequest; 2] {
    let mut external = request.clone();
    external.external_runtime = Some(PathBuf::from("/usr/sbin/runc"));
    [request, external]
}

#[tokio::test]
async fn exit_codes_and_signals_pass_through_it() {
    let container = Container::new();
    for request in both(with_init(container.script("echo $$; exit 9"))) {
        let (record, output) = container.run(request).await;
        assert_eq!(record.code, 9);
        assert!(output.lines().all(|pid| pid != "1"), "{output}");
    }
    for request in both(with_init(container.script("kill -9 $$"))) {
        assert_eq!(container.run(request).await.0.code, 137);
    }
    let script = "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done";
    for request in both(with_init(container.script(script))) {
        let running = container.start(request).await;
        let mut attachment = attach(&running, AttachFrom::Start, false).await;
        read_until(&mut attachment.output, "up").await;
        running.signal(libc::SIGTERM).await.expect("it runs");
        assert_eq!(end(&running).await.code, 5);
    }
}

#[tokio::test]
async fn orphans_are_reaped() {
    let container = Container::new();
    // The middle shell ends before its child, which then belongs to process 1.
    let script = "sh -c 'sleep 0.05 & echo $!' > /tmp/pid; while [ -d /proc/$(cat /tmp/pid) ]; do sleep 0.01; done; echo gone";
    for request in both(with_init(container.script(script))) {
        assert!(container.run(request).await.1.ends_with("gone\n"));
    }
}

#[tokio::test]
async fn the_command_has_the_terminal() {
    let container = Container::new();
    for mut request in both(with_init(
        container.script("tty; read word; echo got $word; sleep 1000"),
    )) {
        edit(&mut request, |spec| {
            spec["process"]["terminal"] = json!(true);
        });
        request.open_stdin = true;
        request.terminal_size = Some(TerminalSize { rows: 20, cols: 30 });
        let running = container.start(request).await;
        let mut attachment = attach(&running, AttachFrom::Start, true).await;
        let stdin = attachment.stdin.as_mut().expect("input");
        read_until(&mut attachment.output, "/dev/pts/0").await;
        stdin.write_all(b"this\n").await.expect("input");
        read_until(&mut attachment.output, "got this").await;
        // The interrupt is the foreground's: the shell's, and not its init's.
        stdin.write_all(b"\x03").await.expect("input");
        assert_eq!(end(&running).await.code, 130);
    }
}

#[tokio::test]
async fn it_has_no_more_rights_than_the_command_and_shows_nothing_of_itself() {
    let container = Container::new();
    let rights = "grep -E '^(Cap|Seccomp:|NoNewPrivs|Uid|Gid)'";
    let script = format!(
        "{rights} /proc/1/status > /tmp/one; {rights} /proc/self/status > /tmp/own; \
         [ \"$(cat /tmp/one)\" = \"$(cat /tmp/own)\" ] && echo same; cat /proc/1/comm; \
         for f in environ maps mem; do cat /proc/1/$f > /dev/null 2>&1 && echo $f read; done; \
         for l in exe cwd root fd/0; do readlink /proc/1/$l; done; ls /proc/1/fd 2>/dev/null; echo end"
    );
    let request = with_init(container.script(&script));
    assert_eq!(
        container.run(request).await.1,
        "same\nberth-init\n0\n1\n2\nend\n"
    );
}

#[tokio::test]
async fn a_command_that_cannot_run_is_a_failed_start() {
    let container = Container::new();
    let error = container
        .fail(with_init(container.request(&["nope"])))
        .await;
    assert_eq!(error.kind(), FailureKind::CommandNotFound, "{error}");
}

#[tokio::test]
async fn it_works_among_the_processes_of_another_container() {
    let other = Container::new();
    let running = other.start(other.request(&["sleep", "1000"])).await;
    let container = Container::new();
    let mut request = with_init(container.script("cat /proc/1/comm; exit 4"));
    request.neighbours = vec![running.clone()];
    let path = format!("/proc/{}/ns/pid", running.pid());
    edit(&mut request, |spec| {
        let list = spec["linux"]["namespaces"].as_array_mut().expect("list");
        list.retain(|entry| entry["type"] != "pid");
        list.push(json!({"type": "pid", "path": path}));
    });
    let (record, output) = container.run(request.clone()).await;
    assert_eq!((record.code, output.as_str()), (4, "sleep\n"));
    running.signal(libc::SIGKILL).await.expect("it runs");
    end(&running).await;
    // Its number may be anybody's now.
    let error = within(container.runtime.start(request))
        .await
        .expect_err("it is gone");
    assert!(error.to_string().contains("is not running"), "{error}");
}
