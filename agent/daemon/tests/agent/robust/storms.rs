//! Many at once and many in a row: nothing grows, and nobody is forgotten.
//!
//! `BERTH_STORM=full` makes it two hundred containers, storms of fifty from sixteen clients, and a
//! thousand runs in a row.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_proto::v1::wait_request::Condition;
use berth_proto::v1::{ContainerConfig, ContainerState, HostConfig};
use berth_tests_support::Progress;
use futures::future::join_all;

use crate::client::{command, sh};
use crate::host::{Host, PATIENCE, until};
use crate::robust::ground::{inventory, quiet_inventory};

/// What the agent's process has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Usage {
    anonymous_kib: u64,
    threads: u64,
    /// How many of each kind.
    descriptors: BTreeMap<String, usize>,
}

impl Usage {
    fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|text| text.parse().ok()).expect("a number")
        };
        let mut descriptors = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).expect("fd") {
            // They are closed while we look.
            let Ok(target) = fs::read_link(entry.expect("entry").path()) else {
                continue;
            };
            let target = target.to_string_lossy().into_owned();
            let kind = target.split(":[").next().unwrap_or(&target).to_owned();
            *descriptors.entry(kind).or_default() += 1;
        }
        Self {
            anonymous_kib: field("RssAnon:"),
            threads: field("Threads:"),
            descriptors,
        }
    }
}

fn is_full() -> bool {
    std::env::var("BERTH_STORM").is_ok_and(|word| word == "full")
}

#[expect(clippy::print_stderr, reason = "the numbers of a long run")]
fn tell(text: &str) {
    eprintln!("{text}");
}

/// Returns how steeply values rise, per step, by least squares.
fn slope(values: &[u64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "kilobytes and counts are small")]
    let points: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .map(|(x, y)| (x as f64, *y as f64))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "kilobytes and counts are small")]
    let n = points.len() as f64;
    let (sum_x, sum_y) = points
        .iter()
        .fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    let (mean_x, mean_y) = (sum_x / n, sum_y / n);
    let above: f64 = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    let below: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    above / below
}

/// A container's configuration that costs little: no address.
fn isolated(words: &[&str]) -> ContainerConfig {
    ContainerConfig {
        host: Some(HostConfig {
            network_mode: "none".to_owned(),
            ..Default::default()
        }),
        ..command(words)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_in_a_row_leave_the_agent_as_it_was() {
    let (runs, each): (u32, u32) = if is_full() { (1000, 50) } else { (60, 10) };
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let progress = Progress::watch(&[host.path("data"), host.path("run")]);
    // The first ones fill caches, pools and files that stay.
    for _ in 0..each {
        client.sh("true").await;
    }
    let before = quiet_inventory(&host, &progress.names());
    let first = Usage::of(host.agent_pid());
    let mut memory = Vec::new();
    let began = Instant::now();
    for number in 1..=runs {
        let ran = client.sh("echo $((6*7))").await;
        assert_eq!((ran.stdout.as_str(), ran.code), ("42\n", 0), "run {number}");
        if number % each == 0 {
            memory.push(Usage::of(host.agent_pid()).anonymous_kib);
        }
    }
    let took = began.elapsed();
    let seen = progress.names();
    tokio::task::block_in_place(|| {
        before.assert_returns("after the runs", PATIENCE, || inventory(&host, &seen));
    });
    let last = settled(host.agent_pid(), &first);
    let per_run = slope(&memory) / f64::from(each);
    tell(&format!(
        "{runs} runs in {took:?}: {first:?} became {last:?}; memory {memory:?} KiB, {per_run:.3} KiB a run"
    ));
    // Less than a page in ten runs, above what the allocator does by itself.
    let grown = last.anonymous_kib.saturating_sub(first.anonymous_kib);
    let allowed = 1024 + u64::from(runs) * 4 / 10;
    assert!(grown < allowed, "memory: {memory:?} KiB");
}

/// Waits until the agent has as many descriptors as before, and no more threads than its pool may keep.
fn settled(pid: u32, first: &Usage) -> Usage {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = Usage::of(pid);
        if now.descriptors == first.descriptors && now.threads <= first.threads + 2 {
            return now;
        }
        assert!(
            Instant::now() < deadline,
            "not as before: {first:?} became {now:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_containers_at_once_run_are_listed_and_end() {
    let count = if is_full() { 200 } else { 24 };
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let progress = Progress::watch(&[host.path("data"), host.path("run")]);
    client.sh("true").await;
    let before = quiet_inventory(&host, &progress.names());
    let began = Instant::now();
    let starts = (0..count).map(|number| {
        let client = client.clone();
        async move {
            let script = format!("echo {number}; exec sleep 1000");
            let config = command(&["sh", "-c", &script]);
            client.run_detached(&format!("many-{number}"), config).await
        }
    });
    let ids = join_all(starts).await;
    let started = began.elapsed();
    let running = client.list(&["status=running"]).await.expect("list");
    assert_eq!(running.len(), count);
    let usage = Usage::of(host.agent_pid());
    let at_most = inventory(&host, &progress.names());
    assert_eq!(at_most.count("address lease"), count);
    let restarted = tokio::task::block_in_place(|| {
        host.kill_agent();
        host.start()
    });
    let client = host.client().await;
    let running = client.list(&["status=running"]).await.expect("list");
    assert_eq!(running.len(), count);
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(client.log_text(id).await, format!("{number}\n"));
    }
    let began = Instant::now();
    let removals = ids.iter().map(|id| client.remove(id, true, false));
    for removed in join_all(removals).await {
        removed.expect("removal");
    }
    tell(&format!(
        "{count} containers: started in {started:?}, agent {usage:?}, started again in {restarted:?}, removed in {:?}",
        began.elapsed()
    ));
    let seen = progress.names();
    tokio::task::block_in_place(|| {
        before.assert_returns("after many", PATIENCE, || inventory(&host, &seen));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn storms_of_starts_and_stops_lose_nobody() {
    let (clients, count, rounds) = if is_full() { (16, 50, 5) } else { (4, 12, 2) };
    let host = Host::new();
    host.client().await.import().await;
    let progress = Progress::watch(&[host.path("data"), host.path("run")]);
    let connections = join_all((0..clients).map(|_| host.client())).await;
    let mut ids = Vec::new();
    for number in 0..count {
        let script = "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done";
        let name = format!("storm-{number}");
        let created = connections[number % clients].create(&name, isolated(&["sh", "-c", script]));
        ids.push(created.await.expect("create"));
    }
    let before = quiet_inventory(&host, &progress.names());
    let ids = Arc::new(ids);
    for round in 1..=rounds {
        let began = Instant::now();
        // Each of them is started by two clients, who both are told that it runs.
        let starts = (0..count * 2).map(|n| {
            let (client, id) = (connections[n % clients].clone(), ids[n % count].clone());
            async move { client.start(&id).await }
        });
        for started in join_all(starts).await {
            started.expect("start");
        }
        let started = began.elapsed();
        let listed = connections[0]
            .list(&["status=running"])
            .await
            .expect("list");
        assert_eq!(listed.len(), count, "round {round}");
        // Nobody hears a signal before it listens for it.
        for id in ids.iter() {
            until("its trap", async || {
                connections[0].log_text(id).await.matches("up").count() == round
            })
            .await;
        }
        let stopping = Instant::now();
        let stops = (0..count * 2).map(|n| {
            let (client, id) = (
                connections[(n + 1) % clients].clone(),
                ids[n % count].clone(),
            );
            async move { client.stop(&id, 30).await }
        });
        for stopped in join_all(stops).await {
            stopped.expect("stop");
        }
        tell(&format!(
            "storm {round}: {count} started twice by {clients} clients in {started:?}, stopped twice in {:?}",
            stopping.elapsed()
        ));
        for container in connections[0].list(&[]).await.expect("list") {
            assert_eq!(container.state(), ContainerState::Exited);
            assert!(
                container.status.starts_with("Exited (5)"),
                "{}",
                container.status
            );
        }
    }
    let seen = progress.names();
    tokio::task::block_in_place(|| {
        before.assert_returns("after the storms", PATIENCE, || inventory(&host, &seen));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_all_want_one_name_get_it_once() {
    let host = Host::new();
    host.client().await.import().await;
    let connections = join_all((0..8).map(|_| host.client())).await;
    let creates = (0..32).map(|n| {
        let client = connections[n % connections.len()].clone();
        async move { client.create("one", sh("exit 9")).await }
    });
    let results = join_all(creates).await;
    let won: Vec<_> = results.iter().flatten().collect();
    assert_eq!(won.len(), 1);
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(
            error.message().contains("is already in use by container"),
            "{error}"
        );
    }
    let client = &connections[0];
    let ended = client.wait(won[0], Condition::Removed).await.expect("wait");
    // All start it at the same time; it runs once, or once more when it had ended and was not gone yet.
    let starts = join_all(connections.iter().map(|client| client.start("one"))).await;
    assert!(starts.iter().any(Result::is_ok));
    assert_eq!(ended.await.code, 9);
    until("its folder goes", async || {
        host.names("data/containers").is_empty()
    })
    .await;
}
