//! Changes of trust, seen by clients over real TLS.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use berth_agent_trust::{
    Caller, Change, Fingerprint, Guarded, InstallError, RevokeError, Trust, TrustError, TrustFiles,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

struct Identity {
    pem: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        let pem = params.self_signed(&key).expect("certificate").pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&der(&self.pem))
    }

    fn params(usage: ExtendedKeyUsagePurpose, ends_in: Duration) -> CertificateParams {
        let mut params =
            CertificateParams::new(vec!["machine.berth".to_owned()]).expect("parameters");
        params.extended_key_usages = vec![usage];
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::days(2);
        params.not_after = now + ends_in;
        params
    }

    fn issue(&self, usage: ExtendedKeyUsagePurpose, ends_in: Duration) -> Identity {
        let key = KeyPair::generate().expect("key");
        let params = Self::params(usage, ends_in);
        let certificate = params.signed_by(&key, &self.issuer).expect("certificate");
        Identity {
            pem: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    fn client(&self) -> Identity {
        self.issue(ExtendedKeyUsagePurpose::ClientAuth, Duration::days(1))
    }

    fn server(&self) -> Identity {
        self.issue(ExtendedKeyUsagePurpose::ServerAuth, Duration::days(1))
    }

    /// Signs a request, for the machine's name.
    fn sign(&self, request: &str, ends_in: Duration) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(request).expect("a request");
        request.params = Self::params(ExtendedKeyUsagePurpose::ServerAuth, ends_in);
        request.signed_by(&self.issuer).expect("certificate").pem()
    }
}

impl Identity {
    fn caller(&self) -> Caller {
        Caller::Remote(vec![der(&self.pem)])
    }
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")
}

fn files(folder: &Path) -> TrustFiles {
    TrustFiles {
        ca: folder.join("ca.pem"),
        cert: folder.join("server.pem"),
        key: folder.join("server-key.pem"),
    }
}

/// Writes the files of an agent and opens them.
fn agent(folder: &Path, authorities: &[&Authority], server: &Identity) -> Trust {
    let bundle: String = authorities.iter().map(|a| a.pem.as_str()).collect();
    let files = files(folder);
    fs::write(&files.ca, bundle).expect("file");
    fs::write(&files.cert, &server.pem).expect("file");
    fs::write(&files.key, &server.key).expect("file");
    Trust::open(files).expect("usable files")
}

/// A client's side of a connection that was let in.
type Connected = (
    tokio_rustls::client::TlsStream<DuplexStream>,
    Guarded<tokio_rustls::server::TlsStream<DuplexStream>>,
);

/// Connects as `client`, which trusts `authority`; nothing when either side refuses the other.
async fn connect(trust: &Trust, authority: &Authority, client: &Identity) -> Option<Connected> {
    let config = client_config(authority, Some(client), rustls::ALL_VERSIONS);
    connect_by(trust, config).await
}

/// Describes a client that speaks some versions of TLS, and has a certificate or none.
fn client_config(
    authority: &Authority,
    client: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(der(&authority.pem)).expect("authority");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots);
    Arc::new(match client {
        Some(client) => config
            .with_client_auth_cert(
                vec![der(&client.pem)],
                PrivateKeyDer::from_pem_slice(client.key.as_bytes()).expect("key"),
            )
            .expect("identity"),
        None => config.with_no_client_auth(),
    })
}

async fn connect_by(trust: &Trust, config: Arc<ClientConfig>) -> Option<Connected> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let connector = tokio_rustls::TlsConnector::from(config);
    let gate = trust.gate();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&gate.config));
    let name = ServerName::try_from("machine.berth").expect("name");
    let (near, far) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    let (mut near, far) = (near.ok()?, far.ok()?);
    let shown = far.get_ref().1.peer_certificates()?;
    let shown = shown.iter().map(|der| der.clone().into_owned()).collect();
    let mut far = Guarded::new(far, trust.admit(&gate, shown).ok()?);
    far.write_all(b"!").await.ok()?;
    let mut byte = [0];
    near.read_exact(&mut byte).await.ok()?;
    Some((near, far))
}

#[tokio::test]
async fn older_clients_are_judged_as_newer_ones() {
    let folder = tempfile::tempdir().expect("folder");
    let (authority, stranger) = (Authority::new("one"), Authority::new("other"));
    let trust = agent(folder.path(), &[&authority], &authority.server());
    let (client, thief) = (authority.client(), authority.client());
    let stolen = (Fingerprint::of(&der(&thief.pem)), "laptop".to_owned());
    trust.revoke(&[stolen], &client.caller()).expect("revoked");
    let foreign = stranger.client();
    for (versions, version) in [
        ([&TLS12], ProtocolVersion::TLSv1_2),
        ([&TLS13], ProtocolVersion::TLSv1_3),
    ] {
        for refused in [None, Some(&thief), Some(&foreign)] {
            let config = client_config(&authority, refused, &versions);
            let connected = connect_by(&trust, config).await;
            assert!(connected.is_none(), "{version:?}");
        }
        // Sessions are not resumed: who is revoked meanwhile would not be judged.
        let config = client_config(&authority, Some(&client), &versions);
        for _ in 0..2 {
            let connected = connect_by(&trust, Arc::clone(&config)).await;
            let (near, _far) = connected.expect("let in");
            let tls = near.get_ref().1;
            assert_eq!(tls.protocol_version(), Some(version));
            assert_ne!(tls.handshake_kind(), Some(HandshakeKind::Resumed));
        }
    }
}

#[tokio::test]
async fn renewed_certificate_is_shown_next_and_open_connections_stay() {
    let folder = tempfile::tempdir().expect("folder");
    let authority = Authority::new("one");
    let trust = agent(folder.path(), &[&authority], &authority.server());
    let client = authority.client();
    let (mut near, mut far) = connect(&trust, &authority, &client).await.expect("let in");
    let before = trust.describe().certificate_pem;

    let request = trust.request().expect("a request");
    assert!(!request.contains("PRIVATE"), "{request}");
    let change = Change {
        certificate_pem: authority.sign(&request, Duration::days(1)),
        ..Change::default()
    };
    assert_eq!(trust.install(&change, &client.caller()).expect("taken"), 0);
    let after = trust.describe().certificate_pem;
    assert_ne!(after, before);
    let (other, _far) = connect(&trust, &authority, &client).await.expect("let in");
    let shown = other.get_ref().1.peer_certificates().expect("shown")[0].clone();
    assert_eq!(shown, der(&after));

    // The first connection did not notice.
    near.write_all(b"x").await.expect("open");
    let mut byte = [0];
    far.read_exact(&mut byte).await.expect("open");
    // And a start finds what was installed.
    let again = Trust::open(files(folder.path())).expect("usable files");
    assert_eq!(again.describe(), trust.describe());
}

#[tokio::test]
async fn rollover_lets_both_in_until_the_old_authority_is_removed() {
    let folder = tempfile::tempdir().expect("folder");
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let trust = agent(folder.path(), &[&old], &old.server());
    let (old_client, new_client) = (old.client(), new.client());
    assert!(connect(&trust, &old, &new_client).await.is_none());

    let both = Change {
        add_authorities_pem: vec![new.pem.clone()],
        ..Change::default()
    };
    trust.install(&both, &old_client.caller()).expect("taken");
    let (_near, mut old_far) = connect(&trust, &old, &old_client).await.expect("let in");
    connect(&trust, &old, &new_client).await.expect("let in");

    // Without the old authority nobody would vouch for the agent's certificate.
    let only_new = Change {
        remove_authorities: vec![old.fingerprint()],
        ..Change::default()
    };
    let refused = trust.install(&only_new, &new_client.caller());
    assert!(
        matches!(refused, Err(InstallError::OwnCertificate(_))),
        "{refused:?}"
    );
    let moved = Change {
        certificate_pem: new.sign(&trust.request().expect("a request"), Duration::days(1)),
        ..Change::default()
    };
    trust.install(&moved, &new_client.caller()).expect("taken");
    // Whoever has only the old authority's certificate cannot remove that.
    let refused = trust.install(&only_new, &old_client.caller());
    assert!(
        matches!(refused, Err(InstallError::LocksOut(_))),
        "{refused:?}"
    );
    assert_eq!(
        trust
            .install(&only_new, &new_client.caller())
            .expect("taken"),
        1
    );
    old_far
        .read_u8()
        .await
        .expect_err("ended with its authority");
    assert!(connect(&trust, &new, &old_client).await.is_none());
    connect(&trust, &new, &new_client).await.expect("let in");
    // Nobody is ever left without any authority.
    let none = Change {
        remove_authorities: vec![new.fingerprint()],
        ..Change::default()
    };
    trust.install(&none, &Caller::Local).expect_err("empty");
    connect(&trust, &new, &new_client).await.expect("let in");
}

#[tokio::test]
async fn certificates_that_would_not_work_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let (authority, stranger) = (Authority::new("one"), Authority::new("other"));
    let trust = agent(folder.path(), &[&authority], &authority.server());
    let client = authority.client();
    let install = |certificate_pem: String| {
        let change = Change {
            certificate_pem,
            ..Change::default()
        };
        trust.install(&change, &client.caller())
    };
    let before = trust.describe();
    let request = trust.request().expect("a request");
    let other_key = install(authority.server().pem);
    assert!(
        matches!(other_key, Err(InstallError::OtherKey)),
        "{other_key:?}"
    );
    let expired = install(authority.sign(&request, Duration::hours(-1)));
    assert!(
        matches!(expired, Err(InstallError::OwnCertificate(_))),
        "{expired:?}"
    );
    let foreign = install(stranger.sign(&request, Duration::days(1)));
    assert!(
        matches!(foreign, Err(InstallError::OwnCertificate(_))),
        "{foreign:?}"
    );
    let nonsense = install("hello".to_owned());
    assert!(
        matches!(nonsense, Err(InstallError::Sent(_))),
        "{nonsense:?}"
    );
    assert_eq!(trust.describe(), before);
    connect(&trust, &authority, &client).await.expect("let in");
}

#[tokio::test]
async fn revoked_clients_lose_their_connections_and_stay_out_after_a_restart() {
    let folder = tempfile::tempdir().expect("folder");
    let authority = Authority::new("one");
    let trust = agent(folder.path(), &[&authority], &authority.server());
    let (operator, thief) = (authority.client(), authority.client());
    let (_near, mut far) = connect(&trust, &authority, &thief).await.expect("let in");
    let (_own_near, mut own_far) = connect(&trust, &authority, &operator)
        .await
        .expect("let in");
    let stolen = Fingerprint::of(&der(&thief.pem));
    let list = [(stolen, "laptop".to_owned())];

    // A gate from before must not let it in afterwards.
    let early = trust.gate();
    let refused = trust.revoke(&list, &thief.caller());
    assert!(matches!(refused, Err(RevokeError::Own(_))), "{refused:?}");
    assert_eq!(trust.revoke(&list, &operator.caller()).expect("revoked"), 1);
    far.read_u8().await.expect_err("ended");
    far.write_all(b"x").await.expect_err("ended");
    assert!(connect(&trust, &authority, &thief).await.is_none());
    trust
        .admit(&early, vec![der(&thief.pem)])
        .expect_err("revoked since");
    own_far.write_all(b"x").await.expect("open");

    let again = Trust::open(files(folder.path())).expect("usable files");
    assert!(connect(&again, &authority, &thief).await.is_none());
    connect(&again, &authority, &operator)
        .await
        .expect("let in");
    let listed = again.describe().revoked;
    assert_eq!((listed.len(), listed[0].name.as_str()), (1, "laptop"));

    fs::write(folder.path().join("revoked.json"), "{").expect("file");
    let torn = Trust::open(files(folder.path())).expect_err("nobody is let in by mistake");
    assert!(torn.to_string().contains("revoked.json"), "{torn}");
}

#[tokio::test]
async fn an_expired_client_stays_connected_only_while_it_is_trusted_otherwise() {
    for authority_goes in [true, false] {
        let folder = tempfile::tempdir().expect("folder");
        let (first, second) = (Authority::new("first"), Authority::new("second"));
        let trust = agent(folder.path(), &[&first, &second], &second.server());
        let short = first.issue(ExtendedKeyUsagePurpose::ClientAuth, Duration::seconds(2));
        let operator = second.client();
        let (_near, mut far) = connect(&trust, &second, &short).await.expect("let in");
        let expired = async {
            while connect(&trust, &second, &short).await.is_some() {
                tokio::task::yield_now().await;
            }
        };
        let patience = std::time::Duration::from_secs(20);
        tokio::time::timeout(patience, expired)
            .await
            .expect("expired");
        trust.reload().expect("usable files");
        far.write_all(b"x")
            .await
            .expect("expiry is about who comes in");
        if authority_goes {
            let change = Change {
                remove_authorities: vec![first.fingerprint()],
                ..Change::default()
            };
            assert_eq!(
                trust.install(&change, &operator.caller()).expect("taken"),
                1
            );
        } else {
            let list = format!(
                r#"{{"revoked": [{{"fingerprint": "{}"}}]}}"#,
                Fingerprint::of(&der(&short.pem))
            );
            fs::write(folder.path().join("revoked.json"), list).expect("file");
            trust.reload().expect("usable files");
        }
        far.read_u8().await.expect_err("ended");
    }
}

#[tokio::test]
async fn what_was_written_by_hand_is_not_undone_by_a_call() {
    let folder = tempfile::tempdir().expect("folder");
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let trust = agent(folder.path(), &[&first, &second], &second.server());
    let (one, operator, other) = (first.client(), second.client(), second.client());
    // Nobody has told the agent yet.
    fs::write(folder.path().join("ca.pem"), &second.pem).expect("file");
    let print = Fingerprint::of(&der(&other.pem));
    let list = format!(r#"{{"revoked": [{{"fingerprint": "{print}"}}]}}"#);
    fs::write(folder.path().join("revoked.json"), list).expect("file");
    let third = Authority::new("third");
    let change = Change {
        add_authorities_pem: vec![third.pem.clone()],
        ..Change::default()
    };
    trust.install(&change, &operator.caller()).expect("taken");
    let entry = (Fingerprint::of(&der(&one.pem)), "one".to_owned());
    trust.revoke(&[entry], &operator.caller()).expect("revoked");
    assert!(connect(&trust, &second, &one).await.is_none());
    assert!(connect(&trust, &second, &other).await.is_none());
    connect(&trust, &second, &third.client())
        .await
        .expect("let in");
    assert_eq!(trust.describe().authorities_pem.len(), 2);
    assert_eq!(trust.describe().revoked.len(), 2);
}

#[tokio::test]
async fn a_client_through_an_intermediate_stays_and_may_change_certificates() {
    let folder = tempfile::tempdir().expect("folder");
    let authority = Authority::new("root");
    let trust = agent(folder.path(), &[&authority], &authority.server());
    let key = KeyPair::generate().expect("key");
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "between");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let between = params
        .signed_by(&key, &authority.issuer)
        .expect("certificate");
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate().expect("key");
    let usage = ExtendedKeyUsagePurpose::ClientAuth;
    let leaf = Authority::params(usage, Duration::days(1));
    let leaf = leaf.signed_by(&own, &issuer).expect("certificate");
    let chain = vec![leaf.der().clone(), between.der().clone()];
    let admission = trust.admit(&trust.gate(), chain.clone()).expect("trusted");
    trust.reload().expect("usable files");
    assert!(!admission.ended().is_cancelled());
    let change = Change {
        add_authorities_pem: vec![Authority::new("more").pem],
        ..Change::default()
    };
    let ended = trust.install(&change, &Caller::Remote(chain));
    assert_eq!(ended.expect("taken"), 0);
    assert!(!admission.ended().is_cancelled());
}

#[tokio::test]
async fn replaced_files_count_after_a_reload_and_nonsense_changes_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let trust = agent(folder.path(), &[&first], &first.server());
    let (one, two) = (first.client(), second.client());
    let (_near, mut far) = connect(&trust, &first, &one).await.expect("let in");

    let bundle = format!("{}{}", first.pem, second.pem);
    fs::write(folder.path().join("ca.pem"), bundle).expect("file");
    trust.reload().expect("usable files");
    connect(&trust, &first, &two).await.expect("let in");
    far.write_all(b"x").await.expect("open");

    for (file, text) in [
        ("ca.pem", ""),
        ("server.pem", "nothing"),
        ("ca.pem", &second.pem),
    ] {
        let path = folder.path().join(file);
        let good = fs::read(&path).expect("file");
        fs::write(&path, text).expect("file");
        if text == second.pem {
            trust.reload().expect("usable files");
        } else {
            trust.reload().expect_err("nonsense");
            connect(&trust, &first, &one).await.expect("let in");
            fs::write(&path, good).expect("file");
        }
    }
    far.read_u8().await.expect_err("ended with its authority");
    assert!(connect(&trust, &first, &one).await.is_none());
}

#[test]
fn change_that_was_cut_off_between_its_files_is_finished() {
    let folder = tempfile::tempdir().expect("folder");
    let authority = Authority::new("one");
    let trust = agent(folder.path(), &[&authority], &authority.server());
    let request = trust.request().expect("a request");
    let certificate = authority.sign(&request, Duration::days(1));
    drop(trust);
    // As after a power cut: the certificate is there, its key still has the other name.
    fs::write(folder.path().join("server.pem"), &certificate).expect("file");
    let trust = Trust::open(files(folder.path())).expect("finished");
    assert_eq!(der(&trust.describe().certificate_pem), der(&certificate));
    assert!(!folder.path().join("server-key.pem.next").exists());

    fs::write(folder.path().join("server.pem"), authority.server().pem).expect("file");
    let error = Trust::open(files(folder.path())).expect_err("another key's");
    assert!(matches!(error, TrustError::Material { .. }), "{error:?}");
}

#[test]
fn written_keys_are_roots_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("folder");
    let authority = Authority::new("one");
    let trust = agent(folder.path(), &[&authority], &authority.server());
    trust.request().expect("a request");
    let mode = |name: &str| {
        let file = fs::metadata(folder.path().join(name)).expect("file");
        file.permissions().mode() & 0o777
    };
    assert_eq!(mode("server-key.pem.next"), 0o600);
}
