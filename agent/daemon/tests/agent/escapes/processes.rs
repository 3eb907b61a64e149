//! Processes that fight their keeper and those who join them.

use berth_proto::v1::wait_request::Condition;
use berth_proto::v1::{ContainerConfig, HostConfig};

use super::{exec, host_with_secret, run, words};
use crate::client::command;
use crate::host::{PATIENCE, until};

fn with_host(words: &[&str], host: HostConfig) -> ContainerConfig {
    ContainerConfig {
        host: Some(host),
        ..command(words)
    }
}

/// A container that sees the host's processes can kill its keeper; it dies with it, and is told of.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_kills_its_supervisor_ends_and_is_cleaned_up() {
    let (host, client, _) = host_with_secret().await;
    let attack = "for p in /proc/[0-9]*; do case \"$(cat $p/cmdline 2>/dev/null)\" in \
        *supervise*$HOSTNAME*) kill -9 ${p#/proc/};; esac; done; sleep 100";
    let config = with_host(
        &["sh", "-c", attack],
        HostConfig {
            pid_mode: "host".to_owned(),
            ..Default::default()
        },
    );
    let id = client.create("", config).await.expect("create");
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    // It may be killed before it has told that it runs.
    drop(client.start(&id).await);
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("an end in time");
    client.remove(&id, true, true).await.expect("remove");
    until("nothing of it is left", async || {
        host.names("run/leases").is_empty() && host.names("run/netns").is_empty()
    })
    .await;
    assert_eq!(client.sh("echo fine").await.stdout, "fine\n");
}

/// Stopping whoever comes in must not keep anybody from removing the container.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_stops_commands_can_still_be_removed() {
    let (_host, client, _) = host_with_secret().await;
    let attack = "echo ready; while :; do for p in /proc/[0-9]*; do p=${p#/proc/}; \
        [ $p = 1 ] || kill -STOP $p; done; done 2>/dev/null";
    let config = with_host(
        &["sh", "-c", attack],
        HostConfig {
            cap_add: vec!["SYS_PTRACE".to_owned()],
            ..Default::default()
        },
    );
    let id = client.run_detached("", config).await;
    until("it has begun", async || {
        client.log_text(&id).await.contains("ready")
    })
    .await;
    let commands: Vec<_> = (0..4)
        .map(|_| {
            let (client, options) = (client.clone(), words(&id, &["sleep", "100"]));
            tokio::spawn(async move { client.exec(options, b"").await })
        })
        .collect();
    client.inspect(&id).await.expect("inspect");
    let removed = tokio::time::timeout(PATIENCE, client.remove(&id, true, true)).await;
    removed.expect("removed in time").expect("remove");
    for command in commands {
        // How it ended is of no interest, that it ended is.
        drop(
            tokio::time::timeout(PATIENCE, command)
                .await
                .expect("an end in time"),
        );
    }
    assert_eq!(client.sh("echo fine").await.stdout, "fine\n");
}

/// A container that has used up its processes hurts only itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_full_of_processes_can_still_be_told_of_and_removed() {
    let (_host, client, _) = host_with_secret().await;
    let attack = "bomb() { sleep 100 & bomb; }; (bomb) 2>/dev/null; echo full; exec sleep 100";
    let config = with_host(
        &["sh", "-c", attack],
        HostConfig {
            pids_limit: 20,
            ..Default::default()
        },
    );
    let id = client.run_detached("", config).await;
    until("it is full", async || {
        client.log_text(&id).await.contains("full")
    })
    .await;
    // There may be no room for it, which is an error, and no hang.
    drop(exec(&client, words(&id, &["true"])).await);
    client.stop(&id, 0).await.expect("stop");
    client.remove(&id, false, true).await.expect("remove");
}

/// CVE-2022-36109: a user whose own group was not among its groups passed by what is closed to that group.
#[tokio::test(flavor = "multi_thread")]
async fn the_group_of_a_user_is_one_of_its_groups() {
    let (_host, client, _) = host_with_secret().await;
    let id = client.run_detached("", command(&["sleep", "100"])).await;
    let show = ["grep", "Groups", "/proc/self/status"];
    for (user, groups) in [
        ("", "0 10"),
        ("app", "10 1001"),
        ("1000", "10 1001"),
        ("1000:1001", "1001"),
        ("77:7", "7"),
        ("77", "0"),
    ] {
        let mut config = with_host(
            &show,
            HostConfig {
                auto_remove: true,
                ..Default::default()
            },
        );
        config.user = user.to_owned();
        let mut options = words(&id, &show);
        options.user = user.to_owned();
        for ran in [run(&client, config).await, exec(&client, options).await] {
            let line = ran.expect(user).stdout;
            let mut found: Vec<u32> = line
                .split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect();
            found.sort_unstable();
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), groups, "user {user:?}");
        }
    }
}
