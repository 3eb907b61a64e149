//! Tests of the checks, by Docker's texts.

use super::*;
use crate::options::{EndpointOptions, HostOptions};

fn refused(options: &ContainerOptions) -> String {
    let config = MergedConfig {
        env: options.env.clone(),
        mac_address: options.mac_address.clone(),
        ..MergedConfig::default()
    };
    check(options, &config).map_or_else(|error| error.to_string(), |()| "accepted".to_owned())
}

fn with_host(host: HostOptions) -> ContainerOptions {
    ContainerOptions {
        host,
        ..ContainerOptions::default()
    }
}

fn network(mode: &str) -> ContainerOptions {
    with_host(HostOptions {
        network_mode: mode.to_owned(),
        ..HostOptions::default()
    })
}

#[test]
fn a_shared_network_leaves_nothing_to_choose() {
    type Change<'a> = &'a dyn Fn(&mut ContainerOptions);
    let words = |text: &str| vec![text.to_owned()];
    let change: [(Change<'_>, &str); 6] = [
        (
            &|o| o.hostname = "h".to_owned(),
            "hostname and the network mode",
        ),
        (
            &|o| o.host.dns = words("1.1.1.1"),
            "dns and the network mode",
        ),
        (
            &|o| o.host.extra_hosts = words("a:1.1.1.1"),
            "custom host-to-IP mapping and the network mode",
        ),
        (
            &|o| o.mac_address = "02:00:00:00:00:01".to_owned(),
            "mac-address and the network mode",
        ),
        (
            &|o| o.host.publish_all_ports = true,
            "port publishing and the container type network mode",
        ),
        (
            &|o| o.exposed_ports = words("80"),
            "port exposing and the container type network mode",
        ),
    ];
    for (change, text) in change {
        let mut options = network("container:web");
        change(&mut options);
        assert_eq!(refused(&options), format!("conflicting options: {text}"));
        options.host.network_mode.clear();
        assert_eq!(refused(&options), "accepted");
    }
    assert_eq!(
        refused(&network("container:")),
        "invalid container format container:<name|id>"
    );
}

#[test]
fn the_default_network_has_no_addresses_to_choose() {
    let mut options = network("");
    options.networks = vec![EndpointOptions {
        network: "default".to_owned(),
        ipv4_address: "172.17.0.9".to_owned(),
        ..EndpointOptions::default()
    }];
    assert_eq!(
        refused(&options),
        "invalid config for network bridge: invalid endpoint settings:\nuser specified IP address is supported on user defined networks only"
    );
}

#[test]
fn addresses_of_interfaces_are_checked_and_agree() {
    for wrong in [
        "02:00",
        "01:00:00:00:00:00",
        "00:00:00:00:00:00",
        "x",
        "02:00:00:00:00:1",
    ] {
        let mut options = network("");
        options.mac_address = wrong.to_owned();
        assert!(
            refused(&options).starts_with("invalid MAC address"),
            "{wrong}"
        );
    }
    let mut options = network("");
    options.mac_address = "02:00:00:00:00:01".to_owned();
    options.networks = vec![EndpointOptions {
        network: "bridge".to_owned(),
        mac_address: "02-00-00-00-00-01".to_owned(),
        ..EndpointOptions::default()
    }];
    assert_eq!(refused(&options), "accepted");
    options.networks[0].mac_address = "02:00:00:00:00:02".to_owned();
    assert!(refused(&options).starts_with("the container-wide MAC address must match"));
}

#[test]
fn modes_that_do_not_exist_are_named() {
    let host = HostOptions::default;
    let text = |value: &str| value.to_owned();
    let wrong = [
        (
            HostOptions {
                ipc_mode: text("x"),
                ..host()
            },
            "invalid IPC mode: x",
        ),
        (
            HostOptions {
                pid_mode: text("container:"),
                ..host()
            },
            "invalid PID mode: container:",
        ),
        (
            HostOptions {
                uts_mode: text("private"),
                ..host()
            },
            "invalid UTS mode: private",
        ),
        (
            HostOptions {
                cgroupns_mode: text("x"),
                ..host()
            },
            "invalid cgroup namespace mode: x",
        ),
        (
            HostOptions {
                isolation: text("hyperv"),
                ..host()
            },
            "invalid isolation 'hyperv' on linux",
        ),
        (
            HostOptions {
                shm_size_bytes: -1,
                ..host()
            },
            "SHM size can not be less than 0",
        ),
        (
            HostOptions {
                oom_score_adj: 1001,
                ..host()
            },
            "Invalid value 1001, range for oom score adj is [-1000, 1000]",
        ),
    ];
    for (host, text) in wrong {
        assert_eq!(refused(&with_host(host)), text);
    }
}

#[test]
fn only_parameters_of_own_namespaces_are_set() {
    let sysctl = |name: &str, change: &dyn Fn(&mut HostOptions)| {
        let mut host = HostOptions::default();
        host.sysctls.insert(name.to_owned(), "1".to_owned());
        change(&mut host);
        refused(&with_host(host))
    };
    let own = |_: &mut HostOptions| {};
    for good in [
        "net.ipv4.ip_forward",
        "net/ipv4/conf/eth0.1/forwarding",
        "kernel.shmmax",
        "fs.mqueue.msg_max",
    ] {
        assert_eq!(sysctl(good, &own), "accepted", "{good}");
    }
    assert_eq!(
        sysctl("kernel.panic", &own),
        "sysctl \"kernel.panic\" is not in a separate kernel namespace"
    );
    assert_eq!(
        sysctl("net.ipv4.ip_forward", &|host| host.network_mode =
            "host".to_owned()),
        "sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace"
    );
    assert_eq!(
        sysctl("kernel.shmmax", &|host| host.ipc_mode = "host".to_owned()),
        "sysctl \"kernel.shmmax\" is not allowed in the hosts ipc namespace"
    );
    for path in ["net.ipv4/../../kernel.panic", "net..x", "/net/x", "net.\0"] {
        assert!(sysctl(path, &own).starts_with("invalid sysctl"), "{path:?}");
    }
}

#[test]
fn texts_that_the_kernel_would_cut_are_refused() {
    let mut options = ContainerOptions {
        env: vec!["A=\0".to_owned()],
        ..ContainerOptions::default()
    };
    assert_eq!(
        refused(&options),
        "invalid environment variable: contains a NUL character"
    );
    options.env = vec!["=x".to_owned()];
    assert_eq!(refused(&options), "invalid environment variable: =x");
    options.env.clear();
    options.host.dns_search = vec!["a\nnameserver 6.6.6.6".to_owned()];
    assert!(refused(&options).starts_with("invalid domain"));
}
