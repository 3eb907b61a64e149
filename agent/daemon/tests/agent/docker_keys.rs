//! `inspect` has all that dockerd's has, by name and type.

use berth_proto::v1::{self, ContainerConfig, HealthConfig, HostConfig};
use serde_json::Value;

use crate::client::command;
use crate::host::Host;

/// Keys and types of what dockerd 20.10 prints for a container such as the test's, without `KernelMemory` and
/// `KernelMemoryTCP`, which later versions do not have, and with the empty lists that later clients send.
const KEYS: &str = include_str!("docker_keys.txt");

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn find<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |value, key| match value {
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        value => value.get(key),
    })
}

fn config() -> ContainerConfig {
    ContainerConfig {
        env: vec!["A=b".to_owned()],
        exposed_ports: vec!["80/tcp".to_owned()],
        labels: [("x".to_owned(), "y".to_owned())].into(),
        healthcheck: Some(HealthConfig {
            test: vec!["CMD-SHELL".to_owned(), "true".to_owned()],
            ..Default::default()
        }),
        host: Some(HostConfig {
            binds: vec!["volume:/v".to_owned(), "/tmp:/t".to_owned()],
            memory_bytes: 64 << 20,
            nano_cpus: 500_000_000,
            restart_policy: Some(v1::RestartPolicy {
                name: "on-failure".to_owned(),
                maximum_retry_count: 3,
            }),
            port_bindings: vec![v1::PortBinding {
                container_port: 80,
                host_port: 8080,
                protocol: "tcp".to_owned(),
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..command(&["sleep", "1000"])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_has_every_key_of_dockerds() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let id = client.run_detached("full", config()).await;
    let object = client.inspect(&id).await.expect("inspect");
    let mut different = Vec::new();
    for line in KEYS.lines() {
        let (path, wanted) = line.split_once(' ').expect("a path and a type");
        match find(&object, path).map(kind) {
            Some(found) if found == wanted => {}
            found => different.push(format!("{path}: {wanted}, here {found:?}")),
        }
    }
    assert!(different.is_empty(), "{different:#?}");
    let merged = object["GraphDriver"]["Data"]["MergedDir"]
        .as_str()
        .expect("text");
    assert!(
        std::path::Path::new(merged).join("bin/busybox").exists(),
        "{merged}"
    );
}
