//! Clients that let their copies stand still, with containers that run and that do not.

use berth_proto::v1::{ExportRequest, ExportResponse, RenameRequest, put_request};
use tar::EntryType;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{Files, archive, message, options, sleeper};
use crate::client::{Client, command, reason};
use crate::host::{Host, PATIENCE, until};

/// More than is on its way to a client at once.
const BIG: &str = "head -c 8000000 /dev/zero >/big";

/// How many archives the agent has on their way at once.
const PLACES: usize = 64;

/// Begins an export that nobody reads.
async fn stall(files: &Files, container: &str) -> Streaming<ExportResponse> {
    let request = ExportRequest {
        container: container.to_owned(),
    };
    let answers = files.service.clone().export(request).await;
    answers.expect("export").into_inner()
}

/// Waits for something that must not wait for a client.
async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_elapsed| panic!("{what} waits for a client"))
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_stand_still_hold_up_nothing_but_copies() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client
        .create("box", command(&["sh", "-c", BIG]))
        .await
        .expect("create");
    let ended = client
        .wait(&id, berth_proto::v1::wait_request::Condition::NextExit)
        .await
        .expect("wait");
    client.start(&id).await.expect("start");
    ended.await;
    // On a connection of its own, whose window they fill.
    let files = Files::of(&host.client().await);
    let mut stalled = Vec::new();
    for _place in 0..PLACES {
        stalled.push(soon("an export", stall(&files, &id)).await);
    }
    soon("a start", client.run_detached("other", sleeper())).await;
    soon("a removal", client.remove("other", true, false))
        .await
        .expect("remove");
    let others = Files::of(&client);
    let (bytes, request) = (archive(&[(EntryType::Regular, "f", "x")]), id.clone());
    let one_more = tokio::spawn(async move { others.put(&request, "/tmp", &bytes).await });
    // Asked, not copied: no place is needed.
    let request = berth_proto::v1::StatRequest {
        container: id.clone(),
        path: "/big".to_owned(),
    };
    let asked = Files::of(&client).service.clone();
    let stat = async move { asked.clone().stat(request).await };
    soon("a look", stat).await.expect("stat");
    assert!(!one_more.is_finished(), "more copies than there are places");
    drop(stalled.pop());
    soon("a copy that has a place", one_more)
        .await
        .expect("task")
        .expect("put");
}

async fn rename(client: &Client, container: &str, name: &str) {
    let request = RenameRequest {
        container: container.to_owned(),
        new_name: name.to_owned(),
    };
    let mut containers = client.containers.clone();
    soon("a new name", containers.rename(request))
        .await
        .expect("rename");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_holds_no_container_up_that_does_not_run() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let id = client.create("box", sleeper()).await.expect("create");
    let text = "x".repeat(200_000);
    let sent = archive(&[(EntryType::Regular, "cut", &text)]);
    let (sender, requests) = mpsc::channel(4);
    let mut service = files.service.clone();
    let putting = tokio::spawn(async move { service.put(ReceiverStream::new(requests)).await });
    for part in [
        put_request::Message::Options(options(&id, "/tmp")),
        put_request::Message::Chunk(sent[..100_000].to_vec()),
    ] {
        sender.send(message(part)).await.expect("a listener");
    }
    // Others see the same files meanwhile, and change them.
    until("the first half", async || {
        let (stat, _) = soon("a copy", files.get(&id, "/tmp/cut"))
            .await
            .unwrap_or_default();
        stat.size_bytes > 50_000
    })
    .await;
    let second = archive(&[(EntryType::Regular, "second", "copied meanwhile")]);
    soon("a copy", files.put(&id, "/tmp", &second))
        .await
        .expect("put");
    rename(&client, &id, "renamed").await;
    soon("a start", client.start(&id)).await.expect("start");
    let status = soon("the copy's end", putting)
        .await
        .expect("task")
        .expect_err("cut off");
    assert!(
        status.message().contains("started again"),
        "{}: {status:?}",
        reason(&status)
    );
    assert_eq!(reason(&status), "wrong-state");
    drop(sender);
    let (_, bytes) = files.get(&id, "/tmp/second").await.expect("get");
    assert_eq!(
        super::members(&bytes)["second"],
        "0 755 1000:1001 copied meanwhile"
    );
    // And none of those that are removed.
    let id = client
        .create("other", command(&["sh", "-c", BIG]))
        .await
        .expect("create");
    let (sender, requests) = mpsc::channel(4);
    let mut service = files.service.clone();
    let putting = tokio::spawn(async move { service.put(ReceiverStream::new(requests)).await });
    let first = put_request::Message::Options(options(&id, "/tmp"));
    sender.send(message(first)).await.expect("a listener");
    sender
        .send(message(put_request::Message::Chunk(sent[..1000].to_vec())))
        .await
        .expect("a listener");
    soon("a removal", client.remove(&id, true, false))
        .await
        .expect("remove");
    soon("the copy's end", putting)
        .await
        .expect("task")
        .expect_err("cut off");
}

/// What is read from one end goes into the other: both at once, and neither waits for the other's end.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_does_not_run_is_copied_into_itself() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let files = Files::of(&client);
    let id = client.create("box", sleeper()).await.expect("create");
    let text = "x".repeat(9_000_000);
    let sent = archive(&[(EntryType::Regular, "big", &text)]);
    files.put(&id, "/data", &sent).await.expect("put");
    let request = berth_proto::v1::GetRequest {
        container: id.clone(),
        path: "/data/big".to_owned(),
        ..Default::default()
    };
    let mut answers = files
        .service
        .clone()
        .get(request)
        .await
        .expect("get")
        .into_inner();
    let (sender, requests) = mpsc::channel(1);
    let first = put_request::Message::Options(options(&id, "/tmp"));
    sender.send(message(first)).await.expect("room");
    let mut service = files.service.clone();
    let putting = tokio::spawn(async move { service.put(ReceiverStream::new(requests)).await });
    let passing = async move {
        while let Some(answer) = answers.message().await.expect("archive") {
            if let Some(berth_proto::v1::get_response::Message::Chunk(chunk)) = answer.message {
                let chunk = put_request::Message::Chunk(chunk);
                sender.send(message(chunk)).await.expect("a listener");
            }
        }
    };
    soon("the copy", passing).await;
    soon("the copy", putting).await.expect("task").expect("put");
    let (stat, _) = files.get(&id, "/tmp/big").await.expect("get");
    assert_eq!(stat.size_bytes, 9_000_000);
}
