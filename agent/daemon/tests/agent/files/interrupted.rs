//! Clients that are slow or go away in the middle, and disks that are full.

use berth_proto::v1::wait_request::Condition;
use berth_proto::v1::{GetRequest, HostConfig, put_request};
use tar::EntryType;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Files, archive, message, options, sleeper, with_host};
use crate::client::{command, reason};
use crate::host::{Host, PATIENCE, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_in_the_middle_holds_nothing() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let id = client.create("box", sleeper()).await.expect("create");
    let text = "x".repeat(200_000);
    let sent = archive(&[
        (EntryType::Regular, "whole", "first"),
        (EntryType::Regular, "cut", &text),
    ]);
    let (sender, requests) = mpsc::channel(4);
    let mut service = files.service.clone();
    let putting = tokio::spawn(async move { service.put(ReceiverStream::new(requests)).await });
    for part in [
        put_request::Message::Options(options(&id, "/tmp")),
        put_request::Message::Chunk(sent[..100_000].to_vec()),
    ] {
        sender.send(message(part)).await.expect("a listener");
    }
    let cut = host.path(&format!("data/snapshots/containers/{id}/upper/tmp/cut"));
    until("the first half", async || {
        std::fs::metadata(&cut).is_ok_and(|found| found.len() > 50_000)
    })
    .await;
    putting.abort();
    assert!(putting.await.is_err(), "the call was still open");
    drop(sender);
    // It can be started, so that nobody has its files any more.
    let started = tokio::time::timeout(PATIENCE, client.start(&id)).await;
    started.expect("in time").expect("start");
    files.get(&id, "/tmp/whole").await.expect("what was whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_holds_no_container_up() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let script = "test -e /big || head -c 60000000 /dev/zero >/big; >/ready; exec sleep 1000";
    let id = client
        .run_detached("box", command(&["sh", "-c", script]))
        .await;
    until("the file", async || files.get(&id, "/ready").await.is_ok()).await;
    let request = GetRequest {
        container: id.clone(),
        path: "/big".to_owned(),
        ..Default::default()
    };
    let answers = files.service.clone().get(request).await.expect("get");
    let mut answers = answers.into_inner();
    answers.message().await.expect("message").expect("stat");
    let ended = client.wait(&id, Condition::NotRunning).await.expect("wait");
    client.kill(&id, "KILL").await.expect("kill");
    ended.await;
    let started = tokio::time::timeout(PATIENCE, client.start(&id)).await;
    started.expect("in time").expect("start");
    // What is left of the copy ends with the reason, not as if it were whole.
    let error = loop {
        match answers.message().await {
            Ok(Some(_more)) => {}
            Ok(None) => panic!("the archive looks whole"),
            Err(status) => break status,
        }
    };
    assert_eq!(reason(&error), "wrong-state", "{error:?}");
    files.get(&id, "/big").await.expect("a new copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_as_such() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let config = with_host(HostConfig {
        tmpfs: vec!["/small:size=64k".to_owned()],
        ..Default::default()
    });
    let id = client.run_detached("box", config).await;
    let text = "x".repeat(200_000);
    let sent = archive(&[(EntryType::Regular, "big", &text)]);
    let status = files.put(&id, "/small", &sent).await.expect_err("full");
    assert_eq!(reason(&status), "disk-full", "{status:?}");
    assert!(status.message().contains("no space left"), "{status:?}");
}
