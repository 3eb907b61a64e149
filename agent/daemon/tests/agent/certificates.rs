//! Certificates, authorities and revocations change while containers' logs are followed.

use std::fs;
use std::process::{Command, Stdio};

use berth_proto::v1;
use berth_proto::v1::security_service_client::SecurityServiceClient;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{CertificateParams, CertificateSigningRequestParams};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use tonic::Streaming;
use tonic::transport::Channel;

use crate::client::{Client, everything, reason, sh};
use crate::clients_and_strangers::{Authority, channel, client_config, host_with_tls, is_served};
use crate::host::{Host, until};

/// Prints a line now and then, for ever.
const CHATTY: &str = "while true; do echo line; sleep 0.02; done";

/// Follows the log of a new container.
async fn followed(host: &Host, channel: &Channel) -> Streaming<v1::LogsResponse> {
    let local = host.client().await;
    local.import().await;
    let id = local.create("chatty", sh(CHATTY)).await.expect("created");
    local.start(&id).await.expect("started");
    let request = v1::LogsRequest {
        follow: true,
        ..everything(&id)
    };
    let mut remote = Client::over(channel.clone()).containers;
    remote.logs(request).await.expect("followed").into_inner()
}

async fn goes_on(log: &mut Streaming<v1::LogsResponse>) {
    for _ in 0..5 {
        let line = log.message().await.expect("no error").expect("no end");
        assert!(!line.data.is_empty());
    }
}

/// Has a request signed for the machine's name.
fn sign(authority: &Authority, request: &str) -> String {
    let mut request = CertificateSigningRequestParams::from_pem(request).expect("a request");
    request.params = CertificateParams::new(vec!["machine.berth".to_owned()]).expect("parameters");
    request.signed_by(&authority.0).expect("certificate").pem()
}

fn fingerprint(certificate: &str) -> String {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    hex::encode(Sha256::digest(der))
}

fn hang_up(host: &Host) {
    let pid = fs::read_to_string(host.path("run/berthd.pid")).expect("process id");
    let pid = Pid::from_raw(pid.trim().parse().expect("a number"));
    kill(pid, Signal::SIGHUP).expect("SIGHUP");
}

/// Returns what `openssl s_client` hears when it asks with a certificate, or none.
fn openssl(host: &Host, folder: &std::path::Path, identity: Option<&(String, String)>) -> String {
    let mut command = host.enter("openssl");
    command.args([
        "s_client",
        "-quiet",
        "-connect",
        "127.0.0.1:2376",
        "-CAfile",
    ]);
    command.arg(folder.join("ca.pem"));
    if let Some((certificate, key)) = identity {
        let path = folder.join("asking.pem");
        fs::write(&path, format!("{certificate}{key}")).expect("file");
        command.arg("-cert").arg(&path).arg("-key").arg(&path);
    }
    let asked = b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    // The agent may have hung up already.
    let _ = std::io::Write::write_all(&mut child.stdin.take().expect("piped"), asked);
    let output = child.wait_with_output().expect("openssl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn renewal_and_new_authorities_leave_a_followed_log_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let (authority, other) = (Authority::new(), Authority::new());
    let host = host_with_tls(&authority, folder.path());
    let config = client_config(&authority, Some(authority.identity("operator")));
    let channel = channel(&host, config.clone()).await.expect("let in");
    let mut log = followed(&host, &channel).await;
    goes_on(&mut log).await;

    let mut security = SecurityServiceClient::new(channel.clone());
    let before = security
        .describe_trust(v1::DescribeTrustRequest {})
        .await
        .expect("described")
        .into_inner();
    assert_eq!(before.caller_fingerprint.len(), 64);
    let asked = security.request_certificate(v1::RequestCertificateRequest {});
    let request = asked.await.expect("a request").into_inner().request_pem;
    let certificate = sign(&authority, &request);
    let install = v1::InstallCertificatesRequest {
        server_certificate_pem: certificate.clone(),
        ..Default::default()
    };
    let after = security.install_certificates(install).await;
    let after = after.expect("installed").into_inner();
    assert_eq!(
        fingerprint(&after.server_certificate_pem),
        fingerprint(&certificate)
    );
    goes_on(&mut log).await;
    assert!(is_served(&host, config.clone()).await);

    // Files that somebody replaces over SSH.
    let stranger = client_config(&authority, Some(other.identity("other")));
    assert!(!is_served(&host, stranger).await);
    let both = format!("{}{}", authority.0.pem(), other.0.pem());
    fs::write(folder.path().join("ca.pem"), both).expect("file");
    hang_up(&host);
    until("the other authority is trusted", async || {
        let identity = Some(other.identity("other"));
        is_served(&host, client_config(&authority, identity)).await
    })
    .await;
    goes_on(&mut log).await;

    // What would lock the caller out is refused, and changes nothing.
    let lock_out = v1::InstallCertificatesRequest {
        remove_authorities: vec![fingerprint(&authority.0.pem())],
        ..Default::default()
    };
    let refused = security.install_certificates(lock_out).await;
    let refused = refused.expect_err("refused");
    assert_eq!(reason(&refused), "certificate-refused", "{refused:?}");
    assert!(is_served(&host, config).await);
    goes_on(&mut log).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_client_loses_its_streams_and_hears_nothing_ever_after() {
    let folder = tempfile::tempdir().expect("folder");
    let authority = Authority::new();
    let mut host = host_with_tls(&authority, folder.path());
    let stolen = authority.issue("laptop");
    let thief = || client_config(&authority, Some(stolen.clone().into()));
    let operator = || client_config(&authority, Some(authority.identity("operator")));
    let thiefs = channel(&host, thief()).await.expect("let in");
    let mut log = followed(&host, &thiefs).await;
    goes_on(&mut log).await;
    let heard = openssl(&host, folder.path(), Some(&stolen));
    assert!(heard.starts_with("HTTP/1.1"), "{heard:?}");
    assert_eq!(openssl(&host, folder.path(), None), "");

    let own = channel(&host, operator()).await.expect("let in");
    let mut security = SecurityServiceClient::new(own.clone());
    let revoke = v1::RevokeRequest {
        certificates: vec![v1::RevokedCertificate {
            fingerprint: fingerprint(&stolen.0),
            name: "laptop".to_owned(),
            revoked_at: 0,
        }],
    };
    let mut thiefs_security = SecurityServiceClient::new(thiefs);
    let refused = thiefs_security.revoke(revoke.clone()).await;
    assert_eq!(reason(&refused.expect_err("its own")), "locks-out");
    let answer = security.revoke(revoke).await.expect("revoked").into_inner();
    assert_eq!(answer.ended_connections, 1);
    let ended = async { while let Ok(Some(_)) = log.message().await {} };
    tokio::time::timeout(crate::host::PATIENCE, ended)
        .await
        .expect("the followed log ends");

    for _round in 0..2 {
        assert!(!is_served(&host, thief()).await);
        assert_eq!(openssl(&host, folder.path(), Some(&stolen)), "");
        assert!(is_served(&host, operator()).await);
        host.kill_agent();
        host.start();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_passes_on_to_the_agent() {
    let host = Host::new();
    let mut command: Command = host.enter(&crate::host::berthd());
    let mut child = command
        .args(["connect", "--config"])
        .arg(host.path("berthd.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("berthd");
    let asked = b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut input = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, asked).expect("written");
    let output = child.wait_with_output().expect("ended");
    drop(input);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.starts_with("HTTP/1.1"),
        "{said}"
    );
    // An agent that serves no TLS has no certificates to tell of.
    let mut security = SecurityServiceClient::new(host.client().await.channel);
    let refused = security.describe_trust(v1::DescribeTrustRequest {}).await;
    assert_eq!(reason(&refused.expect_err("no TLS")), "no-tls");
}
