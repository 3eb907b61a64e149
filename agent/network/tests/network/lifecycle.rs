//! Attaching, failing to attach, detaching, and agents that are killed.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use crate::support::{MACHINE, Machine, Space, WORLD, eventually, ip, on_bridge, port};
use berth_agent_network::{AttachError, HostPort, PortRequest, Protocol};

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

#[test]
fn detaching_frees_everything_and_can_be_repeated() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let request = || on_bridge(&[port(8080, 80, Protocol::Tcp)]);
        network.attach("one", request()).await.unwrap();
        assert_eq!(machine.namespaces(), ["one"]);
        network.detach("one").await.unwrap();
        network.detach("one").await.unwrap();
        network.detach("never attached").await.unwrap();
        assert_eq!(machine.namespaces(), [""; 0]);
        assert_eq!(network.attachment("one"), None);
        eventually("the interface is gone", || machine.interfaces().is_empty());
        machine
            .space
            .run(|| TcpListener::bind((ANY, 8080)).map(drop).unwrap());
        network.attach("one", request()).await.unwrap();
    });
}

#[test]
fn a_port_in_use_is_refused_by_name_and_nothing_is_left() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let tcp = || on_bridge(&[port(8080, 80, Protocol::Tcp)]);
        let udp = || on_bridge(&[port(8081, 80, Protocol::Udp)]);
        let program = machine
            .space
            .run(|| TcpListener::bind((ANY, 8080)).unwrap());
        let datagrams = machine.space.run(|| UdpSocket::bind((ANY, 8081)).unwrap());
        for request in [tcp(), udp()] {
            let error = network.attach("one", request).await.unwrap_err();
            assert!(
                matches!(error, AttachError::PortInUse { holder: None, .. }),
                "{error}"
            );
        }
        drop((program, datagrams));
        network.attach("one", tcp()).await.unwrap();
        let error = network.attach("two", tcp()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "port 8080/tcp on 0.0.0.0 is in use by container one"
        );
        assert_eq!(machine.namespaces(), ["one"]);
        assert_eq!(network.attachment("two"), None);
        // The other protocol's port of the same number is another port.
        let other = on_bridge(&[port(8080, 80, Protocol::Udp)]);
        network.attach("three", other).await.unwrap();
    });
}

#[test]
fn the_same_port_twice_in_one_request_is_refused() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let twice = on_bridge(&[port(8080, 80, Protocol::Tcp), port(8080, 81, Protocol::Tcp)]);
        let error = network.attach("one", twice).await.unwrap_err();
        assert!(matches!(error, AttachError::PortInUse { .. }), "{error}");
        network
            .attach("one", on_bridge(&[port(8080, 80, Protocol::Tcp)]))
            .await
            .unwrap();
    });
}

#[test]
fn other_programs_do_not_get_a_published_port() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let request = on_bridge(&[port(8080, 80, Protocol::Tcp), port(8081, 81, Protocol::Udp)]);
        network.attach("one", request).await.unwrap();
        machine.space.run(|| {
            TcpListener::bind((ANY, 8080)).unwrap_err();
            TcpListener::bind((MACHINE, 8080)).unwrap_err();
            UdpSocket::bind((ANY, 8081)).unwrap_err();
        });
    });
}

#[test]
fn ports_are_chosen_from_a_range_or_freely() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let ask = |host_port| {
            on_bridge(&[PortRequest {
                host_port,
                ..port(0, 80, Protocol::Tcp)
            }])
        };
        let range = HostPort::Within {
            first: 9000,
            last: 9002,
        };
        let _program = machine
            .space
            .run(|| TcpListener::bind((ANY, 9001)).unwrap());
        let one = network.attach("one", ask(range)).await.unwrap();
        let two = network.attach("two", ask(range)).await.unwrap();
        assert_eq!(
            (one.ports[0].host_port, two.ports[0].host_port),
            (9000, 9002)
        );
        let error = network.attach("three", ask(range)).await.unwrap_err();
        assert!(matches!(error, AttachError::NoFreePort { .. }), "{error}");
        let three = network.attach("three", ask(HostPort::Any)).await.unwrap();
        let _server = Space::of(&three).serve_tcp("three", ANY, 80);
        let chosen = three.ports[0].host_port;
        assert!(chosen >= 1024);
        assert_eq!(
            machine.world.tcp(MACHINE, chosen),
            Some(format!("three {WORLD}"))
        );
    });
}

#[test]
fn addresses_that_cannot_be_published_on_are_refused() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let at = |host_ip: &str| {
            on_bridge(&[PortRequest {
                host_ip: Some(host_ip.parse().unwrap()),
                ..port(8080, 80, Protocol::Tcp)
            }])
        };
        let foreign = network.attach("one", at("192.0.2.1")).await.unwrap_err();
        assert!(
            matches!(foreign, AttachError::NoSuchAddress { .. }),
            "{foreign}"
        );
        let six = network.attach("one", at("::1")).await.unwrap_err();
        assert!(matches!(six, AttachError::Ipv6 { .. }), "{six}");
        assert_eq!(machine.namespaces(), [""; 0]);
    });
}

#[test]
fn an_id_is_attached_once_and_is_never_a_path() {
    let machine = Machine::new();
    machine.agent(async |network| {
        network.attach("one", on_bridge(&[])).await.unwrap();
        let again = network.attach("one", on_bridge(&[])).await.unwrap_err();
        assert!(
            matches!(again, AttachError::AlreadyAttached { .. }),
            "{again}"
        );
        for id in ["", ".", "..", "../one", "a/b", &"x".repeat(200), "a\0b"] {
            let error = network.attach(id, on_bridge(&[])).await.unwrap_err();
            assert!(matches!(error, AttachError::InvalidId { .. }), "{error}");
        }
    });
}

#[test]
fn many_containers_come_and_go_at_once() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let ids: Vec<String> = (0..16).map(|n| format!("c{n}")).collect();
        for _ in 0..2 {
            let attaching: Vec<_> = ids
                .iter()
                .enumerate()
                .map(|(n, id)| {
                    let (network, id) = (network.clone(), id.clone());
                    let host_port = 7000 + u16::try_from(n).unwrap();
                    let request = on_bridge(&[port(host_port, 80, Protocol::Tcp)]);
                    tokio::spawn(async move { network.attach(&id, request).await.unwrap() })
                })
                .collect();
            let mut addresses = HashSet::new();
            for (n, task) in attaching.into_iter().enumerate() {
                let attachment = task.await.unwrap();
                assert!(addresses.insert(ip(&attachment)));
                let name = format!("c{n}");
                let _server = Space::of(&attachment).serve_tcp(&name, ANY, 80);
                let host_port = attachment.ports[0].host_port;
                assert_eq!(
                    machine.world.tcp(MACHINE, host_port),
                    Some(format!("{name} {WORLD}"))
                );
            }
            let detaching = ids.iter().map(|id| {
                let (network, id) = (network.clone(), id.clone());
                tokio::spawn(async move { network.detach(&id).await.unwrap() })
            });
            for task in detaching.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            assert_eq!(machine.namespaces(), [""; 0]);
        }
        eventually("all interfaces are gone", || {
            machine.interfaces().is_empty()
        });
    });
}

#[test]
fn a_killed_agent_finds_its_containers_and_drops_what_leaked() {
    let machine = Machine::new();
    let request = |n| on_bridge(&[port(n, 80, Protocol::Tcp)]);
    let (live, dead) = machine.agent(async |network| {
        let live = network.attach("live", request(8080)).await.unwrap();
        let dead = network.attach("dead", request(8081)).await.unwrap();
        (live, dead)
    });
    let _server = Space::of(&live).serve_tcp("live", ANY, 80);
    // Traffic flows while there is no agent.
    assert!(machine.world.tcp(MACHINE, 8080).is_some());
    // An agent that was killed in the middle of an attach leaves a file and an interface.
    std::fs::write(machine.directory.path().join("netns/half"), "").unwrap();
    std::fs::write(machine.directory.path().join("leases/.new-half"), "{").unwrap();
    machine.space.command(
        "ip link add bvac11fffe type veth peer name x && ip link set bvac11fffe master berth0",
    );
    drop(dead);
    machine.agent(async |network| {
        let found = network.attachment("live").unwrap();
        assert_eq!(found, live);
        network
            .restore(&["live".to_owned()], Vec::new())
            .await
            .unwrap();
        // Restoring again changes nothing.
        network
            .restore(&["live".to_owned()], Vec::new())
            .await
            .unwrap();
        assert_eq!(network.attachment("live"), Some(live.clone()));
        assert_eq!(network.attachment("dead"), None);
        assert_eq!(machine.namespaces(), ["live"]);
        eventually("only one interface is left", || {
            machine.interfaces().len() == 1
        });
        assert_eq!(
            machine.world.tcp(MACHINE, 8080),
            Some(format!("live {WORLD}"))
        );
        assert!(machine.world.refuses_tcp(MACHINE, 8081));
        machine
            .space
            .run(|| TcpListener::bind((ANY, 8080)).unwrap_err());
        let error = network.attach("new", request(8080)).await.unwrap_err();
        assert!(
            matches!(
                error,
                AttachError::PortInUse {
                    holder: Some(_),
                    ..
                }
            ),
            "{error}"
        );
        let new = network.attach("new", request(8081)).await.unwrap();
        assert_ne!(ip(&new), ip(&live));
        network.detach("live").await.unwrap();
        assert!(machine.world.refuses_tcp(MACHINE, 8080));
    });
    // What was forgotten stays forgotten, and nothing live means nothing is kept.
    machine.agent(async |network| {
        network.restore(&[], Vec::new()).await.unwrap();
        assert_eq!(machine.namespaces(), [""; 0]);
        eventually("all interfaces are gone", || {
            machine.interfaces().is_empty()
        });
    });
}

#[test]
fn a_port_taken_while_the_agent_was_down_stays_published() {
    let machine = Machine::new();
    let one = machine.agent(async |network| {
        let request = on_bridge(&[port(8080, 80, Protocol::Tcp)]);
        network.attach("one", request).await.unwrap()
    });
    let _server = Space::of(&one).serve_tcp("one", ANY, 80);
    let _thief = machine.space.serve_tcp("thief", ANY, 8080);
    machine.agent(async |network| {
        network
            .restore(&["one".to_owned()], Vec::new())
            .await
            .unwrap();
        assert_eq!(
            machine.world.tcp(MACHINE, 8080),
            Some(format!("one {WORLD}"))
        );
        network.detach("one").await.unwrap();
        assert_eq!(
            machine.world.tcp(MACHINE, 8080),
            Some(format!("thief {WORLD}"))
        );
    });
}

#[test]
fn a_flushed_firewall_is_mended_by_the_next_container() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let request = on_bridge(&[port(8080, 80, Protocol::Tcp)]);
        let one = network.attach("one", request).await.unwrap();
        let _server = Space::of(&one).serve_tcp("one", ANY, 80);
        machine.space.command("nft flush ruleset");
        assert!(machine.world.tcp(MACHINE, 8080).is_none());
        network.attach("two", on_bridge(&[])).await.unwrap();
        assert_eq!(
            machine.world.tcp(MACHINE, 8080),
            Some(format!("one {WORLD}"))
        );
        // Detaching from a firewall that is gone is no failure, and mends it for the others.
        let three = on_bridge(&[port(8082, 80, Protocol::Tcp)]);
        network.attach("three", three).await.unwrap();
        machine.space.command("nft flush ruleset");
        network.detach("three").await.unwrap();
        assert_eq!(
            machine.world.tcp(MACHINE, 8080),
            Some(format!("one {WORLD}"))
        );
    });
}

#[test]
fn the_firewall_can_be_read_with_the_usual_program() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let request = on_bridge(&[
            port(8080, 80, Protocol::Tcp),
            PortRequest {
                host_ip: Some(MACHINE.into()),
                ..port(5353, 53, Protocol::Udp)
            },
        ]);
        let one = network.attach("one", request).await.unwrap();
        let listing = machine.space.command("nft list table ip berth");
        let ip = ip(&one);
        for line in [
            format!("tcp . 8080 : {ip} . 80"),
            format!("udp . {MACHINE} . 5353 : {ip} . 53"),
            "iifname != \"lo\" ip daddr 127.0.0.0/8 drop".to_owned(),
            "ip saddr 172.17.0.0/16 oifname != \"berth0\" masquerade".to_owned(),
            "oifname @bridges ct state established,related accept".to_owned(),
            "iifname . oifname @within accept".to_owned(),
        ] {
            assert!(listing.contains(&line), "{line}:\n{listing}");
        }
    });
}

#[test]
fn a_removed_bridge_is_made_again_and_live_containers_return_to_it() {
    let machine = Machine::new();
    let one = machine.agent(async |network| {
        let request = on_bridge(&[port(8080, 80, Protocol::Tcp)]);
        let one = network.attach("one", request).await.unwrap();
        machine.space.command("ip link del berth0");
        let two = network.attach("two", on_bridge(&[])).await.unwrap();
        assert_eq!(
            two.interface.unwrap().gateway,
            one.interface.unwrap().gateway
        );
        one
    });
    let _server = Space::of(&one).serve_tcp("one", ANY, 80);
    machine.agent(async |network| {
        network
            .restore(&["one".to_owned()], Vec::new())
            .await
            .unwrap();
        assert_eq!(
            machine.world.tcp(MACHINE, 8080),
            Some(format!("one {WORLD}"))
        );
        assert_eq!(
            Space::of(&one).tcp(MACHINE, 8080),
            Some(format!("one {}", one.interface.unwrap().gateway))
        );
    });
}

#[test]
fn the_subnet_avoids_the_machines_networks_and_stays_the_same() {
    let machine = Machine::new();
    machine
        .space
        .command("ip addr add 172.17.5.1/24 dev eth0; ip route add 172.18.0.0/15 via 10.200.0.2");
    let subnet = |network: berth_agent_network::Network| async move {
        let one = network.attach("one", on_bridge(&[])).await.unwrap();
        network.detach("one").await.unwrap();
        one.interface.unwrap().gateway
    };
    assert_eq!(machine.agent(subnet), Ipv4Addr::new(172, 20, 0, 1));
    machine
        .space
        .command("ip addr del 172.17.5.1/24 dev eth0; ip link del berth0");
    assert_eq!(machine.agent(subnet), Ipv4Addr::new(172, 20, 0, 1));
    // Until somebody else has it, and nobody is attached.
    machine
        .space
        .command("ip link del berth0; ip addr add 172.20.0.9/24 dev eth0");
    assert_eq!(machine.agent(subnet), Ipv4Addr::new(172, 17, 0, 1));
}

#[test]
fn a_container_is_told_the_machines_name_servers() {
    let machine = Machine::new();
    std::fs::write(
        machine.directory.path().join("resolv.conf"),
        "nameserver 10.200.0.2\nsearch example\n",
    )
    .unwrap();
    machine.agent(async |network| {
        let one = network.attach("one", on_bridge(&[])).await.unwrap();
        assert_eq!(
            one.dns.to_string(),
            "nameserver 10.200.0.2\nsearch example\n"
        );
    });
}
