//! Channels to a real TLS server, also through a real SSH server.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use berth_controller_client::{ConnectError, Identity, Route, Target, Tunnel, connect};
use berth_controller_pki::{Authority, ServerIdentity, stable_name};
use berth_controller_ssh::{Endpoint, HostKey, HostKeyPolicy};
use berth_proto::v1::system_service_server::{SystemService, SystemServiceServer};
use berth_proto::v1::{InfoRequest, InfoResponse, VersionRequest, VersionResponse};
use berth_tests_support::{Sshd, SshdOptions, free_port};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status};

struct System(&'static str);

#[tonic::async_trait]
impl SystemService for System {
    async fn version(
        &self,
        _request: Request<VersionRequest>,
    ) -> Result<Response<VersionResponse>, Status> {
        let version = self.0.to_owned();
        Ok(Response::new(VersionResponse {
            version,
            ..VersionResponse::default()
        }))
    }

    async fn info(&self, _request: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        Err(Status::unimplemented("not needed here"))
    }

    type EventsStream = tokio_stream::Empty<Result<berth_proto::v1::Event, Status>>;

    async fn events(
        &self,
        _request: Request<berth_proto::v1::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        Err(Status::unimplemented("events"))
    }

    async fn disk_usage(
        &self,
        _request: Request<berth_proto::v1::DiskUsageRequest>,
    ) -> Result<Response<berth_proto::v1::DiskUsageResponse>, Status> {
        Err(Status::unimplemented("disk usage"))
    }
}

struct Connection(TlsStream<TcpStream>);

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

struct Fixture {
    authority: Authority,
    name: String,
    port: u16,
    n_connections: Arc<AtomicUsize>,
}

fn authority() -> Authority {
    Authority::create("test", OffsetDateTime::now_utc()).unwrap()
}

fn identity(authority: &Authority, trusted: &Authority, name: &str) -> Identity {
    let client = authority
        .issue_client("test", OffsetDateTime::now_utc())
        .unwrap();
    Identity::new(
        trusted.certificate_pem().as_bytes(),
        client.certificate_pem.as_bytes(),
        client.key_pem.as_bytes(),
        name,
    )
    .unwrap()
}

impl Fixture {
    /// Starts an agent whose certificate has its stable name and an address it does not have now.
    async fn start() -> Self {
        let authority = authority();
        let name = stable_name("demo");
        let server = ServerIdentity {
            stable_name: name.clone(),
            names: vec!["192.0.2.1".to_owned()],
        };
        let issued = authority
            .issue_server(&server, OffsetDateTime::now_utc())
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .unwrap();
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let n_connections = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = tokio::sync::mpsc::channel::<io::Result<Connection>>(8);
        let counter = Arc::clone(&n_connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = sender.send(Ok(Connection(stream))).await;
                }
            }
        });
        tokio::spawn(
            Server::builder()
                .add_service(SystemServiceServer::new(System("direct")))
                .serve_with_incoming(ReceiverStream::new(receiver)),
        );
        Self {
            authority,
            name,
            port,
            n_connections,
        }
    }

    fn target(&self) -> Target {
        Target {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            identity: identity(&self.authority, &self.authority, &self.name),
            tunnel: None,
        }
    }
}

fn tunnel(sshd: &Sshd, socket: &str) -> Tunnel {
    Tunnel {
        endpoint: Endpoint {
            host: "127.0.0.1".to_owned(),
            port: sshd.port(),
            user: "root".to_owned(),
            key: Some(sshd.client_key()),
            ..Endpoint::default()
        },
        host_key: HostKeyPolicy::Pinned(HostKey::parse(&sshd.host_key()).unwrap()),
        socket: socket.to_owned(),
    }
}

#[tokio::test]
async fn machine_is_known_by_its_name_whatever_its_address() {
    let fixture = Fixture::start().await;
    let agent = connect(&fixture.target(), &|_| panic!("no detour is needed"))
        .await
        .unwrap();
    assert_eq!(agent.route(), Route::Direct);
    assert_eq!(agent.version().await.unwrap().version, "direct");
    assert_eq!(agent.clone().version().await.unwrap().version, "direct");
    assert_eq!(fixture.n_connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn first_answer_takes_a_few_milliseconds() {
    let fixture = Fixture::start().await;
    let target = fixture.target();
    let mut times = Vec::new();
    for _ in 0..20 {
        let begin = std::time::Instant::now();
        connect(&target, &|_| ())
            .await
            .unwrap()
            .version()
            .await
            .unwrap();
        times.push(begin.elapsed());
    }
    times.sort();
    eprintln!(
        "connect and first answer: median {:?}, least {:?}",
        times[10], times[0]
    );
    // A delayed acknowledgement alone would cost forty.
    assert!(times[0] < Duration::from_millis(20), "{times:?}");
}

#[tokio::test]
async fn machine_with_another_name_or_authority_is_not_trusted() {
    let fixture = Fixture::start().await;
    let stranger = authority();
    let wrong_name = identity(&fixture.authority, &fixture.authority, &stable_name("demo"));
    let wrong_authority = identity(&fixture.authority, &stranger, &fixture.name);
    for identity in [wrong_name, wrong_authority] {
        let target = Target {
            identity,
            ..fixture.target()
        };
        let error = connect(&target, &|_| ()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn stranger_is_refused_at_the_first_call() {
    let fixture = Fixture::start().await;
    let identity = identity(&authority(), &fixture.authority, &fixture.name);
    let target = Target {
        identity,
        ..fixture.target()
    };
    // The server decides after its own part of the handshake, so connecting may succeed.
    let agent = connect(&target, &|_| ()).await.unwrap();
    agent.version().await.unwrap_err();
    let fault = agent.fault().unwrap();
    assert!(
        fault.starts_with("the agent does not accept this controller's certificate"),
        "{fault}"
    );
}

#[tokio::test]
async fn closed_port_is_unreachable() {
    let fixture = Fixture::start().await;
    let target = Target {
        port: free_port(),
        ..fixture.target()
    };
    let error = connect(&target, &|_| ()).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Unreachable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn socket_is_reached_through_ssh_when_the_port_is_closed() {
    let fixture = Fixture::start().await;
    let sshd = Sshd::start(&SshdOptions::default());
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("berthd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(
        Server::builder()
            .add_service(SystemServiceServer::new(System("socket")))
            .serve_with_incoming(UnixListenerStream::new(listener)),
    );
    let target = Target {
        port: free_port(),
        tunnel: Some(tunnel(&sshd, socket.to_str().unwrap())),
        ..fixture.target()
    };
    let n_told = AtomicUsize::new(0);
    let count = |route| {
        assert_eq!(route, Route::TunnelToSocket);
        n_told.fetch_add(1, Ordering::SeqCst);
    };
    let agent = connect(&target, &count).await.unwrap();
    assert_eq!(agent.version().await.unwrap().version, "socket");
    assert_eq!(agent.version().await.unwrap().version, "socket");
    assert_eq!(n_told.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn port_that_takes_connections_and_says_nothing_is_gone_round() {
    let fixture = Fixture::start().await;
    let sshd = Sshd::start(&SshdOptions::default());
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("berthd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(
        Server::builder()
            .add_service(SystemServiceServer::new(System("socket")))
            .serve_with_incoming(UnixListenerStream::new(listener)),
    );
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let taking = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            kept.push(stream);
        }
    });
    let target = Target {
        port,
        tunnel: Some(tunnel(&sshd, socket.to_str().unwrap())),
        ..fixture.target()
    };
    let n_told = AtomicUsize::new(0);
    let count = |_route| {
        n_told.fetch_add(1, Ordering::SeqCst);
    };
    let begin = std::time::Instant::now();
    let agent = connect(&target, &count).await.unwrap();
    assert_eq!(agent.version().await.unwrap().version, "socket");
    assert_eq!(n_told.load(Ordering::SeqCst), 1);
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );

    // Without another way it is an error, within the time that a handshake has.
    let target = Target {
        tunnel: None,
        ..target
    };
    let error = connect(&target, &|_| ()).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Unreachable { .. }),
        "{error:?}"
    );
    taking.abort();
}

#[tokio::test]
async fn connection_that_was_cut_is_made_again_by_the_next_call() {
    let fixture = Fixture::start().await;
    let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, goal) = (relay.local_addr().unwrap().port(), fixture.port);
    let (cut, mut cutting) = tokio::sync::broadcast::channel::<()>(1);
    let cutter = cut.clone();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = relay.accept().await {
            let mut cutting = cutter.subscribe();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", goal)).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = cutting.recv() => {}
                }
            });
        }
    });
    let target = Target {
        port,
        ..fixture.target()
    };
    let agent = connect(&target, &|_| ()).await.unwrap();
    agent.version().await.unwrap();
    cut.send(()).unwrap();
    cutting.recv().await.unwrap();
    // The call that meets the cut may fail, with a reason; the one after it must not.
    if agent.version().await.is_err() {
        assert!(agent.fault().is_some());
        agent.version().await.unwrap();
    }
    assert_eq!(fixture.n_connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn failed_tunnel_tells_both_reasons() {
    let fixture = Fixture::start().await;
    let sshd = Sshd::start(&SshdOptions::default());
    let target = Target {
        port: free_port(),
        tunnel: Some(tunnel(&sshd, "/nonexistent/berthd.sock")),
        ..fixture.target()
    };
    let error = connect(&target, &|_| ()).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::TunnelFailed { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("refused"), "{error}");
}
