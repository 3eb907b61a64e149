//! Terminals, further commands, users and working directories.

use std::fs;

use berth_agent_runtime::log::Stream;
use berth_agent_runtime::{AttachFrom, ExecError, FailureKind, TerminalSize};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    Container, attach, edit, end, exec_request, read_all, read_until, until, within,
};

const SIZE: TerminalSize = TerminalSize {
    rows: 33,
    cols: 101,
};

#[tokio::test]
async fn a_terminal_is_one_and_has_the_size_that_was_asked_for() {
    let container = Container::new();
    let mut request =
        container.script("tty; stty size; test -t 0 && echo terminal; read line; stty size");
    (request.open_stdin, request.terminal_size) = (true, Some(SIZE));
    edit(&mut request, |spec| {
        spec["process"]["terminal"] = json!(true);
    });
    let running = container.start(request).await;
    let mut attachment = attach(&running, AttachFrom::Start, true).await;
    let seen = read_until(&mut attachment.output, "terminal\r\n").await;
    assert!(
        seen.contains("/dev/pts/0\r\n33 101\r\n") || seen.contains("/dev/console\r\n33 101\r\n"),
        "{seen:?}"
    );
    running
        .resize(TerminalSize { rows: 5, cols: 7 })
        .await
        .unwrap();
    attachment
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"\n")
        .await
        .unwrap();
    assert!(read_all(&mut attachment.output).await.ends_with("5 7\r\n"));
    assert_eq!(end(&running).await.code, 0);
}

#[tokio::test]
async fn the_terminal_delivers_its_interrupt() {
    let container = Container::new();
    let mut request = container
        .script("trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done");
    request.open_stdin = true;
    edit(&mut request, |spec| {
        spec["process"]["terminal"] = json!(true);
    });
    let running = container.start(request).await;
    let mut attachment = attach(&running, AttachFrom::Start, true).await;
    read_until(&mut attachment.output, "ready").await;
    attachment
        .stdin
        .as_mut()
        .unwrap()
        .write_all(&[3])
        .await
        .unwrap();
    read_until(&mut attachment.output, "caught").await;
    assert_eq!(end(&running).await.code, 9);
}

#[tokio::test]
async fn a_container_without_terminal_refuses_a_size() {
    let container = Container::new();
    let running = container.start(container.request(&["sleep", "1000"])).await;
    let error = running.resize(SIZE).await.unwrap_err();
    assert!(
        error.to_string().ends_with("the container has no terminal"),
        "{error}"
    );
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

#[tokio::test]
async fn commands_join_the_container_and_their_streams_are_the_callers() {
    let container = Container::new();
    let running = container
        .start(container.script("echo main > /tmp/file; echo up; sleep 1000"))
        .await;
    let mut main = attach(&running, AttachFrom::Start, false).await;
    read_until(&mut main.output, "up").await;

    let mut request = exec_request(&[
        "sh",
        "-c",
        "hostname; cat /tmp/file; cat; echo error >&2; exit 4",
    ]);
    request.stdin = true;
    let mut command = within(running.exec(request)).await.unwrap();
    let mut attachment = command.attachment.take().unwrap();
    let mut stdin = attachment.stdin.take().unwrap();
    stdin.write_all(b"typed\n").await.unwrap();
    stdin.shutdown().await.unwrap();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(record) = within(attachment.output.next()).await.unwrap() {
        match record.stream {
            Stream::Stdout => stdout.extend(record.data),
            Stream::Stderr => stderr.extend(record.data),
        }
    }
    assert_eq!(within(command.handle.wait()).await, Some(4));
    assert_eq!(String::from_utf8(stdout).unwrap(), "inside\nmain\ntyped\n");
    assert_eq!(String::from_utf8(stderr).unwrap(), "error\n");
    assert_eq!(container.output(), "up\n");
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

#[tokio::test]
async fn a_command_with_a_terminal_has_its_own() {
    let container = Container::new();
    let running = container.start(container.request(&["sleep", "1000"])).await;
    let mut request = exec_request(&["sh", "-c", "tty; stty size; read x; stty size"]);
    (request.stdin, request.terminal_size) = (true, Some(SIZE));
    request.process.set_terminal(Some(true));
    let mut command = within(running.exec(request)).await.unwrap();
    let mut attachment = command.attachment.take().unwrap();
    let seen = read_until(&mut attachment.output, "101\r\n").await;
    assert!(seen.starts_with("/dev/pts/0\r\n33 101"), "{seen:?}");
    within(command.handle.resize(TerminalSize { rows: 4, cols: 6 }))
        .await
        .unwrap();
    attachment
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"\n")
        .await
        .unwrap();
    assert!(read_all(&mut attachment.output).await.ends_with("4 6\r\n"));
    assert_eq!(within(command.handle.wait()).await, Some(0));
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

#[tokio::test]
async fn commands_that_cannot_run_say_why() {
    let container = Container::new();
    let running = container.start(container.request(&["sleep", "1000"])).await;
    let error = within(running.exec(exec_request(&["nope"])))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::CommandNotFound, "{error}");
    let error = within(running.exec(exec_request(&["/etc/passwd"])))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::CommandNotExecutable, "{error}");
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
    let error = within(running.exec(exec_request(&["true"])))
        .await
        .unwrap_err();
    assert!(matches!(error, ExecError::NotRunning { .. }), "{error}");
}

#[tokio::test]
async fn a_command_ends_with_the_container_and_by_signals() {
    let container = Container::new();
    let running = container.start(container.request(&["sleep", "1000"])).await;
    let stopped = within(running.exec(exec_request(&["sleep", "1000"])))
        .await
        .unwrap();
    within(stopped.handle.signal(libc::SIGTERM)).await.unwrap();
    assert_eq!(within(stopped.handle.wait()).await, Some(143));
    let left = within(running.exec(exec_request(&["sleep", "1000"])))
        .await
        .unwrap();
    running.signal(libc::SIGKILL).await.unwrap();
    assert_eq!(within(left.handle.wait()).await, Some(137));
    end(&running).await;
}

#[tokio::test]
async fn what_a_command_leaves_running_does_not_hold_up_its_output() {
    let container = Container::new();
    let running = container.start(container.request(&["sleep", "1000"])).await;
    let mut command = within(running.exec(exec_request(&["sh", "-c", "sleep 1000 & echo done"])))
        .await
        .unwrap();
    let mut attachment = command.attachment.take().unwrap();
    assert_eq!(read_all(&mut attachment.output).await, "done\n");
    assert_eq!(within(command.handle.wait()).await, Some(0));
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

#[tokio::test]
async fn a_command_whose_caller_has_gone_runs_on() {
    let container = Container::new();
    let running = container.start(container.request(&["sleep", "1000"])).await;
    let script = "seq 1 100000; echo finished > /tmp/finished; sleep 1000";
    let command = within(running.exec(exec_request(&["sh", "-c", script])))
        .await
        .unwrap();
    drop(command);
    let file = container.dir.path().join("upper/tmp/finished");
    until("the command has written all its output", || file.exists()).await;
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

#[tokio::test]
async fn a_user_has_its_groups_no_capabilities_and_can_reopen_its_streams() {
    let container = Container::new();
    let script =
        "id -u; id -G; grep CapEff /proc/self/status; echo again > /dev/stdout; pwd; echo $HOME";
    let mut request = container.script(script);
    edit(&mut request, |spec| {
        spec["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [1000, 7]});
        spec["process"]["cwd"] = json!("/some/where");
        spec["process"]["env"] = json!(["PATH=/bin", "HOME=/home/x"]);
        for set in ["effective", "permitted"] {
            spec["process"]["capabilities"][set] = json!([]);
        }
    });
    let (_, output) = container.run(request).await;
    assert_eq!(
        output,
        "1000\n1000 7\nCapEff:\t0000000000000000\nagain\n/some/where\n/home/x\n"
    );
}

#[tokio::test]
async fn the_root_can_be_read_only_with_writable_places() {
    let container = Container::new();
    let mut request = container.script("touch /x 2>&1; touch /dev/shm/y && echo fine");
    edit(&mut request, |spec| spec["root"]["readonly"] = json!(true));
    let (_, output) = container.run(request).await;
    assert_eq!(output, "touch: /x: Read-only file system\nfine\n");
}

#[tokio::test]
async fn bound_directories_obey_their_options() {
    let container = Container::new();
    let shared = container.dir.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("file"), "from outside\n").unwrap();
    let mut request =
        container.script("cat /a/b/file; touch /a/b/no 2>&1; echo text > /w/yes; cat /etc/single");
    edit(&mut request, |spec| {
        let mounts = spec["mounts"].as_array_mut().unwrap();
        let bind = |to: &str, from: &std::path::Path, options: &[&str]| json!({"destination": to, "type": "bind", "source": from, "options": options});
        mounts.push(bind("/a/b", &shared, &["rbind", "ro", "rprivate"]));
        mounts.push(bind("/w", &shared, &["rbind", "rprivate"]));
        mounts.push(bind(
            "/etc/single",
            &shared.join("file"),
            &["rbind", "rprivate"],
        ));
    });
    let (_, output) = container.run(request).await;
    assert_eq!(
        output,
        "from outside\ntouch: /a/b/no: Read-only file system\nfrom outside\n"
    );
    assert_eq!(fs::read_to_string(shared.join("yes")).unwrap(), "text\n");
}
