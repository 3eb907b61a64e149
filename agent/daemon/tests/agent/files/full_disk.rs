//! No room in the middle of a copy, a commit or an import: it is said, nothing half-made stays, and
//! everything works again when there is room.

use std::collections::BTreeSet;

use berth_proto::v1::{
    CommitRequest, ImportOptions, ImportRequest, ListImagesRequest, import_request,
};
use tar::EntryType;
use tonic::Status;

use super::{Files, archive, members, sleeper};
use crate::client::{Client, command, reason};
use crate::host::{Host, PATIENCE, until};
use crate::robust::ground::{inventory, quiet_inventory};

/// Room for the image and one large file, but not for two.
const ROOM: &str = "size=48m";
const LARGE: usize = 30_000_000;

async fn small() -> (Host, Client) {
    let host = Host::with_data_on_tmpfs(ROOM);
    let client = host.client().await;
    client.import().await;
    (host, client)
}

/// What does not become smaller when it is stored.
fn large() -> String {
    "x".repeat(LARGE)
}

#[track_caller]
fn assert_full(status: &Status) {
    assert_eq!(reason(status), "disk-full", "{status:?}");
    let text = status.message();
    assert!(text.contains("no space left on"), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_without_room_leaves_no_half_of_a_file() {
    let (_host, client) = small().await;
    let files = Files::of(&client);
    let id = client.create("box", sleeper()).await.expect("create");
    let text = large();
    let sent = archive(&[
        (EntryType::Regular, "whole", "first"),
        (EntryType::Regular, "fits", &text),
        (EntryType::Regular, "does-not", &text),
        (EntryType::Regular, "never", "last"),
    ]);
    for state in ["created", "running"] {
        let status = files.put(&id, "/tmp", &sent).await.expect_err(state);
        assert_full(&status);
        let (_, bytes) = files.get(&id, "/tmp/.").await.expect(state);
        let names: Vec<String> = members(&bytes).into_keys().collect();
        assert_eq!(names, ["./", "./fits", "./whole"], "{state}");
        client.start(&id).await.expect("start");
    }
    let again = archive(&[(EntryType::Regular, "fits", "small")]);
    files.put(&id, "/tmp", &again).await.expect("room again");
    let after = archive(&[(EntryType::Regular, "does-not", &text)]);
    files.put(&id, "/tmp", &after).await.expect("room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_room_leaves_no_layer_and_nothing_frozen() {
    let (host, client) = small().await;
    let files = Files::of(&client);
    let script = format!("head -c {LARGE} /dev/zero >/large; >/ready; exec sleep 1000");
    let config = command(&["sh", "-c", &script]);
    let id = client.run_detached("box", config).await;
    until("the file", async || files.get(&id, "/ready").await.is_ok()).await;
    let seen = BTreeSet::new();
    let before = quiet_inventory(&host, &seen);
    let commit = async || {
        let request = CommitRequest {
            container: id.clone(),
            reference: "mine:1".to_owned(),
            pause: true,
            ..Default::default()
        };
        files.service.clone().commit(request).await
    };
    assert_full(&commit().await.expect_err("no room"));
    let state = client.inspect(&id).await.expect("inspect")["State"].clone();
    assert_eq!(state["Status"], "running");
    tokio::task::block_in_place(|| {
        before.assert_returns("after the commit", PATIENCE, || inventory(&host, &seen));
    });
    assert_eq!(n_images(&client).await, 1);
    let smaller = archive(&[(EntryType::Regular, "large", "now it fits")]);
    files.put(&id, "/", &smaller).await.expect("put");
    commit().await.expect("room again");
    assert_eq!(n_images(&client).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_without_room_leaves_no_layer() {
    let (host, client) = small().await;
    let seen = BTreeSet::new();
    let before = quiet_inventory(&host, &seen);
    let text = large();
    let import = async |names: &[&str]| {
        let tar: Vec<_> = names
            .iter()
            .map(|name| (EntryType::Regular, *name, text.as_str()))
            .collect();
        let options = ImportOptions {
            reference: "mine:1".to_owned(),
            ..Default::default()
        };
        let mut requests = vec![import_request::Message::Options(options)];
        let tar = archive(&tar);
        requests.extend(
            tar.chunks(256 * 1024)
                .map(|chunk| import_request::Message::Chunk(chunk.to_vec())),
        );
        let requests = requests.into_iter().map(|message| ImportRequest {
            message: Some(message),
        });
        client
            .images
            .clone()
            .import(tokio_stream::iter(requests))
            .await
    };
    assert_full(&import(&["fits", "does-not"]).await.expect_err("no room"));
    tokio::task::block_in_place(|| {
        before.assert_returns("after the import", PATIENCE, || inventory(&host, &seen));
    });
    assert_eq!(n_images(&client).await, 1);
    import(&["fits"]).await.expect("room again");
    assert_eq!(n_images(&client).await, 2);
}

async fn n_images(client: &Client) -> usize {
    let mut images = client.images.clone();
    let listed = images.list(ListImagesRequest::default());
    listed.await.expect("images").into_inner().images.len()
}
