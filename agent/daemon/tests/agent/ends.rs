//! Ends and removals when something is in their way: mounts of others, folders that are gone, several at once.

use std::fs;
use std::path::Path;

use berth_proto::v1::wait_request::Condition;
use berth_proto::v1::{self, ContainerConfig, ContainerState, HostConfig};
use tonic::Code;

use crate::client::{Client, command, reason};
use crate::host::{Host, PATIENCE, until};

fn vanishing(words: &[&str]) -> ContainerConfig {
    ContainerConfig {
        host: Some(HostConfig {
            auto_remove: true,
            ..Default::default()
        }),
        ..command(words)
    }
}

/// Mounts memory with a file in it at a new folder of the host.
fn mount_foreign(host: &Host, at: &Path) {
    fs::create_dir(at).expect("folder");
    let script = format!(
        "mount -t tmpfs foreign {0} && echo precious > {0}/file",
        at.display()
    );
    let mounted = host.enter("sh").args(["-c", &script]).status();
    assert!(mounted.expect("sh").success());
}

/// Returns whether the file in what was mounted is still there.
fn has_foreign(host: &Host, at: &Path) -> bool {
    let mut read = host.enter("grep");
    let read = read.args(["-q", "precious"]).arg(at.join("file"));
    read.status().expect("grep").success()
}

fn unmount(host: &Host, at: &Path) {
    let unmounted = host.enter("umount").arg(at).status();
    assert!(unmounted.expect("umount").success());
}

/// Waits for the removal of a container that is not removed; returns what is said.
async fn failed_removal(client: &Client, name: &str, kill: impl AsyncFnOnce()) -> tonic::Status {
    let request = v1::WaitRequest {
        container: name.to_owned(),
        condition: Condition::Removed.into(),
    };
    let answers = client.containers.clone().wait(request).await.expect("wait");
    let mut answers = answers.into_inner();
    answers
        .message()
        .await
        .expect("no error")
        .expect("registered");
    kill().await;
    let answer = tokio::time::timeout(PATIENCE, answers.message()).await;
    answer
        .expect("an answer in time")
        .expect_err("it is not removed")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_fails_is_told_spares_what_others_mounted_and_is_tried_again() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let sleep = ["sleep", "1000"];
    let id = client.run_detached("vanishing", vanishing(&sleep)).await;
    let foreign = host.path("data/containers").join(&id).join("foreign");
    mount_foreign(&host, &foreign);
    let error = failed_removal(&client, "vanishing", async || {
        client.kill("vanishing", "KILL").await.expect("kill");
    })
    .await;
    let sentence = format!(
        "removing container {id}: {} is a mount point, and what is mounted there is not the container's: unmount it first",
        foreign.display()
    );
    assert_eq!(
        (error.code(), error.message()),
        (Code::Internal, sentence.as_str())
    );
    assert!(has_foreign(&host, &foreign));
    let listed = client.list(&[]).await.expect("list");
    assert_eq!(listed[0].state(), ContainerState::Exited);
    let error = client.remove(&id, true, false).await.expect_err("mounted");
    assert_eq!(
        (reason(&error).as_str(), error.message()),
        ("mounted", sentence.as_str())
    );
    unmount(&host, &foreign);
    until("the removal", async || {
        client.list(&[]).await.expect("list").is_empty()
    })
    .await;
    // What a container has written is looked through as well.
    let id = client.run_detached("web", command(&sleep)).await;
    let filesystem = host.path("data/snapshots/containers").join(&id);
    let foreign = filesystem.join("foreign");
    mount_foreign(&host, &foreign);
    let error = client.remove(&id, true, false).await.expect_err("mounted");
    assert_eq!(reason(&error), "mounted");
    assert!(has_foreign(&host, &foreign));
    unmount(&host, &foreign);
    client.remove(&id, true, false).await.expect("remove");
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_whose_run_folder_was_deleted_are_stopped_and_removed() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    for name in ["removed", "stopped", "killed"] {
        let id = client.run_detached(name, command(&["sleep", "1000"])).await;
        fs::remove_dir_all(host.path("run/containers").join(&id)).expect("removal");
    }
    let ends = async {
        client.remove("removed", true, false).await.expect("rm -f");
        client.stop("stopped", 0).await.expect("stop");
        client.kill("killed", "KILL").await.expect("kill");
    };
    tokio::time::timeout(PATIENCE, ends).await.expect("in time");
    let listed = client.list(&["status=exited"]).await.expect("list");
    assert_eq!(listed.len(), 2);
    // And what was stopped starts again.
    client.start("stopped").await.expect("start");
    assert_eq!(
        client.list(&["status=running"]).await.expect("list").len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_restarts_at_once_are_no_end_for_good() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let always = ContainerConfig {
        host: Some(HostConfig {
            restart_policy: Some(v1::RestartPolicy {
                name: "always".to_owned(),
                maximum_retry_count: 0,
            }),
            ..Default::default()
        }),
        ..command(&["sleep", "1000"])
    };
    let vanishing = client
        .run_detached("vanishing", vanishing(&["sleep", "1000"]))
        .await;
    let always = client.run_detached("always", always).await;
    for _round in 0..3 {
        let restarts = (0..12).map(|number| {
            let client = client.clone();
            let id = if number % 2 == 0 { &vanishing } else { &always }.clone();
            tokio::spawn(async move { client.restart(&id, 0).await })
        });
        for restart in futures::future::join_all(restarts).await {
            restart.expect("task").expect("restart");
        }
    }
    for id in [&vanishing, &always] {
        let object = client.inspect(id).await.expect("it is still there");
        assert_eq!(object["State"]["Status"], "running");
        assert_eq!(object["RestartCount"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_and_starts_at_once_come_to_an_end() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .run_detached("web", command(&["sleep", "1000"]))
        .await;
    let calls = (0..40).map(|number| {
        let (client, id) = (client.clone(), id.clone());
        tokio::spawn(async move {
            match number % 2 {
                0 => client.stop(&id, 0).await,
                _ => client.start(&id).await,
            }
        })
    });
    let all = futures::future::join_all(calls);
    for call in tokio::time::timeout(PATIENCE, all).await.expect("an end") {
        call.expect("task").expect("stop or start");
    }
    client.stop(&id, 0).await.expect("stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_was_given_nothing_yet_misses_nothing_over_a_restart() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let folder = host.path("shared");
    fs::create_dir(&folder).expect("folder");
    let script = "echo old; while test ! -e /mnt/go; do sleep 0.01; done; \
        for n in 1 2 3 4 5; do echo new $n; done; touch /mnt/done; sleep 1000";
    let config = ContainerConfig {
        host: Some(HostConfig {
            binds: vec![format!("{}:/mnt", folder.display())],
            ..Default::default()
        }),
        ..command(&["sh", "-c", script])
    };
    let id = client.run_detached("writer", config).await;
    until("old output", async || client.log_text(&id).await == "old\n").await;
    let mut request = v1::LogsRequest {
        container: id.clone(),
        stdout: true,
        stderr: true,
        follow: true,
        tail_lines: Some(0),
        ..Default::default()
    };
    let mut answers = follow(&client, &request).await;
    let first = tokio::time::timeout(PATIENCE, answers.message()).await;
    let first = first.expect("in time").expect("no error").expect("a place");
    assert!(
        first.data.is_empty() && !first.cursor.is_empty(),
        "{first:?}"
    );
    request.resume = first.cursor;
    host.kill_agent();
    fs::write(folder.join("go"), "").expect("signal");
    until("new output", async || folder.join("done").exists()).await;
    host.start();
    let client = host.client().await;
    let mut answers = follow(&client, &request).await;
    let mut text = String::new();
    while !text.contains("new 5\n") {
        let answer = tokio::time::timeout(PATIENCE, answers.message()).await;
        let answer = answer.expect("in time").expect("no error");
        text.push_str(&String::from_utf8_lossy(&answer.expect("a line").data));
    }
    assert_eq!(text, "new 1\nnew 2\nnew 3\nnew 4\nnew 5\n");
}

async fn follow(client: &Client, request: &v1::LogsRequest) -> tonic::Streaming<v1::LogsResponse> {
    let answers = client.containers.clone().logs(request.clone()).await;
    answers.expect("logs").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn running_out_of_memory_is_told_when_it_happens_and_once() {
    out_of_memory("sleep 0.5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_out_of_memory_at_once_is_told_as_well() {
    out_of_memory("true").await;
}

async fn out_of_memory(first: &str) {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    // The process that is killed is not the container's first.
    let script = "sh -c 'x=$(seq 1 4000000); echo survived'; \
        while test ! -e /go; do sleep 0.01; done";
    let script = format!("{first}; {script}");
    let limits = HostConfig {
        memory_bytes: 16 << 20,
        resources: Some(v1::Resources {
            memory_swap_bytes: 16 << 20,
            ..Default::default()
        }),
        ..Default::default()
    };
    let config = ContainerConfig {
        host: Some(limits),
        ..command(&["sh", "-c", &script])
    };
    let events = v1::EventsRequest {
        filters: vec!["event=oom".to_owned(), "event=die".to_owned()],
        ..Default::default()
    };
    let events = client.system.clone().events(events).await;
    let mut events = events.expect("events").into_inner();
    let mut next = async || {
        let event = tokio::time::timeout(PATIENCE, events.message()).await;
        let event = event.expect("in time").expect("no error");
        event.expect("an event").action
    };
    let id = client.run_detached("hungry", config).await;
    assert_eq!(next().await, "oom");
    let object = client.inspect(&id).await.expect("inspect");
    assert_eq!(object["State"]["Status"], "running");
    let exec = v1::ExecOptions {
        container: id.clone(),
        command: vec!["touch".to_owned(), "/go".to_owned()],
        ..Default::default()
    };
    client.exec(exec, b"").await.expect("exec");
    assert_eq!(next().await, "die");
    let object = client.inspect(&id).await.expect("inspect");
    assert_eq!(object["State"]["OOMKilled"], true);
}

/// Reads a control file of a process's group, in whichever version has it.
fn limit(pid: &serde_json::Value, controller: &str, v1: &str, v2: &str) -> String {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroup");
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (names, path) = (fields.next().expect("names"), fields.next().expect("path"));
        let (folder, file) = match names {
            "" => ("unified".to_owned(), v2),
            names if names.split(',').any(|name| name == controller) => (controller.to_owned(), v1),
            _ => continue,
        };
        for root in [
            format!("/sys/fs/cgroup/{folder}{path}"),
            format!("/sys/fs/cgroup{path}"),
        ] {
            if let Ok(text) = fs::read_to_string(Path::new(&root).join(file)) {
                return text.trim().to_owned();
            }
        }
    }
    panic!("no {v1} and no {v2} in {groups}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_the_kernel_refuses_in_part_leaves_no_limit_behind() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    // Nobody below it may have more of a processor than that.
    let parent = format!("berth-test-update-{}", std::process::id());
    let group = Path::new("/sys/fs/cgroup/cpu").join(&parent);
    if !Path::new("/sys/fs/cgroup/cpu").exists() {
        // The second version lets a group ask for more than those above it have.
        return;
    }
    fs::create_dir(&group).expect("group");
    fs::write(group.join("cpu.cfs_quota_us"), "50000").expect("quota");
    let config = ContainerConfig {
        host: Some(HostConfig {
            resources: Some(v1::Resources {
                cgroup_parent: format!("/{parent}"),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..command(&["sleep", "1000"])
    };
    let id = client.run_detached("web", config).await;
    let pid = client.inspect(&id).await.expect("inspect")["State"]["Pid"].clone();
    let limits = || {
        [
            limit(&pid, "memory", "memory.limit_in_bytes", "memory.max"),
            limit(&pid, "cpu", "cpu.cfs_quota_us", "cpu.max"),
        ]
    };
    let before = limits();
    let mut request = v1::UpdateRequest {
        container: id.clone(),
        memory_bytes: 64 << 20,
        nano_cpus: 1_000_000_000,
        ..Default::default()
    };
    let refused = client.containers.clone().update(request.clone()).await;
    let after_refusal = limits();
    request.nano_cpus = 300_000_000;
    let taken = client.containers.clone().update(request).await;
    let after = limits();
    client.remove(&id, true, false).await.expect("remove");
    for hierarchy in fs::read_dir("/sys/fs/cgroup").expect("hierarchies") {
        // Not all of them have it.
        let _ = fs::remove_dir(hierarchy.expect("entry").path().join(&parent));
    }
    assert!(!group.exists(), "{}", group.display());
    refused.expect_err("too much of a processor");
    assert_eq!(after_refusal, before);
    taken.expect("less of it");
    assert_eq!(after, [(64 << 20).to_string(), "30000".to_owned()]);
}
