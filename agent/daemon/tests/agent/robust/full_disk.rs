//! A disk without room, in bytes or in files: clear errors, nothing half-made, and work as before once
//! there is room again.

use std::fs;
use std::path::PathBuf;

use berth_proto::v1::wait_request::Condition;
use berth_proto::v1::{ContainerConfig, HostConfig};

use crate::client::{Client, command, sh};
use crate::host::{Host, PATIENCE, until};
use crate::robust::ground::{inventory, quiet_inventory};

/// A host whose data root is on a small filesystem of its own.
async fn small(options: &str) -> (Host, Client) {
    let host = Host::with_data_on_tmpfs(options);
    let client = host.client().await;
    client.import().await;
    (host, client)
}

/// Takes all room, as seen from the host; returns the file that has it.
fn fill(host: &Host) -> PathBuf {
    let path = host.path("data/ballast");
    let script = format!("dd if=/dev/zero of={} bs=4k 2>/dev/null", path.display());
    let filled = host.enter("sh").args(["-c", &script]).status();
    assert!(!filled.expect("sh").success(), "the disk is not full");
    path
}

fn free(host: &Host, ballast: &std::path::Path) {
    let freed = host.enter("rm").arg("-f").arg(ballast).status();
    assert!(freed.expect("rm").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_work_goes_on_when_it_is_not() {
    let (host, client) = small("size=64m").await;
    let seen = std::collections::BTreeSet::new();
    assert_eq!(client.sh("echo fine").await.stdout, "fine\n");
    let waiting = client
        .create(
            "waiting",
            command(&["sh", "-c", "echo started; exec sleep 100"]),
        )
        .await
        .expect("create");
    let before = quiet_inventory(&host, &seen);
    let ballast = fill(&host);
    let error = client.create("", sh("true")).await.expect_err("no room");
    assert!(
        error.message().contains("No space left on device"),
        "{}",
        error.message()
    );
    if let Err(error) = client.start(&waiting).await {
        let said = error.message();
        assert!(said.contains("No space left on device"), "{said}");
    }
    // Lists and removals need no room.
    assert_eq!(client.list(&[]).await.expect("list").len(), 1);
    free(&host, &ballast);
    client.start(&waiting).await.expect("start");
    until("its output", async || {
        client.log_text(&waiting).await == "started\n"
    })
    .await;
    client.stop(&waiting, 0).await.expect("stop");
    assert_eq!(client.sh("echo again").await.stdout, "again\n");
    tokio::task::block_in_place(|| {
        before.assert_returns("after the full disk", PATIENCE, || inventory(&host, &seen));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn output_waits_for_room_and_nothing_of_it_is_lost() {
    let (host, client) = small("size=64m").await;
    let script = "while ! test -e /tmp/go; do sleep 0.01; done; \
        n=0; while test $n -lt 2000; do n=$((n+1)); echo line $n; done; exit 4";
    let config = ContainerConfig {
        host: Some(HostConfig {
            tmpfs: vec!["/tmp".to_owned()],
            ..Default::default()
        }),
        ..command(&["sh", "-c", script])
    };
    let id = client.run_detached("writer", config).await;
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    let ballast = fill(&host);
    let exec = berth_proto::v1::ExecOptions {
        container: id.clone(),
        command: vec!["touch".to_owned(), "/tmp/go".to_owned()],
        ..Default::default()
    };
    assert_eq!(client.exec(exec, b"").await.expect("exec").code, 0);
    // Other commands are answered while the container waits.
    assert_eq!(
        client.list(&["status=running"]).await.expect("list").len(),
        1
    );
    free(&host, &ballast);
    assert_eq!(ended.await.code, 4);
    let wanted: String = (1..=2000).map(|n| format!("line {n}\n")).collect();
    assert_eq!(client.log_text(&id).await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_files_nothing_is_half_made() {
    let (host, client) = small("size=64m,nr_inodes=400").await;
    let seen = std::collections::BTreeSet::new();
    client.sh("true").await;
    let before = quiet_inventory(&host, &seen);
    let script = format!(
        "cd {} && mkdir ballast && n=0 && while touch ballast/$n 2>/dev/null; do n=$((n+1)); done",
        host.path("data").display()
    );
    assert!(
        host.enter("sh")
            .args(["-c", &script])
            .status()
            .expect("sh")
            .success()
    );
    let error = client.create("no", sh("true")).await.expect_err("no files");
    assert!(
        error.message().contains("No space left on device"),
        "{}",
        error.message()
    );
    assert!(client.list(&[]).await.expect("list").is_empty());
    let emptied = host
        .enter("rm")
        .arg("-rf")
        .arg(host.path("data/ballast"))
        .status();
    assert!(emptied.expect("rm").success());
    tokio::task::block_in_place(|| {
        before.assert_returns("after no files", PATIENCE, || inventory(&host, &seen));
    });
    assert_eq!(client.sh("echo again").await.stdout, "again\n");
    assert!(fs::exists(host.path("data")).expect("a folder"));
}
