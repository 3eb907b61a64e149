//! Certificates: the one that the agent shows, and our own.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use berth_controller_pki::CertificateFacts;
use berth_controller_store::MachineRecord;
use berth_provisioners_api::Machine;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme, version};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Check;
use crate::Fleet;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Days before its end from which a certificate should be renewed.
const SOON: i64 = 30;

impl Fleet {
    /// Looks at the certificate that the port shows, or else at the one that lies on the host, and
    /// at the operator's own.
    pub(super) async fn tls_checks(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        open: bool,
        on_host: Option<&str>,
    ) -> Vec<Check> {
        let name = record.name.as_str();
        let paths = self.store.machine(&record.name);
        let text = fs::read_to_string(&paths.ca).unwrap_or_default();
        let authorities = CertificateFacts::parse_all(&text).unwrap_or_default();
        let mut checks = Vec::new();
        let host = match record.config.ip_address() {
            Some(address) => address.to_owned(),
            None => machine.ip().await.unwrap_or_default(),
        };
        let shown =
            if open {
                match shown(&host, machine.engine_port()).await {
                    Ok(pem) => Some(pem),
                    Err(why) => {
                        checks.push(Check::fail(
                        "tls",
                        format!("port {} does not speak TLS 1.3: {why}", machine.engine_port()),
                        format!(
                            "see what listens there on the host; berth machine provision {name} \
                             starts the agent"
                        ),
                    ));
                        None
                    }
                }
            } else {
                on_host.filter(|pem| !pem.is_empty()).map(str::to_owned)
            };
        let known_as = record.side.stable_name.as_deref().unwrap_or(&host);
        if let Some(pem) = shown {
            checks.push(judge_server(name, &pem, &authorities, known_as));
        }
        checks.push(judge_client(name, &paths.cert, &authorities));
        checks
    }
}

fn judge_server(name: &str, pem: &str, authorities: &[CertificateFacts], known_as: &str) -> Check {
    let renew = format!("berth machine provision {name} makes a new one");
    let Ok(facts) = CertificateFacts::parse(pem) else {
        return Check::fail("tls", "the agent's certificate makes no sense", renew);
    };
    if !authorities.iter().any(|one| facts.is_signed_by(one)) {
        return Check::fail(
            "tls",
            "the agent's certificate was signed by another authority than this store's",
            format!(
                "use the store that the machine belongs to, or take it over: {renew}; somebody in \
                 between would look the same"
            ),
        );
    }
    if !facts.has_name(known_as) {
        return Check::fail(
            "tls",
            format!(
                "the agent's certificate is not for {known_as} but for {}",
                facts.names().join(", ")
            ),
            renew,
        );
    }
    judge_days("tls", "the agent's certificate", &facts, renew)
}

fn judge_client(name: &str, path: &Path, authorities: &[CertificateFacts]) -> Check {
    let what = "client-certificate";
    let renew = format!("berth machine provision {name} makes a new one");
    let Ok(pem) = fs::read_to_string(path) else {
        return Check::fail(what, format!("{} cannot be read", path.display()), renew);
    };
    let Ok(facts) = CertificateFacts::parse(&pem) else {
        return Check::fail(what, format!("{} makes no sense", path.display()), renew);
    };
    if !authorities.iter().any(|one| facts.is_signed_by(one)) {
        return Check::fail(
            what,
            format!("{} was signed by another authority", path.display()),
            renew,
        );
    }
    judge_days(what, "this controller's certificate", &facts, renew)
}

fn judge_days(name: &'static str, whose: &str, facts: &CertificateFacts, renew: String) -> Check {
    let left = facts.not_after() - OffsetDateTime::now_utc();
    let days = left.whole_days();
    if left.is_negative() {
        let said = format!("{whose} expired {} days ago", -days);
        return Check::fail(name, said, renew);
    }
    let said = format!("{whose} is good for {days} days");
    if days < SOON {
        Check::warn(name, said, renew)
    } else {
        Check::ok(name, said)
    }
}

/// Returns the certificate that a port shows, whatever it is: it is looked at, not trusted.
async fn shown(host: &str, port: u16) -> Result<String, String> {
    let looker = Arc::new(Looker {
        provider: Arc::new(ring::default_provider()),
        seen: Mutex::new(None),
    });
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&looker.provider))
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&looker) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("agent.berth").map_err(|error| error.to_string())?;
    let handshake = async {
        let stream = TcpStream::connect((host, port)).await?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    };
    let result = timeout(PATIENCE, handshake).await;
    let seen = looker
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    // An agent that does not know us may hang up, but has shown itself before.
    if let Some(der) = seen {
        let text = base64::engine::general_purpose::STANDARD.encode(&der);
        let lines: Vec<String> = text
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        return Ok(format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        ));
    }
    match result {
        Ok(Ok(_stream)) => Err("it showed no certificate".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err(format!("no handshake within {} s", PATIENCE.as_secs())),
    }
}

/// Keeps the certificate that it is shown.
#[derive(Debug)]
struct Looker {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Vec<u8>>>,
}

impl ServerCertVerifier for Looker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
