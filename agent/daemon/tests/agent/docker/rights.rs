//! Who may do what, and the record of who did what.

use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

use super::Docker;
use super::wire::Wire;
use crate::client::IMAGE;
use crate::clients_and_strangers::{
    Authority, Identity, channel, client_config, client_config_of, host_with_tls,
};
use crate::host::{Host, PATIENCE};

/// Asks over TLS; returns the status and the body.
fn ask(host: &Host, authority: &Authority, unit: Option<&str>, line: &str) -> (u16, String) {
    let identity = Identity::from(authority.issue_for("ann", unit));
    ask_as(host, client_config(authority, Some(identity)), line)
}

/// Asks as a client that is described.
fn ask_as(host: &Host, mut config: ClientConfig, line: &str) -> (u16, String) {
    config.alpn_protocols.clear();
    let name = ServerName::try_from("machine.berth").expect("name");
    let client = ClientConnection::new(Arc::new(config), name).expect("client");
    let stream = host.connect("127.0.0.1:2376").expect("TCP");
    let mut stream = StreamOwned::new(client, stream);
    let text =
        format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(text.as_bytes()).expect("request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answer");
    let status = answer.split(' ').nth(1).expect("a status");
    (status.parse().expect("a number"), answer)
}

/// Returns the record of changes.
fn audit(host: &Host) -> Vec<Value> {
    let text = fs::read_to_string(host.path("data/audit.log")).expect("the record");
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("JSON")
}

#[test]
fn a_reader_looks_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let authority = Authority::new();
    let host = host_with_tls(&authority, folder.path());
    let docker = Docker::with_image(&host);
    docker.ok(&["run", "-d", "--name", "kept", IMAGE, "sleep", "600"]);
    docker.ok(&["create", "--name", "wait", IMAGE]);
    let reader = |line: &str| ask(&host, &authority, Some("read-only"), line);
    for line in [
        "GET /_ping",
        "GET /v1.50/containers/json",
        "GET /v1.50/containers/kept/json",
        "GET /v1.50/images/json",
        "GET /v1.50/info",
    ] {
        assert_eq!(reader(line).0, 200, "{line}");
    }
    for line in [
        "POST /v1.50/containers/kept/kill",
        "DELETE /v1.50/containers/kept?force=1",
        "POST /v1.50/containers/kept/exec",
        "POST /v1.50/images/create?fromImage=x",
        "POST /kept",
        "DELETE /v1.50/containers/wait?force=1",
        "DELETE /containers//wait",
        "PUT /containers/kept/wait",
    ] {
        let (status, answer) = reader(line);
        assert_eq!(status, 403, "{line}");
        assert!(answer.contains("read-only"), "{answer}");
    }
    assert_eq!(
        docker.ok(&["inspect", "-f", "{{.State.Running}}", "kept"]),
        "true"
    );
    docker.ok(&["inspect", "wait"]);
    let operator = ask(&host, &authority, None, "POST /v1.50/containers/kept/kill");
    assert_eq!(operator.0, 204, "{}", operator.1);
    let lines = audit(&host);
    let refused = lines.iter().filter(|line| line["result"] == "403");
    assert_eq!(refused.count(), 8);
    let last = lines.last().expect("a line");
    assert_eq!(last["who"]["certificate"], "ann");
    assert_eq!(last["call"], "POST /containers/kept/kill");
    assert_eq!(
        (&last["role"], &last["result"]),
        (&"operator".into(), &"204".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_may_not_change_over_grpc_either() {
    let folder = tempfile::tempdir().expect("folder");
    let authority = Authority::new();
    let host = host_with_tls(&authority, folder.path());
    host.client().await.import().await;
    let identity = Identity::from(authority.issue_for("ann", Some("read-only")));
    let channel = channel(&host, client_config(&authority, Some(identity))).await;
    let reader = crate::client::Client::over(channel.expect("a channel"));
    let config = crate::client::command(&["true"]);
    let refused = reader.create("", config).await.expect_err("a reader");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let request = berth_proto::v1::VersionRequest {};
    reader
        .system
        .clone()
        .version(request)
        .await
        .expect("looking");
    let lines = audit(&host);
    let calls: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| {
            (
                line["call"].as_str().unwrap_or(""),
                line["result"].as_str().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(
        calls,
        [
            ("/berth.v1.ImageService/Import", "0"),
            ("/berth.v1.ContainerService/Create", "7")
        ]
    );
}

#[test]
fn changes_over_the_unix_socket_are_recorded_by_user() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    let id = docker.ok(&["create", "--name", "made", IMAGE]);
    docker.ok(&["volume", "create", "data"]);
    let network = docker.ok(&["network", "create", "front"]);
    docker.ok(&["network", "connect", "front", "made"]);
    docker.ok(&["ps", "-a"]);
    docker.ok(&["rm", "made"]);
    docker.fails(&["rm", "made"], 1);
    let lines = audit(&host);
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or("").to_owned();
    let told: Vec<(String, String, String)> = lines
        .iter()
        .map(|line| {
            (
                text(line, "call"),
                text(line, "object"),
                text(line, "result"),
            )
        })
        .collect();
    let told: Vec<(&str, &str, &str)> = told
        .iter()
        .map(|(call, object, result)| (call.as_str(), object.as_str(), result.as_str()))
        .collect();
    let removal = "DELETE /containers/made";
    assert_eq!(told[0], ("POST /images/create", "repo=busybox:test", "200"));
    let about = format!("name=made id={id} image={IMAGE}");
    assert_eq!(told[1], ("POST /containers/create", about.as_str(), "201"));
    assert_eq!(told[2], ("POST /volumes/create", "name=data", "201"));
    let about = format!("name=front id={network}");
    assert_eq!(told[3], ("POST /networks/create", about.as_str(), "201"));
    assert_eq!((told[4].1, told[4].2), ("container=made", "200"));
    assert_eq!(
        told[5..],
        [(removal, "", "204"), (removal, "", "404")],
        "{id}"
    );
    assert!(
        lines.iter().all(|line| line["who"]["uid"] == 0),
        "{lines:?}"
    );
}

/// Runs a container that takes its time to stop.
fn run_stubborn(docker: &Docker, name: &str) {
    let script = "trap 'echo told' TERM; echo ready; sleep 600 & while :; do wait $!; done";
    docker.ok(&["run", "-d", "--name", name, IMAGE, "sh", "-c", script]);
    docker.until(&["logs", name], "ready");
}

/// Waits until a call is on record as one whose caller has gone.
fn until_cut_off(host: &Host, call: &str) {
    let deadline = Instant::now() + PATIENCE;
    let is_cut_off = |line: &Value| line["call"] == call && line["result"] == "cut off";
    while !audit(host).iter().any(is_cut_off) {
        assert!(Instant::now() < deadline, "{:?}", audit(host));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_is_on_record_as_well() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    run_stubborn(&docker, "first");
    let mut wire = Wire::new(&host);
    wire.send("POST /v1.50/containers/first/stop?t=2", "", "");
    docker.until(&["logs", "first"], "ready\ntold");
    drop(wire);
    until_cut_off(&host, "POST /containers/first/stop");

    run_stubborn(&docker, "second");
    let client = host.client().await;
    let stop = tokio::spawn(async move { client.stop("second", 2).await });
    docker.until(&["logs", "second"], "ready\ntold");
    stop.abort();
    until_cut_off(&host, "/berth.v1.ContainerService/Stop");
    // Both are done all the same.
    docker.until(&["ps", "-q"], "");
}

#[test]
fn clients_that_know_nothing_newer_than_tls_1_2_are_let_in() {
    let folder = tempfile::tempdir().expect("folder");
    let authority = Authority::new();
    let host = host_with_tls(&authority, folder.path());
    let identity = Identity::from(authority.issue_for("ann", Some("read-only")));
    let old = client_config_of(&authority, Some(identity), &[&rustls::version::TLS12]);
    assert_eq!(ask_as(&host, old.clone(), "GET /_ping").0, 200);
    assert_eq!(ask_as(&host, old, "POST /containers/prune").0, 403);
}
