//! Packets between containers, their machine and the world.

use std::net::Ipv4Addr;

use crate::support::{MACHINE, Machine, Space, WORLD, ask, ip, on_bridge, port};
use berth_agent_network::{AttachRequest, NetworkMode, PortRequest, Protocol};

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

#[test]
fn containers_reach_each_other_their_machine_and_the_world() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let one = network.attach("one", on_bridge(&[])).await.unwrap();
        let two = network.attach("two", on_bridge(&[])).await.unwrap();
        let (in_one, in_two) = (Space::of(&one), Space::of(&two));
        let _one = in_one.serve_tcp("one", ANY, 80);
        let _machine = machine.space.serve_tcp("machine", ANY, 81);
        let _world = machine.world.serve_tcp("world", ANY, 82);
        let seen = Some(format!("one {}", ip(&two)));
        assert_eq!(in_two.tcp(ip(&one), 80), seen);
        let gateway = two.interface.unwrap().gateway;
        assert_eq!(
            in_two.tcp(gateway, 81),
            Some(format!("machine {}", ip(&two)))
        );
        assert_eq!(in_two.tcp(WORLD, 82), Some(format!("world {MACHINE}")));
        assert_eq!(in_one.tcp(LOCALHOST, 80), Some(format!("one {LOCALHOST}")));
    });
}

#[test]
fn a_container_has_its_address_its_route_and_no_ipv6_of_its_own() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let one = network.attach("one", on_bridge(&[])).await.unwrap();
        let interface = one.interface.unwrap();
        let space = Space::of(&one);
        let link = space.command("ip -o link show eth0");
        assert!(
            link.contains(&interface.mac_text()) && link.contains("state UP"),
            "{link}"
        );
        let addresses = space.command("ip -o addr show eth0");
        let address = format!("inet {}/{}", interface.ip, interface.prefix);
        assert!(
            addresses.contains(&address) && !addresses.contains("inet6"),
            "{addresses}"
        );
        let route = space.command("ip route show default");
        assert!(
            route.contains(&format!("via {} dev eth0", interface.gateway)),
            "{route}"
        );
    });
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let request = on_bridge(&[port(8080, 80, Protocol::Tcp)]);
        let one = network.attach("one", request).await.unwrap();
        let two = network.attach("two", on_bridge(&[])).await.unwrap();
        let (in_one, in_two) = (Space::of(&one), Space::of(&two));
        let gateway = one.interface.unwrap().gateway;
        let _server = in_one.serve_tcp("one", ANY, 80);
        // From another host, which the container sees as it is.
        assert_eq!(
            machine.world.tcp(MACHINE, 8080),
            Some(format!("one {WORLD}"))
        );
        // From the machine: over its own address, the bridge's, and loopback.
        assert_eq!(
            machine.space.tcp(MACHINE, 8080),
            Some(format!("one {MACHINE}"))
        );
        assert_eq!(
            machine.space.tcp(gateway, 8080),
            Some(format!("one {gateway}"))
        );
        assert_eq!(
            machine.space.tcp(LOCALHOST, 8080),
            Some(format!("one {gateway}"))
        );
        // From another container and from the container itself, through the machine's address.
        assert_eq!(in_two.tcp(MACHINE, 8080), Some(format!("one {gateway}")));
        assert_eq!(in_one.tcp(MACHINE, 8080), Some(format!("one {gateway}")));
        assert_eq!(in_one.tcp(gateway, 8080), Some(format!("one {gateway}")));
        // Not the port of the other protocol, and not after detaching.
        assert_eq!(machine.world.udp(MACHINE, 8080), None);
        network.detach("one").await.unwrap();
        assert!(machine.world.refuses_tcp(MACHINE, 8080));
        assert!(machine.space.refuses_tcp(LOCALHOST, 8080));
    });
}

#[test]
fn published_ports_work_without_the_firewall_looking_into_the_bridge() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let request = on_bridge(&[port(8080, 80, Protocol::Tcp)]);
        let one = network.attach("one", request).await.unwrap();
        let two = network.attach("two", on_bridge(&[])).await.unwrap();
        if machine
            .space
            .run(|| std::path::Path::new("/proc/sys/net/bridge").exists())
        {
            machine.space.set("bridge/bridge-nf-call-iptables", "0");
        }
        let _server = Space::of(&one).serve_tcp("one", ANY, 80);
        let gateway = one.interface.unwrap().gateway;
        for client in [&two, &one] {
            let seen = Space::of(client).tcp(MACHINE, 8080);
            assert_eq!(seen, Some(format!("one {gateway}")));
        }
    });
}

#[test]
fn a_published_udp_port_is_reached_from_everywhere() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let request = on_bridge(&[port(5353, 53, Protocol::Udp)]);
        let one = network.attach("one", request).await.unwrap();
        let gateway = one.interface.unwrap().gateway;
        let space = Space::of(&one);
        let _server = space.serve_udp("one", 53);
        assert_eq!(
            machine.world.udp(MACHINE, 5353),
            Some(format!("one {WORLD}"))
        );
        assert_eq!(
            machine.space.udp(MACHINE, 5353),
            Some(format!("one {MACHINE}"))
        );
        assert_eq!(
            machine.space.udp(LOCALHOST, 5353),
            Some(format!("one {gateway}"))
        );
        assert_eq!(space.udp(MACHINE, 5353), Some(format!("one {gateway}")));
    });
}

#[test]
fn a_client_that_keeps_sending_reaches_whoever_has_the_udp_port_now() {
    let machine = Machine::new();
    machine.agent(async |network| {
        // The first attach sets up the firewall, without which nothing is tracked.
        network.attach("other", on_bridge(&[])).await.unwrap();
        let client = machine.world.udp_socket();
        client
            .set_read_timeout(Some(std::time::Duration::from_millis(50)))
            .unwrap();
        assert_eq!(ask(&client, MACHINE, 5353), None);
        client
            .set_read_timeout(Some(std::time::Duration::from_secs(2)))
            .unwrap();
        for name in ["one", "two"] {
            let request = on_bridge(&[port(5353, 53, Protocol::Udp)]);
            let attachment = network.attach(name, request).await.unwrap();
            let _server = Space::of(&attachment).serve_udp(name, 53);
            assert_eq!(ask(&client, MACHINE, 5353), Some(format!("{name} {WORLD}")));
            network.detach(name).await.unwrap();
        }
    });
}

#[test]
fn a_port_published_on_one_address_is_not_reached_on_others() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let at = |host_ip: Ipv4Addr, host_port| PortRequest {
            host_ip: Some(host_ip.into()),
            ..port(host_port, 80, Protocol::Tcp)
        };
        let request = on_bridge(&[at(LOCALHOST, 8081), at(MACHINE, 8082)]);
        let one = network.attach("one", request).await.unwrap();
        let _server = Space::of(&one).serve_tcp("one", ANY, 80);
        assert!(machine.space.tcp(LOCALHOST, 8081).is_some());
        assert!(machine.space.refuses_tcp(MACHINE, 8081));
        assert!(machine.world.refuses_tcp(MACHINE, 8081));
        assert!(machine.world.tcp(MACHINE, 8082).is_some());
        assert!(machine.space.tcp(MACHINE, 8082).is_some());
        assert!(machine.space.refuses_tcp(LOCALHOST, 8082));
    });
}

/// Makes a host send packets for 127.0.0.1 over the wire.
fn send_loopback_addresses_out(space: &Space, gateway: Ipv4Addr) {
    space.set("ipv4/conf/all/route_localnet", "1");
    space.command(&format!(
        "ip addr del 127.0.0.1/8 dev lo; ip route flush table local dev lo
         ip route add 127.0.0.1/32 via {gateway}"
    ));
}

#[test]
fn neighbours_do_not_reach_ports_published_on_loopback() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let request = on_bridge(&[PortRequest {
            host_ip: Some(LOCALHOST.into()),
            ..port(8080, 80, Protocol::Tcp)
        }]);
        let one = network.attach("one", request).await.unwrap();
        let _server = Space::of(&one).serve_tcp("one", ANY, 80);
        send_loopback_addresses_out(&machine.world, MACHINE);
        assert!(machine.world.refuses_tcp(LOCALHOST, 8080));
        assert!(machine.space.tcp(LOCALHOST, 8080).is_some());
    });
}

#[test]
fn containers_do_not_reach_the_machines_loopback_services() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let one = network.attach("one", on_bridge(&[])).await.unwrap();
        let space = Space::of(&one);
        let _service = machine.space.serve_tcp("machine", LOCALHOST, 9000);
        assert!(machine.space.tcp(LOCALHOST, 9000).is_some());
        send_loopback_addresses_out(&space, one.interface.unwrap().gateway);
        assert!(space.refuses_tcp(LOCALHOST, 9000));
    });
}

#[test]
fn a_neighbour_that_routes_through_the_machine_reaches_published_ports_only() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let request = on_bridge(&[port(8080, 80, Protocol::Tcp)]);
        let one = network.attach("one", request).await.unwrap();
        let space = Space::of(&one);
        let _servers = [
            space.serve_tcp("one", ANY, 80),
            space.serve_tcp("one", ANY, 22),
        ];
        machine
            .world
            .command(&format!("ip route add {}/32 via {MACHINE}", ip(&one)));
        assert!(machine.world.refuses_tcp(ip(&one), 22));
        assert!(machine.world.tcp(MACHINE, 8080).is_some());
        assert!(machine.space.tcp(ip(&one), 22).is_some());
    });
}

#[test]
fn no_network_means_loopback_and_the_machines_network_means_no_namespace() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let mode = |mode| AttachRequest {
            mode,
            ports: vec![port(8080, 80, Protocol::Tcp)],
            ..AttachRequest::default()
        };
        let none = network
            .attach("none", mode(NetworkMode::None))
            .await
            .unwrap();
        assert_eq!((none.interface, none.ports.len()), (None, 0));
        let space = Space::of(&none);
        let _server = space.serve_tcp("none", ANY, 80);
        assert!(space.tcp(LOCALHOST, 80).is_some());
        assert_eq!(space.command("ip -o link show up").lines().count(), 1);
        let host = network
            .attach("host", mode(NetworkMode::Host))
            .await
            .unwrap();
        assert_eq!((host.netns, host.interface), (None, None));
        assert_eq!(machine.namespaces(), ["none"]);
        // Neither needs a bridge.
        machine.space.command("! ip link show berth0 2>/dev/null");
    });
}
