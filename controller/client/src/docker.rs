//! Asking a Docker daemon who it is: enough for machines that docker-machine has made and that
//! have no agent of ours.
//!
//! The daemon is known by its address, as docker's own tools know it. One request of HTTP/1.0 on
//! one connection: its answer is not in pieces and ends with the connection.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long the daemon may take for all of it.
const LIMIT: Duration = Duration::from_secs(20);
/// The longest answer that is read.
const MAX_ANSWER: u64 = 1024 * 1024;
/// Without a version in it, so that daemons of every age answer.
const REQUEST: &[u8] = b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n";

/// Where a daemon is, and the files to show it.
#[derive(Clone, Debug)]
pub struct DockerTarget {
    /// `tcp://host:port`, as `DOCKER_HOST` has it.
    pub url: String,
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The client's certificate.
    pub cert: PathBuf,
    /// The client's key.
    pub key: PathBuf,
}

/// A daemon does not answer as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DockerError {
    /// The address makes no sense.
    #[error("{0:?} is not the address of a Docker daemon")]
    Url(String),
    /// A certificate or key cannot be read.
    #[error("certificate file {} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Certificate and key cannot be used.
    #[error("certificates for the Docker daemon cannot be used")]
    Certificates(#[from] rustls::Error),
    /// The port does not answer.
    #[error("Docker daemon at {address} cannot be reached")]
    Unreachable {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What answers is another one, or does not know us.
    #[error("Docker daemon at {address} cannot be trusted, or does not trust us")]
    Tls {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The answer is not that of a Docker daemon.
    #[error("what answers at {address} is not a Docker daemon: {said}")]
    Answer {
        /// Host and port.
        address: String,
        /// What it said.
        said: String,
    },
    /// It took too long.
    #[error("Docker daemon at {address} did not answer within {} s", LIMIT.as_secs())]
    Timeout {
        /// Host and port.
        address: String,
    },
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "Version")]
    version: String,
}

/// Returns the version of the daemon, over mutual TLS.
///
/// # Errors
///
/// When it cannot be reached, cannot be trusted, or is none.
pub async fn docker_version(target: &DockerTarget) -> Result<String, DockerError> {
    let (host, port) =
        host_and_port(&target.url).ok_or_else(|| DockerError::Url(target.url.clone()))?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_error| DockerError::Url(target.url.clone()))?;
    let config = Arc::new(config(target)?);
    let address = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let asked = async {
        let stream =
            TcpStream::connect((host, port))
                .await
                .map_err(|source| DockerError::Unreachable {
                    address: address.clone(),
                    source,
                })?;
        let untrusted = |source| DockerError::Tls {
            address: address.clone(),
            source,
        };
        let stream = TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(untrusted)?;
        // That the daemon does not take our certificate is only known from here on.
        let answer = exchange(stream).await.map_err(untrusted)?;
        version(&answer).map_err(|said| DockerError::Answer {
            address: address.clone(),
            said,
        })
    };
    timeout(LIMIT, asked).await.unwrap_or_else(|_elapsed| {
        Err(DockerError::Timeout {
            address: address.clone(),
        })
    })
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<Vec<u8>> {
    stream.write_all(REQUEST).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    match stream.take(MAX_ANSWER).read_to_end(&mut answer).await {
        // Some end the connection without saying so in TLS; the length tells whether all is there.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !answer.is_empty() => {}
        other => {
            other?;
        }
    }
    Ok(answer)
}

/// Reads the version out of an answer; fails with what was said instead.
fn version(answer: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.lines().next().unwrap_or_default();
    let shown: String = status
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    if !status.starts_with("HTTP/1.") || status.split(' ').nth(1) != Some("200") {
        return Err(shown);
    }
    let version: Version = serde_json::from_str(body).map_err(|_error| shown)?;
    Ok(version
        .version
        .chars()
        .filter(|c| !c.is_control())
        .take(100)
        .collect())
}

fn config(target: &DockerTarget) -> Result<ClientConfig, DockerError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&target.ca)? {
        roots.add(certificate)?;
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&target.key)?)
        .map_err(|error| unusable(&target.key, error))?;
    // Daemons of 2016 do not speak TLS 1.3.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&target.cert)?, key)?)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, DockerError> {
    CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(path, error))
}

fn read(path: &Path) -> Result<Vec<u8>, DockerError> {
    fs::read(path).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> DockerError {
    DockerError::File {
        path: path.to_owned(),
        source: source.into(),
    }
}

/// Takes `tcp://host:port` apart; addresses of IP version 6 stand in brackets.
fn host_and_port(url: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    if !matches!(scheme, "tcp" | "https") {
        return None;
    }
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Some((host, port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        assert_eq!(
            host_and_port("tcp://10.0.0.1:2376"),
            Some(("10.0.0.1", 2376))
        );
        assert_eq!(
            host_and_port("tcp://[fd00::1]:2376/"),
            Some(("fd00::1", 2376))
        );
        for bad in [
            "",
            "tcp://",
            "tcp://x",
            "unix:///x:1",
            "tcp://:1",
            "tcp://x:70000",
        ] {
            assert_eq!(host_and_port(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_a_daemons_answer_is_one() {
        let good = b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n{\"Version\":\"20.10.24\",\"Os\":\"linux\"}";
        assert_eq!(version(good).unwrap(), "20.10.24");
        for bad in [
            &b""[..],
            b"HTTP/1.1 400 Bad Request\r\n\r\n{}",
            b"SSH-2.0-x\r\n",
            b"HTTP/1.0 200 OK\r\n\r\nhello",
        ] {
            version(bad).unwrap_err();
        }
    }
}
