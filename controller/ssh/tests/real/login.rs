//! Keys of all kinds, agents, certificates.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use berth_controller_ssh::{AgentChoice, ConnectError, Endpoint, IdentityError, Session};
use berth_tests_support::wait_for;

use crate::{Host, LONG, make_key, run};

/// A real agent with its socket in a private folder.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("agent");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("the agent's socket", || socket.exists().then_some(()));
        Self { child, socket }
    }

    fn add(&self, key: &Path) {
        let output = Command::new("ssh-add")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.socket)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn choice(&self) -> AgentChoice {
        AgentChoice::Socket(self.socket.clone())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn log_in(host: &Host, endpoint: &Endpoint) -> Result<String, ConnectError> {
    let session = Session::connect(endpoint, &host.pinned(), LONG).await?;
    let output = session.exec("id -un", b"").await.unwrap();
    Ok(String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn keys_of_all_kinds_log_in() {
    let host = Host::start(&[]);
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = host.path(kind);
        make_key(&key, kind, "");
        host.authorize(&host.path(&format!("{kind}.pub")));
        let endpoint = Endpoint {
            key: Some(key),
            ..host.endpoint()
        };
        assert_eq!(log_in(&host, &endpoint).await.unwrap(), "root\n", "{kind}");
    }
}

#[tokio::test]
async fn locked_key_without_anybody_to_ask_is_named_and_nothing_waits() {
    let host = Host::start(&[]);
    let key = host.path("locked");
    make_key(&key, "ed25519", "secret");
    host.authorize(&host.path("locked.pub"));
    let mut endpoint = Endpoint {
        key: Some(key),
        ..host.endpoint()
    };
    endpoint.config.batch = true;
    let error = log_in(&host, &endpoint).await.unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::Identity(IdentityError::Encrypted { .. })
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("locked"), "{error}");
}

#[tokio::test]
async fn agent_opens_what_a_locked_file_does_not() {
    let host = Host::start(&[]);
    let agent = Agent::start(host.folder.path());
    let key = host.path("locked");
    make_key(&key, "rsa", "");
    agent.add(&key);
    run(
        "ssh-keygen",
        &[
            "-q",
            "-p",
            "-P",
            "",
            "-N",
            "secret",
            "-f",
            key.to_str().unwrap(),
        ],
    );
    host.authorize(&host.path("locked.pub"));
    let mut endpoint = Endpoint {
        key: Some(key),
        ..host.endpoint()
    };
    endpoint.config.batch = true;
    endpoint.config.agent = agent.choice();
    assert_eq!(log_in(&host, &endpoint).await.unwrap(), "root\n");
}

#[tokio::test]
async fn agent_is_asked_when_no_key_is_named_and_named_ones_come_first() {
    // Two tries: the right key must be among the first two of four.
    let host = Host::start(&["MaxAuthTries 2"]);
    let agent = Agent::start(host.folder.path());
    for name in ["a", "b", "c", "right"] {
        make_key(&host.path(name), "ed25519", "");
        agent.add(&host.path(name));
    }
    host.authorize(&host.path("right.pub"));
    let mut endpoint = host.endpoint();
    endpoint.key = None;
    endpoint.config.agent = agent.choice();
    let error = log_in(&host, &endpoint).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("agent key SHA256:"), "{error}");
    endpoint.config.identity_files = vec![host.path("right")];
    assert_eq!(log_in(&host, &endpoint).await.unwrap(), "root\n");
    // Only the public half is here: the agent has the other.
    std::fs::remove_file(host.path("right")).unwrap();
    endpoint.config.identities_only = true;
    assert_eq!(log_in(&host, &endpoint).await.unwrap(), "root\n");
}

fn authority(folder: &Path) -> PathBuf {
    let authority = folder.join("authority");
    make_key(&authority, "ed25519", "");
    authority
}

fn certify(authority: &Path, key: &Path, validity: &str) {
    run(
        "ssh-keygen",
        &[
            "-q",
            "-s",
            authority.to_str().unwrap(),
            "-I",
            "operator",
            "-n",
            "root",
            "-V",
            validity,
            &format!("{}.pub", key.display()),
        ],
    );
}

#[tokio::test]
async fn certificates_log_in_from_files_and_from_agents() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let trust = format!("TrustedUserCAKeys {}.pub", authority.display());
    let host = Host::start_in(folder, &[&trust]);
    host.authorize_nobody();
    for kind in ["ed25519", "rsa", "ecdsa"] {
        let key = host.path(&format!("user-{kind}"));
        make_key(&key, kind, "");
        let mut endpoint = Endpoint {
            key: Some(key.clone()),
            ..host.endpoint()
        };
        let error = log_in(&host, &endpoint).await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
        certify(&authority, &key, "-1h:+1h");
        assert_eq!(log_in(&host, &endpoint).await.unwrap(), "root\n", "{kind}");

        // From an agent, which holds the certificate, too.
        let folder = tempfile::tempdir().unwrap();
        let agent = Agent::start(folder.path());
        agent.add(&key);
        endpoint.key = None;
        endpoint.config.agent = agent.choice();
        endpoint.config.identity_files = vec![host.path("no-such-key")];
        assert_eq!(log_in(&host, &endpoint).await.unwrap(), "root\n", "{kind}");

        // The agent has the bare key, a file has the certificate.
        let bare = folder.path().join("bare");
        std::fs::copy(&key, &bare).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let agent = Agent::start(folder.path());
        agent.add(&bare);
        endpoint.config.agent = agent.choice();
        let certificate = format!("{}-cert.pub", key.display());
        endpoint.config.certificate_files = vec![certificate.into()];
        assert_eq!(log_in(&host, &endpoint).await.unwrap(), "root\n", "{kind}");
    }
}

#[tokio::test]
async fn certificate_that_has_expired_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let trust = format!("TrustedUserCAKeys {}.pub", authority.display());
    let host = Host::start_in(folder, &[&trust]);
    host.authorize_nobody();
    let key = host.path("user");
    make_key(&key, "ed25519", "");
    certify(&authority, &key, "-2h:-1h");
    let endpoint = Endpoint {
        key: Some(key),
        ..host.endpoint()
    };
    let error = log_in(&host, &endpoint).await.unwrap_err();
    assert!(
        error.to_string().contains("certificate \"operator\""),
        "{error}"
    );
}
