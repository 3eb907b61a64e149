//! Hosts on which others do what they should not: a second agent, folders deleted, mounts and namespaces
//! where nobody expects them.

use std::fs;
use std::process::Stdio;

use berth_proto::v1::wait_request::Condition;

use crate::client::command;
use crate::host::{Host, PATIENCE, berthd};
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
            said.contains("another agent uses")
                || said.contains("another agent serves")
                || said.contains("in use"),
            "{said}"
        );
    }
    let client = host.client().await;
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    client.stop(&id, 0).await.expect("stop");
    assert_eq!(ended.await.code, 137);
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
