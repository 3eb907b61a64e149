//! Whose key is whose, and ways that are not straight.

use std::fs;

use berth_controller_ssh::{
    Config, ConnectError, Endpoint, HostKey, HostKeyPolicy, Session, Strict,
};

use crate::{Host, LONG, make_key, run};

fn key_of(host: &Host) -> String {
    let key = HostKey::parse(&host.sshd.host_key()).unwrap();
    format!("[127.0.0.1]:{} {}\n", host.sshd.port(), key.to_openssh())
}

async fn meet(host: &Host, endpoint: &Endpoint) -> Result<(), ConnectError> {
    let session = Session::connect(endpoint, &HostKeyPolicy::KnownHosts, LONG).await?;
    assert_eq!(session.exec("echo in", b"").await.unwrap().stdout, b"in\n");
    assert_eq!(session.host_key().to_openssh(), key_text(host));
    Ok(())
}

fn key_text(host: &Host) -> String {
    HostKey::parse(&host.sshd.host_key()).unwrap().to_openssh()
}

#[tokio::test]
async fn known_hosts_are_let_in_changed_and_unknown_ones_are_not() {
    let host = Host::start(&[]);
    let other = Host::start(&[]);
    let file = host.path("known_hosts");
    let mut endpoint = host.endpoint();
    endpoint.config.known_hosts = vec![file.clone()];
    endpoint.config.batch = true;
    let error = meet(&host, &endpoint).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::UnknownHost { .. }),
        "{error:?}"
    );

    fs::write(&file, key_of(&host)).unwrap();
    meet(&host, &endpoint).await.unwrap();

    let wrong = key_of(&other).replace(
        &other.sshd.port().to_string(),
        &host.sshd.port().to_string(),
    );
    fs::write(&file, format!("# mine\n{wrong}")).unwrap();
    let error = meet(&host, &endpoint).await.unwrap_err();
    let text = format!("{error}: {}", error.hint().unwrap());
    for part in [
        HostKey::parse(&host.sshd.host_key()).unwrap().fingerprint(),
        HostKey::parse(&other.sshd.host_key())
            .unwrap()
            .fingerprint(),
        format!(
            "ssh-keygen -R '[127.0.0.1]:{}' -f {}",
            host.sshd.port(),
            file.display()
        ),
        "line 2".to_owned(),
    ] {
        assert!(text.contains(&part), "{part} in {text}");
    }
    // What is said to do makes the host an unknown one again.
    let name = format!("[127.0.0.1]:{}", host.sshd.port());
    run("ssh-keygen", &["-R", &name, "-f", file.to_str().unwrap()]);
    endpoint.config.strict = Strict::AcceptNew;
    meet(&host, &endpoint).await.unwrap();
    assert!(fs::read_to_string(&file).unwrap().contains(&key_of(&host)));
    endpoint.config.strict = Strict::Yes;
    meet(&host, &endpoint).await.unwrap();

    fs::write(
        &file,
        format!("{}@revoked * {}\n", key_of(&host), key_text(&host)),
    )
    .unwrap();
    let error = meet(&host, &endpoint).await.unwrap_err();
    assert!(matches!(error, ConnectError::Revoked { .. }), "{error:?}");
}

#[tokio::test]
async fn kind_of_key_that_is_known_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let rsa = folder.path().join("rsa_host");
    make_key(&rsa, "rsa", "");
    let host = Host::start_in(folder, &[&format!("HostKey {}", rsa.display())]);
    let public = fs::read_to_string(rsa.with_extension("pub")).unwrap();
    let key = HostKey::parse(&public).unwrap();
    let pinned = HostKeyPolicy::Pinned(key.clone());
    let session = Session::connect(&host.endpoint(), &pinned, LONG)
        .await
        .unwrap();
    assert_eq!(*session.host_key(), key);
}

#[tokio::test]
async fn certificates_of_hosts_are_trusted_by_their_authority_and_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["authority", "stranger", "own"] {
        make_key(&path(name), "ed25519", "");
    }
    let sign = |principal: &str| {
        run(
            "ssh-keygen",
            &[
                "-q",
                "-s",
                path("authority").to_str().unwrap(),
                "-I",
                "host",
                "-h",
                "-n",
                principal,
                "-V",
                "-1h:+1h",
                path("own.pub").to_str().unwrap(),
            ],
        );
    };
    sign("127.0.0.1");
    let lines = [
        format!("HostKey {}", path("own").display()),
        format!("HostCertificate {}", path("own-cert.pub").display()),
    ];
    let authority = fs::read_to_string(path("authority.pub")).unwrap();
    let stranger = fs::read_to_string(path("stranger.pub")).unwrap();
    let host = Host::start_in(folder, &[&lines[0], &lines[1]]);
    let file = host.path("known_hosts");
    let mut endpoint = host.endpoint();
    endpoint.config.known_hosts = vec![file.clone()];
    endpoint.config.strict = Strict::Yes;
    let attempt = async |text: String| {
        fs::write(&file, text).unwrap();
        Session::connect(&endpoint, &HostKeyPolicy::KnownHosts, LONG).await
    };
    let port = host.sshd.port();
    attempt(format!("@cert-authority [127.0.0.*]:{port} {authority}"))
        .await
        .unwrap();
    let error = attempt(format!("@cert-authority * {stranger}"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::HostCertificate { .. }),
        "{error:?}"
    );
    let error = attempt(format!("@cert-authority elsewhere {authority}"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::UnknownHost { .. }),
        "{error:?}"
    );
    let revoked = format!("@cert-authority * {authority}\n@revoked * {authority}");
    let error = attempt(revoked).await.unwrap_err();
    assert!(error.to_string().contains("revoked"), "{error}");
    let mut named = endpoint.clone();
    named.config.key_alias = Some("another".to_owned());
    fs::write(&file, format!("@cert-authority * {authority}")).unwrap();
    let error = Session::connect(&named, &HostKeyPolicy::KnownHosts, LONG)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("for another host"), "{error}");
}

/// Two jump hosts, known, with keys of their own, as a configuration.
fn chain(first: &Host, second: &Host) -> String {
    let entry = |name: &str, host: &Host, way: &str| {
        format!(
            "Host {name}\n HostName 127.0.0.1\n Port {}\n User root\n IdentityFile {}\n\
             \x20IdentityAgent none\n IdentitiesOnly yes\n UserKnownHostsFile {}\n{way}",
            host.sshd.port(),
            host.sshd.client_key().display(),
            host.path("known").display()
        )
    };
    for host in [first, second] {
        fs::write(host.path("known"), key_of(host)).unwrap();
    }
    entry("first", first, "") + &entry("second", second, " ProxyJump first\n")
}

#[tokio::test]
async fn two_jump_hosts_lead_to_a_host_and_each_is_verified() {
    let (first, second, goal) = (Host::start(&[]), Host::start(&[]), Host::start(&[]));
    let text = chain(&first, &second) + "Host 127.0.0.1\n ProxyJump second\n";
    let path = goal.path("config");
    fs::write(&path, text).unwrap();
    let config = Config::of_file(&path);
    let endpoint = config.complete("127.0.0.1", goal.endpoint()).unwrap();
    let session = Session::connect(&endpoint, &goal.pinned(), LONG)
        .await
        .unwrap();
    let output = session.exec("cat", b"through two hosts").await.unwrap();
    assert_eq!(output.stdout, b"through two hosts");
    drop(session);

    // The way is really through them: what one of them is not known by, stops it.
    fs::write(first.path("known"), "").unwrap();
    let mut blocked = endpoint.clone();
    set_batch(&mut blocked);
    let error = Session::connect(&blocked, &goal.pinned(), LONG)
        .await
        .unwrap_err();
    let text = chain_of(&error);
    assert!(text.contains("is not among the known hosts"), "{text}");
    assert!(
        text.contains(&format!("127.0.0.1:{}", first.sshd.port())),
        "{text}"
    );

    // A host behind jump hosts that is not up yet is waited for.
    fs::write(first.path("known"), key_of(&first)).unwrap();
    let mut absent = endpoint;
    absent.port = berth_tests_support::free_port();
    let error = Session::connect(&absent, &goal.pinned(), LONG)
        .await
        .unwrap_err();
    assert!(error.may_pass(), "{error:?}");
    let text = chain_of(&error);
    assert!(text.contains("does not lead to"), "{text}");
}

fn set_batch(endpoint: &mut Endpoint) {
    endpoint.config.batch = true;
    if let berth_controller_ssh::Via::Jump(hop) = &mut endpoint.via {
        set_batch(hop);
    }
}

fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn jump_host_that_may_not_forward_says_so() {
    let (hop, goal) = (Host::start(&["AllowTcpForwarding no"]), Host::start(&[]));
    let text =
        chain(&hop, &hop).replace("Host first", "Host hop") + "Host 127.0.0.1\n ProxyJump hop\n";
    let path = goal.path("config");
    fs::write(&path, text).unwrap();
    let endpoint = Config::of_file(&path)
        .complete("127.0.0.1", goal.endpoint())
        .unwrap();
    let error = Session::connect(&endpoint, &goal.pinned(), LONG)
        .await
        .unwrap_err();
    let text = chain_of(&error);
    assert!(text.contains("refused to open 127.0.0.1:"), "{text}");
}

#[tokio::test]
async fn command_in_place_of_a_connection_is_spoken_through() {
    let (hop, goal) = (Host::start(&[]), Host::start(&[]));
    let path = goal.path("config");
    let command = format!(
        "ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
         -i {} -p {} -W %h:%p root@127.0.0.1",
        hop.sshd.client_key().display(),
        hop.sshd.port()
    );
    fs::write(&path, format!("Host 127.0.0.1\n ProxyCommand {command}\n")).unwrap();
    let endpoint = Config::of_file(&path)
        .complete("127.0.0.1", goal.endpoint())
        .unwrap();
    let session = Session::connect(&endpoint, &goal.pinned(), LONG)
        .await
        .unwrap();
    assert_eq!(session.exec("echo ok", b"").await.unwrap().stdout, b"ok\n");
}

#[tokio::test]
async fn addresses_of_version_6_and_names_with_several_addresses_are_reached() {
    let host = Host::start(&["ListenAddress ::1"]);
    for name in ["::1", "localhost"] {
        let endpoint = Endpoint {
            host: name.to_owned(),
            ..host.endpoint()
        };
        let session = Session::connect_when_up(&endpoint, &host.pinned(), LONG)
            .await
            .unwrap();
        let output = session.exec("echo $SSH_CONNECTION", b"").await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.starts_with("::1 ") || name == "localhost",
            "{name}: {text}"
        );
    }
}
