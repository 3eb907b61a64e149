//! Health checks.

use std::fs;

use berth_proto::v1::{self, ContainerConfig, HealthConfig};
use serde_json::Value;

use crate::client::{Client, command};
use crate::host::{Host, until};

const MILLISECOND: i64 = 1_000_000;

fn checked(test: &[&str], timeout: i64) -> ContainerConfig {
    ContainerConfig {
        healthcheck: Some(HealthConfig {
            test: test.iter().map(|&word| word.to_owned()).collect(),
            interval_nanos: 50 * MILLISECOND,
            timeout_nanos: timeout * MILLISECOND,
            retries: 2,
            ..Default::default()
        }),
        ..command(&["sleep", "1000"])
    }
}

async fn health(client: &Client, name: &str) -> Value {
    client.inspect(name).await.expect("inspect")["State"]["Health"].clone()
}

async fn status(client: &Client, name: &str) -> String {
    let filter = format!("name=^{name}$");
    client.list(&[&filter]).await.expect("list")[0]
        .status
        .clone()
}

async fn sh(client: &Client, name: &str, script: &str) {
    let options = v1::ExecOptions {
        container: name.to_owned(),
        command: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
        ..Default::default()
    };
    assert_eq!(client.exec(options, b"").await.expect("exec").code, 0);
}

/// Counts processes of this machine with these words.
fn processes(words: &[&str]) -> usize {
    let wanted: Vec<u8> = words
        .iter()
        .flat_map(|word| [word.as_bytes(), b"\0"].concat())
        .collect();
    let all = fs::read_dir("/proc").expect("/proc").flatten();
    all.filter(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == wanted))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_found_well_and_ill_and_well_again() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let config = checked(&["CMD-SHELL", "echo looked; test ! -e /tmp/ill"], 10_000);
    client.run_detached("web", config).await;
    until("well", async || {
        health(&client, "web").await["Status"] == "healthy"
    })
    .await;
    assert!(status(&client, "web").await.ends_with(" (healthy)"));
    assert_eq!(
        client.list(&["health=healthy"]).await.expect("list").len(),
        1
    );
    sh(&client, "web", "touch /tmp/ill").await;
    until("ill", async || {
        health(&client, "web").await["Status"] == "unhealthy"
    })
    .await;
    let found = health(&client, "web").await;
    assert!(
        found["FailingStreak"].as_i64().expect("a number") >= 2,
        "{found}"
    );
    let log = found["Log"].as_array().expect("a log");
    assert!(log.len() <= 5, "{found}");
    let last = log.last().expect("a result");
    assert_eq!(
        (&last["ExitCode"], &last["Output"]),
        (&Value::from(1), &Value::from("looked\n"))
    );
    sh(&client, "web", "rm /tmp/ill || busybox rm /tmp/ill").await;
    until("well again", async || {
        health(&client, "web").await["Status"] == "healthy"
    })
    .await;
    let request = v1::EventsRequest {
        since: Some(std::time::SystemTime::UNIX_EPOCH.into()),
        until: Some(std::time::SystemTime::now().into()),
        filters: vec!["event=health_status".to_owned()],
    };
    let mut events = client
        .system
        .clone()
        .events(request)
        .await
        .expect("events")
        .into_inner();
    let mut told = Vec::new();
    while let Some(event) = events.message().await.expect("no error") {
        told.push(event.action);
    }
    let expected = ["healthy", "unhealthy", "healthy"].map(|word| format!("health_status: {word}"));
    assert_eq!(told, expected);
    client.stop("web", 0).await.expect("stop");
    assert_eq!(health(&client, "web").await["Status"], "unhealthy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_takes_too_long_is_killed_with_its_children() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    // Words that nobody else on the machine uses.
    let unique = format!("1{}", std::process::id());
    let script = format!("echo begun; sleep {unique} & sleep {unique}; wait");
    client
        .run_detached("slow", checked(&["CMD-SHELL", &script], 300))
        .await;
    until("begun", async || processes(&["sleep", &unique]) > 0).await;
    until("ill", async || {
        health(&client, "slow").await["Status"] == "unhealthy"
    })
    .await;
    let found = health(&client, "slow").await;
    let last = &found["Log"][0];
    assert_eq!(last["ExitCode"], -1);
    assert_eq!(
        last["Output"],
        "Health check exceeded timeout (300ms): begun\n"
    );
    client.pause("slow").await.expect("pause");
    // Without a check under way nothing of the former ones is left.
    client.unpause("slow").await.expect("unpause");
    until("a moment without", async || {
        processes(&["sleep", &unique]) == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_go_on_when_the_agent_is_killed_and_stop_while_frozen() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    client
        .run_detached("web", checked(&["CMD", "true"], 10_000))
        .await;
    until("well", async || {
        health(&client, "web").await["Status"] == "healthy"
    })
    .await;
    host.kill_agent();
    host.start();
    let client = host.client().await;
    sh(&client, "web", "true").await;
    let last = async |client: &Client| health(client, "web").await["Log"][4]["End"].clone();
    until("a full log", async || last(&client).await != Value::Null).await;
    let before = last(&client).await;
    until("one more", async || last(&client).await != before).await;
    client.pause("web").await.expect("pause");
    assert!(status(&client, "web").await.ends_with("(Paused)"));
    let frozen = health(&client, "web").await;
    assert_eq!(frozen["Status"], "healthy");
    client.unpause("web").await.expect("unpause");
    until("one more", async || {
        health(&client, "web").await["Log"] != frozen["Log"]
    })
    .await;
    assert_eq!(health(&client, "web").await["FailingStreak"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_checked_unless_asked_for_and_nonsense_is_refused() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    client.run_detached("none", checked(&["NONE"], 0)).await;
    client
        .run_detached("plain", command(&["sleep", "1000"]))
        .await;
    for name in ["none", "plain"] {
        assert_eq!(health(&client, name).await, Value::Null, "{name}");
        assert!(!status(&client, name).await.contains("health"));
    }
    assert_eq!(client.list(&["health=none"]).await.expect("list").len(), 2);
    let mut config = checked(&["CMD", "true"], 0);
    config.healthcheck.as_mut().expect("set").interval_nanos = 1;
    let error = client.create("", config).await.expect_err("too short");
    assert_eq!(
        error.message(),
        "Interval in Healthcheck cannot be less than 1ms"
    );
}
