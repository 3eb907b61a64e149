//! What containers are given: users, environments, limits, confinement.

use berth_proto::v1::{ContainerConfig, HostConfig};

use crate::client::sh;
use crate::host::Host;

fn with_host(script: &str, host: HostConfig) -> ContainerConfig {
    ContainerConfig {
        host: Some(HostConfig {
            auto_remove: true,
            ..host
        }),
        ..sh(script)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_gets_dockers_surroundings() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let mut config = sh("id -u; id -g; id -G; env; pwd; hostname; cat /etc/hostname");
    config.user = "app".to_owned();
    config.hostname = "web.example".to_owned();
    config.working_dir = "/not/there/yet".to_owned();
    config.env = vec!["OWN=1".to_owned()];
    let ran = client.run(config).await.expect("run");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[..3], ["1000", "1001", "1001 10"], "{}", ran.stdout);
    for line in [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOSTNAME=web.example",
        "HOME=/home/app",
        "OWN=1",
        "/not/there/yet",
    ] {
        assert!(lines.contains(&line), "no {line} in {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("TERM="), "{}", ran.stdout);
    assert_eq!(lines[lines.len() - 2..], ["web.example", "web.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_confined_unless_it_is_privileged() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let script = "grep CapBnd /proc/self/status; grep Seccomp: /proc/self/status; \
        echo x 2>/dev/null > /proc/sysrq-trigger && echo WROTE; wc -c < /proc/kcore; \
        grep ' /dev/shm ' /proc/mounts; mount -t tmpfs none /tmp 2>/dev/null && echo MOUNTED";
    let ran = client.sh(script).await;
    assert!(
        ran.stdout.contains("CapBnd:\t00000000a80425fb"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("Seccomp:\t2"), "{}", ran.stdout);
    assert!(ran.stdout.contains("size=65536k"), "{}", ran.stdout);
    assert!(
        !ran.stdout.contains("WROTE") && !ran.stdout.contains("MOUNTED"),
        "{}",
        ran.stdout
    );
    let privileged = HostConfig {
        privileged: true,
        ..Default::default()
    };
    let script = "grep Seccomp: /proc/self/status; mount -t tmpfs none /tmp && echo MOUNTED";
    let ran = client
        .run(with_host(script, privileged))
        .await
        .expect("run");
    assert_eq!(ran.stdout, "Seccomp:\t0\nMOUNTED\n", "{}", ran.stderr);
    let options = HostConfig {
        cap_drop: vec!["ALL".to_owned()],
        cap_add: vec!["NET_RAW".to_owned()],
        security_opt: vec![
            "no-new-privileges".to_owned(),
            "seccomp=unconfined".to_owned(),
        ],
        ..Default::default()
    };
    let script = "grep -e CapBnd -e NoNewPrivs -e Seccomp: /proc/self/status";
    let ran = client.run(with_host(script, options)).await.expect("run");
    assert_eq!(
        ran.stdout,
        "CapBnd:\t0000000000002000\nNoNewPrivs:\t1\nSeccomp:\t0\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_root_takes_no_writes_but_its_volumes_do() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    let options = HostConfig {
        read_only_rootfs: true,
        tmpfs: vec!["/tmp:size=1m".to_owned()],
        shm_size_bytes: 1 << 20,
        ..Default::default()
    };
    let script = "touch /root/x 2>/dev/null || echo refused; touch /tmp/x && echo taken; \
        grep ' /tmp ' /proc/mounts; grep ' /dev/shm ' /proc/mounts";
    let ran = client.run(with_host(script, options)).await.expect("run");
    assert!(ran.stdout.starts_with("refused\ntaken\n"), "{}", ran.stdout);
    assert_eq!(
        ran.stdout.matches("size=1024k").count(),
        2,
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("noexec"), "{}", ran.stdout);
}
