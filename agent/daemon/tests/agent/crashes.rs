//! The agent dies at bad moments; containers do not, and nothing half-made stays.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

use berth_proto::v1::wait_request::Condition;
use berth_proto::v1::{ContainerConfig, ContainerState, HostConfig};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::{command, everything, sh};
use crate::host::{Host, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_outlives_the_agent_with_its_output_and_exit_code() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let script = "n=0; while ! test -e /tmp/stop; do n=$((n+1)); echo $n; sleep 0.01; done; echo end; exit 42";
    let config = ContainerConfig {
        open_stdin: true,
        ..command(&["sh", "-c", script])
    };
    let id = client.run_detached("worker", config).await;
    until("output", async || {
        client.log_text(&id).await.contains("3\n")
    })
    .await;
    let pid = client.inspect(&id).await.expect("inspect")["State"]["Pid"].clone();
    host.kill_agent();
    host.start();
    let client = host.client().await;
    let object = client.inspect("worker").await.expect("inspect");
    assert_eq!(object["State"]["Status"], "running");
    assert_eq!(object["State"]["Pid"], pid);
    let mut attached = client.attach(&id, false).await.expect("attach");
    attached.read_until("\n").await;
    let exec = berth_proto::v1::ExecOptions {
        container: id.clone(),
        command: vec!["touch".to_owned(), "/tmp/stop".to_owned()],
        ..Default::default()
    };
    // Its own code may be that of the container's end, which it brings about.
    client.exec(exec, b"").await.expect("exec");
    assert_eq!(attached.rest().await.code, 42);
    let log = client.log_text(&id).await;
    let counted = log.lines().take_while(|line| *line != "end").enumerate();
    assert!(
        counted
            .clone()
            .all(|(index, line)| line == (index + 1).to_string()),
        "{log}"
    );
    assert!(log.ends_with("end\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_the_agent_was_away_is_told_and_removed_if_asked() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let script = "while test ! -e /mnt/go; do sleep 0.01; done; echo late; exit 17";
    let folder = host.path("shared");
    std::fs::create_dir(&folder).expect("folder");
    let binds = vec![format!("{}:/mnt", folder.display())];
    let kept = ContainerConfig {
        host: Some(HostConfig {
            binds: binds.clone(),
            ..Default::default()
        }),
        ..command(&["sh", "-c", script])
    };
    let vanishing = ContainerConfig {
        host: Some(HostConfig {
            binds,
            auto_remove: true,
            ..Default::default()
        }),
        ..command(&["sh", "-c", script])
    };
    let kept = client.run_detached("kept", kept).await;
    client.run_detached("vanishing", vanishing).await;
    host.kill_agent();
    std::fs::write(folder.join("go"), "").expect("signal");
    let record = host.path("data/containers").join(&kept).join("exit.json");
    until("the exit record", async || record.exists()).await;
    host.start();
    let client = host.client().await;
    let listed = client.list(&[]).await.expect("list");
    let names: Vec<_> = listed
        .iter()
        .flat_map(|container| &container.names)
        .collect();
    assert_eq!(names, ["kept"]);
    assert_eq!(listed[0].state(), ContainerState::Exited);
    assert!(
        listed[0].status.starts_with("Exited (17)"),
        "{}",
        listed[0].status
    );
    assert_eq!(client.log_text(&kept).await, "late\n");
    let request = berth_proto::v1::EventsRequest {
        since: Some(std::time::SystemTime::UNIX_EPOCH.into()),
        until: Some(std::time::SystemTime::now().into()),
        filters: vec!["event=die".to_owned()],
    };
    let mut events = client.system.clone().events(request).await;
    let events = events.as_mut().expect("events").get_mut();
    let mut told = Vec::new();
    while let Some(event) = events.message().await.expect("no error") {
        told.push((
            event.attributes["name"].clone(),
            event.attributes["exitCode"].clone(),
        ));
    }
    told.sort();
    let code = || "17".to_owned();
    assert_eq!(
        told,
        [
            ("kept".to_owned(), code()),
            ("vanishing".to_owned(), code())
        ]
    );
    assert_eq!(host.names("data/containers"), std::slice::from_ref(&kept));
    assert_eq!(host.names("data/snapshots/containers").len(), 1);
    client
        .create("vanishing", command(&["true"]))
        .await
        .expect("the name is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_leaves_containers_alone() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client.run_detached("", command(&["sleep", "100"])).await;
    let mut request = everything(&id);
    request.follow = true;
    let _follower = client.containers.clone().logs(request).await.expect("logs");
    assert!(host.stop_agent());
    host.start();
    let client = host.client().await;
    assert_eq!(
        client.list(&["status=running"]).await.expect("list").len(),
        1
    );
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    client.kill(&id, "KILL").await.expect("kill");
    assert_eq!(ended.await.code, 137);
}

/// Returns the process that looks after a container whose first process is `pid`.
fn supervisor(pid: &serde_json::Value) -> Pid {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    Pid::from_raw(parent.expect("PPid").trim().parse().expect("pid"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_client_leaves_while_it_is_started_does_not_run_for_ever() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .run_detached("slow", command(&["sleep", "100"]))
        .await;
    let object = client.inspect(&id).await.expect("inspect");
    let supervisor = supervisor(&object["State"]["Pid"]);
    kill(supervisor, Signal::SIGSTOP).expect("stop");
    let exec = berth_proto::v1::ExecOptions {
        container: id.clone(),
        command: vec!["true".to_owned()],
        ..Default::default()
    };
    let leaving = {
        let client = client.clone();
        tokio::spawn(async move { drop(client.exec(exec, b"").await) })
    };
    let n_running = async || {
        let object = client.inspect(&id).await.expect("inspect");
        object["ExecIDs"].as_array().map_or(0, Vec::len)
    };
    until("its start", async || n_running().await == 1).await;
    leaving.abort();
    // On the same connection: when this is answered, the agent has been told of the other.
    assert_eq!(n_running().await, 1);
    kill(supervisor, Signal::SIGCONT).expect("continue");
    until("its end", async || n_running().await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_whose_supervisor_does_not_answer_is_kept_until_it_does() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .run_detached("mute", command(&["sleep", "100"]))
        .await;
    let pid = client.inspect(&id).await.expect("inspect")["State"]["Pid"].clone();
    let supervisor = supervisor(&pid);
    kill(supervisor, Signal::SIGSTOP).expect("stop");
    host.kill_agent();
    host.start();
    let client = host.client().await;
    let listed = client.list(&["status=running"]).await.expect("list");
    let error = client.remove(&id, true, false).await.expect_err("remove");
    let attached = client.attach(&id, false).await.err().expect("attach");
    let folders = host.names("data/containers");
    kill(supervisor, Signal::SIGCONT).expect("continue");
    assert_eq!(listed.len(), 1);
    assert!(
        error.message().contains("does not answer"),
        "{}",
        error.message()
    );
    assert!(attached.message().contains("does not answer"), "{attached}");
    assert_eq!(folders, std::slice::from_ref(&id));
    until("the removal", async || {
        client.remove(&id, true, false).await.is_ok()
    })
    .await;
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

/// Has a supervisor freeze or thaw its container, as an agent does that is killed before it has noted it.
fn freeze(host: &Host, id: &str, frozen: bool) {
    // The socket's own path may be longer than an address.
    let folder = File::open(host.path("run/containers").join(id)).expect("run directory");
    let path = format!("/proc/self/fd/{}/supervisor.sock", folder.as_raw_fd());
    let mut connection = UnixStream::connect(path).expect("supervisor");
    let json = format!("{{\"freeze\":{{\"frozen\":{frozen}}}}}");
    let length = u32::try_from(json.len()).expect("length");
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend(0_u32.to_le_bytes());
    frame.extend(json.bytes());
    connection.write_all(&frame).expect("request");
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).expect("answer");
    assert!(answer.ends_with(b"\"done\""), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_the_agent_was_killed_over_is_known_to_the_next() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .run_detached("frozen", command(&["sleep", "100"]))
        .await;
    let mut states = Vec::new();
    for frozen in [true, false, true] {
        freeze(&host, &id, frozen);
        host.kill_agent();
        host.start();
        let object = host.client().await.inspect(&id).await.expect("inspect");
        states.push(object["State"]["Status"].clone());
    }
    assert_eq!(states, ["paused", "running", "paused"]);
    let client = host.client().await;
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    client.stop(&id, 0).await.expect("stop");
    assert_eq!(ended.await.code, 137);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_never_ran_and_cannot_be_asked_after_is_what_it_was() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let config = ContainerConfig {
        host: Some(HostConfig {
            auto_remove: true,
            ..Default::default()
        }),
        ..sh("exit 3")
    };
    let id = client.create("new", config).await.expect("create");
    host.kill_agent();
    // As a supervisor does that is being started, or cleans up.
    let claim = File::open(host.path("data/containers").join(&id)).expect("folder");
    claim.lock().expect("lock");
    host.start();
    let client = host.client().await;
    let taken = client.list(&[]).await.expect("list")[0].state();
    drop(claim);
    assert_eq!(taken, ContainerState::Running);
    until("the supervisor is known to be gone", async || {
        let listed = client.list(&[]).await.expect("list");
        listed.first().map(berth_proto::v1::ContainerSummary::state)
            != Some(ContainerState::Running)
    })
    .await;
    let listed = client.list(&[]).await.expect("list");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].state(), ContainerState::Created);
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    client.start(&id).await.expect("start");
    assert_eq!(ended.await.code, 3);
}
