//! What containers use, and their processes.

use berth_proto::v1::{self, HostConfig};
use tonic::Code;

use crate::client::{Client, command, reason, sh};
use crate::host::{Host, until};

async fn once(client: &Client, request: v1::StatsRequest) -> Vec<v1::ContainerStats> {
    let request = v1::StatsRequest {
        no_stream: true,
        ..request
    };
    let answers = client.containers.clone().stats(request).await;
    let mut answers = answers.expect("stats").into_inner();
    let round = answers.message().await.expect("no error").expect("a round");
    assert!(answers.message().await.expect("no error").is_none(), "once");
    round.containers
}

async fn top(
    client: &Client,
    container: &str,
    words: &[&str],
) -> Result<v1::TopResponse, tonic::Status> {
    let request = v1::TopRequest {
        container: container.to_owned(),
        ps_arguments: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    Ok(client.containers.clone().top(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_the_containers_own() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let mut config = sh(
        "busybox dd if=/dev/zero of=/dev/shm/fill bs=1M count=20 2>/dev/null; while :; do :; done",
    );
    config.host = Some(HostConfig {
        memory_bytes: 64 << 20,
        pids_limit: 30,
        ..Default::default()
    });
    let busy = client.run_detached("busy", config).await;
    let idle = client
        .run_detached("idle", command(&["sleep", "1000"]))
        .await;
    let ended = client
        .create("ended", command(&["true"]))
        .await
        .expect("create");
    until("the memory is in use", async || {
        let stats = once(
            &client,
            v1::StatsRequest {
                containers: vec![busy.clone()],
                ..Default::default()
            },
        )
        .await;
        stats[0]
            .memory
            .as_ref()
            .is_some_and(|m| m.usage_bytes > 20 << 20)
    })
    .await;
    let all = once(
        &client,
        v1::StatsRequest {
            all: true,
            ..Default::default()
        },
    )
    .await;
    let names: Vec<&str> = all.iter().map(|stats| stats.name.as_str()).collect();
    assert_eq!(names, ["ended", "idle", "busy"]);
    assert!(!all[0].running && all[0].id == ended && all[0].pids == 0);
    assert!(all[1].running && all[1].id == idle);
    let busy_stats = &all[2];
    let memory = busy_stats.memory.clone().expect("memory");
    assert_eq!(memory.limit_bytes, 64 << 20);
    assert!(
        memory.details.contains_key("total_inactive_file")
            || memory.details.contains_key("inactive_file")
    );
    assert_eq!((busy_stats.pids, busy_stats.pids_limit), (1, 30));
    let share = |stats: &v1::ContainerStats| {
        let (now, before) = (
            stats.cpu.clone().expect("cpu"),
            stats.previous_cpu.clone().expect("a sample before"),
        );
        let used = now.usage_nanos - before.usage_nanos;
        used * 100 * u64::from(now.online_cpus) / (now.system_nanos - before.system_nanos)
    };
    // Other tests want the processors too.
    assert!(share(busy_stats) > 5, "{}", share(busy_stats));
    assert!(share(&all[1]) < 5, "{}", share(&all[1]));
    let running = once(&client, v1::StatsRequest::default()).await;
    assert_eq!(running.len(), 2);
    let unknown = v1::StatsRequest {
        containers: vec!["nobody".to_owned()],
        ..Default::default()
    };
    let error = client
        .containers
        .clone()
        .stats(unknown)
        .await
        .expect_err("unknown");
    assert_eq!(
        (error.code(), error.message()),
        (Code::NotFound, "No such container: nobody")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_is_counted_and_rounds_follow_one_another() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .run_detached(
            "",
            sh("while :; do busybox ping -c 1 -W 1 $(busybox ip route | grep default | busybox cut -d' ' -f3); sleep 0.1; done"),
        )
        .await;
    let request = v1::StatsRequest {
        containers: vec![id.clone()],
        ..Default::default()
    };
    let mut rounds = client
        .containers
        .clone()
        .stats(request)
        .await
        .expect("stats")
        .into_inner();
    let mut before: Option<v1::ContainerStats> = None;
    for _ in 0..3 {
        let round = rounds.message().await.expect("no error").expect("a round");
        let stats = round.containers.into_iter().next().expect("one");
        assert_eq!(stats.interfaces.len(), 1, "{:?}", stats.interfaces);
        if let Some(before) = &before {
            assert_eq!(stats.previous_read, before.read);
            assert!(stats.interfaces[0].tx_bytes > before.interfaces[0].tx_bytes);
        }
        before = Some(stats);
    }
    client.remove(&id, true, false).await.expect("remove");
    // It ends with the last of those that were asked for.
    until("it is gone", async || {
        rounds.message().await.expect("no error").is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_listed_as_ps_would() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .run_detached(
            "listed",
            command(&["sh", "-c", "sleep 1234 & exec sleep 1235"]),
        )
        .await;
    until("both run", async || {
        top(&client, &id, &[])
            .await
            .is_ok_and(|t| t.processes.len() == 2)
    })
    .await;
    let table = top(&client, "listed", &[]).await.expect("top");
    assert_eq!(
        table.titles,
        ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    );
    let mut commands: Vec<&str> = table
        .processes
        .iter()
        .map(|p| p.fields[7].as_str())
        .collect();
    commands.sort_unstable();
    assert_eq!(commands, ["sleep 1234", "sleep 1235"]);
    for process in &table.processes {
        assert_eq!(
            (process.fields[0].as_str(), process.fields[5].as_str()),
            ("root", "?")
        );
        let line = std::fs::read(format!("/proc/{}/cmdline", process.fields[1])).expect("it runs");
        assert!(line.starts_with(b"sleep\0"));
    }
    let table = top(&client, &id, &["-o", "pid,args"]).await.expect("top");
    assert_eq!(table.titles, ["PID", "COMMAND"]);
    assert_eq!(
        top(&client, &id, &["aux"]).await.expect("top").titles.len(),
        11
    );
    let error = top(&client, &id, &["-o", "ppid=PID"])
        .await
        .expect_err("refused");
    assert_eq!(error.message(), "specifying \"ppid=PID\" is not allowed");
    client.kill(&id, "KILL").await.expect("kill");
    until("it has ended", async || {
        top(&client, &id, &[]).await.is_err()
    })
    .await;
    let error = top(&client, &id, &[]).await.expect_err("it has ended");
    assert_eq!(error.message(), format!("container {id} is not running"));
    assert_eq!(reason(&error), "not-running");
}
