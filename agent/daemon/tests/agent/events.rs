//! What the agent tells of itself while things happen.

use std::time::Duration;

use berth_proto::v1::{self, ContainerConfig};
use tokio_stream::StreamExt as _;
use tonic::Streaming;

use crate::client::{Client, command, sh};
use crate::host::{Host, PATIENCE, until};

/// Begins to listen; nothing is missed from then on.
async fn listen(client: &Client, filters: &[&str]) -> Streaming<v1::Event> {
    let request = v1::EventsRequest {
        filters: filters.iter().map(|&filter| filter.to_owned()).collect(),
        ..Default::default()
    };
    let stream = client.system.clone().events(request).await;
    stream.expect("events").into_inner()
}

async fn next(events: &mut Streaming<v1::Event>) -> v1::Event {
    let event = tokio::time::timeout(PATIENCE, events.message()).await;
    event
        .expect("an event in time")
        .expect("no error")
        .expect("an event")
}

/// Reads up to an action.
async fn up_to(events: &mut Streaming<v1::Event>, action: &str) -> Vec<v1::Event> {
    let mut seen = Vec::new();
    loop {
        let event = next(events).await;
        let is_last = event.action == action;
        seen.push(event);
        if is_last {
            return seen;
        }
    }
}

fn words(events: &[v1::Event]) -> Vec<String> {
    let word = |event: &v1::Event| format!("{} {}", event.r#type, event.action);
    events.iter().map(word).collect()
}

/// Reads what is on record between two moments.
async fn past(client: &Client, filters: &[&str]) -> Vec<v1::Event> {
    let request = v1::EventsRequest {
        since: Some(std::time::SystemTime::UNIX_EPOCH.into()),
        until: Some(std::time::SystemTime::now().into()),
        filters: filters.iter().map(|&filter| filter.to_owned()).collect(),
    };
    let stream = client.system.clone().events(request).await;
    let all = stream.expect("events").into_inner().collect::<Vec<_>>();
    let all = tokio::time::timeout(PATIENCE, all).await.expect("an end");
    all.into_iter()
        .map(|event| event.expect("no error"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_told_in_dockers_order() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let mut events = listen(&client, &["type=container", "type=network"]).await;
    let mut config = sh("exit 3");
    config.labels.insert("a".to_owned(), "b".to_owned());
    client.run(config).await.expect("run");
    let seen = up_to(&mut events, "destroy").await;
    let expected = [
        "container create",
        "container attach",
        "network connect",
        "container start",
        "container die",
        "network disconnect",
        "container destroy",
    ];
    assert_eq!(words(&seen), expected);
    let die = &seen[4];
    let attribute = |name: &str| die.attributes.get(name).map(String::as_str);
    assert_eq!(attribute("exitCode"), Some("3"));
    assert_eq!(attribute("image"), Some(crate::client::IMAGE));
    assert_eq!(attribute("a"), Some("b"));
    assert_eq!(attribute("execDuration"), Some("0"));
    assert_eq!(seen[2].attributes["container"], die.actor_id);
    assert_eq!(seen[2].attributes["name"], "bridge");
    assert_eq!(seen[2].actor_id.len(), 64, "the network's id");
    let times: Vec<_> = seen
        .iter()
        .map(|event| event.time.expect("a time"))
        .collect();
    let ordered = times
        .windows(2)
        .all(|pair| (pair[0].seconds, pair[0].nanos) < (pair[1].seconds, pair[1].nanos));
    assert!(ordered, "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_a_container_is_told_and_can_be_read_again() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let mut events = listen(&client, &["container=one"]).await;
    client.run_detached("one", command(&["sleep", "100"])).await;
    let exec = v1::ExecOptions {
        container: "one".to_owned(),
        command: vec!["sh".to_owned(), "-c".to_owned(), "exit 4".to_owned()],
        ..Default::default()
    };
    client.exec(exec, b"").await.expect("exec");
    up_to(&mut events, "exec_die").await;
    client.pause("one").await.expect("pause");
    client.unpause("one").await.expect("unpause");
    client.rename("one", "two").await.expect("rename");
    client.stop("two", 0).await.expect("stop");
    client.remove("two", false, false).await.expect("remove");
    let all = past(&client, &["type=container"]).await;
    let expected = [
        "container create",
        "container start",
        "container exec_create: sh -c exit 4",
        "container exec_start: sh -c exit 4",
        "container exec_die",
        "container pause",
        "container unpause",
        "container rename",
        "container kill",
        "container kill",
        "container die",
        "container stop",
        "container destroy",
    ];
    assert_eq!(words(&all), expected);
    assert_eq!(all[4].attributes["exitCode"], "4");
    assert_eq!(all[4].attributes["execID"], all[2].attributes["execID"]);
    assert_eq!(all[7].attributes["oldName"], "/one");
    assert_eq!(all[8].attributes["signal"], "15");
    let deaths = past(&client, &["event=die", "container=two"]).await;
    assert_eq!(words(&deaths), ["container die"]);
    let request = v1::EventsRequest {
        filters: vec!["colour=red".to_owned()],
        ..Default::default()
    };
    let error = client
        .system
        .clone()
        .events(request)
        .await
        .expect_err("no such filter");
    assert_eq!(error.message(), "invalid filter 'colour'");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_does_not_read_holds_nobody_up() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let idle = listen(&client, &[]).await;
    let mut busy = listen(&client, &["event=rename"]).await;
    let id = client
        .create("x0", command(&["true"]))
        .await
        .expect("create");
    for n in 1..400 {
        let name = format!("x{n}");
        let renamed = client.rename(&id, &name);
        let renamed = tokio::time::timeout(Duration::from_secs(10), renamed).await;
        renamed.expect("in time").expect("rename");
    }
    for n in 0..399 {
        assert_eq!(
            next(&mut busy).await.attributes["oldName"],
            format!("/x{n}")
        );
    }
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_and_volumes_have_events_too() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let config = ContainerConfig {
        volumes: vec!["/vol".to_owned()],
        ..sh("true")
    };
    client.run(config).await.expect("run");
    let tag = v1::TagRequest {
        source: crate::client::IMAGE.to_owned(),
        target: "other:1".to_owned(),
    };
    client.images.clone().tag(tag).await.expect("tag");
    let remove = v1::RemoveImageRequest {
        name: "other:1".to_owned(),
        ..Default::default()
    };
    client.images.clone().remove(remove).await.expect("untag");
    let of_images = past(&client, &["type=image"]).await;
    assert_eq!(
        words(&of_images),
        ["image import", "image tag", "image untag"]
    );
    assert_eq!(of_images[1].attributes["name"], "other:1");
    until("the volume's end", async || {
        words(&past(&client, &["type=volume"]).await)
            .last()
            .is_some_and(|w| w == "volume destroy")
    })
    .await;
    let of_volumes = past(&client, &["type=volume"]).await;
    let expected = [
        "volume create",
        "volume mount",
        "volume unmount",
        "volume destroy",
    ];
    assert_eq!(words(&of_volumes), expected);
    assert_eq!(of_volumes[1].attributes["destination"], "/vol");
}
