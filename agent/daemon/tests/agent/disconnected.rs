//! Containers that are on no network any more, through a whole agent.

use berth_proto::v1;
use serde_json::json;

use crate::client::{Client, command};
use crate::host::Host;
use crate::networks::{connect, create, disconnect, endpoint, inside, inspect, on};

async fn interfaces(client: &Client, container: &str) -> String {
    inside(client, container, &["ls", "/sys/class/net"]).await
}

async fn networks(client: &Client, container: &str) -> serde_json::Value {
    client.inspect(container).await.expect("inspect")["NetworkSettings"]["Networks"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_cut_off_stays_so_until_connected_again() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client.run_detached("cc", command(&["sleep", "1000"])).await;
    assert_eq!(interfaces(&client, "cc").await, "eth0\nlo\n");
    disconnect(&client, "cc", "bridge")
        .await
        .expect("disconnected");
    assert_eq!(interfaces(&client, "cc").await, "lo\n");
    assert_eq!(networks(&client, "cc").await, json!({}));
    assert_eq!(inspect(&client, "bridge").await["Containers"], json!({}));
    let listed = client.list(&["network=bridge"]).await.expect("list");
    assert!(listed.is_empty(), "{listed:?}");
    let twice = disconnect(&client, "cc", "bridge")
        .await
        .expect_err("twice");
    assert!(
        twice
            .message()
            .ends_with("is not connected to network bridge"),
        "{twice}"
    );

    tokio::task::block_in_place(|| {
        host.kill_agent();
        host.start();
    });
    let client = host.client().await;
    assert_eq!(interfaces(&client, "cc").await, "lo\n");
    client.stop("cc", 0).await.expect("stop");
    client.start("cc").await.expect("start");
    assert_eq!(interfaces(&client, "cc").await, "lo\n");
    assert_eq!(networks(&client, "cc").await, json!({}));

    connect(&client, "cc", endpoint("bridge"))
        .await
        .expect("connected");
    let is_on = interfaces(&client, "cc").await;
    assert!(is_on.contains("eth0\n"), "{is_on}");
    disconnect(&client, "cc", "bridge")
        .await
        .expect("disconnected");
    connect(&client, "cc", endpoint("bridge"))
        .await
        .expect("connected");
    tokio::task::block_in_place(|| {
        host.kill_agent();
        host.start();
    });
    let client = host.client().await;
    assert!(interfaces(&client, "cc").await.contains("eth0\n"));
    assert!(inspect(&client, "bridge").await["Containers"][&id].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_had_no_network_may_have_one_after_leaving_none() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    create(&client, "net", "").await.expect("network");
    client.run_detached("cc", on("none")).await;
    let refused = connect(&client, "cc", endpoint("net"))
        .await
        .expect_err("in none");
    assert!(
        refused.message().contains("private (none) mode"),
        "{refused}"
    );
    disconnect(&client, "cc", "none")
        .await
        .expect("disconnected");
    connect(&client, "cc", endpoint("net"))
        .await
        .expect("connected");
    assert_eq!(interfaces(&client, "cc").await, "eth0\nlo\n");
    client.stop("cc", 0).await.expect("stop");
    client.start("cc").await.expect("start");
    assert_eq!(interfaces(&client, "cc").await, "eth0\nlo\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_lends_settings_is_not_pruned() {
    let host = Host::new();
    let client = host.client().await;
    let lending = v1::CreateNetworkRequest {
        name: "settings".to_owned(),
        config_only: true,
        ..Default::default()
    };
    client.networks().create(lending).await.expect("network");
    create(&client, "unused", "").await.expect("network");
    let pruned = client
        .networks()
        .prune(v1::PruneNetworksRequest::default())
        .await;
    assert_eq!(pruned.expect("prune").into_inner().removed, ["unused"]);
    assert_eq!(inspect(&client, "settings").await["ConfigOnly"], true);
}
