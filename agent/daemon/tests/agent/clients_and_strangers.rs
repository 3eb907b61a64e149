//! Who is let in: mutual TLS on TCP, root on the unix socket.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use berth_proto::v1::VersionRequest;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::json;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::client::Client;
use crate::host::{Host, berthd};

pub(crate) struct Authority(pub(crate) CertifiedIssuer<'static, KeyPair>);

pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        Self(CertifiedIssuer::self_signed(parameters, key).expect("authority"))
    }

    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        self.issue_for(name, None)
    }

    /// Issues a certificate whose subject has a unit.
    pub(crate) fn issue_for(&self, name: &str, unit: Option<&str>) -> (String, String) {
        let key = KeyPair::generate().expect("key");
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        parameters.distinguished_name.push(DnType::CommonName, name);
        if let Some(unit) = unit {
            let subject = &mut parameters.distinguished_name;
            subject.push(DnType::OrganizationalUnitName, unit);
        }
        let certificate = parameters.signed_by(&key, &self.0).expect("certificate");
        (certificate.pem(), key.serialize_pem())
    }

    pub(crate) fn identity(&self, name: &str) -> Identity {
        Identity::from(self.issue(name))
    }
}

impl From<(String, String)> for Identity {
    fn from((certificate, key): (String, String)) -> Self {
        Self {
            certificate: CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM"),
            key: PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM"),
        }
    }
}

pub(crate) fn host_with_tls(authority: &Authority, folder: &Path) -> Host {
    let (certificate, key) = authority.issue("machine.berth");
    fs::write(folder.join("ca.pem"), authority.0.pem()).expect("file");
    fs::write(folder.join("server.pem"), certificate).expect("file");
    fs::write(folder.join("server-key.pem"), key).expect("file");
    Host::with_config(json!({
        "listen": ["127.0.0.1:2376"],
        "tls": {
            "ca": folder.join("ca.pem"),
            "cert": folder.join("server.pem"),
            "key": folder.join("server-key.pem"),
        },
    }))
}

pub(crate) fn client_config(authority: &Authority, identity: Option<Identity>) -> ClientConfig {
    client_config_of(authority, identity, rustls::DEFAULT_VERSIONS)
}

/// Describes a client that speaks only some versions of TLS.
pub(crate) fn client_config_of(
    authority: &Authority,
    identity: Option<Identity>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let der = CertificateDer::from_pem_slice(authority.0.pem().as_bytes()).expect("PEM");
    roots.add(der).expect("authority");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(Identity { certificate, key }) => builder
            .with_client_auth_cert(vec![certificate], key)
            .expect("identity"),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

pub(crate) async fn channel(
    host: &Host,
    config: ClientConfig,
) -> Result<Channel, tonic::transport::Error> {
    channel_over(host.connect("127.0.0.1:2376").expect("TCP"), config).await
}

/// Speaks over a connection that is there already.
pub(crate) async fn channel_over(
    stream: std::net::TcpStream,
    config: ClientConfig,
) -> Result<Channel, tonic::transport::Error> {
    let connector = TlsConnector::from(Arc::new(config));
    stream.set_nonblocking(true).expect("non-blocking");
    let stream = std::sync::Mutex::new(Some(stream));
    let connect = service_fn(move |_uri| {
        let stream = stream.lock().expect("lock").take();
        let connector = connector.clone();
        async move {
            let stream = stream.ok_or_else(|| std::io::Error::other("only once"))?;
            let stream = tokio::net::TcpStream::from_std(stream)?;
            let name = ServerName::try_from("machine.berth").expect("name");
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    });
    Endpoint::from_static("http://machine.berth")
        .connect_with_connector(connect)
        .await
}

pub(crate) async fn is_served(host: &Host, config: ClientConfig) -> bool {
    let Ok(channel) = channel(host, config).await else {
        return false;
    };
    Client::over(channel)
        .system
        .version(VersionRequest {})
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_of_the_authority_are_served() {
    let folder = tempfile::tempdir().expect("folder");
    let authority = Authority::new();
    let stranger = Authority::new();
    let host = host_with_tls(&authority, folder.path());
    assert!(
        is_served(
            &host,
            client_config(&authority, Some(authority.identity("operator")))
        )
        .await
    );
    assert!(!is_served(&host, client_config(&authority, None)).await);
    assert!(
        !is_served(
            &host,
            client_config(&authority, Some(stranger.identity("operator")))
        )
        .await
    );
    // Bytes that are no TLS at all get no answer but the end, or an alert.
    let mut stream = host.connect("127.0.0.1:2376").expect("TCP");
    stream
        .write_all(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("write");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(
        !String::from_utf8_lossy(&answer).contains("HTTP"),
        "{answer:?}"
    );
    // After all of that it still serves.
    assert!(
        is_served(
            &host,
            client_config(&authority, Some(authority.identity("operator")))
        )
        .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_names_this_very_executable() {
    let host = Host::new();
    let answer = host.client().await.system.version(VersionRequest {}).await;
    let answer = answer.expect("version").into_inner();
    let output = host.enter(&berthd()).args(["version", "--json"]).output();
    let json: serde_json::Value =
        serde_json::from_slice(&output.expect("berthd").stdout).expect("JSON");
    assert_eq!(json["version"], answer.version.as_str());
    assert_eq!(json["sha256"], answer.executable_sha256.as_str());
    assert_eq!(answer.executable_sha256.len(), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_is_kept_from_the_first_ones_data() {
    let host = Host::new();
    let config = json!({
        "socket": host.path("other/berthd.sock"),
        "data_root": host.path("data"),
        "run_root": host.path("other"),
    });
    fs::write(host.path("second.json"), config.to_string()).expect("file");
    let output = host
        .enter(&berthd())
        .args(["serve", "--config"])
        .arg(host.path("second.json"))
        .output()
        .expect("berthd");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another agent uses"), "{said}");
}
