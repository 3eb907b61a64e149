//! What containers see of volumes, binds and memory.

use std::fs;

use berth_proto::v1::{HostConfig, Mount};

use super::{texts, with_binds, with_mounts};
use crate::client::{command, sh};
use crate::host::Host;

fn mount(kind: &str, source: &str, target: &str) -> Mount {
    Mount {
        r#type: kind.to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_volume_begins_with_what_the_image_has_unless_told_not_to() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let look = || sh("ls /data");
    let seen = async |config| client.run(config).await.expect("run").stdout;
    assert_eq!(
        seen(with_binds(look(), &["full:/data"])).await,
        "from-image\n"
    );
    assert_eq!(seen(with_binds(look(), &["bare:/data:nocopy"])).await, "");
    let mut bare = mount("volume", "bare2", "/data");
    bare.volume_no_copy = true;
    assert_eq!(seen(with_mounts(look(), vec![bare])).await, "");
    // One that has something in it stays as it is.
    let writer = sh("busybox rm /data/from-image; touch /data/own; ls /data");
    let writer = with_binds(writer, &["full:/data"]);
    client.run(writer).await.expect("run");
    let mut inner = mount("volume", "full", "/inner");
    inner.read_only = true;
    let both = vec![mount("volume", "full", "/data"), inner];
    let config = with_mounts(sh("ls /data; touch /inner/x || echo refused"), both);
    let ran = client.run(config).await.expect("run");
    assert!(ran.stdout.ends_with("own\nrefused\n"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_taken_from_others_along_a_chain() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let folder = host.path("shared");
    fs::create_dir(&folder).expect("folder");
    let bind = format!("{}:/bind", folder.display());
    let first = with_binds(command(&["true"]), &["/loose", "named:/named", &bind]);
    client.create("first", first).await.expect("created");
    let from = |from: &[&str], script: &str| {
        let mut config = sh(script);
        let host = config.host.get_or_insert_default();
        host.volumes_from = texts(from);
        config
    };
    let mut second = command(&["true"]);
    second.host = Some(HostConfig {
        volumes_from: texts(&["first:ro"]),
        binds: texts(&["own:/own"]),
        ..Default::default()
    });
    client.create("second", second).await.expect("created");
    let script = "for f in /loose /named /bind; do echo 1 > $f/x; done; ls /loose /named /bind";
    let ran = client.run(from(&["first"], script)).await.expect("run");
    assert_eq!(ran.stdout, "/bind:\nx\n\n/loose:\nx\n\n/named:\nx\n");
    assert!(folder.join("x").exists());
    // What was taken read-only stays so in those who take it on; what it added itself does not.
    let script = "for f in /loose /named /bind /own; do touch $f/y && echo $f; done; cat /loose/x";
    let ran = client.run(from(&["second"], script)).await.expect("run");
    assert_eq!(ran.stdout, "/own\n1\n");
    let error = client.create("", from(&["nobody"], "true")).await;
    let error = error.expect_err("no such container");
    assert!(
        error.message().contains("No such container: nobody"),
        "{error}"
    );
    // A loose volume goes with the last container that uses it, if at all.
    let loose = client
        .volume_names(&["label=com.docker.volume.anonymous"])
        .await;
    let loose = loose.expect("names");
    client.remove("first", false, true).await.expect("removed");
    assert_eq!(
        client
            .volume_names(&["dangling=false", &format!("name={}", loose[0])])
            .await
            .expect("names"),
        loose
    );
    client.remove("second", false, true).await.expect("removed");
    let left = client.volume_names(&[]).await.expect("names");
    assert_eq!(left, ["named", "own"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_propagation_are_bound_as_asked() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let file = host.path("settings");
    fs::write(&file, "one\n").expect("file");
    let bind = format!("{}:/etc/settings:ro,Z", file.display());
    let script = "cat /etc/settings; echo 2 > /etc/settings || echo refused";
    let ran = client
        .run(with_binds(sh(script), &[&bind]))
        .await
        .expect("run");
    assert_eq!(ran.stdout, "one\nrefused\n");
    // Mounts that the machine makes later appear where that was asked for, and only there.
    let shared = host.path("shared");
    fs::create_dir_all(shared.join("inner")).expect("folder");
    let run = |program: &str, words: &[&str]| {
        let mut command = host.enter(program);
        assert!(command.args(words).status().expect("command").success());
    };
    let place = shared.to_str().expect("text");
    run("mount", &["--bind", place, place]);
    run("mount", &["--make-shared", place]);
    let binds = [
        format!("{place}:/follows:rslave"),
        format!("{place}:/stays"),
    ];
    let binds: Vec<&str> = binds.iter().map(String::as_str).collect();
    let waits =
        "while [ ! -e /follows/inner/f ]; do sleep 0.02; done; ls /follows/inner /stays/inner";
    let config = with_binds(command(&["sh", "-c", waits]), &binds);
    let id = client.create("", config).await.expect("created");
    let exited = client.wait(&id, berth_proto::v1::wait_request::Condition::NextExit);
    let exited = exited.await.expect("a wait");
    client.start(&id).await.expect("started");
    let inner = shared.join("inner");
    let inner = inner.to_str().expect("text");
    run("mount", &["-t", "tmpfs", "tmpfs", inner]);
    run("touch", &[&format!("{inner}/f")]);
    assert_eq!(exited.await.code, 0);
    assert_eq!(
        client.log_text(&id).await,
        "/follows/inner:\nf\n\n/stays/inner:\n"
    );
    let missing = with_mounts(sh("true"), vec![mount("bind", "/nowhere", "/x")]);
    let error = client.create("", missing).await.expect_err("missing");
    assert_eq!(
        error.message(),
        "invalid mount config for type \"bind\": bind source path does not exist: /nowhere"
    );
}
