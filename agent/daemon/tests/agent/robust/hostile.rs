//! Hosts on which others do what they should not: a second agent, folders deleted, mounts and namespaces
//! where nobody expects them.

use std::fs;
use std::process::Stdio;

use berth_proto::v1::wait_request::Condition;

use crate::client::command;
use crate::host::{Host, PATIENCE, berthd, until};
use crate::robust::ground::{inventory, kill_supervisor, quiet_inventory};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_ends_with_a_reason_and_the_first_goes_on() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client.run_detached("one", command(&["sleep", "100"])).await;
    let mut config: serde_json::Value =
        serde_json::from_slice(&fs::read(host.path("berthd.json")).expect("file")).expect("JSON");
    // Even if nothing else is the same, the data root is.
    config["socket"] = serde_json::json!(host.path("second.sock"));
    config["run_root"] = serde_json::json!(host.path("second"));
    fs::write(host.path("second.json"), config.to_string()).expect("configuration");
    for file in ["berthd.json", "second.json"] {
        let output = host
            .enter(&berthd())
            .args(["serve", "--config"])
            .arg(host.path(file))
            .stdin(Stdio::null())
            .output()
            .expect("berthd");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(
            said.contains("another agent uses") || said.contains("in use"),
            "{said}"
        );
    }
    let client = host.client().await;
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    client.stop(&id, 0).await.expect("stop");
    assert_eq!(ended.await.code, 137);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_directory_that_was_deleted_costs_no_container_for_good() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    client.sh("true").await;
    client
        .run_detached("kept", command(&["sleep", "100"]))
        .await;
    let script = format!("rm -rf {}/* 2>/dev/null; true", host.path("run").display());
    let deleted = host.enter("sh").args(["-c", &script]).status();
    assert!(deleted.expect("sh").success());
    // The agent itself still answers whom it serves.
    assert_eq!(
        client.list(&["status=running"]).await.expect("list").len(),
        1
    );
    host.kill_agent();
    host.start();
    let client = host.client().await;
    assert_eq!(client.sh("echo fine").await.stdout, "fine\n");
    until("the removal", async || {
        let _ = client.remove("kept", true, true).await;
        client.inspect("kept").await.is_err()
    })
    .await;
    assert_eq!(client.sh("echo fine").await.stdout, "fine\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_and_interfaces_of_nobody_are_cleaned_up() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    client.sh("true").await;
    let seen = std::collections::BTreeSet::new();
    let before = quiet_inventory(&host, &seen);
    host.kill_agent();
    let stale = "f".repeat(64);
    let script = format!(
        "cd {run} && touch netns/{stale} && unshare --net=netns/{stale} true && \
         ip link add bvac11abcd type veth peer name other && ip link set bvac11abcd master berth0 && \
         mkdir containers/{stale} && echo x > leases/{stale}",
        run = host.path("run").display()
    );
    assert!(
        host.enter("sh")
            .args(["-c", &script])
            .status()
            .expect("sh")
            .success()
    );
    host.start();
    tokio::task::block_in_place(|| {
        let take = || inventory(&host, &seen);
        before.assert_returns("after stale things", PATIENCE, take);
    });
    assert_eq!(host.client().await.sh("echo fine").await.stdout, "fine\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_of_somebody_else_delays_a_removal_and_is_left_alone() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let seen = std::collections::BTreeSet::new();
    let before = quiet_inventory(&host, &seen);
    let id = client
        .create("covered", command(&["true"]))
        .await
        .expect("create");
    let place = host
        .path("data/snapshots/containers")
        .join(&id)
        .join("upper/mnt");
    let script = format!(
        "mkdir -p {0} && mount -t tmpfs none {0} && echo precious > {0}/file",
        place.display()
    );
    assert!(
        host.enter("sh")
            .args(["-c", &script])
            .status()
            .expect("sh")
            .success()
    );
    client.remove("covered", true, false).await.expect("remove");
    client.inspect("covered").await.expect_err("it is gone");
    client
        .create("covered", command(&["true"]))
        .await
        .expect("the name is free");
    client.remove("covered", true, false).await.expect("remove");
    let read = |host: &Host, place: &std::path::Path| {
        let output = host.enter("cat").arg(place.join("file")).output();
        String::from_utf8_lossy(&output.expect("cat").stdout).into_owned()
    };
    // Wherever what could not be deleted was moved to, the mount went with it.
    let table = host
        .enter("cat")
        .arg("/proc/self/mountinfo")
        .output()
        .expect("cat");
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    let data = host.path("data");
    let moved = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .find(|place| place.starts_with(data.to_string_lossy().as_ref()))
        .expect("the mount is still there")
        .to_owned();
    assert_eq!(read(&host, std::path::Path::new(&moved)), "precious\n");
    assert!(
        host.enter("umount")
            .arg(&moved)
            .status()
            .expect("umount")
            .success()
    );
    host.kill_agent();
    host.start();
    tokio::task::block_in_place(|| {
        let take = || inventory(&host, &seen);
        before.assert_returns("after the mount", PATIENCE, take);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_whose_supervisor_was_killed_can_be_started_again_and_removed() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .run_detached("orphan", command(&["sleep", "100"]))
        .await;
    for _ in 0..3 {
        let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
        assert!(kill_supervisor(&client, &id).await);
        ended.await;
        client.start(&id).await.expect("start");
    }
    client.remove(&id, true, true).await.expect("remove");
    assert!(host.names("run/containers").is_empty());
}
