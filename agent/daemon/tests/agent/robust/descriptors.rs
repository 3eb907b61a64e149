//! An agent that has no descriptors left: it says so, keeps what it has, and works as before once it may have more.

use std::collections::BTreeSet;
use std::fs;

use berth_proto::v1::wait_request::Condition;

use crate::client::{Client, command, sh};
use crate::host::{Host, PATIENCE, until};
use crate::robust::ground::{inventory, quiet_inventory};

/// Sets how many descriptors the agent may have open.
fn allow(host: &Host, count: u64) {
    let limited = std::process::Command::new("prlimit")
        .args(["--pid", &host.agent_pid().to_string()])
        .arg(format!("--nofile={count}:"))
        .status();
    assert!(limited.expect("prlimit").success());
}

/// Returns the number that the agent's next descriptor would have.
fn next(host: &Host) -> u64 {
    let folder = format!("/proc/{}/fd", host.agent_pid());
    let mut numbers =
        (0..).skip_while(|number| fs::exists(format!("{folder}/{number}")).unwrap_or(false));
    numbers.next().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_descriptors_says_so_and_recovers() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let seen = BTreeSet::new();
    client.sh("true").await;
    let running = client
        .run_detached("running", command(&["sleep", "1000"]))
        .await;
    let idle = client
        .create("idle", command(&["sleep", "1000"]))
        .await
        .expect("create");
    let before = quiet_inventory(&host, &seen);
    let usual = fs::read_to_string(format!("/proc/{}/limits", host.agent_pid())).expect("limits");
    let usual = usual
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .expect("a limit");
    let usual: u64 = usual
        .split_whitespace()
        .nth(3)
        .expect("soft")
        .parse()
        .expect("a number");
    // From none at all to so many that the last steps of a start are reached.
    let mut n_refused = 0;
    for more in [0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24] {
        allow(&host, next(&host) + more);
        match client.start(&idle).await {
            Ok(()) => client
                .stop(&idle, 0)
                .await
                .unwrap_or_else(|error| panic!("{more}: stop: {error}")),
            Err(error) => {
                n_refused += 1;
                let said = error.message();
                assert!(said.contains("Too many open files"), "{more}: {said}");
            }
        }
        // What needs none is answered.
        assert_eq!(
            client.list(&["status=running"]).await.expect("list").len(),
            1,
            "{more}"
        );
    }
    assert!(n_refused > 2, "only {n_refused} starts were refused");
    allow(&host, usual);
    tokio::task::block_in_place(|| {
        before.assert_returns("after no descriptors", PATIENCE, || inventory(&host, &seen));
    });
    client.start(&idle).await.expect("start");
    client.stop(&idle, 0).await.expect("stop");
    assert_eq!(client.sh("echo again").await.stdout, "again\n");
    let ended = client
        .wait(&running, Condition::NextExit)
        .await
        .expect("wait");
    client.kill(&running, "KILL").await.expect("kill");
    assert_eq!(ended.await.code, 137);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_wait_until_the_agent_has_descriptors_for_them() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let usual = 1024;
    allow(&host, next(&host));
    let mut others: Vec<_> = (0..4)
        .map(|_| tokio::spawn(connected(host.path("run/berthd.sock"))))
        .collect();
    // It goes on serving whom it has.
    for _ in 0..5 {
        client.list(&[]).await.expect("list");
    }
    allow(&host, usual);
    for other in &mut others {
        let client = tokio::time::timeout(PATIENCE, other).await;
        client.expect("in time").expect("a task").sh("true").await;
    }
    client.create("one", sh("true")).await.expect("create");
    until("it is listed", async || {
        client.list(&[]).await.is_ok_and(|list| list.len() == 1)
    })
    .await;
}

async fn connected(socket: std::path::PathBuf) -> Client {
    Client::unix(socket).await
}
