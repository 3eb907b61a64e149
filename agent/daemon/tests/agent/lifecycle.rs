//! Create, start, stop, remove, list, inspect, logs.

use berth_proto::v1::{self, ContainerState, HostConfig, wait_request::Condition};
use tonic::Code;

use crate::client::{command, everything, reason, sh, text};
use crate::host::{Host, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_gives_output_and_exit_code_and_leaves_nothing() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let ran = client.sh("echo out; echo err >&2; exit 3").await;
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str(), ran.code),
        ("out\n", "err\n", 3)
    );
    assert!(client.list(&[]).await.expect("list").is_empty());
    for folder in [
        "data/containers",
        "data/snapshots/containers",
        "run/containers",
        "run/netns",
    ] {
        until(folder, async || host.names(folder).is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_goes_through_its_life() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .create("web", command(&["sleep", "100"]))
        .await
        .expect("create");
    let state = async || client.list(&[]).await.expect("list")[0].clone();
    assert_eq!(state().await.status, "Created");
    client.start("web").await.expect("start");
    let running = state().await;
    assert_eq!(
        (running.state(), running.names),
        (ContainerState::Running, vec!["web".to_owned()])
    );
    assert!(running.status.starts_with("Up "), "{}", running.status);
    client
        .start(&id[..8])
        .await
        .expect("starting what runs is fine");
    let error = client
        .remove("web", false, false)
        .await
        .expect_err("it runs");
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::FailedPrecondition, "container-running")
    );
    client.stop("web", 0).await.expect("stop");
    let ended = state().await;
    assert_eq!(ended.state(), ContainerState::Exited);
    assert!(
        ended.status.starts_with("Exited (137) "),
        "{}",
        ended.status
    );
    client
        .stop("web", 0)
        .await
        .expect("stopping what is stopped is fine");
    client.start("web").await.expect("second start");
    assert_eq!(state().await.state(), ContainerState::Running);
    client
        .remove("web", true, false)
        .await
        .expect("forced removal");
    let error = client.inspect("web").await.expect_err("it is gone");
    assert_eq!(
        (error.code(), error.message()),
        (Code::NotFound, "No such container: web")
    );
    assert!(host.names("data/containers").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_signal_is_given_time_and_obeyed() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let script = "trap 'echo bye; exit 7' USR1; echo up; while :; do sleep 0.1; done";
    let mut config = command(&["sh", "-c", script]);
    config.stop_signal = "SIGUSR1".to_owned();
    let id = client.run_detached("", config).await;
    until("up", async || client.log_text(&id).await.contains("up")).await;
    client.stop(&id, 10).await.expect("stop");
    assert_eq!(client.log_text(&id).await, "up\nbye\n");
    assert_eq!(
        client.inspect(&id).await.expect("inspect")["State"]["ExitCode"],
        7
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_taken_once_and_free_after_removal() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .create("one", command(&["true"]))
        .await
        .expect("create");
    let error = client
        .create("one", command(&["true"]))
        .await
        .expect_err("taken");
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::AlreadyExists, "name-in-use")
    );
    let expected = format!(
        "Conflict. The container name \"/one\" is already in use by container \"{id}\". You have to \
         remove (or rename) that container to be able to reuse that name."
    );
    assert_eq!(error.message(), expected);
    client.remove("one", false, false).await.expect("remove");
    client
        .create("one", command(&["true"]))
        .await
        .expect("free again");
    for name in ["x", "-ab", "a/b"] {
        let error = client
            .create(name, command(&["true"]))
            .await
            .expect_err(name);
        assert_eq!(error.code(), Code::InvalidArgument);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_do_not_disturb_each_other() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let runs = (0..12).map(|n| {
        let client = client.clone();
        tokio::spawn(async move { (n, client.sh(&format!("echo {n}; exit {n}")).await) })
    });
    for run in futures::future::join_all(runs).await {
        let (n, ran) = run.expect("run");
        assert_eq!((ran.stdout, ran.code), (format!("{n}\n"), n));
    }
    // Two removals of one container: one does it, the other says that it is done or being done.
    let id = client.run_detached("", command(&["sleep", "100"])).await;
    let (first, second) = tokio::join!(
        client.remove(&id, true, false),
        client.remove(&id, true, false)
    );
    assert!(first.is_ok() || second.is_ok());
    assert!(client.list(&[]).await.expect("list").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_answer_when_their_condition_holds() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .create("", command(&["sh", "-c", "exit 4"]))
        .await
        .expect("create");
    let idle = client.wait(&id, Condition::NotRunning).await.expect("wait");
    assert_eq!(idle.await.code, 0);
    let next = client.wait(&id, Condition::NextExit).await.expect("wait");
    let removed = client.wait(&id, Condition::Removed).await.expect("wait");
    client.start(&id).await.expect("start");
    assert_eq!(next.await.code, 4);
    client.remove(&id, false, false).await.expect("remove");
    assert_eq!(removed.await.code, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_split_cut_and_followed() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let script = "for n in 1 2 3; do echo $n; done; echo bad >&2; printf rest";
    let id = client
        .create("", command(&["sh", "-c", script]))
        .await
        .expect("create");
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    client.start(&id).await.expect("start");
    ended.await;
    let mut request = everything(&id);
    request.stderr = false;
    let lines = client.logs(request.clone()).await.expect("logs");
    assert_eq!(
        text(lines.iter().map(|l| l.data.as_slice())),
        "1\n2\n3\nrest"
    );
    request.tail_lines = Some(2);
    let lines = client.logs(request).await.expect("logs");
    assert_eq!(text(lines.iter().map(|l| l.data.as_slice())), "3\nrest");

    let id = client
        .run_detached("", command(&["sh", "-c", "echo a; read x < /fifo; echo b"]))
        .await;
    client.remove(&id, true, false).await.expect("remove");
    let script = "echo first; while ! test -e /go; do sleep 0.05; done; echo last";
    let id = client
        .run_detached("", command(&["sh", "-c", script]))
        .await;
    let mut request = everything(&id);
    request.follow = true;
    let mut answers = client
        .containers
        .clone()
        .logs(request)
        .await
        .expect("logs")
        .into_inner();
    // One without lines tells where the follower is.
    let mut first = answers.message().await.expect("no error").expect("a line");
    while first.data.is_empty() {
        first = answers.message().await.expect("no error").expect("a line");
    }
    assert_eq!(first.data, b"first\n");
    let exec = v1::ExecOptions {
        container: id.clone(),
        command: vec!["touch".to_owned(), "/go".to_owned()],
        ..Default::default()
    };
    client.exec(exec, b"").await.expect("exec");
    let last = answers.message().await.expect("no error").expect("a line");
    assert_eq!(last.data, b"last\n");
    assert!(
        answers.message().await.expect("no error").is_none(),
        "the log ends with the container"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_and_filters_tell_what_was_asked_for() {
    let host = Host::new();
    let client = host.client().await;
    let image = client.import().await;
    let mut config = command(&["sleep", "100"]);
    config.labels.insert("tier".to_owned(), "db".to_owned());
    config.env = vec!["A=1".to_owned()];
    config.host = Some(HostConfig {
        memory_bytes: 64 << 20,
        ..Default::default()
    });
    let id = client.run_detached("db", config).await;
    client
        .create("idle", command(&["true"]))
        .await
        .expect("create");
    let object = client.inspect("db").await.expect("inspect");
    assert_eq!(object["Id"], id.as_str());
    assert_eq!(object["Name"], "/db");
    assert_eq!(object["Image"], image.as_str());
    assert_eq!(object["State"]["Running"], true);
    assert_eq!(object["Config"]["Labels"]["tier"], "db");
    assert_eq!(object["Config"]["Hostname"], &id[..12]);
    assert_eq!(object["HostConfig"]["Memory"], 64 << 20);
    assert!(object["State"]["Pid"].as_i64().expect("pid") > 1);
    let names = async |filter: &str| -> Vec<String> {
        let found = client.list(&[filter]).await.expect(filter);
        found
            .into_iter()
            .flat_map(|container| container.names)
            .collect()
    };
    assert_eq!(names("label=tier=db").await, ["db"]);
    assert_eq!(names("status=created").await, ["idle"]);
    assert_eq!(names("name=d").await, ["idle", "db"]);
    assert_eq!(names("ancestor=busybox:test").await, ["idle", "db"]);
    let error = client
        .list(&["colour=red"])
        .await
        .expect_err("no such filter");
    assert_eq!(error.message(), "invalid filter 'colour'");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_dockers_words_and_codes() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let mut missing = command(&["true"]);
    missing.image = "nowhere".to_owned();
    let error = client.create("", missing).await.expect_err("no image");
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::NotFound, "image-not-found")
    );
    assert_eq!(error.message(), "No such image: nowhere:latest");

    let error = client
        .run(command(&["nosuch"]))
        .await
        .expect_err("no command");
    assert_eq!(reason(&error), "command-not-found");
    assert!(error.message().contains("nosuch"), "{}", error.message());
    let failed = client.list(&["status=created"]).await.expect("list");
    let object = client.inspect(&failed[0].id).await.expect("inspect");
    assert_eq!(object["State"]["ExitCode"], 127);
    assert_eq!(host.names("run/netns"), Vec::<String>::new());

    let error = client
        .run(command(&["/etc/not-executable"]))
        .await
        .expect_err("not executable");
    assert_eq!(reason(&error), "command-not-executable");
    let mut vanishing = sh("true");
    vanishing.user = "nobody-here".to_owned();
    let error = client.run(vanishing).await.expect_err("no user");
    assert_eq!(reason(&error), "user-not-found");
    let error = client.kill("nothing", "").await.expect_err("no container");
    assert_eq!(error.message(), "No such container: nothing");
    let id = client.create("", command(&["true"])).await.expect("create");
    let error = client.kill(&id, "").await.expect_err("it does not run");
    assert_eq!(
        error.message(),
        format!("cannot kill container: {id}: container {id} is not running")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_goes_on_without_its_client() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let script = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.02; done";
    let id = client.run_detached("deaf", sh(script)).await;
    until("the trap", async || {
        client.log_text(&id).await.contains("ready")
    })
    .await;
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    let stopping = tokio::spawn({
        let (client, id) = (client.clone(), id.clone());
        async move { client.stop(&id, 1).await }
    });
    until("the signal", async || {
        client.log_text(&id).await.contains("asked")
    })
    .await;
    stopping.abort();
    assert_eq!(ended.await.code, 137);
}
