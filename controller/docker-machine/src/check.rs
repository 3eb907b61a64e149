//! Whether a machine's engine answers over TLS, as the docker command would ask it.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use berth_controller_fleet::Fleet;
use berth_controller_template::quote::quoted;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::machines;
use crate::words;

/// How long an engine has to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it has before the machine's driver is asked whether it runs at all.
const PROMPT: Duration = Duration::from_millis(300);

/// Returns the address of a machine's engine (of its swarm leader, when `swarm`) once that has
/// shown a certificate that the docker command would take.
pub(crate) async fn check(fleet: &Fleet, name: &str, swarm: bool) -> Result<String, String> {
    let record = fleet.inspect(name);
    let record = record.map_err(|error| words::machine(&error))?;
    let url = fleet.url(name).await;
    let url = url.map_err(|error| words::machine(&error))?;
    let url = if swarm {
        swarm_url(name, &record, &url)?
    } else {
        url
    };
    let address = authority(&url).ok_or_else(|| format!("Error parsing URL: {url}"))?;
    let address = address.to_owned();
    let mut dialled = pin!(dial(&record, &address));
    let outcome = match timeout(PROMPT, &mut dialled).await {
        Ok(outcome) => outcome,
        // Packets to a machine that is off vanish, and it can be asked meanwhile.
        Err(_elapsed) => tokio::select! {
            outcome = &mut dialled => outcome,
            problem = off(fleet, name) => return Err(problem),
        },
    };
    let Err(problem) = outcome else {
        return Ok(url);
    };
    // A machine that is off is no matter of certificates.
    machines::url(fleet, name).await?;
    Err(format!(
        "Error checking and/or regenerating the certs: There was an error validating certificates \
         for host {}: {problem}\nYou can attempt to regenerate them using 'docker-machine \
         regenerate-certs [name]'.\nBe advised that this will trigger a Docker daemon restart \
         which might stop running containers.\n",
        quoted(&address)
    ))
}

/// Returns why a machine has no engine to connect to; never, when it runs.
async fn off(fleet: &Fleet, name: &str) -> String {
    match machines::url(fleet, name).await {
        Err(problem) => problem,
        Ok(_url) => pending().await,
    }
}

/// Connects to an engine; what goes wrong is worded as Go words it, because scripts look for that.
pub(crate) async fn dial(record: &Value, address: &str) -> Result<TlsStream<TcpStream>, String> {
    let config = client(record)?;
    let (host, _port) = split(address);
    let server = ServerName::try_from(host.to_owned())
        .map_err(|_error| format!("dial tcp: lookup {host}: no such host"))?;
    let connected = timeout(PATIENCE, async {
        let stream = TcpStream::connect(split(address))
            .await
            .map_err(|error| dial_problem(address, &error))?;
        let connector = TlsConnector::from(Arc::new(config));
        let handshake = connector.connect(server, stream).await;
        handshake.map_err(|error| tls_problem(&error))
    });
    connected
        .await
        .unwrap_or_else(|_elapsed| Err(format!("dial tcp {address}: i/o timeout")))
}

/// The host and port of a URL.
pub(crate) fn authority(url: &str) -> Option<&str> {
    let (_scheme, rest) = url.split_once("://")?;
    let address = rest.split('/').next()?;
    (!address.is_empty()).then_some(address)
}

/// The host, without brackets, and the port.
fn split(address: &str) -> (&str, u16) {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(0)),
        _ => (address, 0),
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    (host, port)
}

fn swarm_url(name: &str, record: &Value, url: &str) -> Result<String, String> {
    let swarm = &record["HostOptions"]["SwarmOptions"];
    if swarm["Master"] != true {
        return Err(format!(
            "Error: {name} is not a swarm master. The --swarm flag is intended for use with swarm \
             masters"
        ));
    }
    let listens = swarm["Host"].as_str().unwrap_or_default();
    let port = listens.rsplit(':').next().unwrap_or_default();
    let address = authority(url).unwrap_or_default();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    Ok(format!("tcp://{host}:{port}"))
}

fn client(record: &Value) -> Result<ClientConfig, String> {
    let options = &record["HostOptions"]["AuthOptions"];
    let (ca, cert, key) = (
        read(options, "CaCertPath", "ca.pem")?,
        read(options, "ClientCertPath", "cert.pem")?,
        read(options, "ClientKeyPath", "key.pem")?,
    );
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&ca) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&cert)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| error.to_string())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_root_certificates(roots)
                .with_client_auth_cert(chain, key)
        })
        .map_err(|error| error.to_string())
}

/// Reads a certificate file: the machine's own copy, or the one that its record names.
fn read(options: &Value, key: &str, copy: &str) -> Result<Vec<u8>, String> {
    let path = |key: &str| PathBuf::from(options[key].as_str().unwrap_or_default());
    let (named, copied) = (path(key), path("StorePath").join(copy));
    let open = |path: &Path| std::fs::read(path);
    open(&copied)
        .or_else(|_error| open(&named))
        .map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                _ => error.to_string(),
            };
            format!("open {}: {why}", named.display())
        })
}

fn dial_problem(address: &str, error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let why = match error.kind() {
        ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        ErrorKind::TimedOut => "i/o timeout".to_owned(),
        _ => error.to_string(),
    };
    format!("dial tcp {address}: {why}")
}

fn tls_problem(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(rustls::Error::InvalidCertificate(problem)) = inner else {
        return match inner {
            Some(rustls::Error::InvalidMessage(_)) => {
                "tls: first record does not look like a TLS handshake".to_owned()
            }
            Some(rustls::Error::AlertReceived(alert)) => format!("remote error: tls: {alert:?}"),
            _ => error.to_string(),
        };
    };
    match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "x509: certificate signed by unknown authority".to_owned()
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            "x509: certificate has expired or is not yet valid".to_owned()
        }
        CertificateError::NotValidForName => "x509: certificate is not valid for it".to_owned(),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let names: Vec<&str> = presented.iter().map(|name| plain(name)).collect();
            format!(
                "x509: certificate is valid for {}, not {}",
                names.join(", "),
                expected.to_str()
            )
        }
        other => format!("x509: {other:?}"),
    }
}

/// `IpAddress(10.0.0.1)` as `10.0.0.1`.
fn plain(name: &str) -> &str {
    let inner = name
        .split_once('(')
        .and_then(|(_, inner)| inner.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_taken_out_of_urls() {
        assert_eq!(authority("tcp://10.0.0.1:2376"), Some("10.0.0.1:2376"));
        assert_eq!(authority("tcp://[::1]:2376/x"), Some("[::1]:2376"));
        assert_eq!(authority("10.0.0.1"), None);
        assert_eq!(split("[fe80::1]:2376"), ("fe80::1", 2376));
        assert_eq!(split("host:1"), ("host", 1));
    }

    #[test]
    fn swarm_is_where_its_leader_listens() {
        let record = |master: bool| {
            let swarm = json!({"Master": master, "Host": "tcp://0.0.0.0:3376"});
            json!({"HostOptions": {"SwarmOptions": swarm}})
        };
        assert_eq!(
            swarm_url("m", &record(true), "tcp://10.0.0.1:2376"),
            Ok("tcp://10.0.0.1:3376".to_owned())
        );
        let refused = swarm_url("m", &record(false), "tcp://10.0.0.1:2376").unwrap_err();
        assert!(
            refused.starts_with("Error: m is not a swarm master."),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn port_without_anybody_is_told_in_gos_words() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = TcpStream::connect(&address).await.unwrap_err();
        assert_eq!(
            dial_problem(&address, &error),
            format!("dial tcp {address}: connect: connection refused")
        );
    }
}
