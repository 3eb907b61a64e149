//! Machines, neighbours and containers made of network namespaces that end with the test.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use berth_agent_network::{
    AttachRequest, Attachment, HostPort, Network, NetworkConfig, PortRequest, Protocol,
};
use berth_agent_state::State;
use nix::sched::{CloneFlags, setns, unshare};

/// The machine's address on the wire to the world, and the world's.
pub(crate) const MACHINE: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
pub(crate) const WORLD: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 2);

const PATIENCE: Duration = Duration::from_secs(2);

/// A network namespace without a name.
#[derive(Debug)]
pub(crate) struct Space {
    file: File,
}

/// A machine on a wire to another host, with a directory for an agent.
pub(crate) struct Machine {
    pub(crate) space: Space,
    pub(crate) world: Space,
    pub(crate) directory: tempfile::TempDir,
}

/// Answers every client with its own name and the client's address.
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    socket: OwnedFd,
}

impl Space {
    pub(crate) fn new() -> Self {
        let file = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        })
        .join()
        .unwrap();
        Self { file }
    }

    pub(crate) fn of(attachment: &Attachment) -> Self {
        Self {
            file: File::open(attachment.netns.as_ref().unwrap()).unwrap(),
        }
    }

    /// Runs `body`, and all threads and processes that it starts, inside the namespace.
    pub(crate) fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let result = thread::scope(|scope| {
            scope
                .spawn(|| {
                    setns(&self.file, CloneFlags::CLONE_NEWNET).unwrap();
                    body()
                })
                .join()
        });
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    pub(crate) fn command(&self, line: &str) -> String {
        let output = self.run(|| Command::new("sh").arg("-ec").arg(line).output().unwrap());
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn set(&self, parameter: &str, value: &str) {
        let path = Path::new("/proc/sys/net").join(parameter);
        self.run(|| std::fs::write(path, value).unwrap());
    }

    pub(crate) fn tcp(&self, address: Ipv4Addr, port: u16) -> Option<String> {
        let address = SocketAddr::from((address, port));
        self.run(|| {
            let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            Some(answer)
        })
    }

    /// For what must not be reached: dropped packets are not waited for long.
    pub(crate) fn refuses_tcp(&self, address: Ipv4Addr, port: u16) -> bool {
        let address = SocketAddr::from((address, port));
        self.run(|| TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_err())
    }

    pub(crate) fn udp_socket(&self) -> UdpSocket {
        let socket = self.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    pub(crate) fn udp(&self, address: Ipv4Addr, port: u16) -> Option<String> {
        ask(&self.udp_socket(), address, port)
    }

    pub(crate) fn serve_tcp(&self, name: &str, address: Ipv4Addr, port: u16) -> Server {
        let listener = self.run(|| TcpListener::bind((address, port)).unwrap());
        let socket = OwnedFd::from(listener.try_clone().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let (name, stopping) = (name.to_owned(), Arc::clone(&stop));
        thread::spawn(move || {
            while let Ok((mut stream, client)) = listener.accept() {
                if stopping.load(Ordering::SeqCst) {
                    break;
                }
                // A client that has gone is its own affair.
                let _ = write!(stream, "{name} {}", client.ip());
            }
        });
        Server { stop, socket }
    }

    pub(crate) fn serve_udp(&self, name: &str, port: u16) -> Server {
        let server = self.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
        server
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let socket = OwnedFd::from(server.try_clone().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let (name, stopping) = (name.to_owned(), Arc::clone(&stop));
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while !stopping.load(Ordering::SeqCst) {
                if let Ok((_, client)) = server.recv_from(&mut buffer) {
                    let answer = format!("{name} {}", client.ip());
                    let _ = server.send_to(answer.as_bytes(), client);
                }
            }
        });
        Server { stop, socket }
    }
}

pub(crate) fn ask(socket: &UdpSocket, address: Ipv4Addr, port: u16) -> Option<String> {
    let mut buffer = [0; 64];
    socket
        .send_to(b"?", SocketAddrV4::new(address, port))
        .ok()?;
    let length = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes a thread that waits for a client.
        let _ =
            nix::sys::socket::shutdown(self.socket.as_raw_fd(), nix::sys::socket::Shutdown::Both);
    }
}

impl Machine {
    pub(crate) fn new() -> Self {
        let (space, world) = (Space::new(), Space::new());
        let pid = std::process::id();
        let fd = world.file.as_raw_fd();
        space.command(&format!(
            "ip link set lo up
             ip link add eth0 type veth peer name eth0 netns /proc/{pid}/fd/{fd}
             ip addr add {MACHINE}/24 dev eth0
             ip link set eth0 up"
        ));
        world.command(&format!(
            "ip link set lo up; ip addr add {WORLD}/24 dev eth0; ip link set eth0 up"
        ));
        Self {
            space,
            world,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Runs an agent's network on the machine for as long as `body` runs. Whatever it makes of the
    /// kernel stays when it ends, as when an agent is killed.
    pub(crate) fn agent<T: Send>(&self, body: impl AsyncFnOnce(Network) -> T + Send) -> T {
        self.space.run(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let state = State::open(&self.directory.path().join("state.redb")).unwrap();
                let mut config = NetworkConfig::new(self.directory.path().to_owned());
                config.resolv_conf = self.directory.path().join("resolv.conf");
                body(Network::open(config, state).unwrap()).await
            })
        })
    }

    pub(crate) fn namespaces(&self) -> Vec<String> {
        std::fs::read_dir(self.directory.path().join("netns"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// The names of the machine's sides of containers' interfaces.
    pub(crate) fn interfaces(&self) -> Vec<String> {
        let listing = self.space.command("ip -o link show");
        let names = listing
            .lines()
            .filter_map(|line| line.split([':', '@']).nth(1));
        names
            .map(|name| name.trim().to_owned())
            .filter(|name| name.starts_with("bv"))
            .collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for id in self.namespaces() {
            let path = self.directory.path().join("netns").join(id);
            let _ = nix::mount::umount2(&path, nix::mount::MntFlags::MNT_DETACH);
        }
    }
}

/// Waits for what the kernel does by itself and soon.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn on_bridge(ports: &[PortRequest]) -> AttachRequest {
    AttachRequest {
        ports: ports.to_vec(),
        ..AttachRequest::default()
    }
}

pub(crate) fn port(host_port: u16, container_port: u16, protocol: Protocol) -> PortRequest {
    PortRequest {
        host_ip: None,
        host_port: HostPort::Exactly(host_port),
        container_port,
        protocol,
    }
}

pub(crate) fn ip(attachment: &Attachment) -> Ipv4Addr {
    attachment.interface.unwrap().ip
}
