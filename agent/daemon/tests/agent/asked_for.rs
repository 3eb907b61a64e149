//! What a container is asked for when it is created: namespaces and volumes of others, mounts, links,
//! names, limits, and how what cannot be is refused.

use std::collections::HashMap;

use berth_proto::v1::wait_request::Condition;
use berth_proto::v1::{ContainerConfig, HostConfig, Mount, Resources, UlimitSetting};

use crate::client::{Client, sh};
use crate::host::Host;

fn with_host(script: &str, host: HostConfig) -> ContainerConfig {
    ContainerConfig {
        host: Some(host),
        ..sh(script)
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

async fn out(client: &Client, script: &str, host: HostConfig) -> String {
    let ran = client.run(with_host(script, host)).await.expect("run");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    ran.stdout
}

async fn refused(client: &Client, host: HostConfig) -> String {
    let created = client.create("", with_host("true", host)).await;
    created.expect_err("refused").message().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_of_a_running_container_are_shared() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let mut config = with_host(
        "echo here > /dev/shm/note; exec sleep 1000",
        HostConfig {
            ipc_mode: "shareable".to_owned(),
            extra_hosts: words(&["db:10.9.8.7"]),
            ..Default::default()
        },
    );
    config.hostname = "owner".to_owned();
    client.run_detached("owner", config).await;
    let shared = || HostConfig {
        ipc_mode: "container:owner".to_owned(),
        pid_mode: "container:owner".to_owned(),
        network_mode: "container:owner".to_owned(),
        ..Default::default()
    };
    let script = "until cat /dev/shm/note 2>/dev/null; do :; done; hostname; \
        grep -c 10.9.8.7 /etc/hosts; tr '\\0' ' ' < /proc/1/cmdline";
    let seen = out(&client, script, shared()).await;
    assert_eq!(seen, "here\nowner\n1\nsleep 1000 ");
    let inspected = client.inspect("owner").await.expect("inspect");
    assert_eq!(inspected["HostConfig"]["IpcMode"], "shareable");
    client.kill("owner", "KILL").await.expect("kill");
    let id = client
        .create("late", with_host("true", shared()))
        .await
        .expect("create");
    let error = client
        .start(&id)
        .await
        .expect_err("nobody there")
        .message()
        .to_owned();
    assert!(error.starts_with("failed to join IPC namespace"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_has_the_groups_limits_and_names_that_were_asked_for() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let options = HostConfig {
        group_add: words(&["4711"]),
        sysctls: HashMap::from([("net.ipv4.ip_default_ttl".to_owned(), "77".to_owned())]),
        dns: words(&["10.1.2.3"]),
        dns_search: words(&["a.example"]),
        dns_options: words(&["ndots:3"]),
        extra_hosts: words(&["gate:host-gateway"]),
        oom_score_adj: 500,
        resources: Some(Resources {
            ulimits: vec![UlimitSetting {
                name: "nofile".to_owned(),
                soft: 64,
                hard: 128,
            }],
            ..Default::default()
        }),
        ..Default::default()
    };
    let script = "id -G; ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_default_ttl; \
        cat /proc/self/oom_score_adj /etc/resolv.conf /proc/sys/kernel/domainname; \
        cat /sys/class/net/eth0/address; grep gate /etc/hosts";
    let mut config = with_host(script, options);
    config.domainname = "inside.example".to_owned();
    config.mac_address = "02:aa:bb:cc:dd:ee".to_owned();
    let ran = client.run(config).await.expect("run");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        lines[0].split(' ').any(|group| group == "4711"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        lines[1..10],
        [
            "64",
            "128",
            "77",
            "500",
            "nameserver 10.1.2.3",
            "search a.example",
            "options ndots:3",
            "inside.example",
            "02:aa:bb:cc:dd:ee",
        ],
        "{}",
        ran.stderr
    );
    assert!(lines[10].ends_with(".1\tgate"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn mounts_of_the_long_form_and_of_others_appear() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let fill = HostConfig {
        binds: words(&["data:/data"]),
        ..Default::default()
    };
    let first = with_host(
        "mkdir /data/sub; echo x > /data/sub/file; ln -s / /data/up",
        fill,
    );
    let id = client.create("first", first).await.expect("create");
    let ended = client.wait(&id, Condition::NextExit).await.expect("wait");
    client.start(&id).await.expect("start");
    ended.await;
    let mount = |kind: &str, source: &str, target: &str| Mount {
        r#type: kind.to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
        ..Default::default()
    };
    let options = HostConfig {
        volumes_from: words(&["first:ro"]),
        mounts: vec![
            Mount {
                tmpfs_size_bytes: 65_536,
                tmpfs_mode: Some(0o700),
                ..mount("tmpfs", "", "/fast")
            },
            Mount {
                volume_subpath: "up/sub".to_owned(),
                ..mount("volume", "data", "/part")
            },
        ],
        ..Default::default()
    };
    let script = "cat /part/file; touch /data/y 2>/dev/null || echo read-only; \
        stat -c %a /fast; grep -o ' /fast .*size=64k' /proc/mounts | wc -l";
    assert_eq!(
        out(&client, script, options).await,
        "x\nread-only\n700\n1\n"
    );
    let twice = HostConfig {
        binds: words(&["/tmp:/x"]),
        mounts: vec![mount("tmpfs", "", "/x/../x")],
        ..Default::default()
    };
    assert_eq!(refused(&client, twice).await, "Duplicate mount point: /x");
    let missing = HostConfig {
        mounts: vec![mount("bind", "/not/there", "/x")],
        ..Default::default()
    };
    assert_eq!(
        refused(&client, missing).await,
        "invalid mount config for type \"bind\": bind source path does not exist: /not/there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_tells_names_variables_and_new_addresses() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let mut target = sh("exec sleep 1000");
    target.host = None;
    target.exposed_ports = words(&["5432/tcp"]);
    client.run_detached("db", target).await;
    let linked = HostConfig {
        links: words(&["db:data"]),
        ..Default::default()
    };
    client
        .run_detached("web", with_host("exec sleep 1000", linked.clone()))
        .await;
    let address = client.inspect("db").await.expect("inspect")["NetworkSettings"]["IPAddress"]
        .as_str()
        .expect("address")
        .to_owned();
    let seen = out(
        &client,
        "env | grep DATA_PORT=; grep data /etc/hosts",
        linked,
    )
    .await;
    let (variable, line) = seen.split_once('\n').expect("two lines");
    assert_eq!(variable, format!("DATA_PORT=tcp://{address}:5432"));
    assert!(line.starts_with(&format!("{address}\tdata ")), "{line}");
    client.stop("db", 0).await.expect("stop");
    // Takes the address that was the other's.
    client.run_detached("other", sh("exec sleep 1000")).await;
    client.start("db").await.expect("start again");
    let now = client.inspect("db").await.expect("inspect");
    let now = now["NetworkSettings"]["IPAddress"]
        .as_str()
        .expect("address")
        .to_owned();
    let inspected = client.inspect("web").await.expect("inspect");
    let path = inspected["HostsPath"].as_str().expect("path");
    let hosts = std::fs::read_to_string(path).expect("hosts");
    assert!(
        hosts.contains(&format!("{now}\tdata ")),
        "{now} not in {hosts}"
    );
    assert_eq!(inspected["HostConfig"]["Links"][0], "/db:/web/data");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_in_dockers_words() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let limits = HostConfig {
        memory_bytes: 1 << 20,
        ..Default::default()
    };
    assert_eq!(
        refused(&client, limits).await,
        "Minimum memory limit allowed is 6MB"
    );
    let network = HostConfig {
        network_mode: "mine".to_owned(),
        ..Default::default()
    };
    assert_eq!(refused(&client, network).await, "network mine not found");
    let sysctl = HostConfig {
        sysctls: HashMap::from([("kernel.panic".to_owned(), "1".to_owned())]),
        ..Default::default()
    };
    assert_eq!(
        refused(&client, sysctl).await,
        "sysctl \"kernel.panic\" is not in a separate kernel namespace"
    );
    let link = HostConfig {
        links: words(&["nobody"]),
        ..Default::default()
    };
    assert_eq!(
        refused(&client, link).await,
        "could not get container for nobody: No such container: nobody"
    );
    assert!(client.list(&[]).await.expect("list").is_empty());
}
