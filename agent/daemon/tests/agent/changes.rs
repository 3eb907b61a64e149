//! Changes of containers that exist: name, limits, freezing; pruning and waiting.

use std::fs;
use std::path::PathBuf;

use berth_proto::v1::wait_request::Condition;
use berth_proto::v1::{self, ContainerConfig, HostConfig, RestartPolicy};
use serde_json::Value;
use tonic::Code;

use crate::client::{Client, command, reason};
use crate::host::{Host, until};

async fn pid(client: &Client, name: &str) -> i64 {
    let object = client.inspect(name).await.expect("inspect");
    object["State"]["Pid"].as_i64().expect("pid")
}

/// Reads the limit of processes that the kernel has for a process's group.
fn pids_max(pid: i64) -> String {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroup");
    let line = groups
        .lines()
        .find(|line| {
            line.split(':')
                .nth(1)
                .is_some_and(|name| name == "pids" || name.is_empty())
        })
        .expect("a group");
    let path = line
        .splitn(3, ':')
        .nth(2)
        .expect("a path")
        .trim_start_matches('/');
    let candidates = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"];
    candidates
        .iter()
        .find_map(|root| fs::read_to_string(PathBuf::from(root).join(path).join("pids.max")).ok())
        .expect("pids.max")
        .trim()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_is_whole_and_survives_a_crash() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .run_detached("one", command(&["sleep", "1000"]))
        .await;
    let other = client
        .create("taken", command(&["true"]))
        .await
        .expect("create");
    for (new_name, code, sentence) in [
        (
            "one",
            Code::InvalidArgument,
            "Renaming a container with the same name as its current name",
        ),
        (
            "",
            Code::InvalidArgument,
            "Neither old nor new names may be empty",
        ),
        (
            "-x",
            Code::InvalidArgument,
            "Error when allocating new name: Invalid container name (-x), only \
             [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
        ),
    ] {
        let error = client.rename("one", new_name).await.expect_err(sentence);
        assert_eq!((error.code(), error.message()), (code, sentence));
    }
    let error = client.rename("one", "taken").await.expect_err("taken");
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::AlreadyExists, "name-in-use")
    );
    let conflict = format!(
        "Error when allocating new name: Conflict. The container name \"/taken\" is already in use by \
         container \"{other}\". You have to remove (or rename) that container to be able to reuse that name."
    );
    assert_eq!(error.message(), conflict);
    client.rename("one", "/two").await.expect("rename");
    host.kill_agent();
    host.start();
    let client = host.client().await;
    assert_eq!(
        client.inspect("two").await.expect("inspect")["Id"],
        Value::from(id)
    );
    assert_eq!(client.list(&[]).await.expect("list").len(), 2);
    client
        .create("one", command(&["true"]))
        .await
        .expect("the old name is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_renames_leaves_every_container_once() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    for n in 0..4 {
        client
            .create(&format!("c{n}"), command(&["true"]))
            .await
            .expect("create");
    }
    for round in 0..4 {
        let client = host.client().await;
        let renames: Vec<_> = (0..4)
            .map(|n| {
                let client = client.clone();
                tokio::spawn(async move {
                    let mut name = format!("c{n}");
                    for step in 0..1000 {
                        let next = format!("c{n}-{round}-{step}");
                        if client.rename(&name, &next).await.is_err() {
                            return;
                        }
                        name = next;
                    }
                })
            })
            .collect();
        until("some renames", async || {
            let listed = client.list(&["name=-"]).await.unwrap_or_default();
            listed.len() == 4
        })
        .await;
        host.kill_agent();
        for rename in renames {
            rename.await.expect("a task");
        }
        host.start();
        let client = host.client().await;
        let mut names: Vec<String> = Vec::new();
        for container in client.list(&[]).await.expect("list") {
            names.extend(container.names);
        }
        names.sort();
        let kinds: Vec<&str> = names.iter().map(|name| &name[..2]).collect();
        assert_eq!(kinds, ["c0", "c1", "c2", "c3"], "{names:?}");
        for name in names {
            let back = name[..2].to_owned();
            client.rename(&name, &back).await.expect("its name");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_counts_at_once_and_after_a_start() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    client
        .run_detached("web", command(&["sleep", "1000"]))
        .await;
    let update = async |client: &Client, request: v1::UpdateRequest| {
        let request = v1::UpdateRequest {
            container: "web".to_owned(),
            ..request
        };
        client.containers.clone().update(request).await
    };
    let request = v1::UpdateRequest {
        pids_limit: Some(77),
        restart_policy: Some(RestartPolicy {
            name: "always".to_owned(),
            maximum_retry_count: 0,
        }),
        ..Default::default()
    };
    update(&client, request).await.expect("update");
    assert_eq!(pids_max(pid(&client, "web").await), "77");
    for (request, sentence) in [
        (
            v1::UpdateRequest {
                memory_bytes: 1,
                pids_limit: Some(5),
                ..Default::default()
            },
            "Minimum memory limit allowed is 6MB",
        ),
        (
            v1::UpdateRequest {
                pids_limit: Some(5),
                restart_policy: Some(RestartPolicy {
                    name: "perhaps".to_owned(),
                    maximum_retry_count: 0,
                }),
                ..Default::default()
            },
            "invalid restart policy: unknown policy 'perhaps'",
        ),
    ] {
        let error = update(&client, request).await.expect_err(sentence);
        assert!(error.message().starts_with(sentence), "{error}");
    }
    assert_eq!(pids_max(pid(&client, "web").await), "77");
    host.kill_agent();
    host.start();
    let client = host.client().await;
    client.restart("web", 0).await.expect("restart");
    assert_eq!(pids_max(pid(&client, "web").await), "77");
    let object = client.inspect("web").await.expect("inspect");
    assert_eq!(object["HostConfig"]["PidsLimit"], 77);
    assert_eq!(object["HostConfig"]["RestartPolicy"]["Name"], "always");
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_containers_are_known_as_such() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .run_detached("web", command(&["sleep", "1000"]))
        .await;
    client.pause("web").await.expect("pause");
    let error = client.pause("web").await.expect_err("frozen");
    assert_eq!(error.message(), format!("Container {id} is already paused"));
    let exec = v1::ExecOptions {
        container: "web".to_owned(),
        command: vec!["true".to_owned()],
        ..Default::default()
    };
    let error = client.exec(exec, b"").await.expect_err("frozen");
    let sentence = format!("Container {id} is paused, unpause the container before exec");
    assert_eq!(error.message(), sentence);
    host.kill_agent();
    host.start();
    let client = host.client().await;
    assert!(
        client.list(&["status=paused"]).await.expect("list")[0]
            .status
            .ends_with("(Paused)")
    );
    client.unpause("web").await.expect("unpause");
    let error = client.unpause("web").await.expect_err("not frozen");
    assert_eq!(error.message(), format!("Container {id} is not paused"));
    client.pause("web").await.expect("pause");
    client
        .stop("web", 0)
        .await
        .expect("a frozen one is stopped too");
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_takes_what_does_not_run_and_passes() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let labelled = ContainerConfig {
        labels: [("keep".to_owned(), String::new())].into(),
        ..command(&["true"])
    };
    client.create("kept", labelled).await.expect("create");
    let gone = client
        .create("gone", command(&["true"]))
        .await
        .expect("create");
    client
        .run_detached("running", command(&["sleep", "1000"]))
        .await;
    let prune = async |filters: &[&str]| {
        let filters = filters.iter().map(|&filter| filter.to_owned()).collect();
        let request = v1::PruneContainersRequest { filters };
        client.containers.clone().prune(request).await
    };
    let nothing = prune(&["until=1h"]).await.expect("prune").into_inner();
    assert_eq!(nothing.removed, [""; 0]);
    let pruned = prune(&["label!=keep"]).await.expect("prune").into_inner();
    assert_eq!(pruned.removed, [gone]);
    assert_eq!(client.list(&[]).await.expect("list").len(), 2);
    let error = prune(&["name=x"]).await.expect_err("no such filter");
    assert_eq!(error.message(), "invalid filter 'name'");
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_end_with_what_they_wait_for() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let script = "test -e /data/second && exit 6; echo > /data/second; exit 5";
    client
        .create("web", command(&["sh", "-c", script]))
        .await
        .expect("create");
    let at_once = client
        .wait("web", Condition::NotRunning)
        .await
        .expect("wait");
    assert_eq!(at_once.await.code, 0);
    let next = client.wait("web", Condition::NextExit).await.expect("wait");
    let removed = client.wait("web", Condition::Removed).await.expect("wait");
    client.start("web").await.expect("start");
    assert_eq!(next.await.code, 5);
    let next = client.wait("web", Condition::NextExit).await.expect("wait");
    client.start("web").await.expect("start");
    assert_eq!(next.await.code, 6);
    client.remove("web", false, false).await.expect("remove");
    assert_eq!(removed.await.code, 6);
    let error = client
        .wait("web", Condition::Removed)
        .await
        .err()
        .expect("gone");
    assert_eq!(error.code(), Code::NotFound);
    // A container that is started again has ended all the same.
    let always = ContainerConfig {
        host: Some(HostConfig {
            restart_policy: Some(RestartPolicy {
                name: "always".to_owned(),
                maximum_retry_count: 0,
            }),
            ..Default::default()
        }),
        ..command(&["sh", "-c", "exit 9"])
    };
    client.create("again", always).await.expect("create");
    let next = client
        .wait("again", Condition::NextExit)
        .await
        .expect("wait");
    client.start("again").await.expect("start");
    assert_eq!(next.await.code, 9);
    let down = client
        .wait("again", Condition::NotRunning)
        .await
        .expect("wait");
    client.stop("again", 0).await.expect("stop");
    down.await;
    assert_eq!(
        client
            .list(&["status=exited", "name=again"])
            .await
            .expect("list")
            .len(),
        1
    );
}
