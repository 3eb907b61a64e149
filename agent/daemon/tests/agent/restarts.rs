//! Containers that are started again by themselves: after their end, after the agent's, after a boot.

use std::fs;

use berth_proto::v1::{ContainerConfig, ContainerState, HostConfig, RestartPolicy};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tonic::Code;

use crate::client::{Client, command};
use crate::host::{Host, until};

fn with_policy(name: &str, tries: i64, words: &[&str]) -> ContainerConfig {
    ContainerConfig {
        host: Some(HostConfig {
            restart_policy: Some(RestartPolicy {
                name: name.to_owned(),
                maximum_retry_count: tries,
            }),
            ..Default::default()
        }),
        ..command(words)
    }
}

async fn state(client: &Client, name: &str) -> ContainerState {
    let filter = format!("name=^{name}$");
    client.list(&[&filter]).await.expect("list")[0].state()
}

async fn restarts(client: &Client, name: &str) -> i64 {
    let object = client.inspect(name).await.expect("inspect");
    object["RestartCount"].as_i64().expect("a number")
}

/// Kills a container's supervisor, which takes the container with it, as the end of the machine does.
fn cut_off(object: &Value) {
    let pid = object["State"]["Pid"].as_i64().expect("pid");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let parent = stat.rsplit_once(") ").expect("stat").1.split(' ').nth(1);
    let supervisor: i32 = parent.expect("parent").parse().expect("a number");
    assert!(supervisor > 1, "{stat}");
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).expect("kill");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_tried_again_as_often_as_asked() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let script = "echo run; exit 3";
    let config = with_policy("on-failure", 2, &["sh", "-c", script]);
    client.run_detached("failing", config).await;
    until("the last try", async || {
        restarts(&client, "failing").await == 2
            && state(&client, "failing").await == ContainerState::Exited
    })
    .await;
    assert_eq!(client.log_text("failing").await, "run\nrun\nrun\n");
    let object = client.inspect("failing").await.expect("inspect");
    assert_eq!(object["State"]["ExitCode"], 3);
    assert_eq!(
        object["HostConfig"]["RestartPolicy"]["MaximumRetryCount"],
        2
    );
    client.start("failing").await.expect("by hand");
    until("another round", async || {
        client.log_text("failing").await.lines().count() == 6
    })
    .await;
    let well = with_policy("on-failure", 0, &["true"]);
    client.run_detached("well", well).await;
    until("its end", async || {
        state(&client, "well").await == ContainerState::Exited
    })
    .await;
    assert_eq!(restarts(&client, "well").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_waits_for_its_start_shows_it_and_can_be_stopped_and_removed() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    for name in ["stopped", "removed"] {
        client
            .run_detached(name, with_policy("always", 0, &["false"]))
            .await;
    }
    for name in ["stopped", "removed"] {
        // By then the pause is so long that it is met in it.
        until("a pause", async || {
            restarts(&client, name).await >= 4
                && state(&client, name).await == ContainerState::Restarting
        })
        .await;
    }
    let listed = client.list(&["status=restarting"]).await.expect("list");
    assert_eq!(listed.len(), 2);
    assert!(
        listed[0].status.starts_with("Restarting (1) "),
        "{}",
        listed[0].status
    );
    let object = client.inspect("stopped").await.expect("inspect");
    assert_eq!(object["State"]["Restarting"], true);
    assert_eq!(object["State"]["Running"], true);
    assert_eq!(object["State"]["Pid"], 0);
    let error = client
        .remove("removed", false, false)
        .await
        .expect_err("it counts as running");
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(
        error
            .message()
            .contains("container is restarting: stop the container"),
        "{error}"
    );
    client
        .remove("removed", true, false)
        .await
        .expect("by force");
    client.stop("stopped", 10).await.expect("stop");
    assert_eq!(state(&client, "stopped").await, ContainerState::Exited);
    let count = restarts(&client, "stopped").await;
    client.start("stopped").await.expect("start");
    until("a round that counts anew", async || {
        let now = restarts(&client, "stopped").await;
        now > 0 && now < count
    })
    .await;
    client.kill("stopped", "KILL").await.ok();
    until("its end", async || {
        state(&client, "stopped").await == ContainerState::Exited
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_go_on_when_the_agent_is_killed() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    client
        .run_detached("failing", with_policy("always", 0, &["false"]))
        .await;
    until("some tries", async || {
        restarts(&client, "failing").await >= 3
    })
    .await;
    host.kill_agent();
    host.start();
    let client = host.client().await;
    let before = restarts(&client, "failing").await;
    until("one more try", async || {
        restarts(&client, "failing").await > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_boot_the_policies_decide() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let sleep = ["sleep", "1000"];
    for (name, policy) in [
        ("always", "always"),
        ("always-stopped", "always"),
        ("unless", "unless-stopped"),
        ("unless-stopped", "unless-stopped"),
        ("failure", "on-failure"),
        ("none", "no"),
    ] {
        client
            .run_detached(name, with_policy(policy, 0, &sleep))
            .await;
    }
    client
        .create("never-started", with_policy("always", 0, &sleep))
        .await
        .expect("create");
    let mut vanishing = command(&sleep);
    vanishing.volumes = vec!["/vol".to_owned()];
    vanishing.host = Some(HostConfig {
        auto_remove: true,
        ..Default::default()
    });
    client.run_detached("vanishing", vanishing.clone()).await;
    client
        .create("vanishing-too", vanishing)
        .await
        .expect("create");
    for name in ["always-stopped", "unless-stopped"] {
        client.stop(name, 0).await.expect("stop");
    }
    let mut running = Vec::new();
    for name in ["always", "unless", "failure", "none", "vanishing"] {
        running.push(client.inspect(name).await.expect("inspect"));
    }
    host.kill_agent();
    running.iter().for_each(cut_off);
    fs::remove_file(host.path("run/boot-id")).expect("a note of the boot");
    host.start();
    let client = host.client().await;
    for name in ["always", "always-stopped", "unless", "failure"] {
        until(name, async || {
            state(&client, name).await == ContainerState::Running
        })
        .await;
    }
    for name in ["unless-stopped", "none"] {
        assert_eq!(state(&client, name).await, ContainerState::Exited, "{name}");
    }
    assert_eq!(
        state(&client, "never-started").await,
        ContainerState::Created
    );
    let mut left: Vec<String> = client
        .list(&["name=vanishing"])
        .await
        .expect("list")
        .into_iter()
        .flat_map(|container| container.names)
        .collect();
    left.sort();
    assert_eq!(left, [""; 0], "containers that vanish");
    assert_eq!(host.names("data/volumes"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_restart_is_no_boot() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let sleep = ["sleep", "1000"];
    for (name, policy) in [
        ("always", "always"),
        ("unless", "unless-stopped"),
        ("failure", "on-failure"),
        ("ended", "always"),
    ] {
        client
            .run_detached(name, with_policy(policy, 0, &sleep))
            .await;
    }
    for name in ["always", "unless", "failure"] {
        client.stop(name, 0).await.expect("stop");
    }
    client
        .create("never", with_policy("always", 0, &sleep))
        .await
        .expect("create");
    let running = client.inspect("ended").await.expect("inspect");
    host.kill_agent();
    cut_off(&running);
    host.start();
    let client = host.client().await;
    until("the one that ended", async || {
        state(&client, "ended").await == ContainerState::Running
    })
    .await;
    assert_eq!(restarts(&client, "ended").await, 1);
    // As with dockerd, whose restart is none of the machine's either.
    until("the one that is always to run", async || {
        state(&client, "always").await == ContainerState::Running
    })
    .await;
    for (name, expected) in [
        ("unless", ContainerState::Exited),
        ("failure", ContainerState::Exited),
        ("never", ContainerState::Created),
    ] {
        assert_eq!(state(&client, name).await, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_by_hand_keeps_what_would_vanish_and_nonsense_is_refused() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let mut config = command(&["sleep", "1000"]);
    config.host = Some(HostConfig {
        auto_remove: true,
        ..Default::default()
    });
    let id = client.run_detached("vanishing", config.clone()).await;
    client.restart("vanishing", 0).await.expect("restart");
    let object = client
        .inspect("vanishing")
        .await
        .expect("it is still there");
    assert_eq!(
        (&object["Id"], &object["State"]["Running"]),
        (&Value::from(id), &Value::from(true))
    );
    let host_config = config.host.as_mut().expect("set");
    host_config.restart_policy = Some(RestartPolicy {
        name: "always".to_owned(),
        maximum_retry_count: 0,
    });
    for (config, sentence) in [
        (
            config,
            "can't create 'AutoRemove' container with restart policy",
        ),
        (
            with_policy("always", 1, &["true"]),
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ),
        (
            with_policy("sometimes", 0, &["true"]),
            "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', \
             or 'unless-stopped'",
        ),
    ] {
        let error = client.create("", config).await.expect_err(sentence);
        assert_eq!(
            (error.code(), error.message()),
            (Code::InvalidArgument, sentence)
        );
    }
}
