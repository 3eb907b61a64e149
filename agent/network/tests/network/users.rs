//! Networks that users define: isolation, several at a time, IPv6, and what is left of them.

use std::net::{IpAddr, Ipv4Addr};

use berth_agent_network::{
    AddressError, AttachError, AttachRequest, BridgeOptions, Definition, Driver, EndpointRequest,
    MacvlanMode, Network, Parent, Pool,
};

use crate::support::{Machine, Space, WORLD, eventually, port};
use berth_agent_network::{DetachError, Protocol};

pub(crate) fn bridge(id: &str, pools: &[&str]) -> Definition {
    Definition {
        id: id.to_owned(),
        name: id.to_owned(),
        driver: Driver::Bridge(BridgeOptions {
            interface: format!("br-{id}"),
            talks: true,
            masquerade: true,
            mtu: None,
            host_binding: None,
        }),
        pools: pools
            .iter()
            .map(|text| Pool::of(text.parse().unwrap()))
            .collect(),
        internal: false,
        has_names: true,
    }
}

pub(crate) fn on(networks: &[&str]) -> AttachRequest {
    AttachRequest {
        endpoints: networks.iter().map(|network| endpoint(network)).collect(),
        ..AttachRequest::default()
    }
}

pub(crate) fn endpoint(network: &str) -> EndpointRequest {
    EndpointRequest {
        network: network.to_owned(),
        ..EndpointRequest::default()
    }
}

fn v4(network: &Network, id: &str, on: &str) -> Ipv4Addr {
    let attachment = network.attachment(id).unwrap();
    let endpoint = attachment
        .endpoints
        .iter()
        .find(|e| e.network == on)
        .unwrap();
    let mut addresses = endpoint.addresses.iter();
    match addresses.find(|(address, _)| address.is_ipv4()) {
        Some((IpAddr::V4(address), _)) => *address,
        _ => panic!("no address"),
    }
}

fn space(network: &Network, id: &str) -> Space {
    Space::of(&network.attachment(id).unwrap())
}

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

#[test]
fn networks_are_apart_and_a_container_on_two_reaches_both() {
    let machine = Machine::new();
    machine.agent(async |network| {
        network
            .define(bridge("one", &["10.1.0.0/24"]))
            .await
            .unwrap();
        network
            .define(bridge("two", &["10.2.0.0/24"]))
            .await
            .unwrap();
        network.attach("a", on(&["one"])).await.unwrap();
        network.attach("b", on(&["two"])).await.unwrap();
        network.attach("both", on(&["one", "two"])).await.unwrap();
        let _a = space(&network, "a").serve_tcp("a", ANY, 80);
        let _b = space(&network, "b").serve_tcp("b", ANY, 80);
        let _world = machine.world.serve_tcp("world", ANY, 80);
        let (a, b) = (v4(&network, "a", "one"), v4(&network, "b", "two"));
        let both = space(&network, "both");
        assert!(both.tcp(a, 80).unwrap().starts_with("a 10.1.0."));
        assert!(both.tcp(b, 80).unwrap().starts_with("b 10.2.0."));
        assert!(both.tcp(WORLD, 80).is_some());
        assert!(space(&network, "a").refuses_tcp(b, 80));
        assert!(space(&network, "b").refuses_tcp(a, 80));
        let names = both.command("ls /sys/class/net || ip -o link");
        assert!(names.contains("eth0") || names.contains("lo"), "{names}");
        assert!(
            both.command("ip route show default")
                .contains("via 10.1.0.1 dev eth0")
        );
    });
}

#[test]
fn connecting_and_disconnecting_moves_routes_and_ports() {
    let machine = Machine::new();
    machine.agent(async |network| {
        network
            .define(bridge("aa", &["10.1.0.0/24"]))
            .await
            .unwrap();
        network
            .define(bridge("bb", &["10.2.0.0/24"]))
            .await
            .unwrap();
        let request = AttachRequest {
            ports: vec![port(8080, 80, Protocol::Tcp)],
            ..on(&["aa"])
        };
        network.attach("c", request).await.unwrap();
        let inside = space(&network, "c");
        let server = inside.serve_tcp("c", ANY, 80);
        network.connect("c", endpoint("bb")).await.unwrap();
        let error = network.connect("c", endpoint("bb")).await.unwrap_err();
        assert!(
            matches!(error, AttachError::AlreadyConnected { .. }),
            "{error}"
        );
        assert!(machine.world.tcp(crate::support::MACHINE, 8080).is_some());
        network.disconnect("c", "aa").await.unwrap();
        assert!(
            inside
                .command("ip route show default")
                .contains("via 10.2.0.1 dev eth1")
        );
        assert!(!inside.command("ip -o link").contains("eth0"));
        assert!(
            machine.world.tcp(crate::support::MACHINE, 8080).is_some(),
            "the port moved along"
        );
        let error = network.disconnect("c", "aa").await.unwrap_err();
        assert!(matches!(error, DetachError::NotConnected { .. }), "{error}");
        network.disconnect("c", "bb").await.unwrap();
        assert_eq!(inside.command("ip route show default"), "");
        assert!(machine.world.refuses_tcp(crate::support::MACHINE, 8080));
        network.connect("c", endpoint("aa")).await.unwrap();
        assert!(machine.world.tcp(crate::support::MACHINE, 8080).is_some());
        drop((server, inside));
        network.detach("c").await.unwrap();
        eventually("the interfaces are gone", || {
            machine.interfaces().is_empty()
        });
    });
}

#[test]
fn nothing_leaves_or_enters_an_internal_network() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let mut inner = bridge("inner", &["10.1.0.0/24"]);
        inner.internal = true;
        network.define(inner).await.unwrap();
        network.attach("a", on(&["inner"])).await.unwrap();
        network.attach("b", on(&["inner"])).await.unwrap();
        network.attach("outer", on(&[])).await.unwrap();
        let _world = machine.world.serve_tcp("world", ANY, 80);
        let _a = space(&network, "a").serve_tcp("a", ANY, 80);
        let a = v4(&network, "a", "inner");
        let b = space(&network, "b");
        assert!(b.tcp(a, 80).is_some());
        assert!(b.refuses_tcp(WORLD, 80));
        assert!(space(&network, "outer").refuses_tcp(a, 80));
        // Not even when it makes itself a way.
        b.command("ip route add default via 10.1.0.1");
        assert!(b.refuses_tcp(WORLD, 80));
    });
}

#[test]
fn containers_that_may_not_talk_do_not() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let mut mute = bridge("mute", &["10.1.0.0/24"]);
        if let Driver::Bridge(options) = &mut mute.driver {
            options.talks = false;
            options.mtu = Some(1400);
        }
        network.define(mute).await.unwrap();
        network.attach("a", on(&["mute"])).await.unwrap();
        network.attach("b", on(&["mute"])).await.unwrap();
        let _a = space(&network, "a").serve_tcp("a", ANY, 80);
        let _world = machine.world.serve_tcp("world", ANY, 80);
        let b = space(&network, "b");
        assert!(b.refuses_tcp(v4(&network, "a", "mute"), 80));
        assert!(b.tcp(WORLD, 80).is_some());
        assert!(b.command("ip link show eth0").contains("mtu 1400"));
    });
}

#[test]
fn ipv6_goes_as_ipv4_does() {
    let machine = Machine::new();
    machine
        .space
        .command("ip addr add fd99::1/64 dev eth0 nodad");
    machine
        .world
        .command("ip addr add fd99::2/64 dev eth0 nodad");
    machine.agent(async |network| {
        network
            .define(bridge("six", &["10.1.0.0/24", "fd00:1::/64"]))
            .await
            .unwrap();
        let request = AttachRequest {
            ports: vec![port(8080, 80, Protocol::Tcp)],
            ..on(&["six"])
        };
        let made = network.attach("a", request).await.unwrap();
        assert_eq!(made.ports.len(), 2, "{:?}", made.ports);
        let a = space(&network, "a");
        let address = a.command("ip -6 -o addr show dev eth0 scope global");
        assert!(address.contains("fd00:1::2/64"), "{address}");
        assert!(!address.contains("tentative"), "{address}");
        let outside = machine
            .world
            .run(|| std::net::TcpListener::bind("[fd99::2]:90").unwrap());
        let patience = std::time::Duration::from_secs(2);
        let to_world = "[fd99::2]:90".parse().unwrap();
        a.run(|| std::net::TcpStream::connect_timeout(&to_world, patience).map(drop))
            .unwrap();
        drop(outside);
        let rules = machine.space.command("nft list table ip6 berth");
        assert!(rules.contains("tcp . 8080 : fd00:1::2 . 80"), "{rules}");
        assert!(
            rules.contains("ip6 saddr fd00:1::/64 oifname != \"br-six\" masquerade"),
            "{rules}"
        );
        let listener = a.run(|| std::net::TcpListener::bind("[::]:80").unwrap());
        let answering = std::thread::spawn(move || listener.accept().map(|(_, from)| from));
        let address = "[fd99::1]:8080".parse().unwrap();
        let stream = machine
            .world
            .run(|| std::net::TcpStream::connect_timeout(&address, patience));
        stream.unwrap();
        answering.join().unwrap().unwrap();
    });
}

#[test]
fn addresses_are_had_as_asked_and_once() {
    let machine = Machine::new();
    machine.agent(async |network| {
        network
            .define(bridge("one", &["10.1.0.0/29", "fd00:1::/64"]))
            .await
            .unwrap();
        let with = |text: &str| EndpointRequest {
            addresses: vec![text.parse().unwrap()],
            mac: Some([2, 1, 2, 3, 4, 5]),
            ..endpoint("one")
        };
        let request = |text| AttachRequest {
            endpoints: vec![with(text)],
            ..AttachRequest::default()
        };
        network.attach("a", request("10.1.0.5")).await.unwrap();
        assert_eq!(v4(&network, "a", "one"), Ipv4Addr::new(10, 1, 0, 5));
        let link = space(&network, "a").command("ip link show eth0");
        assert!(link.contains("02:01:02:03:04:05"), "{link}");
        let error = network.attach("b", request("10.1.0.5")).await.unwrap_err();
        assert!(
            matches!(error, AttachError::Address(AddressError::InUse)),
            "{error}"
        );
        let error = network.attach("b", request("10.1.0.1")).await.unwrap_err();
        assert!(
            matches!(error, AttachError::Address(AddressError::InUse)),
            "{error}"
        );
        let error = network.attach("b", request("10.9.0.1")).await.unwrap_err();
        assert!(
            matches!(error, AttachError::Address(AddressError::Outside(_))),
            "{error}"
        );
        network.attach("b", request("fd00:1::77")).await.unwrap();
        for n in 0..3 {
            network
                .attach(&format!("c{n}"), on(&["one"]))
                .await
                .unwrap();
        }
        let error = network.attach("full", on(&["one"])).await.unwrap_err();
        assert!(
            matches!(error, AttachError::Address(AddressError::Exhausted(_))),
            "{error}"
        );
        network.detach("b").await.unwrap();
        network.attach("full", on(&["one"])).await.unwrap();
    });
}

#[test]
fn macvlan_puts_containers_on_the_machines_wire() {
    let machine = Machine::new();
    machine.agent(async |network| {
        let lan = Definition {
            driver: Driver::Macvlan(Parent {
                interface: "eth0".to_owned(),
                mode: MacvlanMode::Bridge,
                mtu: None,
            }),
            pools: vec![Pool {
                gateway: Some(WORLD.into()),
                range: Some("10.200.0.128/25".parse().unwrap()),
                ..Pool::of("10.200.0.0/24".parse().unwrap())
            }],
            ..bridge("lan", &[])
        };
        network.define(lan.clone()).await.unwrap();
        network.attach("a", on(&["lan"])).await.unwrap();
        let _world = machine.world.serve_tcp("world", ANY, 80);
        let own = v4(&network, "a", "lan");
        assert_eq!(
            space(&network, "a").tcp(WORLD, 80),
            Some(format!("world {own}"))
        );
        network.detach("a").await.unwrap();
        network.undefine("lan").await.unwrap();
        machine.space.command("ip link show eth0");
        let mut none = lan;
        if let Driver::Macvlan(parent) = &mut none.driver {
            parent.interface = "nope0".to_owned();
        }
        let error = network.define(none.clone()).await.unwrap_err();
        assert!(matches!(error, AttachError::NoSuchParent(_)), "{error}");
        if let Driver::Macvlan(parent) = &mut none.driver {
            parent.interface.clear();
        }
        network.define(none).await.unwrap();
        machine.space.command("ip link show dm-lan");
        network.undefine("lan").await.unwrap();
        assert!(!machine.space.command("ip -o link").contains("dm-lan"));
    });
}

#[test]
fn a_killed_agent_leaves_no_network_that_nobody_knows() {
    let machine = Machine::new();
    machine.agent(async |network| {
        network
            .define(bridge("kept", &["10.1.0.0/24"]))
            .await
            .unwrap();
        network
            .define(bridge("lost", &["10.2.0.0/24"]))
            .await
            .unwrap();
        network.attach("live", on(&["kept"])).await.unwrap();
    });
    machine.agent(async |network| {
        let definitions = vec![bridge("kept", &["10.1.0.0/24"])];
        network
            .restore(&["live".to_owned()], definitions)
            .await
            .unwrap();
        let links = machine.space.command("ip -o link");
        assert!(
            links.contains("br-kept") && !links.contains("br-lost"),
            "{links}"
        );
        assert_eq!(network.members("kept"), ["live"]);
        let _world = machine.world.serve_tcp("world", ANY, 80);
        assert!(space(&network, "live").tcp(WORLD, 80).is_some());
        let error = network
            .define(bridge("kept2", &["10.3.0.0/24"]))
            .await
            .map(drop);
        error.unwrap();
        let mut same = bridge("same", &["10.4.0.0/24"]);
        if let Driver::Bridge(options) = &mut same.driver {
            options.interface = "eth0".to_owned();
        }
        let error = network.define(same).await.unwrap_err();
        assert!(matches!(error, AttachError::InterfaceInUse(_)), "{error}");
        network.detach("live").await.unwrap();
        eventually("the rules are gone", || {
            !machine.space.command("nft list tables").contains("berth")
        });
        network.attach("live", on(&["kept"])).await.unwrap();
        assert!(space(&network, "live").tcp(WORLD, 80).is_some());
    });
}

/// The rules of a Docker that found forwarding switched off when it came.
const DOCKERS: &str = "table ip filter {
    chain DOCKER-USER { counter return; }
    chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; }
}";

#[test]
fn a_docker_that_drops_what_is_not_its_own_lets_containers_pass() {
    let machine = Machine::new();
    machine.agent(async |network| {
        machine.space.command("ip link add docker0 type bridge; ip addr add 10.99.0.1/24 dev docker0; ip link set docker0 up");
        let _world = machine.world.serve_tcp("world", ANY, 80);
        network.attach("before", on(&[])).await.unwrap();
        assert!(space(&network, "before").tcp(WORLD, 80).is_some());
        machine.space.command(&format!("nft -f - <<'END'\n{DOCKERS}\nEND"));
        assert!(space(&network, "before").refuses_tcp(WORLD, 80), "Docker drops it");
        let request = AttachRequest {
            ports: vec![port(8080, 80, Protocol::Tcp)],
            ..on(&[])
        };
        network.attach("after", request).await.unwrap();
        let after = space(&network, "after");
        assert!(after.tcp(WORLD, 80).is_some());
        let _server = after.serve_tcp("after", ANY, 80);
        assert!(machine.world.tcp(crate::support::MACHINE, 8080).is_some());
        let rules = machine.space.command("nft list chain ip filter DOCKER-USER");
        assert!(rules.contains("iifname \"berth0\" oifname != \"docker0\" accept"), "{rules}");
        network.attach("again", on(&[])).await.unwrap();
        assert_eq!(machine.space.command("nft list chain ip filter DOCKER-USER"), rules);
        for id in ["before", "after", "again"] {
            network.detach(id).await.unwrap();
        }
        eventually("our rules are gone", || {
            let rules = machine.space.command("nft list chain ip filter DOCKER-USER");
            !rules.contains("berth0")
        });
    });
}
