//! `save` and `load`: what goes out comes in again, in all forms that there are.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use serde_json::Value;

use super::hostile::docker_archive;
use crate::client::IMAGE;
use crate::host::Host;
use crate::image;

/// Returns the files of an archive.
pub(super) fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().expect("archive") {
        let mut entry = entry.expect("entry");
        let path = entry.path().expect("path").display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        if !path.ends_with('/') {
            assert!(
                found.insert(path, content).is_none(),
                "a member comes twice"
            );
        }
    }
    found
}

/// Packs files again.
pub(super) fn pack(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_slice())
            .expect("member");
    }
    tar.into_inner().expect("archive")
}

#[tokio::test(flavor = "multi_thread")]
async fn several_images_go_out_and_come_in_elsewhere_as_they_were() {
    let (host, other) = (Host::new(), Host::new());
    let (client, second) = (host.client().await, other.client().await);
    client.import().await;
    let script = "busybox rm /data/from-image; mkdir /new; busybox ln -s x /new/l; busybox chown -h 7:8 /new/l";
    let script = format!("{script}; echo 1 > /etc/own");
    let grown = client.grow(IMAGE, &script, "app:1").await;
    client.tag("app:1", "app:2").await;
    let archive = client
        .save(&[IMAGE, "app", &grown[7..19]])
        .await
        .expect("saved");
    let listed: Value = serde_json::from_slice(&files(&archive)["manifest.json"]).expect("JSON");
    let tags: Vec<&Value> = listed
        .as_array()
        .expect("list")
        .iter()
        .map(|i| &i["RepoTags"])
        .collect();
    assert_eq!(
        tags,
        [
            &serde_json::json!([IMAGE]),
            &serde_json::json!(["app:1", "app:2"])
        ]
    );
    let loaded = second.load(&archive).await.expect("loaded");
    let names: Vec<String> = loaded
        .iter()
        .flat_map(|i| &i.names)
        .map(|n| n.name.clone())
        .collect();
    assert_eq!(names, [IMAGE, "app:1", "app:2"]);
    assert_eq!(loaded[1].id, grown);
    let mut look = crate::client::sh("ls /data /new; cat /etc/own; ls -ldn /new/l");
    look.image = "app:2".to_owned();
    let here = client.run(look.clone()).await.expect("run");
    let there = second.run(look).await.expect("run");
    assert_eq!((here.code, &here), (0, &there));
    // And the archive made of that is the same to the last byte.
    assert!(second.save(&[IMAGE, "app"]).await.expect("saved") == archive);
    // Loading what is here already changes nothing; a name moves on and says so.
    client.tag(IMAGE, "app:1").await;
    let again = client.load(&archive).await.expect("loaded");
    let replaced: Vec<&str> = again[1]
        .names
        .iter()
        .map(|n| n.replaced_image_id.as_str())
        .collect();
    assert_eq!(replaced, [loaded[0].id.as_str(), ""]);
    let error = client
        .save(&[IMAGE, "nothing"])
        .await
        .expect_err("no such image");
    assert_eq!(error.message(), "No such image: nothing:latest");
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_archives_and_bare_layouts_are_taken_in() {
    let (host, other) = (Host::new(), Host::new());
    let (client, second) = (host.client().await, other.client().await);
    let id = client.import().await;
    let archive = client.save(&[IMAGE]).await.expect("saved");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive).expect("compressed");
    let zipped = gzip.finish().expect("compressed");
    let mut members = files(&archive);
    members.remove("manifest.json");
    let layout = pack(&members);
    members.remove("index.json");
    for (kind, bytes) in [("gzip", &zipped), ("layout", &layout)] {
        let loaded = second.load(bytes).await.expect(kind);
        assert_eq!(
            (loaded[0].id.as_str(), loaded[0].names[0].name.as_str()),
            (id.as_str(), IMAGE),
            "{kind}"
        );
        assert_eq!(second.sh("echo ok").await.stdout, "ok\n", "{kind}");
        second.rmi(IMAGE, false).await.expect("removed");
        assert!(other.names("data/snapshots/layers").is_empty(), "{kind}");
        assert!(
            other.names("data/content/blobs/sha256").is_empty(),
            "{kind}"
        );
    }
    let error = second.load(&pack(&members)).await.expect_err("no list");
    assert_eq!(
        error.message(),
        "invalid archive: it has neither a manifest.json nor an index.json"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_cannot_be_packed_to_the_same_bytes_is_kept_as_it_came() {
    let (host, other) = (Host::new(), Host::new());
    let (client, second) = (host.client().await, other.client().await);
    // Times with fractions and an order of its own: nobody else's tar looks so.
    let layer = image::busybox();
    let archive = docker_archive(&layer, &["odd:1"], |_manifest, _config| {});
    let loaded = client.load(&archive).await.expect("loaded");
    assert_eq!(loaded[0].names[0].name, "odd:1");
    let saved = client.save(&["odd:1"]).await.expect("saved");
    assert!(
        files(&saved).values().any(|content| *content == layer),
        "as it came"
    );
    let again = second.load(&saved).await.expect("loaded");
    assert_eq!(again[0].id, loaded[0].id);
    let mut run = crate::client::sh("cat /data/from-image");
    run.image = "odd:1".to_owned();
    assert_eq!(second.run(run).await.expect("run").stdout, "seed\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_hold_nobody_up() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    client
        .grow(IMAGE, "head -c 16000000 /dev/zero > /big", "big:1")
        .await;
    let mut stalled = Vec::new();
    // As many as wait for a turn and some more; the agent has 64 threads for calls.
    for _client in 0..80 {
        let client = host.client().await;
        stalled.push(tokio::spawn(async move {
            let request = berth_proto::v1::SaveRequest {
                names: vec!["big:1".to_owned()],
            };
            let answers = client.images.clone().save(request).await;
            // Held open, and not read.
            std::future::pending::<()>().await;
            drop(answers);
        }));
    }
    for _call in 0..20 {
        assert_eq!(client.sh("echo on").await.stdout, "on\n");
    }
    for task in &stalled {
        task.abort();
    }
    let saved = tokio::time::timeout(crate::host::PATIENCE, client.save(&[IMAGE])).await;
    saved.expect("turns are free again").expect("saved");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_send_hold_nobody_up() {
    use berth_proto::v1::{ImportOptions, ImportRequest, LoadRequest, import_request::Message};
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let mut stalled = Vec::new();
    // As many of each kind as the agent has threads for calls, and some more.
    for _client in 0..70 {
        let client = host.client().await;
        let options = Message::Options(ImportOptions::default());
        let begun = [options, Message::Chunk(vec![0; 100])].map(|message| ImportRequest {
            message: Some(message),
        });
        let import = tokio_stream::iter(begun);
        let load = tokio_stream::iter([LoadRequest {
            chunk: vec![1; 100],
        }]);
        stalled.push(tokio::spawn(async move {
            use futures::StreamExt as _;
            let mut images = (client.images.clone(), client.images.clone());
            let import = images.0.import(import.chain(futures::stream::pending()));
            let load = images.1.load(load.chain(futures::stream::pending()));
            drop(futures::join!(import, load));
        }));
    }
    for _call in 0..20 {
        assert_eq!(client.sh("echo on").await.stdout, "on\n");
    }
    for task in &stalled {
        task.abort();
    }
    let archive = client.save(&[IMAGE]).await.expect("saved");
    let loaded = tokio::time::timeout(crate::host::PATIENCE, client.load(&archive)).await;
    loaded.expect("turns are free again").expect("loaded");
    let tar = image::busybox();
    let import = client.import_as("again:1", &tar);
    let imported = tokio::time::timeout(crate::host::PATIENCE, import).await;
    imported.expect("turns are free again");
}
