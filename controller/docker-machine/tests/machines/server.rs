//! An engine that tells its version over TLS.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use berth_controller_pki::{Authority, ServerIdentity};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::Operator;

const ANSWER: &str = "{\"Version\":\"24.0.7\",\"ApiVersion\":\"1.43\"}";

/// Starts an engine whose certificate the operator's authority has signed for `names`; returns
/// its port. It answers as long as the test runs.
pub(crate) fn engine(operator: &Operator, names: &[&str]) -> u16 {
    let (ca, key) = (
        operator.file("certs/ca.pem"),
        operator.file("certs/ca-key.pem"),
    );
    let authority = Authority::load(&ca, &key).unwrap();
    serve(&authority, &ca, "127.0.0.1", names)
}

/// The same, at an address that its certificate does not have.
pub(crate) fn moved(operator: &Operator, address: &str) -> u16 {
    let (ca, key) = (
        operator.file("certs/ca.pem"),
        operator.file("certs/ca-key.pem"),
    );
    let authority = Authority::load(&ca, &key).unwrap();
    serve(&authority, &ca, address, &["10.0.0.9"])
}

/// Starts an engine that the operator does not trust.
pub(crate) fn stranger(operator: &Operator, names: &[&str]) -> u16 {
    let now = time::OffsetDateTime::now_utc();
    let authority = Authority::create("somebody", now).unwrap();
    serve(
        &authority,
        &operator.file("certs/ca.pem"),
        "127.0.0.1",
        names,
    )
}

fn serve(authority: &Authority, client_ca: &str, address: &str, names: &[&str]) -> u16 {
    let identity = ServerIdentity {
        stable_name: "engine.test.berth".to_owned(),
        names: names.iter().map(|&name| name.to_owned()).collect(),
    };
    let now = time::OffsetDateTime::now_utc();
    let issued = authority.issue_server(&identity, now).unwrap();
    let chain = CertificateDer::pem_slice_iter(issued.certificate_pem.as_bytes());
    let chain: Vec<_> = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(client_ca.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            thread::spawn(move || answer(StreamOwned::new(connection, stream)));
        }
    });
    port
}

fn answer(mut stream: StreamOwned<ServerConnection, std::net::TcpStream>) {
    let mut asked = Vec::new();
    let mut buffer = [0; 1024];
    // Whoever only looks at the certificate asks nothing.
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        asked.extend_from_slice(&buffer[..length]);
        if asked.ends_with(b"\r\n\r\n") {
            let length = ANSWER.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{ANSWER}"
            );
            stream.conn.send_close_notify();
            let _ = stream.flush();
            return;
        }
    }
}
