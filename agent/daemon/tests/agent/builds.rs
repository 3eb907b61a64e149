//! Builds over the wire: commands in real containers, steps that outlive the agent.

use std::collections::HashMap;

use berth_proto::v1::build_request::Message as Ask;
use berth_proto::v1::build_response::Message as Answer;
use berth_proto::v1::build_service_client::BuildServiceClient;
use berth_proto::v1::build_step::Status as StepStatus;
use berth_proto::v1::{BuildOptions, BuildRequest};
use berth_proto::{MAX_MESSAGE_BYTES, REASON_TRAILER};
use hyper_util::rt::TokioIo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};
use tower::service_fn;

use crate::client::command;
use crate::host::{Host, until};
use crate::image;

/// What a build said and gave.
#[derive(Debug, Default)]
struct Built {
    image: String,
    output: String,
    cached: Vec<String>,
}

async fn builds(host: &Host) -> BuildServiceClient<Channel> {
    let path = host.path("run/berthd.sock");
    let connect = service_fn(move |_uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://agent")
        .connect_with_connector(connect)
        .await;
    BuildServiceClient::new(channel.expect("the agent's socket"))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
}

/// Sends a context that holds a root filesystem to add, and the Dockerfile beside it.
async fn start(
    host: &Host,
    dockerfile: &str,
) -> Result<Streaming<berth_proto::v1::BuildResponse>, Status> {
    let mut archive = tar::Builder::new(Vec::new());
    let root = image::busybox();
    let mut header = tar::Header::new_gnu();
    header.set_size(root.len() as u64);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, "root.tar", root.as_slice())
        .expect("entry");
    let context = archive.into_inner().expect("archive");
    let options = BuildOptions {
        tags: vec!["built:test".to_owned()],
        dockerfile_text: Some(dockerfile.as_bytes().to_vec()),
        build_args: HashMap::from([("FROM_OUTSIDE".to_owned(), "given".to_owned())]),
        ..Default::default()
    };
    let mut requests = vec![BuildRequest {
        message: Some(Ask::Options(options)),
    }];
    let chunks = context.chunks(64 * 1024);
    requests.extend(chunks.map(|chunk| BuildRequest {
        message: Some(Ask::Context(chunk.to_vec())),
    }));
    let requests = tokio_stream::iter(requests);
    Ok(builds(host).await.build(requests).await?.into_inner())
}

async fn build(host: &Host, dockerfile: &str) -> Result<Built, Status> {
    let mut answers = start(host, dockerfile).await?;
    let mut built = Built::default();
    while let Some(answer) = answers.message().await? {
        match answer.message.expect("a message") {
            Answer::Step(step) if step.status() == StepStatus::Cached => {
                built.cached.push(step.instruction);
            }
            Answer::Step(_) | Answer::Warning(_) => {}
            Answer::Output(output) => {
                built
                    .output
                    .push_str(&String::from_utf8_lossy(&output.data));
            }
            Answer::Done(done) => built.image = done.image_id,
        }
    }
    Ok(built)
}

/// Waits until all that builds made, but for their images, is gone: commands, files, contexts.
async fn nothing_is_left(host: &Host) {
    until("the build's leftovers go", async || {
        [
            "run/containers",
            "data/steps",
            "data/build",
            "data/snapshots/containers",
        ]
        .iter()
        .all(|folder| host.names(folder).is_empty())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_a_build_run_in_containers_and_the_image_runs() {
    let host = Host::new();
    let dockerfile = "FROM scratch\nADD root.tar /\nARG FROM_OUTSIDE\nWORKDIR /srv\n\
        RUN echo $FROM_OUTSIDE $PWD $(id -u) $$ > made\nUSER app\n\
        RUN id -u && id -g && echo $HOME\nRUN --network=none ls /sys/class/net\n\
        RUN <<EOF\n#!/bin/cat\na script\nEOF\n\
        USER root\nCMD [\"cat\", \"/srv/made\"]\n";
    let built = build(&host, dockerfile).await.expect("built");
    assert_eq!(
        built.output,
        "1000\n1001\n/home/app\nlo\n#!/bin/cat\na script\n"
    );
    let config = berth_proto::v1::ContainerConfig {
        image: "built:test".to_owned(),
        ..command(&[])
    };
    let ran = host.client().await.run(config).await.expect("ran");
    assert_eq!((ran.stdout.as_str(), ran.code), ("given /srv 0 1\n", 0));
    let again = build(&host, dockerfile).await.expect("built");
    assert_eq!(again.image, built.image);
    assert_eq!(again.output, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_command_gives_its_exit_code_and_line() {
    let host = Host::new();
    let status = build(&host, "FROM scratch\nADD root.tar /\nRUN echo no; exit 3\n")
        .await
        .expect_err("failed");
    assert!(
        status
            .message()
            .starts_with("Dockerfile:3: RUN echo no; exit 3: "),
        "{status:?}"
    );
    let trailer = |name: &str| {
        status
            .metadata()
            .get(name)
            .map(|value| value.as_bytes().to_vec())
    };
    assert_eq!(
        trailer(REASON_TRAILER).as_deref(),
        Some(b"build-failed".as_slice())
    );
    assert_eq!(trailer("berth-exit-code").as_deref(), Some(b"3".as_slice()));
    nothing_is_left(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_while_it_builds_leaves_nothing_and_keeps_the_steps_done() {
    let mut host = Host::new();
    let dockerfile = "FROM scratch\nADD root.tar /\nRUN echo first\nRUN echo second; \
        if test -e /stop; then exit; fi; sleep 1000\n";
    let mut answers = start(&host, dockerfile).await.expect("started");
    let mut output = String::new();
    while !output.contains("second") {
        if let Some(Answer::Output(piece)) = answers
            .message()
            .await
            .expect("answer")
            .expect("more")
            .message
        {
            output.push_str(&String::from_utf8_lossy(&piece.data));
        }
    }
    host.kill_agent();
    drop(answers);
    host.start();
    // Recovery is over when the first call is answered.
    let built = build(
        &host,
        "FROM scratch\nADD root.tar /\nRUN echo first\nRUN echo third\n",
    );
    let built = built.await.expect("built");
    assert_eq!(built.cached, ["ADD root.tar /", "RUN echo first"]);
    assert_eq!(built.output, "third\n");
    nothing_is_left(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_build() {
    let host = Host::new();
    let mut answers = start(
        &host,
        "FROM scratch\nADD root.tar /\nRUN echo on; sleep 1000\n",
    )
    .await
    .expect("started");
    loop {
        let answer = answers.message().await.expect("answer").expect("more");
        if matches!(answer.message, Some(Answer::Output(_))) {
            break;
        }
    }
    drop(answers);
    nothing_is_left(&host).await;
}

/// Finds the process that was started for a container, whose key is its last argument.
fn supervisor_of(key: &str) -> Pid {
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_it = |pid: &i32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with("berthd") && line.trim_end_matches('\0').ends_with(key)
    };
    Pid::from_raw(pids.find(is_it).expect("a supervisor"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_a_build_that_cannot_be_ended_keeps_its_files_until_it_is() {
    let mut host = Host::new();
    let dockerfile = "FROM scratch\nADD root.tar /\nRUN echo on; sleep 1000\n";
    let mut answers = start(&host, dockerfile).await.expect("started");
    loop {
        let answer = answers.message().await.expect("answer").expect("more");
        if matches!(answer.message, Some(Answer::Output(_))) {
            break;
        }
    }
    let steps = host.names("data/steps");
    let supervisor = supervisor_of(&steps[0]);
    kill(supervisor, Signal::SIGSTOP).expect("stop");
    host.kill_agent();
    drop(answers);
    host.start();
    host.client().await.list(&[]).await.expect("list");
    let kept = [
        host.names("data/steps"),
        host.names("run/containers"),
        host.names("data/snapshots/containers"),
    ];
    kill(supervisor, Signal::SIGCONT).expect("continue");
    assert_eq!(kept, [steps.clone(), steps.clone(), steps]);
    nothing_is_left(&host).await;
    until("the supervisor ends", async || {
        kill(supervisor, None).is_err()
    })
    .await;
}
