//! Differences, whole file systems, and images made of containers.

use std::net::TcpListener;

use berth_proto::v1::{
    ChangesRequest, CommitRequest, ContainerConfig, ExportRequest, HostConfig, ImportOptions,
    ImportRequest, InspectImageRequest, ListImagesRequest, change, import_request,
};
use serde_json::Value;
use tonic::Status;

use super::{Files, members, sleeper, with_host};
use crate::client::{Client, IMAGE, command, reason};
use crate::host::{Host, until};

async fn changes(files: &Files, container: &str) -> Vec<String> {
    let request = ChangesRequest {
        container: container.to_owned(),
    };
    let answer = files.service.clone().changes(request).await.expect("diff");
    let line = |change: berth_proto::v1::Change| {
        let letter = match change.kind() {
            change::Kind::Modified => 'C',
            change::Kind::Added => 'A',
            change::Kind::Deleted => 'D',
        };
        format!("{letter} {}", change.path)
    };
    answer.into_inner().changes.into_iter().map(line).collect()
}

async fn export(files: &Files, container: &str) -> Vec<u8> {
    let request = ExportRequest {
        container: container.to_owned(),
    };
    let mut answers = files
        .service
        .clone()
        .export(request)
        .await
        .expect("export")
        .into_inner();
    let mut bytes = Vec::new();
    while let Some(answer) = answers.message().await.expect("chunk") {
        bytes.extend(answer.chunk);
    }
    bytes
}

fn request(container: &str, reference: &str) -> CommitRequest {
    CommitRequest {
        container: container.to_owned(),
        reference: reference.to_owned(),
        pause: true,
        ..Default::default()
    }
}

async fn commit(files: &Files, request: CommitRequest) -> Result<String, Status> {
    let answer = files.service.clone().commit(request).await?;
    Ok(answer.into_inner().image_id)
}

async fn inspect(client: &Client, image: &str) -> Value {
    let request = InspectImageRequest {
        name: image.to_owned(),
    };
    let answer = client.images.clone().inspect(request).await.expect("image");
    serde_json::from_str(&answer.into_inner().json).expect("JSON")
}

/// Waits until the container's script has written its last file.
async fn ready(files: &Files, container: &str) {
    until("the script", async || {
        files.get(container, "/ready").await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_and_exports_are_about_the_root_file_system_alone() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let script = "echo x >/data/new; echo y >>/etc/passwd; rm /etc/not-executable; mkdir /tmp/d; \
                  echo z >/v/in-volume; ln /data/new /data/also; >/ready; exec sleep 1000";
    let config = ContainerConfig {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        ..with_host(HostConfig {
            binds: vec!["volume:/v".to_owned()],
            ..Default::default()
        })
    };
    let id = client.run_detached("box", config).await;
    ready(&files, &id).await;
    let expected = [
        "C /data",
        "A /data/also",
        "A /data/new",
        "C /etc",
        "D /etc/not-executable",
        "C /etc/passwd",
        "A /ready",
        "C /tmp",
        "A /tmp/d",
        "A /v",
    ];
    assert_eq!(changes(&files, &id).await, expected);
    let running = export(&files, &id).await;
    let found = members(&running);
    assert_eq!(found["data/new"], "1 644 0:0 data/also");
    assert!(found.contains_key("bin/busybox") && found.contains_key("v/"));
    for absent in ["v/in-volume", "etc/not-executable", "proc/1/", "./"] {
        assert!(!found.contains_key(absent), "{absent}");
    }
    client.kill(&id, "KILL").await.expect("kill");
    client
        .wait(&id, berth_proto::v1::wait_request::Condition::NotRunning)
        .await
        .expect("wait")
        .await;
    assert_eq!(changes(&files, &id).await, expected);
    assert!(
        export(&files, &id).await == running,
        "the same when stopped"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_a_container_has_its_files_and_configuration_with_changes() {
    let host = Host::new();
    let client = host.client().await;
    let base = client.import().await;
    let files = Files::of(&client);
    let script = "echo x >/data/new; rm /data/from-image; >/ready; exec sleep 1000";
    let mut config = command(&["sh", "-c", script]);
    config.env = vec!["A=1".to_owned(), "B=1".to_owned()];
    config.labels = [("own".to_owned(), "1".to_owned())].into();
    let id = client.run_detached("box", config).await;
    ready(&files, &id).await;
    let asked = CommitRequest {
        author: "me".to_owned(),
        message: "a remark".to_owned(),
        changes: [
            "ENV B=2 C=3",
            "LABEL new=2",
            r#"CMD ["cat", "/data/new"]"#,
            "WORKDIR /data",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..request(&id, "mine:1")
    };
    let image = commit(&files, asked).await.expect("commit");
    assert!(image.starts_with("sha256:") && image.len() == 71, "{image}");
    let state = client.inspect(&id).await.expect("inspect")["State"].clone();
    assert_eq!(
        (&state["Status"], &state["Paused"]),
        (&"running".into(), &false.into())
    );
    let (made, of_base) = (
        inspect(&client, "mine:1").await,
        inspect(&client, IMAGE).await,
    );
    assert_eq!(made["Id"], image);
    assert_eq!(made["Parent"], base);
    assert_eq!(
        (&made["Author"], &made["Comment"]),
        (&"me".into(), &"a remark".into())
    );
    let config = &made["Config"];
    let env: Vec<&str> = config["Env"]
        .as_array()
        .expect("variables")
        .iter()
        .filter_map(Value::as_str)
        .filter(|line| !line.starts_with("PATH="))
        .collect();
    assert_eq!(env, ["B=2", "C=3", "A=1"]);
    assert_eq!(config["Cmd"], serde_json::json!(["cat", "/data/new"]));
    assert_eq!(
        config["Labels"],
        serde_json::json!({"own": "1", "new": "2"})
    );
    assert_eq!(config["WorkingDir"], "/data");
    let layers = |image: &Value| {
        image["RootFS"]["Layers"]
            .as_array()
            .cloned()
            .expect("layers")
    };
    assert_eq!(layers(&made)[..1], layers(&of_base)[..]);
    assert_eq!(layers(&made).len(), 2);
    // Its own command runs, and what was deleted is gone.
    let mut config = command(&[]);
    config.image = "mine:1".to_owned();
    assert_eq!(client.run(config).await.expect("run").stdout, "x\n");
    let mut config = command(&["ls", "/data"]);
    config.image = image;
    assert_eq!(client.run(config).await.expect("run").stdout, "new\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_fail_say_why_and_let_the_container_run_on() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let id = client.run_detached("box", sleeper()).await;
    let status = commit(&files, request("none", "")).await.expect_err("none");
    assert_eq!(status.message(), "No such container: none");
    let mut asked = request(&id, "");
    asked.changes = vec!["RUN x".to_owned()];
    let status = commit(&files, asked).await.expect_err("no such change");
    assert_eq!(status.message(), "RUN is not a valid change command");
    let digest = format!("x@sha256:{}", "0".repeat(64));
    let status = commit(&files, request(&id, &digest))
        .await
        .expect_err("a digest");
    assert_eq!(reason(&status), "invalid-argument", "{status:?}");
    let object = client.inspect(&id).await.expect("inspect");
    assert_eq!(object["State"]["Status"], "running");
    // One that nothing was changed in has no layer of its own; and it need not be paused.
    let mut asked = request(&id, "same:1");
    asked.pause = false;
    commit(&files, asked).await.expect("commit");
    let layers = inspect(&client, "same:1").await["RootFS"]["Layers"].clone();
    assert_eq!(layers, inspect(&client, IMAGE).await["RootFS"]["Layers"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_while_it_commits_leaves_no_image_and_nothing_frozen() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let script = ": >/big; yes >/big & while test $(wc -c </big) -lt 150000000; do sleep 0.01; done; \
                  kill $!; >/ready; while :; do echo on; sleep 0.01; done";
    let id = client
        .run_detached("box", command(&["sh", "-c", script]))
        .await;
    ready(&files, &id).await;
    let asked = request(&id, "never:1");
    let committing = tokio::spawn(async move { commit(&files, asked).await });
    until("the pause", async || {
        assert!(!committing.is_finished(), "ended before it was seen");
        client.inspect(&id).await.expect("inspect")["State"]["Paused"] == true
    })
    .await;
    host.kill_agent();
    committing.await.expect("task").expect_err("cut off");
    host.start();
    let client = host.client().await;
    let object = client.inspect(&id).await.expect("inspect");
    assert_eq!(object["State"]["Status"], "running");
    let before = client.log_text(&id).await.len();
    until("output of a thawed container", async || {
        client.log_text(&id).await.len() > before
    })
    .await;
    let listed = client
        .images
        .clone()
        .list(ListImagesRequest::default())
        .await;
    let listed = listed.expect("images").into_inner().images;
    assert_eq!(listed.len(), 1);
    assert_eq!(host.names("data/snapshots/staging"), Vec::<String>::new());
    assert_eq!(host.names("data/snapshots/layers").len(), 1);
    client.kill(&id, "KILL").await.expect("kill");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_on_the_web_becomes_an_image() {
    let host = Host::new();
    let client = host.client().await;
    // A free port, for the server that is in the agent's network.
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("port")
        .port();
    let folder = host.path("web");
    std::fs::create_dir(&folder).expect("folder");
    std::fs::write(folder.join("root.tar"), crate::image::busybox()).expect("file");
    let mut server = host
        .enter("/bin/busybox")
        .args(["httpd", "-f", "-p", &format!("127.0.0.1:{port}"), "-h"])
        .arg(&folder)
        .spawn()
        .expect("httpd");
    until("the server", async || {
        host.connect(&format!("127.0.0.1:{port}")).is_ok()
    })
    .await;
    let url = format!("http://127.0.0.1:{port}/root.tar");
    let import = async |url: &str| {
        let options = ImportOptions {
            reference: "web:1".to_owned(),
            changes: vec![r#"CMD ["echo", "from the web"]"#.to_owned()],
            url: url.to_owned(),
            ..Default::default()
        };
        let first = ImportRequest {
            message: Some(import_request::Message::Options(options)),
        };
        let requests = tokio_stream::iter([first]);
        client.images.clone().import(requests).await
    };
    let missing = import(&format!("{url}.none"))
        .await
        .expect_err("nothing there");
    let imported = import(&url).await;
    server.kill().expect("kill");
    server.wait().expect("wait");
    assert!(missing.message().contains("with status 404"), "{missing:?}");
    imported.expect("import");
    let refused = import("file:///etc/passwd")
        .await
        .expect_err("no web address");
    assert!(
        refused.message().contains("only http and https"),
        "{refused:?}"
    );
    assert_eq!(
        inspect(&client, "web:1").await["Comment"],
        format!("Imported from {url}")
    );
    let mut config = command(&[]);
    config.image = "web:1".to_owned();
    assert_eq!(
        client.run(config).await.expect("run").stdout,
        "from the web\n"
    );
}
