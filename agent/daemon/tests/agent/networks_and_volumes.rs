//! Networks, published ports, binds and volumes.

use std::fs;
use std::io::{Read as _, Write as _};

use berth_proto::v1::{ContainerConfig, HostConfig, PortBinding};
use tonic::Code;

use crate::client::{command, reason, sh};
use crate::host::{Host, until};

fn with_host(config: ContainerConfig, host: HostConfig) -> ContainerConfig {
    ContainerConfig {
        host: Some(host),
        ..config
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_network_is_what_it_says() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let script = "ls /sys/class/net; cat /etc/hosts; cat /etc/resolv.conf";
    let bridged = client.sh(script).await;
    assert!(
        bridged.stdout.starts_with("eth0\nlo\n"),
        "{}",
        bridged.stdout
    );
    assert!(
        bridged.stdout.contains("127.0.0.1\tlocalhost"),
        "{}",
        bridged.stdout
    );
    let mut isolated = sh("ls /sys/class/net");
    isolated.host = Some(HostConfig {
        network_mode: "none".to_owned(),
        ..Default::default()
    });
    assert_eq!(client.run(isolated).await.expect("run").stdout, "lo\n");
    let mut shared = sh("ls /sys/class/net; hostname");
    shared.host = Some(HostConfig {
        network_mode: "host".to_owned(),
        ..Default::default()
    });
    let ran = client.run(shared).await.expect("run");
    assert!(ran.stdout.contains("berth0\n"), "{}", ran.stdout);
    let mut unknown = sh("true");
    unknown.host = Some(HostConfig {
        network_mode: "mine".to_owned(),
        ..Default::default()
    });
    let error = client.run(unknown).await.expect_err("no such network");
    assert_eq!(error.message(), "network mine not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_port_answers_and_is_taken_once() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let server = command(&["sh", "-c", "while :; do echo hello | nc -l -p 80; done"]);
    let publish = |host_port| HostConfig {
        port_bindings: vec![PortBinding {
            host_port,
            container_port: 80,
            protocol: "tcp".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let id = client
        .run_detached("", with_host(server.clone(), publish(8080)))
        .await;
    until("an answer over loopback", async || {
        let mut text = String::new();
        host.connect("127.0.0.1:8080")
            .and_then(|mut stream| {
                stream.write_all(b"\n")?;
                stream.read_to_string(&mut text)
            })
            .is_ok()
            && text == "hello\n"
    })
    .await;
    let listed = client.list(&[]).await.expect("list");
    assert_eq!(
        (
            listed[0].ports[0].host_port,
            listed[0].ports[0].container_port
        ),
        (8080, 80)
    );
    let second = client
        .create("", with_host(server.clone(), publish(8080)))
        .await
        .expect("create");
    let error = client.start(&second).await.expect_err("taken");
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::FailedPrecondition, "port-in-use")
    );
    assert!(
        error.message().contains("port is already allocated"),
        "{}",
        error.message()
    );
    client.remove(&id, true, false).await.expect("remove");
    client.start(&second).await.expect("free again");
    let any = client.run_detached("", with_host(server, publish(0))).await;
    let ports = &client.inspect(&any).await.expect("inspect")["NetworkSettings"]["Ports"]["80/tcp"];
    let port: u16 = ports[0]["HostPort"]
        .as_str()
        .expect("text")
        .parse()
        .expect("number");
    assert!(port > 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn binds_and_volumes_keep_what_is_written() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let bind = host.path("shared");
    let binds = |text: String| HostConfig {
        binds: vec![text],
        auto_remove: true,
        ..Default::default()
    };
    let config = with_host(
        sh("echo hi > /mnt/file"),
        binds(format!("{}:/mnt", bind.display())),
    );
    assert_eq!(client.run(config).await.expect("run").code, 0);
    assert_eq!(fs::read_to_string(bind.join("file")).expect("file"), "hi\n");
    let read_only = format!("{}:/mnt:ro", bind.display());
    let config = with_host(
        sh("cat /mnt/file; touch /mnt/new || exit 8"),
        binds(read_only),
    );
    let ran = client.run(config).await.expect("run");
    assert_eq!((ran.stdout.as_str(), ran.code), ("hi\n", 8));

    // A new volume starts with what the image has there.
    let named = || binds("store:/data".to_owned());
    let ran = client
        .run(with_host(
            sh("cat /data/from-image; echo 1 > /data/n"),
            named(),
        ))
        .await;
    assert_eq!(ran.expect("run").stdout, "seed\n");
    let ran = client
        .run(with_host(sh("cat /data/n"), named()))
        .await
        .expect("run");
    assert_eq!(ran.stdout, "1\n");
    assert_eq!(host.names("data/volumes"), ["store"]);

    // One without a name goes with its container, when asked to.
    let anonymous = HostConfig {
        binds: vec!["/data".to_owned()],
        ..Default::default()
    };
    let id = client
        .create("", with_host(command(&["true"]), anonymous.clone()))
        .await
        .expect("create");
    assert_eq!(host.names("data/volumes").len(), 2);
    client.remove(&id, false, true).await.expect("remove");
    assert_eq!(host.names("data/volumes"), ["store"]);
    let vanishing = HostConfig {
        auto_remove: true,
        ..anonymous
    };
    client
        .run(with_host(sh("true"), vanishing))
        .await
        .expect("run");
    until("the volume is gone", async || {
        host.names("data/volumes") == ["store"]
    })
    .await;
}
