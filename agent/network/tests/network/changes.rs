//! Networks and containers that change while others come and go: rules and ports follow.

use std::net::{Ipv4Addr, TcpListener};

use berth_agent_network::{
    AttachError, AttachRequest, Definition, Driver, MacvlanMode, NetworkMode, Parent, Protocol,
};

use crate::support::{MACHINE, Machine, Space, WORLD, port};
use crate::users::{bridge, endpoint, on};

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// Returns how many interfaces a set has; older `nft` does not tell which.
fn members(machine: &Machine, set: &str) -> usize {
    let line = format!("nft list set ip berth {set}");
    machine.space.command(&line).matches('"').count() / 2
}

#[test]
fn a_network_made_while_the_rules_are_idle_has_rules() {
    let machine = Machine::new();
    machine.agent(async |network| {
        network.attach("first", on(&[])).await.unwrap();
        network.detach("first").await.unwrap();
        // The table is still there, and nobody is attached.
        assert_eq!(members(&machine, "bridges"), 1);
        network
            .define(bridge("late", &["10.1.0.0/24"]))
            .await
            .unwrap();
        let inner = Definition {
            internal: true,
            ..bridge("inner", &["10.2.0.0/24"])
        };
        network.define(inner).await.unwrap();
        let late = network.attach("a", on(&["late"])).await.unwrap();
        let shut = network.attach("b", on(&["inner"])).await.unwrap();
        assert_eq!(members(&machine, "bridges"), 3);
        assert_eq!(members(&machine, "internal"), 1);
        let _world = machine.world.serve_tcp("world", ANY, 80);
        assert_eq!(
            Space::of(&late).tcp(WORLD, 80),
            Some(format!("world {MACHINE}"))
        );
        let shut = Space::of(&shut);
        shut.command("ip route add default via 10.2.0.1");
        assert!(shut.refuses_tcp(WORLD, 80));
    });
}

#[test]
fn ports_that_come_back_are_kept_on_the_machine_and_not_in_the_container() {
    let machine = Machine::new();
    machine.agent(async |network| {
        for (id, subnet) in [("aa", "10.1.0.0/24"), ("bb", "10.2.0.0/24")] {
            network.define(bridge(id, &[subnet])).await.unwrap();
        }
        let request = AttachRequest {
            ports: vec![port(80, 80, Protocol::Tcp)],
            ..on(&["aa"])
        };
        let made = network.attach("c", request).await.unwrap();
        network.disconnect("c", "aa").await.unwrap();
        // Nobody has the port now, so that somebody else may take it.
        let taken = machine.space.run(|| TcpListener::bind((ANY, 80)).unwrap());
        let error = network.connect("c", endpoint("bb")).await.unwrap_err();
        assert!(matches!(error, AttachError::PortInUse { .. }), "{error}");
        assert_eq!(network.attachment("c").unwrap().endpoints, []);
        drop(taken);
        network.connect("c", endpoint("bb")).await.unwrap();
        machine
            .space
            .run(|| TcpListener::bind((ANY, 80)).unwrap_err());
        let _server = Space::of(&made).serve_tcp("c", ANY, 80);
        assert_eq!(machine.world.tcp(MACHINE, 80), Some(format!("c {WORLD}")));
    });
}

#[test]
fn a_container_without_networks_can_be_connected() {
    let machine = Machine::new();
    machine.agent(async |network| {
        network
            .define(bridge("aa", &["10.1.0.0/24"]))
            .await
            .unwrap();
        let alone = AttachRequest {
            mode: NetworkMode::None,
            ..AttachRequest::default()
        };
        let made = network.attach("c", alone).await.unwrap();
        let inside = Space::of(&made);
        assert!(!inside.command("ip -o link").contains("eth0"));
        network.connect("c", endpoint("aa")).await.unwrap();
        let _world = machine.world.serve_tcp("world", ANY, 80);
        assert!(inside.tcp(WORLD, 80).is_some());
        network.disconnect("c", "aa").await.unwrap();
        assert!(!inside.command("ip -o link").contains("eth0"));
    });
}

fn on_parent(id: &str, parent: &str, subnet: &str) -> Definition {
    Definition {
        driver: Driver::Macvlan(Parent {
            interface: parent.to_owned(),
            mode: MacvlanMode::Bridge,
            mtu: None,
        }),
        ..bridge(id, &[subnet])
    }
}

#[test]
fn a_parent_stays_as_long_as_some_network_needs_it() {
    let machine = Machine::new();
    // As the agent makes it, of another kind, which every kernel has.
    machine.space.command(
        "ip link add eth0.10 type bridge; ip link set eth0.10 up alias 'berth network first'",
    );
    let second = || on_parent("second", "eth0.10", "10.2.0.0/24");
    machine.agent(async |network| {
        let first = on_parent("first", "eth0.10", "10.1.0.0/24");
        network.define(first).await.unwrap();
        network.define(second()).await.unwrap();
        let made = network.attach("c", on(&["second"])).await.unwrap();
        network.undefine("first").await.unwrap();
        let inside = Space::of(&made).command("ip -o link");
        assert!(inside.contains("eth0@"), "{inside}");
        network
            .define(on_parent("third", "eth0.10", "10.3.0.0/24"))
            .await
            .unwrap();
    });
    // Killed after the record went, the agent finds the parent under the name of who is gone.
    machine
        .space
        .command("ip link set eth0.10 alias 'berth network third'");
    machine.agent(async |network| {
        network
            .restore(&["c".to_owned()], vec![second()])
            .await
            .unwrap();
        machine.space.command("ip link show eth0.10");
        network.detach("c").await.unwrap();
        network.undefine("second").await.unwrap();
        assert!(!machine.space.command("ip -o link").contains("eth0.10"));
    });
}

#[test]
fn an_interface_that_took_the_name_of_a_bridge_is_left_alone() {
    let machine = Machine::new();
    machine.agent(async |network| {
        network
            .define(bridge("own", &["10.1.0.0/24"]))
            .await
            .unwrap();
    });
    // As after a boot, at which another program makes interfaces first.
    machine.space.command(
        "ip link del br-own; ip link add br-own type veth peer name other; ip addr add 192.0.2.1/24 dev br-own",
    );
    let address = || machine.space.command("ip -o addr show dev br-own");
    machine.agent(async |network| {
        let own = vec![bridge("own", &["10.1.0.0/24"])];
        network.restore(&[], own).await.unwrap_err();
        assert!(address().contains("192.0.2.1"), "{}", address());
        let error = network.attach("c", on(&["own"])).await.unwrap_err();
        assert!(matches!(error, AttachError::InterfaceInUse(_)), "{error}");
        network.undefine("own").await.unwrap();
        assert!(address().contains("192.0.2.1"), "{}", address());
    });
}
