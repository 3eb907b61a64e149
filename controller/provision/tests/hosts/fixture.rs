//! A host that is this one with a private layer over it, behind a real SSH server.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use berth_controller_provision::{
    AgentBinary, AgentConfig, Passwords, Plan, Progress, ProvisionError, Report, Step, TlsFiles,
    keep, provision,
};
use berth_controller_ssh::{Endpoint, HostKeyPolicy, Session};
use berth_tests_support::{Sshd, SshdOptions};

const LONG: Duration = Duration::from_secs(60);

/// Steps that were told.
#[derive(Default)]
pub(crate) struct Seen(Mutex<Vec<Step>>);

impl Progress for Seen {
    fn step(&self, step: Step) {
        self.0.lock().unwrap().push(step);
    }
}

/// A host, and what shall be on it.
pub(crate) struct Fixture {
    sshd: Sshd,
    pub(crate) cache: tempfile::TempDir,
    pub(crate) agent: AgentBinary,
    pub(crate) config: AgentConfig,
    pub(crate) tls: TlsFiles,
    pub(crate) patience: Duration,
}

impl Fixture {
    /// Starts a host that has been changed by the shell lines `prepare`.
    pub(crate) fn start(prepare: &str) -> Self {
        // This host's own state must not shine through the layer.
        let clean = "rm -rf /usr/local/bin/berthd /usr/local/bin/.berthd-* /opt/berth /etc/berth \
                     /var/lib/berth; mkdir /run/berth";
        let options = SshdOptions {
            private_root: true,
            prepare: format!("{clean}\n{prepare}\n"),
            ..SshdOptions::default()
        };
        let text = |name: &str| format!("-----BEGIN {name}-----\nAAAA\n-----END {name}-----\n");
        Self {
            sshd: Sshd::start(&options),
            cache: tempfile::tempdir().unwrap(),
            agent: AgentBinary::open(&double()).unwrap(),
            config: AgentConfig {
                listen: vec!["0.0.0.0:2376".to_owned()],
                environment: vec!["HTTP_PROXY=http://p 1:3128".to_owned()],
                ..AgentConfig::default()
            },
            tls: TlsFiles {
                ca_pem: text("CERTIFICATE"),
                cert_pem: text("CERTIFICATE"),
                key_pem: text("PRIVATE KEY"),
            },
            patience: Duration::from_secs(20),
        }
    }

    pub(crate) async fn session_of(&self, user: &str) -> Session {
        let endpoint = Endpoint {
            host: "127.0.0.1".to_owned(),
            port: self.sshd.port(),
            user: user.to_owned(),
            key: Some(self.sshd.client_key()),
            ..Endpoint::default()
        };
        Session::connect(&endpoint, &HostKeyPolicy::Learn, LONG)
            .await
            .unwrap()
    }

    pub(crate) async fn session(&self) -> Session {
        self.session_of("root").await
    }

    pub(crate) async fn run(&self, session: &Session) -> Result<Report, ProvisionError> {
        self.run_with(session, Passwords::NONE).await
    }

    pub(crate) async fn run_with(
        &self,
        session: &Session,
        passwords: Passwords<'_>,
    ) -> Result<Report, ProvisionError> {
        let plan = Plan {
            agent: &self.agent,
            cache: self.cache.path(),
            config: &self.config,
            tls: &self.tls,
            restart: false,
            patience: self.patience,
            passwords,
        };
        provision(session, &plan, &Seen::default()).await
    }

    /// Provisions the host for good.
    pub(crate) async fn settled(&self, session: &Session) -> Report {
        let report = self.run(session).await.unwrap();
        if report.trying {
            keep(session, &report.facts, &report.folder, Passwords::NONE)
                .await
                .unwrap();
        }
        report
    }

    /// Goes on with another build of the agent, whose file ends with `word`.
    pub(crate) fn rebuild(&mut self, word: &str) {
        let path = self.cache.path().join(format!("build-{word}"));
        let mut content = fs::read(double()).unwrap();
        content.extend_from_slice(word.as_bytes());
        fs::write(&path, content).unwrap();
        self.agent = AgentBinary::open(&path).unwrap();
    }
}

/// Returns the agent's double, built beside this test.
fn double() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples/agent_double")
}

/// Runs a command on the host that must succeed; returns what it printed.
pub(crate) async fn host(session: &Session, command: &str) -> String {
    let output = session.exec(command, b"").await.unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
