//! Options of the engine, as `create` takes them: each must take effect on the machine.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use berth_tests_support::{Fault, FaultyRegistry, Image, Machine, Operator, busybox_layer};
use nix::sched::{CloneFlags, setns};

/// Where the machines are told to find their proxy and mirror.
const PORT: u16 = 3128;

/// A proxy for HTTP in a machine's own network, which notes what it is asked for. It passes
/// everything on to one registry, whatever host was asked for, and is a mirror to those who ask it
/// for a path.
struct Proxy {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(pid: u32, registry: u16) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        std::thread::spawn(move || {
            enter(pid);
            let listener = TcpListener::bind(("127.0.0.1", PORT)).expect("the port is free there");
            for client in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                std::thread::spawn(move || {
                    enter(pid);
                    drop(pass(client, registry, &noted));
                });
            }
        });
        Self { asked }
    }

    fn was_asked(&self, text: &str) -> bool {
        let asked = self.asked.lock().expect("no panics");
        asked.iter().any(|line| line.contains(text))
    }
}

fn enter(pid: u32) {
    let namespace = File::open(format!("/proc/{pid}/ns/net")).expect("the machine runs");
    setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter namespaces");
}

fn pass(client: TcpStream, registry: u16, noted: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut client = client;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    noted
        .lock()
        .expect("no panics")
        .push(line.trim().to_owned());
    let words: Vec<&str> = line.split_whitespace().collect();
    let [method, target, _version] = words[..] else {
        return Ok(());
    };
    if method == "CONNECT" {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    }
    let path = match target.strip_prefix("http://") {
        Some(rest) => &rest[rest.find('/').unwrap_or(rest.len())..],
        None => target,
    };
    let mut upstream = TcpStream::connect(("127.0.0.1", registry))?;
    write!(upstream, "{method} {path} HTTP/1.1\r\n")?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        upstream.write_all(header.as_bytes())?;
        if header.trim().is_empty() {
            break;
        }
    }
    // One request each: the next one may be for another host.
    upstream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    client.write_all(&answer)?;
    client.shutdown(Shutdown::Both)
}

fn engine_env(machine: &Machine<'_>) -> String {
    let pid = machine.agent_pid();
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).expect("the agent runs");
    String::from_utf8_lossy(&bytes).replace('\0', "\n")
}

#[test]
fn every_option_takes_effect() {
    let operator = Operator::new();
    let proxy = format!("http://127.0.0.1:{PORT}");
    let odd = r#"ODD=a  b "c" 'd' 100% $HOME \e"#;
    let words = [
        "machine",
        "create",
        "--engine-label",
        "tier=web front",
        "--engine-env",
        &format!("HTTP_PROXY={proxy}"),
        "--engine-env",
        &format!("HTTPS_PROXY={proxy}"),
        "--engine-env",
        "NO_PROXY=direct.example",
        "--engine-env",
        odd,
        "--engine-insecure-registry",
        "reg.example:5000",
        "--engine-registry-mirror",
        &proxy,
        "--engine-storage-driver",
        "overlay2",
        "--engine-opt",
        "log-level=debug",
        "--engine-opt",
        "data-root=/var/lib/berth/elsewhere",
        "--engine-opt",
        "bip=172.31.77.1/24",
        "--engine-opt",
        "default-ulimit=nofile=1234:2345",
        "--engine-opt",
        "dns=10.9.8.7",
        "--engine-opt",
        "mtu=1400",
        "--tls-san",
        "other.example",
        "m",
    ];
    let made = operator.berth(&words).exits_with(0);
    let told = made.stderr().to_owned();
    assert!(
        told.contains("engine option \"mtu=1400\" is not known to berthd and has no effect"),
        "{told}"
    );
    let machine = operator.existing("m");

    let info = machine.berth(&["info"]).success();
    for expected in [
        "tier=web front",
        "provider=sandbox",
        "/var/lib/berth/elsewhere",
        "reg.example:5000",
    ] {
        assert!(info.contains(expected), "no {expected} in {info}");
    }
    assert!(engine_env(&machine).lines().any(|line| line == odd));
    let log = machine.ssh("cat /var/log/berthd.log").success();
    assert!(log.contains("DEBUG"), "{log}");

    let image = Image::new(&[busybox_layer()]);
    let images = [("app", &image), ("library/common", &image)];
    let registry = FaultyRegistry::start(machine.agent_pid(), &images, Fault::None);
    let reference = registry.reference("app");
    let port = reference
        .split_once(':')
        .and_then(|(_, rest)| rest.split_once('/'))
        .and_then(|(port, _)| port.parse().ok())
        .expect("host:port/name");
    let proxy = Proxy::start(machine.agent_pid(), port);
    machine.berth(&["pull", "reg.example:5000/app"]).success();
    assert!(proxy.was_asked("GET http://reg.example:5000/v2/app/manifests/latest"));
    machine.berth(&["pull", "common"]).success();
    assert!(proxy.was_asked("GET /v2/library/common/manifests/latest"));
    let _ = machine.berth(&["pull", "direct.example/app"]).exits_with(1);
    assert!(!proxy.was_asked("direct.example"));

    let script = "ulimit -Sn; ulimit -Hn; cat /etc/resolv.conf; ip -o addr show eth0";
    let said = machine
        .berth(&["run", "--rm", "common", "sh", "-c", script])
        .success();
    assert!(said.starts_with("1234\n2345\n"), "{said}");
    assert!(said.contains("nameserver 10.9.8.7"), "{said}");
    assert!(said.contains(" 172.31.77."), "{said}");

    let options = machine_record(&operator, "EngineOptions");
    for expected in [
        "\"ArbitraryFlags\":[\"log-level=debug\"",
        "\"Labels\":[\"tier=web front\"]",
        "\"InsecureRegistry\":[\"reg.example:5000\"]",
        "\"StorageDriver\":\"overlay2\"",
        "\"TlsVerify\":true",
    ] {
        assert!(options.contains(expected), "no {expected} in {options}");
    }
    assert!(machine_record(&operator, "AuthOptions").contains("[\"other.example\"]"));
    let names = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-ext", "subjectAltName", "-in"])
        .arg(machine.folder().join("server.pem"))
        .output()
        .expect("openssl");
    let names = String::from_utf8_lossy(&names.stdout).into_owned();
    assert!(names.contains("DNS:other.example"), "{names}");
}

fn machine_record(operator: &Operator, key: &str) -> String {
    let template = format!("{{{{json .HostOptions.{key}}}}}");
    operator
        .berth(&["machine", "inspect", "-f", &template, "m"])
        .success()
}

#[test]
fn options_that_cannot_be_met_are_refused_before_anything_is_made() {
    let operator = Operator::new();
    for (words, said) in [
        (
            ["--engine-storage-driver", "btrfs"],
            "storage driver \"btrfs\"",
        ),
        (["--engine-opt", "log-level=loud"], "log-level"),
        (
            ["--engine-opt", "default-ulimit=files=1"],
            "nofile=1024:4096",
        ),
        (["--engine-label", "bare"], "NAME=VALUE"),
    ] {
        let all = [&["machine", "create"][..], &words, &["m"]].concat();
        let _ = operator.berth(&all).exits_with(1).fails_saying(&[said]);
        assert_eq!(operator.berth(&["machine", "ls", "-q"]).success(), "");
    }
}

#[test]
fn provision_says_what_it_changed_and_leaves_the_rest_alone() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let pid = machine.agent_pid();
    let provision = || operator.berth(&["machine", "provision", "m"]).success();
    let told = provision();
    assert!(told.contains("Nothing to change"), "{told}");
    assert_eq!(machine.agent_pid(), pid, "the agent was not restarted");
    machine
        .ssh("sed -i s/labels/lables/ /etc/berth/berthd.json")
        .success();
    let told = provision();
    assert!(told.contains("Changed configuration; "), "{told}");
    assert_ne!(machine.agent_pid(), pid);
    assert!(provision().contains("Nothing to change"));
}
