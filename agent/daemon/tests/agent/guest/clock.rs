//! The machine's clock is set back by a day, and forward again: whatever waits goes on waiting as long as it should, and
//! what has a time is found by it.

use berth_proto::v1::wait_request::Condition;
use berth_proto::v1::{self, ContainerConfig, HealthConfig, HostConfig, RestartPolicy};
use serde_json::Value;

use super::{Guest, LONG, as_root, root_config, until};
use crate::client::{Client, command, everything, text};
use crate::robust::mix::COUNTER;

const DAY_SECONDS: i64 = 86_400;
const SECOND_NANOS: i64 = 1_000_000_000;

async fn inspect(client: &Client, name: &str) -> Value {
    client.inspect(name).await.expect("inspect")
}

async fn n_restarts(client: &Client, name: &str) -> i64 {
    inspect(client, name).await["RestartCount"]
        .as_i64()
        .expect("a number")
}

/// Starts a container that ends at once and is started again and again.
async fn failing(client: &Client, name: &str) {
    let config = ContainerConfig {
        host: Some(HostConfig {
            restart_policy: Some(RestartPolicy {
                name: "always".to_owned(),
                maximum_retry_count: 0,
            }),
            network_mode: "none".to_owned(),
            ..Default::default()
        }),
        ..command(&["false"])
    };
    client.run_detached(name, config).await;
}

/// Starts a container that is looked at every second.
async fn checked(client: &Client) {
    let config = ContainerConfig {
        healthcheck: Some(HealthConfig {
            test: vec!["CMD".to_owned(), "true".to_owned()],
            interval_nanos: SECOND_NANOS,
            timeout_nanos: 60 * SECOND_NANOS,
            ..Default::default()
        }),
        ..command(&["sleep", "100000"])
    };
    client.run_detached("checked", config).await;
}

/// Returns when a container was last looked at.
async fn last_check(client: &Client) -> Value {
    let object = inspect(client, "checked").await;
    let checks = object["State"]["Health"]["Log"].as_array().cloned();
    checks
        .unwrap_or_default()
        .last()
        .map_or(Value::Null, |check| check["Start"].clone())
}

/// Returns what shifts the clock.
fn shift(seconds: i64) -> String {
    format!("busybox date -s @$(( $(busybox date +%s) + {seconds} )) && echo set")
}

async fn shift_clock(client: &Client, seconds: i64) {
    let ran = as_root(client, &shift(seconds)).await;
    assert!(ran.stdout.ends_with("set\n"), "{ran:?}");
}

/// Sets the clock back by a day and kills the agent at once.
async fn die_a_day_ago(client: &Client) {
    let script = format!(
        "{} && kill -9 $(cat /host/run/berth/berthd.pid)",
        shift(-DAY_SECONDS)
    );
    let id = client
        .create("", root_config(&script))
        .await
        .expect("create");
    let request = v1::WaitRequest {
        container: id.clone(),
        condition: Condition::NextExit.into(),
    };
    let ends = client.containers.clone().wait(request).await;
    let mut ends = ends.expect("wait").into_inner();
    ends.message().await.expect("that it waits");
    // It may be dead before it can answer.
    drop(client.start(&id).await);
    let end = tokio::time::timeout(LONG, ends.message()).await;
    end.expect("an end in time").expect_err("the agent lives");
}

/// Returns the guest's time in seconds.
async fn now(client: &Client) -> i64 {
    let ran = as_root(client, "busybox date +%s").await;
    ran.stdout.trim().parse().expect("a number")
}

async fn exec(client: Client, script: &'static str) -> crate::client::Ran {
    let options = v1::ExecOptions {
        container: "counter".to_owned(),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        ..Default::default()
    };
    client.exec(options, b"").await.expect("exec")
}

/// New lines are found by their times although older ones have times that are still to come, or the other way round.
async fn lines_have_times(client: &Client) {
    let time = now(client).await;
    until("lines of the new time", async || {
        let mut request = v1::LogsRequest {
            since: Some(Default::default()),
            until: Some(Default::default()),
            ..everything("counter")
        };
        for (bound, seconds) in [
            (&mut request.since, time),
            (&mut request.until, time + 3600),
        ] {
            bound.get_or_insert_default().seconds = seconds;
        }
        let lines = client.logs(request).await.expect("logs");
        text(lines.iter().map(|line| line.data.as_slice()))
            .lines()
            .count()
            >= 3
    })
    .await;
}

async fn shifted(client: &Client, seconds: i64) {
    let name = format!("failing{}", seconds.signum());
    failing(client, &name).await;
    until("restarts before", async || {
        n_restarts(client, &name).await >= 2
    })
    .await;
    let running = tokio::spawn(exec(client.clone(), "sleep 3; echo over"));
    let checked_before = last_check(client).await;
    shift_clock(client, seconds).await;
    let restarts = n_restarts(client, &name).await;
    assert_eq!(running.await.expect("exec").stdout, "over\n");
    lines_have_times(client).await;
    until("another check", async || {
        last_check(client).await != checked_before
    })
    .await;
    let health = inspect(client, "checked").await["State"]["Health"]["Status"].clone();
    assert_eq!(health, "healthy");
    until("restarts after", async || {
        n_restarts(client, &name).await > restarts + 1
    })
    .await;
    // It ignores what it is asked, and is killed after a second.
    let stopped = tokio::time::timeout(LONG / 4, client.stop("stubborn", 1)).await;
    stopped.expect("in time").expect("stop");
    assert_eq!(inspect(client, "stubborn").await["State"]["ExitCode"], 137);
    client.start("stubborn").await.expect("start");
    client.remove(&name, true, true).await.expect("remove");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn a_clock_that_is_set_back_or_forward_stops_nothing() {
    let guest = Guest::new();
    let client = guest.client().await;
    client.import().await;
    client
        .run_detached("counter", command(&["sh", "-c", COUNTER]))
        .await;
    let ignoring = "trap '' TERM; while :; do sleep 1; done";
    client
        .run_detached("stubborn", command(&["sh", "-c", ignoring]))
        .await;
    checked(&client).await;
    until("the first check", async || {
        last_check(&client).await != Value::Null
    })
    .await;
    shifted(&client, -DAY_SECONDS).await;
    shifted(&client, DAY_SECONDS).await;
    // An agent that comes after one that died, and a clock that says that the pause has a day to go.
    failing(&client, "waiting").await;
    until("a long pause", async || {
        n_restarts(&client, "waiting").await >= 6
    })
    .await;
    die_a_day_ago(&client).await;
    drop(client);
    let client = guest.client().await;
    let restarts = n_restarts(&client, "waiting").await;
    until("a restart by the next agent", async || {
        n_restarts(&client, "waiting").await > restarts
    })
    .await;
    assert_eq!(inspect(&client, "counter").await["State"]["Running"], true);
    lines_have_times(&client).await;
}
