//! Networks that users define, through a whole agent: names, addresses, connections, kills.

use berth_proto::v1::{self, ContainerConfig, EndpointConfig, HostConfig, PortBinding};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::client::{Client, command, reason};
use crate::host::Host;

pub(crate) async fn create(client: &Client, name: &str, subnet: &str) -> Result<String, Status> {
    let pool = v1::NetworkPool {
        subnet: subnet.to_owned(),
        ..Default::default()
    };
    let request = v1::CreateNetworkRequest {
        name: name.to_owned(),
        pools: if subnet.is_empty() {
            Vec::new()
        } else {
            vec![pool]
        },
        ..Default::default()
    };
    let created = client.networks().create(request).await?;
    Ok(created.into_inner().id)
}

pub(crate) fn on(network: &str) -> ContainerConfig {
    let mut config = command(&["sleep", "1000"]);
    config.host = Some(HostConfig {
        network_mode: network.to_owned(),
        ..Default::default()
    });
    config
}

pub(crate) async fn connect(
    client: &Client,
    container: &str,
    endpoint: EndpointConfig,
) -> Result<(), Status> {
    let request = v1::ConnectNetworkRequest {
        container: container.to_owned(),
        endpoint: Some(endpoint),
    };
    client.networks().connect_container(request).await.map(drop)
}

pub(crate) async fn disconnect(
    client: &Client,
    container: &str,
    network: &str,
) -> Result<(), Status> {
    let request = v1::DisconnectNetworkRequest {
        container: container.to_owned(),
        network: network.to_owned(),
    };
    client
        .networks()
        .disconnect_container(request)
        .await
        .map(drop)
}

async fn remove(client: &Client, network: &str) -> Result<(), Status> {
    let request = v1::RemoveNetworkRequest {
        network: network.to_owned(),
    };
    client.networks().remove(request).await.map(drop)
}

pub(crate) async fn inspect(client: &Client, network: &str) -> Value {
    let request = v1::InspectNetworkRequest {
        network: network.to_owned(),
    };
    let found = client.networks().inspect(request).await.expect("inspect");
    serde_json::from_str(&found.into_inner().json).expect("JSON")
}

pub(crate) async fn inside(client: &Client, container: &str, words: &[&str]) -> String {
    let options = v1::ExecOptions {
        container: container.to_owned(),
        command: ["busybox"]
            .iter()
            .chain(words)
            .map(|word| (*word).to_owned())
            .collect(),
        ..Default::default()
    };
    let ran = client.exec(options, b"").await.expect("exec");
    format!("{}{}", ran.stdout, ran.stderr)
}

pub(crate) fn endpoint(network: &str) -> EndpointConfig {
    EndpointConfig {
        network: network.to_owned(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_find_each_other_and_stay_apart() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = create(&client, "front", "").await.expect("network");
    create(&client, "back", "172.30.0.0/24")
        .await
        .expect("network");
    client.run_detached("web", on("front")).await;
    let mut db = on("back");
    db.networks = vec![EndpointConfig {
        aliases: vec!["data".to_owned()],
        ipv4_address: "172.30.0.77".to_owned(),
        ..endpoint("back")
    }];
    client.run_detached("db", db).await;
    let lost = inside(&client, "web", &["nslookup", "db"]).await;
    assert!(!lost.contains("172.30.0.77"), "{lost}");
    connect(&client, "web", endpoint("back"))
        .await
        .expect("connected");
    let found = inside(&client, "web", &["nslookup", "data"]).await;
    assert!(found.contains("Address: 172.30.0.77"), "{found}");
    let pinged = inside(&client, "web", &["ping", "-c1", "-W2", "db.back"]).await;
    assert!(pinged.contains("1 packets received"), "{pinged}");
    let resolver = inside(&client, "web", &["cat", "/etc/resolv.conf"]).await;
    assert!(resolver.contains("nameserver 127.0.0.11\n"), "{resolver}");
    let networks =
        client.inspect("db").await.expect("inspect")["NetworkSettings"]["Networks"].clone();
    assert_eq!(
        networks["back"]["IPAMConfig"],
        json!({ "IPv4Address": "172.30.0.77" })
    );
    assert_eq!(networks["back"]["DNSNames"][1], "data");
    let listed = client
        .list(&[&format!("network={}", &id[..12])])
        .await
        .expect("list");
    assert_eq!(listed.len(), 1, "{listed:?}");

    let error = remove(&client, "back").await.expect_err("in use");
    assert!(
        error
            .message()
            .contains("network back has active endpoints (name:"),
        "{error}"
    );
    tokio::task::block_in_place(|| {
        host.kill_agent();
        host.start();
    });
    let client = host.client().await;
    let found = inside(&client, "web", &["nslookup", "db"]).await;
    assert!(found.contains("Address: 172.30.0.77"), "{found}");
    disconnect(&client, "web", "back")
        .await
        .expect("disconnected");
    let error = disconnect(&client, "web", "back").await.expect_err("twice");
    assert!(
        error
            .message()
            .ends_with("is not connected to network back"),
        "{error}"
    );
    assert_eq!(
        inside(&client, "web", &["ls", "/sys/class/net"]).await,
        "eth0\nlo\n"
    );
    let members = inspect(&client, "back").await["Containers"].clone();
    assert_eq!(members.as_object().expect("object").len(), 1);
    client.remove_all().await;
    remove(&client, "back").await.expect("free");
    remove(&client, &id[..20]).await.expect("free");
    let links = host.enter("ip").args(["-o", "link"]).output().expect("ip");
    let links = String::from_utf8_lossy(&links.stdout).into_owned();
    assert!(!links.contains("br-"), "{links}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_in_dockers_words() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    create(&client, "net", "172.30.0.0/24")
        .await
        .expect("network");
    let said = |result: Result<String, Status>| {
        let error = result.expect_err("refused");
        (error.message().to_owned(), reason(&error))
    };
    assert_eq!(
        said(create(&client, "net", "").await),
        (
            "network with name net already exists".to_owned(),
            "network-exists".to_owned()
        )
    );
    let (overlap, _) = said(create(&client, "two", "172.30.0.128/25").await);
    assert_eq!(
        overlap,
        "invalid pool request: Pool overlaps with other one on this address space"
    );
    let (predefined, _) = said(remove(&client, "bridge").await.map(|()| String::new()));
    assert_eq!(
        predefined,
        "bridge is a pre-defined network and cannot be removed"
    );
    let missing = remove(&client, "nope").await.expect_err("missing");
    assert_eq!(
        (missing.code(), missing.message()),
        (Code::NotFound, "network nope not found")
    );
    client.run_detached("one", on("net")).await;
    let twice = connect(&client, "one", endpoint("net"))
        .await
        .expect_err("twice");
    assert_eq!(
        twice.message(),
        "endpoint with name one already exists in network net"
    );
    let into_host = connect(&client, "one", endpoint("host"))
        .await
        .expect_err("host");
    assert!(into_host.message().contains("host network"), "{into_host}");
    let mut fixed = on("net");
    let address = |text: &str| EndpointConfig {
        ipv4_address: text.to_owned(),
        ..endpoint("net")
    };
    fixed.networks = vec![address("10.9.9.9")];
    let outside = client.create("", fixed.clone()).await.expect_err("outside");
    assert!(
        outside
            .message()
            .ends_with("no configured subnet contains IP address 10.9.9.9"),
        "{outside}"
    );
    fixed.networks = vec![address("172.30.0.2")];
    let id = client.create("", fixed).await.expect("create");
    let taken = client.start(&id).await.expect_err("taken");
    assert!(
        taken.message().ends_with("Address already in use"),
        "{taken}"
    );
    client.remove(&id, true, false).await.expect("remove");
    let gone = client.create("late", on("net")).await.expect("create");
    client.remove("one", true, false).await.expect("remove");
    remove(&client, "net")
        .await
        .expect("no running container is on it");
    let error = client.start(&gone).await.expect_err("gone");
    assert_eq!(
        error.message(),
        "failed to set up container networking: network net not found"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_container_is_connected_and_keeps_what_it_was_given() {
    let mut host = Host::new();
    let client = host.client().await;
    client.import().await;
    create(&client, "one", "172.30.0.0/24")
        .await
        .expect("network");
    create(&client, "two", "172.31.0.0/24")
        .await
        .expect("network");
    let mut config = on("one");
    config.host.get_or_insert_default().port_bindings = vec![PortBinding {
        container_port: 80,
        protocol: "tcp".to_owned(),
        ..Default::default()
    }];
    let id = client.create("web", config).await.expect("create");
    connect(
        &client,
        "web",
        EndpointConfig {
            aliases: vec!["alias".to_owned()],
            gw_priority: 7,
            ..endpoint("two")
        },
    )
    .await
    .expect("connected");
    tokio::task::block_in_place(|| {
        host.kill_agent();
        host.start();
    });
    let client = host.client().await;
    client.start(&id).await.expect("start");
    let route = inside(&client, "web", &["ip", "route", "show", "default"]).await;
    assert!(route.contains("via 172.31.0.1 dev eth1"), "{route}");
    let found = inside(&client, "web", &["nslookup", "alias"]).await;
    assert!(found.contains("Address: 172.31.0.2"), "{found}");
    let port = async |client: &Client| {
        let object = client.inspect("web").await.expect("inspect");
        object["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"].clone()
    };
    let before = port(&client).await;
    assert!(
        before.as_str().is_some_and(|port| !port.is_empty()),
        "{before}"
    );
    tokio::task::block_in_place(|| {
        host.kill_agent();
        host.start();
    });
    let client = host.client().await;
    assert_eq!(port(&client).await, before);
    client.remove_all().await;
    let pruned = client
        .networks()
        .prune(v1::PruneNetworksRequest::default())
        .await;
    let mut removed = pruned.expect("prune").into_inner().removed;
    removed.sort();
    assert_eq!(removed, ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_removed_without_its_container() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    client.run_detached("db", command(&["sleep", "1000"])).await;
    let mut config = command(&["sleep", "1000"]);
    config.host.get_or_insert_default().links = vec!["db:data".to_owned()];
    client.run_detached("web", config).await;
    let links = async || {
        let object = client.inspect("web").await.expect("inspect");
        object["HostConfig"]["Links"].clone()
    };
    assert_eq!(links().await, json!(["/db:/web/data"]));
    let unlink = async |name: &str| {
        let request = v1::RemoveRequest {
            container: name.to_owned(),
            link: true,
            ..Default::default()
        };
        client.containers.clone().remove(request).await.map(drop)
    };
    let error = unlink("/nobody/data").await.expect_err("no container");
    assert_eq!(
        error.message(),
        "Cannot get parent /nobody for link name /nobody/data"
    );
    unlink("web/other").await.expect_err("no link");
    unlink("/web/data").await.expect("removed");
    assert_eq!(links().await, Value::Null);
    client.stop("web", 0).await.expect("stop");
    client.remove("db", true, false).await.expect("remove");
    client.start("web").await.expect("it needs nobody any more");
}
