//! Logs of any driver, across rotation and restarts of the agent; several clients; clients that never read.

use std::collections::HashMap;

use berth_proto::v1::attach_request::Message as Ask;
use berth_proto::v1::{self, ContainerConfig, HostConfig, wait_request::Condition};
use tonic::Code;

use crate::client::{command, everything, reason, sh, text};
use crate::host::{Host, until};

/// Lines that a script counts up to, and some of them.
const COUNT: u64 = 60_000;

fn logging(config: ContainerConfig, driver: &str, options: &[(&str, &str)]) -> ContainerConfig {
    let options: HashMap<String, String> = options
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    ContainerConfig {
        host: Some(HostConfig {
            log: Some(v1::LogConfig {
                driver: driver.to_owned(),
                options,
            }),
            ..config.host.unwrap_or_default()
        }),
        ..config
    }
}

fn numbers(text: &str) -> Vec<u64> {
    text.lines().map(|line| line.parse().expect(line)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_log_has_no_gap_across_rotation_and_the_agents_death() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let script = format!(
        "i=0; while [ $i -lt {COUNT} ]; do i=$((i+1)); echo $i; [ $((i % 2000)) = 0 ] && sleep 0.02; done; exit 0"
    );
    let options = [("max-size", "40k"), ("max-file", "2")];
    let config = logging(command(&["sh", "-c", &script]), "json-file", &options);
    let id = client.create("", config).await.expect("create");
    client.start(&id).await.expect("start");
    let mut request = everything(&id);
    request.follow = true;
    let mut seen = Vec::new();
    let mut n_deaths = 0;
    loop {
        let client = host.client().await;
        let mut log = client
            .containers
            .clone()
            .logs(request.clone())
            .await
            .expect("logs")
            .into_inner();
        let ended = loop {
            match log.message().await {
                Ok(Some(message)) => {
                    assert_eq!(message.lost_bytes, 0, "after {} lines", seen.len());
                    seen.extend(numbers(&text([message.data.as_slice()].into_iter())));
                    if !message.cursor.is_empty() {
                        request.resume = message.cursor;
                    }
                }
                Ok(None) => break true,
                Err(_cut) => break false,
            }
            let wanted = [5_000, 25_000];
            if wanted.get(n_deaths).is_some_and(|n| seen.len() > *n) {
                // In the middle of what the next messages would be.
                host.kill_agent();
                host.start();
                n_deaths += 1;
                break false;
            }
        };
        if ended {
            break;
        }
    }
    assert_eq!(n_deaths, 2);
    assert!(
        seen == (1..=COUNT).collect::<Vec<_>>(),
        "{} lines",
        seen.len()
    );
    // What is kept is little, and its end is the end.
    let kept = numbers(&host.client().await.log_text(&id).await);
    assert!(kept.len() < 20_000, "{}", kept.len());
    assert!((1..=COUNT).collect::<Vec<_>>().ends_with(&kept));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_keeps_nothing_still_serves_who_is_attached() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let config = logging(
        command(&["sh", "-c", "seq 1 300000; echo bad >&2; exit 4"]),
        "none",
        &[],
    );
    let id = client.create("", config).await.expect("create");
    let mut attached = client.attach(&id, false).await.expect("attach");
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    client.start(&id).await.expect("start");
    assert_eq!(ended.await.code, 4);
    // Nobody has read until now.
    let ran = attached.rest().await;
    assert!(numbers(&ran.stdout) == (1..=300_000).collect::<Vec<_>>());
    assert_eq!((ran.stderr.as_str(), ran.code), ("bad\n", 4));
    let error = client.logs(everything(&id)).await.expect_err("no log");
    assert_eq!(
        error.message(),
        "configured logging driver does not support reading"
    );
    assert_eq!(reason(&error), "log-not-readable");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_options_are_checked_and_told_as_details() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    for (driver, options, text) in [
        (
            "fluentd2",
            &[][..],
            "logger: no log driver named 'fluentd2' is registered",
        ),
        (
            "json-file",
            &[("size", "1")],
            "unknown log opt 'size' for json-file log driver",
        ),
    ] {
        let config = logging(command(&["true"]), driver, options);
        let error = client.create("", config).await.expect_err("refused");
        assert_eq!(
            (error.code(), error.message()),
            (Code::InvalidArgument, text)
        );
    }
    let options = [
        ("labels", "who,nobody"),
        ("env", "WHERE"),
        ("tag", "{{.Name}}/{{.ImageName}}"),
    ];
    let mut config = logging(command(&["sh", "-c", "echo line"]), "local", &options);
    config.labels = HashMap::from([("who".to_owned(), "me".to_owned())]);
    config.env = vec!["WHERE=here".to_owned()];
    let id = client.create("told", config).await.expect("create");
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    client.start(&id).await.expect("start");
    ended.await;
    let mut request = everything(&id);
    request.details = true;
    let lines = client.logs(request).await.expect("logs");
    assert_eq!(lines[0].data, b"line\n");
    assert_eq!(
        lines[0].attributes,
        ["WHERE=here", "tag=told/busybox:test", "who=me"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_choose_streams_and_none_disturbs_another() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let mut config = sh("cat; echo bad >&2; seq 1 200000");
    config.open_stdin = true;
    config.stdin_once = true;
    let id = client.create("", config).await.expect("create");
    let options = |stdin, stdout, stderr| v1::AttachOptions {
        container: id.clone(),
        stdin,
        stdout,
        stderr,
        ..Default::default()
    };
    // Never reads, as long as the container lives.
    let mut stuck = host
        .client()
        .await
        .attach_with(options(false, true, true))
        .await
        .expect("attach");
    let mut errors = client
        .attach_with(options(false, false, true))
        .await
        .expect("attach");
    let mut both = client
        .attach_with(options(true, true, true))
        .await
        .expect("attach");
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    client.start(&id).await.expect("start");
    both.type_in(b"in\n").await;
    // Half closed: output goes on.
    both.send(Ask::StdinClosed(v1::StdinClosed {})).await;
    assert_eq!(ended.await.code, 0);
    let seen = both.rest().await;
    assert!(seen.stdout.starts_with("in\n1\n2\n") && seen.stdout.ends_with("\n200000\n"));
    assert_eq!(seen.stderr, "bad\n");
    let seen = errors.rest().await;
    assert_eq!((seen.stdout.as_str(), seen.stderr.as_str()), ("", "bad\n"));
    let seen = stuck.rest().await;
    assert_eq!(
        numbers(seen.stdout.trim_start_matches("in\n")).len(),
        200_000
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_command_whose_client_never_reads_holds_up_only_itself() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .run_detached("", sh("while :; do echo tick; sleep 0.01; done"))
        .await;
    let options = v1::ExecOptions {
        container: id.clone(),
        command: vec!["yes".to_owned()],
        ..Default::default()
    };
    let request = v1::ExecRequest {
        message: Some(v1::exec_request::Message::Options(options)),
    };
    let own = host.client().await;
    let stuck = own
        .containers
        .clone()
        .exec(tokio_stream::iter([request]))
        .await
        .expect("exec");
    let ticks = async || client.log_text(&id).await.lines().count();
    let before = ticks().await;
    until("the container goes on", async || {
        ticks().await > before + 20
    })
    .await;
    let ran = client.exec(
        v1::ExecOptions {
            container: id.clone(),
            command: vec!["echo".to_owned(), "other".to_owned()],
            ..Default::default()
        },
        b"",
    );
    assert_eq!(ran.await.expect("exec").stdout, "other\n");
    drop((stuck, own));
    // Without its reader the command ends by itself or with the container; either way nothing hangs.
    client.remove(&id, true, false).await.expect("remove");
}
