//! `volume create`, `ls`, `rm` and `prune`.

use tonic::Code;

use super::with_binds;
use crate::client::{command, reason};
use crate::host::{Host, until};

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_made_found_and_removed() {
    let host = Host::new();
    let client = host.client().await;
    let made = client
        .volume("data", &[("a", "1")], &[])
        .await
        .expect("made");
    assert_eq!(
        (made.driver.as_str(), made.scope.as_str()),
        ("local", "local")
    );
    assert!(made.mountpoint.ends_with("/volumes/data/_data"));
    let again = client
        .volume("data", &[("b", "2")], &[])
        .await
        .expect("the same");
    assert_eq!(again.labels, made.labels, "one that exists stays as it is");
    let nameless = client.volume("", &[], &[]).await.expect("made");
    assert_eq!(nameless.name.len(), 64);
    assert!(nameless.labels.contains_key("com.docker.volume.anonymous"));
    client
        .volume("date", &[("a", "2")], &[])
        .await
        .expect("made");

    let names = async |filters: &[&str]| client.volume_names(filters).await.expect("names");
    assert_eq!(names(&["name=^dat"]).await, ["data", "date"]);
    assert_eq!(names(&["label=a"]).await, ["data", "date"]);
    assert_eq!(names(&["label=a=2"]).await, ["date"]);
    assert_eq!(names(&["driver=local", "name=data"]).await, ["data"]);
    assert!(names(&["driver=other"]).await.is_empty());
    for (filter, message) in [
        ("colour=red", "invalid filter 'colour'"),
        ("dangling=x", "invalid filter 'dangling=[x]'"),
    ] {
        let error = client.volume_names(&[filter]).await.expect_err(filter);
        assert_eq!(
            (error.code(), error.message()),
            (Code::InvalidArgument, message)
        );
    }

    client.remove_volume("data", false).await.expect("removed");
    let error = client.remove_volume("data", false).await.expect_err("gone");
    assert_eq!(error.message(), "get data: no such volume");
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::NotFound, "volume-not-found")
    );
    client.remove_volume("data", true).await.expect("forced");
    let mut left = [nameless.name, "date".to_owned()];
    left.sort();
    assert_eq!(host.names("data/volumes"), left);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_in_dockers_words() {
    let host = Host::new();
    let client = host.client().await;
    for (name, options, message) in [
        (
            "a/b",
            &[][..],
            "create a/b: \"a/b\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path",
        ),
        (
            "a",
            &[],
            "create a: volume name is too short, names should be at least two alphanumeric characters",
        ),
        (
            "vol",
            &[("foo", "1")],
            "create vol: invalid option: \"foo\"",
        ),
        (
            "vol",
            &[("type", "tmpfs")],
            "create vol: missing required option: \"device\"",
        ),
    ] {
        let error = client.volume(name, &[], options).await.expect_err(name);
        assert_eq!(
            (error.code(), error.message()),
            (Code::InvalidArgument, message)
        );
    }
    let other = berth_proto::v1::CreateVolumeRequest {
        name: "vol".to_owned(),
        driver: "glass".to_owned(),
        ..Default::default()
    };
    let error = client
        .volumes
        .clone()
        .create(other)
        .await
        .expect_err("driver");
    assert_eq!(
        error.message(),
        "create vol: error looking up volume plugin glass: plugin \"glass\" not found"
    );
    assert!(host.names("data/volumes").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_in_use_stays_and_its_data_outlive_containers() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let writer = with_binds(
        command(&["sh", "-c", "echo 1 > /v/f; sleep 60"]),
        &["kept:/v"],
    );
    let id = client.run_detached("", writer).await;
    let written = host.path("data/volumes/kept/_data/f");
    until("it has written", async || {
        std::fs::read(&written).is_ok_and(|text| text == b"1\n")
    })
    .await;
    let error = client
        .remove_volume("kept", false)
        .await
        .expect_err("in use");
    assert_eq!(
        error.message(),
        format!("remove kept: volume is in use - [{id}]")
    );
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::FailedPrecondition, "volume-in-use")
    );
    let dangling = async |what| client.volume_names(&[what]).await.expect("names");
    assert!(dangling("dangling=true").await.is_empty());
    assert_eq!(dangling("dangling=false").await, ["kept"]);
    client.remove(&id, true, true).await.expect("removed");
    assert_eq!(dangling("dangling=1").await, ["kept"], "it has a name");
    let reader = with_binds(crate::client::sh("cat /v/f"), &["kept:/v"]);
    assert_eq!(client.run(reader).await.expect("run").stdout, "1\n");
    client.remove_volume("kept", false).await.expect("free");
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_takes_what_nobody_uses_and_counts_it() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    client
        .volume("named", &[("keep", "1")], &[])
        .await
        .expect("made");
    client.volume("other", &[], &[]).await.expect("made");
    client
        .volume("mounted", &[], &[("type", "tmpfs"), ("device", "tmpfs")])
        .await
        .expect("made");
    let nameless = client.volume("", &[], &[]).await.expect("made");
    let used = with_binds(command(&["true"]), &["/data"]);
    client.create("", used).await.expect("created");
    std::fs::write(
        std::path::Path::new(&nameless.mountpoint).join("f"),
        [0; 1000],
    )
    .expect("file");
    let (removed, bytes) = client.prune_volumes(&[]).await.expect("pruned");
    assert_eq!((removed, bytes), (vec![nameless.name], 1000));
    let pruned = client.prune_volumes(&["all=1", "label!=keep"]).await;
    assert_eq!(pruned.expect("pruned").0, ["other"]);
    let pruned = client.prune_volumes(&["all=true"]).await.expect("pruned");
    assert_eq!(pruned.0, ["named"], "what is mounted is nobody's garbage");
    let error = client.prune_volumes(&["until=1h"]).await.expect_err("key");
    assert_eq!(error.message(), "invalid filter 'until'");
    assert_eq!(client.volume_names(&[]).await.expect("names").len(), 2);
}
