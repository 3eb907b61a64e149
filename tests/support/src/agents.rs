//! Very many machines whose agents answer, without any machine: one server that is all of them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// The version that they say.
pub const AGENTS_VERSION: &str = "7.6.5";

/// Agents of machines that are only on record: they speak TLS as both sides must know each other,
/// and answer who they are.
///
/// The machines are called `n0`, `n1`, … and are of driver `generic` at 127.0.0.1.
#[derive(Debug)]
pub struct FakeAgents {
    address: SocketAddr,
    served: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<std::thread::JoinHandle<()>>,
}

/// Certificates by the name that the client asks for.
#[derive(Debug)]
struct ByName(HashMap<String, Arc<CertifiedKey>>);

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
    /// The agents' key: one for all, since making keys takes its time.
    agents_key: KeyPair,
}

// === impl FakeAgents ===

impl FakeAgents {
    /// Writes `n_machines` machines into the store at `root` and serves their agents.
    ///
    /// # Panics
    ///
    /// When the store cannot be written or the server cannot be started.
    #[must_use]
    pub fn start(root: &Path, n_machines: usize) -> Self {
        let authority = Authority::new();
        let client_key = new_key();
        let client = authority.issue("operator", &client_key, ExtendedKeyUsagePurpose::ClientAuth);
        let signing = authority.agents_key.serialize_der();
        let signing = PrivateKeyDer::try_from(signing).expect("a private key");
        let signing = rustls::crypto::ring::sign::any_ecdsa_type(&signing).expect("an ECDSA key");
        let files = [
            ("ca.pem", authority.pem.clone()),
            ("cert.pem", client.pem()),
            ("key.pem", client_key.serialize_pem()),
        ];
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it has an address");
        let mut names = HashMap::new();
        for number in 0..n_machines {
            let name = format!("n{number}");
            let stable = format!("{name}.test.berth");
            write_machine(root, &name, &stable, address.port(), &files);
            names.insert(stable.clone(), authority.certified(&stable, &signing));
        }
        let acceptor = TlsAcceptor::from(Arc::new(authority.server(ByName(names))));
        let served = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = oneshot::channel();
        let counter = Arc::clone(&served);
        let server = std::thread::spawn(move || serve(listener, &acceptor, &counter, stopped));
        Self {
            address,
            served,
            stop: Some(stop),
            server: Some(server),
        }
    }

    /// Returns where they listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many calls they have answered.
    #[must_use]
    pub fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

impl Drop for FakeAgents {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(server) = self.server.take() {
            drop(server.join());
        }
    }
}

// === impl Authority ===

impl Authority {
    fn new() -> Self {
        let key = new_key();
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).expect("it signs itself");
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            agents_key: new_key(),
        }
    }

    fn issue(
        &self,
        name: &str,
        key: &KeyPair,
        usage: ExtendedKeyUsagePurpose,
    ) -> rcgen::Certificate {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        params.signed_by(key, &self.issuer).expect("it signs")
    }

    fn certified(&self, name: &str, signing: &Arc<dyn SigningKey>) -> Arc<CertifiedKey> {
        let certificate = self.issue(name, &self.agents_key, ExtendedKeyUsagePurpose::ServerAuth);
        let chain = vec![certificate.der().clone()];
        Arc::new(CertifiedKey::new(chain, Arc::clone(signing)))
    }

    fn server(&self, names: ByName) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("our authority");
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .expect("a verifier");
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(names));
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.get(hello.server_name()?).cloned()
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("random numbers")
}

fn write_machine(root: &Path, name: &str, stable: &str, port: u16, files: &[(&str, String)]) {
    let folder = root.join("machines").join(name);
    fs::create_dir_all(&folder).expect("a folder for the machine");
    for (file, text) in files {
        fs::write(folder.join(file), text).expect("a file of the machine");
    }
    let path = |file: &str| folder.join(file).to_string_lossy().into_owned();
    let config = json!({
        "ConfigVersion": 3,
        "Driver": {
            "IPAddress": "127.0.0.1", "MachineName": name, "SSHUser": "root",
            // Nobody listens there.
            "SSHPort": 1, "SSHKeyPath": "", "StorePath": root, "EnginePort": port,
        },
        "DriverName": "generic",
        "HostOptions": {
            "Driver": "", "Memory": 0, "Disk": 0,
            "EngineOptions": { "Labels": [format!("number={name}")], "TlsVerify": true },
            "SwarmOptions": {},
            "AuthOptions": {
                "CertDir": root.join("certs"), "CaCertPath": path("ca.pem"),
                "ClientCertPath": path("cert.pem"), "ClientKeyPath": path("key.pem"),
                "StorePath": folder,
            },
        },
        "Name": name,
    });
    fs::write(folder.join("config.json"), config.to_string()).expect("the record");
    let side = json!({ "version": 1, "progress": "ready", "stable_name": stable });
    fs::write(folder.join("berth.json"), side.to_string()).expect("our record");
}

fn serve(
    listener: std::net::TcpListener,
    acceptor: &TlsAcceptor,
    served: &Arc<AtomicUsize>,
    mut stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("it does not block");
        let listener = TcpListener::from_std(listener).expect("our listener");
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted.map(|(stream, _peer)| stream),
                _ = &mut stopped => return,
            };
            if let Ok(stream) = stream {
                tokio::spawn(talk(stream, acceptor.clone(), Arc::clone(served)));
            }
        }
    });
    runtime.shutdown_background();
}

async fn talk(stream: TcpStream, acceptor: TlsAcceptor, served: Arc<AtomicUsize>) {
    // Whoever is no good client gets no answer.
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = hyper::service::service_fn(move |request| {
        let served = Arc::clone(&served);
        async move { Ok::<_, Infallible>(answer(&request, &served)) }
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // Clients go when they have what they want.
    let _ = connection
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn answer(
    request: &Request<Incoming>,
    served: &AtomicUsize,
) -> Response<impl hyper::body::Body<Data = Bytes, Error = Infallible> + use<>> {
    let known = request.uri().path() == "/berth.v1.SystemService/Version";
    let (message, status) = if known {
        served.fetch_add(1, Ordering::SeqCst);
        // Field 1, a text.
        let mut message = vec![0x0a, u8::try_from(AGENTS_VERSION.len()).unwrap_or(0)];
        message.extend(AGENTS_VERSION.as_bytes());
        (message, "0")
    } else {
        (Vec::new(), "12")
    };
    let mut frame = BytesMut::new();
    if known {
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.len()).unwrap_or(0));
        frame.extend(message);
    }
    let trailers = async move {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(status));
        Some(Ok(trailers))
    };
    let mut response = Response::new(Full::new(frame.freeze()).with_trailers(Box::pin(trailers)));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
