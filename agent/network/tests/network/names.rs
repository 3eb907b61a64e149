//! Names: what a container is told by its name server, and what it can do to it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use berth_agent_network::{AttachRequest, EndpointRequest, Network};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, Question, RCODE, TYPE};

use crate::support::{Machine, Space, WORLD, eventually};
use crate::users::{bridge, endpoint, on};

const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PATIENCE: Duration = Duration::from_secs(5);

fn named(network: &str, names: &[&str]) -> AttachRequest {
    AttachRequest {
        endpoints: vec![EndpointRequest {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..endpoint(network)
        }],
        nameservers: vec![WORLD.into()],
        ..AttachRequest::default()
    }
}

fn question(name: &str, kind: TYPE) -> Vec<u8> {
    let mut packet = Packet::new_query(77);
    let name = Name::new(name).unwrap();
    packet
        .questions
        .push(Question::new(name, kind.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().unwrap()
}

fn ask_raw(space: &Space, message: &[u8]) -> Option<Vec<u8>> {
    space.run(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(message, (SERVER, 53)).unwrap();
        let mut buffer = vec![0; 65535];
        let length = socket.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        Some(buffer)
    })
}

fn ask_tcp(space: &Space, message: &[u8]) -> Vec<u8> {
    space.run(|| {
        let mut stream = TcpStream::connect((SERVER, 53)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = u16::try_from(message.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length, message].concat()).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer).unwrap();
        answer
    })
}

fn addresses(answer: &[u8]) -> (RCODE, Vec<Ipv4Addr>) {
    let packet = Packet::parse(answer).unwrap();
    assert_eq!(packet.id(), 77);
    let address = |data: &RData<'_>| match data {
        RData::A(a) => Some(Ipv4Addr::from_bits(a.address)),
        _ => None,
    };
    let found = packet
        .answers
        .iter()
        .filter_map(|record| address(&record.rdata));
    (packet.rcode(), found.collect())
}

fn ask(space: &Space, name: &str) -> (RCODE, Vec<Ipv4Addr>) {
    addresses(&ask_raw(space, &question(name, TYPE::A)).unwrap())
}

fn space(network: &Network, id: &str) -> Space {
    Space::of(&network.attachment(id).unwrap())
}

#[test]
fn containers_find_each_other_by_name_and_take_turns() {
    let machine = Machine::new();
    machine.agent(async |network| {
        network
            .define(bridge("net", &["10.1.0.0/24"]))
            .await
            .unwrap();
        let web = network.attach("web", named("net", &["web"])).await.unwrap();
        assert_eq!(web.dns.nameservers, [SERVER]);
        network
            .attach("db1", named("net", &["db1", "db"]))
            .await
            .unwrap();
        network
            .attach("db2", named("net", &["db2", "db"]))
            .await
            .unwrap();
        let web = space(&network, "web");
        assert_eq!(
            ask(&web, "db1"),
            (RCODE::NoError, vec![Ipv4Addr::new(10, 1, 0, 3)])
        );
        assert_eq!(
            ask(&web, "DB1.Net"),
            (RCODE::NoError, vec![Ipv4Addr::new(10, 1, 0, 3)])
        );
        let turns: Vec<Ipv4Addr> = (0..4).map(|_| ask(&web, "db").1[0]).collect();
        assert!(turns.contains(&Ipv4Addr::new(10, 1, 0, 3)), "{turns:?}");
        assert!(turns.contains(&Ipv4Addr::new(10, 1, 0, 4)), "{turns:?}");
        let over_tcp = addresses(&ask_tcp(&web, &question("db", TYPE::A)));
        assert_eq!(over_tcp.1.len(), 2);
        let none = ask_raw(&web, &question("db", TYPE::AAAA)).unwrap();
        assert_eq!(addresses(&none), (RCODE::NoError, Vec::new()));
        let reverse = ask_raw(&web, &question("3.0.1.10.in-addr.arpa", TYPE::PTR)).unwrap();
        let packet = Packet::parse(&reverse).unwrap();
        let RData::PTR(name) = &packet.answers[0].rdata else {
            panic!("{packet:?}");
        };
        assert_eq!(name.0.to_string(), "db1.net");
        network
            .set_names("db1", "net", &["renamed".to_owned()])
            .unwrap();
        assert_eq!(ask(&web, "renamed").1, [Ipv4Addr::new(10, 1, 0, 3)]);
        network.detach("db2").await.unwrap();
        assert_ne!(ask(&web, "db2").0, RCODE::NoError);
        // It may serve names itself.
        web.run(|| UdpSocket::bind("0.0.0.0:53").map(drop).unwrap());
    });
}

#[test]
fn other_names_are_asked_outside_from_inside() {
    let machine = Machine::new();
    let server = machine.world.run(|| UdpSocket::bind((WORLD, 53)).unwrap());
    let tcp = machine
        .world
        .run(|| std::net::TcpListener::bind((WORLD, 53)).unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = server.recv_from(&mut buffer) {
            let mut answer = buffer[..length].to_vec();
            // First one that somebody else might have sent.
            answer[2] |= 0x80;
            let mut forged = answer.clone();
            forged[0] ^= 0xff;
            let _ = server.send_to(&forged, from);
            answer[3] = 3;
            let _ = server.send_to(&answer, from);
        }
    });
    thread::spawn(move || {
        while let Ok((mut stream, _)) = tcp.accept() {
            let mut length = [0; 2];
            if stream.read_exact(&mut length).is_err() {
                continue;
            }
            let mut message = vec![0; u16::from_be_bytes(length).into()];
            let _ = stream.read_exact(&mut message);
            message[2] |= 0x80;
            message[3] = 3;
            let _ = stream.write_all(&[&length[..], &message].concat());
        }
    });
    machine.agent(async |network| {
        network
            .define(bridge("net", &["10.1.0.0/24"]))
            .await
            .unwrap();
        network.attach("web", named("net", &["web"])).await.unwrap();
        let web = space(&network, "web");
        assert_eq!(ask(&web, "example.org").0, RCODE::NameError);
        let over_tcp = addresses(&ask_tcp(&web, &question("example.org", TYPE::A)));
        assert_eq!(over_tcp.0, RCODE::NameError);
        let mut inner = bridge("inner", &["10.2.0.0/24"]);
        inner.internal = true;
        network.define(inner).await.unwrap();
        network
            .attach("alone", named("inner", &["alone"]))
            .await
            .unwrap();
        assert_eq!(
            ask(&space(&network, "alone"), "example.org").0,
            RCODE::ServerFailure
        );
    });
}

#[test]
fn names_come_back_with_the_agent_and_with_connections() {
    let machine = Machine::new();
    machine.agent(async |network| {
        network
            .define(bridge("net", &["10.1.0.0/24"]))
            .await
            .unwrap();
        network.attach("web", named("net", &["web"])).await.unwrap();
        network.attach("late", on(&[])).await.unwrap();
    });
    machine.agent(async |network| {
        let live = ["web".to_owned(), "late".to_owned()];
        network
            .restore(&live, vec![bridge("net", &["10.1.0.0/24"])])
            .await
            .unwrap();
        let web = space(&network, "web");
        assert_eq!(ask(&web, "web").1, [Ipv4Addr::new(10, 1, 0, 2)]);
        let late = named("net", &["late"]).endpoints.remove(0);
        network.connect("late", late).await.unwrap();
        assert_eq!(ask(&web, "late").1, [Ipv4Addr::new(10, 1, 0, 3)]);
        assert_eq!(
            ask(&space(&network, "late"), "web").1,
            [Ipv4Addr::new(10, 1, 0, 2)]
        );
        network.disconnect("late", "net").await.unwrap();
        assert_ne!(ask(&web, "late").0, RCODE::NoError);
    });
}

#[test]
fn hostile_questions_hurt_nobody() {
    let machine = Machine::new();
    machine.agent(async |network| {
        network
            .define(bridge("net", &["10.1.0.0/24"]))
            .await
            .unwrap();
        network.attach("web", named("net", &["web"])).await.unwrap();
        let web = space(&network, "web");
        let full = question("web", TYPE::A);
        let mut hostile: Vec<Vec<u8>> = (0..full.len()).map(|n| full[..n].to_vec()).collect();
        // A name that refers to itself, many questions, and counts of records that are not there.
        hostile.push([&full[..12], &[0xc0, 12, 0, 1, 0, 1]].concat());
        let mut many = full.clone();
        many[4..12].fill(0xff);
        hostile.push(many);
        let mut claims = full.clone();
        claims[6..12].fill(0xff);
        hostile.push(claims);
        hostile.push(vec![0xff; 4000]);
        hostile.push(Vec::new());
        web.run(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for message in &hostile {
                socket.send_to(message, (SERVER, 53)).unwrap();
            }
            let mut stream = TcpStream::connect((SERVER, 53)).unwrap();
            stream.write_all(&[0xff, 0xff, 1, 2, 3]).unwrap();
        });
        assert_eq!(ask(&web, "web").1, [Ipv4Addr::new(10, 1, 0, 2)]);
        drop(web);
        network.detach("web").await.unwrap();
        eventually("the interface is gone", || machine.interfaces().is_empty());
    });
}

#[test]
fn names_of_containers_do_not_wait_for_silent_servers() {
    let machine = Machine::new();
    machine.agent(async |network| {
        network
            .define(bridge("net", &["10.1.0.0/24"]))
            .await
            .unwrap();
        network.attach("web", named("net", &["web"])).await.unwrap();
        let web = space(&network, "web");
        // It takes questions and says nothing.
        let _silent = machine.world.run(|| UdpSocket::bind((WORLD, 53)).unwrap());
        let outside = question("example.org", TYPE::A);
        let _asker = web.run(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..400 {
                socket.send_to(&outside, (SERVER, 53)).unwrap();
            }
            socket
        });
        let asked = Instant::now();
        // What finds no room in the socket's buffer is lost; resolvers ask again.
        let answer = web.run(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let patience = Duration::from_millis(100);
            socket.set_read_timeout(Some(patience)).unwrap();
            let mut buffer = vec![0; 512];
            loop {
                let own = question("web", TYPE::A);
                socket.send_to(&own, (SERVER, 53)).unwrap();
                if let Ok(length) = socket.recv(&mut buffer) {
                    return buffer[..length].to_vec();
                }
                assert!(asked.elapsed() < PATIENCE, "no answer");
            }
        });
        assert_eq!(addresses(&answer).1, [Ipv4Addr::new(10, 1, 0, 2)]);
        let waited = asked.elapsed();
        assert!(waited < Duration::from_secs(2), "{waited:?}");
    });
}
