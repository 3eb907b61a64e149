//! `berthd watch`, where no service manager keeps the agent running.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;

use berth_proto::v1::VersionRequest;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixStream;

use crate::host::{Host, berthd, until};

fn children(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .map(|pid| pid.parse().expect("a pid"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_is_started_again_until_the_watcher_is_told_to_stop() {
    let mut host = Host::new();
    assert!(host.stop_agent());
    let script = format!(
        "cd {} && exec {} watch --ready-fd 3 --config berthd.json --pid-file watch.pid --log-file watch.log \
         3>&1 >/dev/null",
        host.path("").display(),
        berthd()
    );
    let mut starter = host
        .enter("sh")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .expect("berthd");
    // It goes to the background by itself, tells readiness there, and keeps nothing open.
    let mut said = String::new();
    starter
        .stdout
        .take()
        .expect("piped")
        .read_to_string(&mut said)
        .expect("the end");
    assert_eq!(
        said,
        "ready\n",
        "{}",
        fs::read_to_string(host.path("watch.log")).unwrap_or_default()
    );
    assert!(starter.wait().expect("wait").success());
    let watcher: i32 = fs::read_to_string(host.path("watch.pid"))
        .expect("pid file")
        .trim()
        .parse()
        .expect("a pid");
    let first = children(watcher);
    assert_eq!(first.len(), 1);
    host.client()
        .await
        .system
        .version(VersionRequest {})
        .await
        .expect("served");

    kill(Pid::from_raw(first[0]), Signal::SIGKILL).expect("kill");
    until("another agent", async || {
        children(watcher).iter().any(|pid| *pid != first[0])
    })
    .await;
    until("it serves", async || {
        UnixStream::connect(host.path("run/berthd.sock"))
            .await
            .is_ok()
    })
    .await;
    host.client()
        .await
        .system
        .version(VersionRequest {})
        .await
        .expect("served again");

    // A second watcher is turned away.
    let second = host
        .enter(&berthd())
        .args(["watch", "--foreground", "--config"])
        .arg(host.path("berthd.json"))
        .arg("--pid-file")
        .arg(host.path("watch.pid"))
        .output()
        .expect("berthd");
    assert!(String::from_utf8_lossy(&second.stderr).contains("another watcher"));

    kill(Pid::from_raw(watcher), Signal::SIGTERM).expect("SIGTERM");
    until("the watcher has gone", async || {
        !fs::exists(format!("/proc/{watcher}")).unwrap_or(true)
    })
    .await;
    UnixStream::connect(host.path("run/berthd.sock"))
        .await
        .expect_err("nobody serves");
}
