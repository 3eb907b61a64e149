//! Provisioning over a real SSH server, on hosts that are this one with a private layer over it.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use berth_controller_provision::{
    AgentBinary, AgentConfig, Init, Plan, Privilege, Progress, ProvisionError, Report, Step,
    TlsFiles, probe, provision,
};
use berth_controller_ssh::{Endpoint, HostKeyPolicy, Session};
use berth_tests_support::{Sshd, SshdOptions};

const LONG: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Seen(Mutex<Vec<Step>>);

impl Progress for Seen {
    fn step(&self, step: Step) {
        self.0.lock().unwrap().push(step);
    }
}

struct Fixture {
    sshd: Sshd,
    cache: tempfile::TempDir,
    agent: AgentBinary,
    config: AgentConfig,
    tls: TlsFiles,
}

impl Fixture {
    /// Starts a host that has been changed by the shell lines `prepare`.
    fn start(prepare: &str) -> Self {
        // This host's own state must not shine through the layer.
        let clean = "rm -rf /usr/local/bin/berthd /etc/berth /var/lib/berth; mkdir /run/berth";
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
        }
    }

    async fn session_of(&self, user: &str) -> Session {
        let endpoint = Endpoint {
            host: "127.0.0.1".to_owned(),
            port: self.sshd.port(),
            user: user.to_owned(),
            key: Some(self.sshd.client_key()),
        };
        Session::connect(&endpoint, &HostKeyPolicy::Learn, LONG)
            .await
            .unwrap()
    }

    async fn session(&self) -> Session {
        self.session_of("root").await
    }

    async fn run(&self, session: &Session) -> Result<Report, ProvisionError> {
        let plan = Plan {
            agent: &self.agent,
            cache: self.cache.path(),
            config: &self.config,
            tls: &self.tls,
            restart: false,
        };
        provision(session, &plan, &Seen::default()).await
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

async fn host(session: &Session, command: &str) -> String {
    let output = session.exec(command, b"").await.unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn agent_is_installed_started_and_then_left_alone() {
    let fixture = Fixture::start("");
    let session = fixture.session().await;
    let first = fixture.run(&session).await.unwrap();
    assert_eq!((first.uploaded, first.restarted), (true, true));
    assert_eq!(first.facts.init, Init::Own);
    assert_eq!(first.facts.privilege, Privilege::Root);
    let modes = host(
        &session,
        "stat -c '%a %n' /etc/berth /etc/berth/* /usr/local/bin/berthd /var/lib/berth; \
         ls -A /usr/local/bin | grep -c 'berthd-' || :",
    )
    .await;
    let expected = "700 /etc/berth\n600 /etc/berth/berthd.json\n600 /etc/berth/ca.pem\n\
                    600 /etc/berth/server-key.pem\n600 /etc/berth/server.pem\n\
                    755 /usr/local/bin/berthd\n710 /var/lib/berth\n0\n";
    assert_eq!(modes, expected);
    let pid = host(&session, "cat /run/berth/watch.pid").await;
    let environment = format!(
        "tr '\\0' '\\n' </proc/{}/environ | grep HTTP_PROXY",
        pid.trim()
    );
    assert_eq!(
        host(&session, &environment).await,
        "HTTP_PROXY=http://p 1:3128\n"
    );
    let second = fixture.run(&session).await.unwrap();
    assert_eq!((second.uploaded, second.restarted), (false, false));
    assert_eq!(host(&session, "cat /run/berth/watch.pid").await, pid);
}

#[tokio::test]
async fn agent_outlives_the_session() {
    let fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.run(&session).await.unwrap();
    session.close().await;
    let again = fixture.session().await;
    host(&again, "kill -0 $(cat /run/berth/watch.pid)").await;
}

#[tokio::test]
async fn changed_certificate_restarts_the_agent() {
    let mut fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.run(&session).await.unwrap();
    let pid = host(&session, "cat /run/berth/watch.pid").await;
    fixture.tls.cert_pem.push_str("more\n");
    let report = fixture.run(&session).await.unwrap();
    assert_eq!((report.uploaded, report.restarted), (false, true));
    assert_ne!(host(&session, "cat /run/berth/watch.pid").await, pid);
}

#[tokio::test]
async fn provisioning_takes_well_under_a_second_without_the_upload() {
    let fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.run(&session).await.unwrap();
    host(
        &session,
        "kill $(cat /run/berth/watch.pid); rm /run/berth/watch.pid",
    )
    .await;
    let begin = std::time::Instant::now();
    let report = fixture.run(&session).await.unwrap();
    eprintln!("probe, install and start: {:?}", begin.elapsed());
    assert_eq!((report.uploaded, report.restarted), (false, true));
    assert!(
        begin.elapsed() < Duration::from_millis(900),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn agent_that_dies_at_once_is_shown_with_what_it_said() {
    let mut fixture = Fixture::start("");
    fixture.config.labels.push("fail".to_owned());
    let session = fixture.session().await;
    let error = fixture.run(&session).await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(
            error,
            ProvisionError::Failed {
                step: Step::Start,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(text.contains("address 0.0.0.0:2376 is in use"), "{text}");
    assert!(error.hint().unwrap().contains("port"), "{:?}", error.hint());
    // Once the cause is gone, it goes on without another upload.
    fixture.config.labels.clear();
    let report = fixture.run(&session).await.unwrap();
    assert_eq!((report.uploaded, report.restarted), (false, true));
}

#[tokio::test]
async fn full_disk_is_said_and_leaves_nothing() {
    let fixture = Fixture::start("mount -t tmpfs -o size=64k tmpfs /usr/local/bin");
    let session = fixture.session().await;
    let error = fixture.run(&session).await.unwrap_err();
    assert!(
        matches!(
            error,
            ProvisionError::Failed {
                step: Step::Upload,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("No space left"), "{error}");
    assert!(error.hint().unwrap().contains("room"), "{:?}", error.hint());
    assert_eq!(host(&session, "ls -A /usr/local/bin").await, "");
}

#[tokio::test]
async fn agent_that_was_damaged_on_the_host_is_sent_again() {
    let fixture = Fixture::start("");
    let session = fixture.session().await;
    fixture.run(&session).await.unwrap();
    host(
        &session,
        "rm /usr/local/bin/berthd; echo broken >/usr/local/bin/berthd",
    )
    .await;
    let report = fixture.run(&session).await.unwrap();
    assert_eq!((report.uploaded, report.restarted), (true, true));
}

#[tokio::test]
async fn damaged_upload_does_not_replace_the_agent() {
    let fixture = Fixture::start("");
    let session = fixture.session().await;
    // The cache holds something else under the right name.
    let wrong = Fixture::start("")
        .agent
        .compressed(fixture.cache.path())
        .unwrap();
    let other = AgentBinary::open(Path::new("/bin/true")).unwrap();
    fs::copy(
        other
            .compressed(tempfile::tempdir().unwrap().path())
            .unwrap(),
        &wrong,
    )
    .unwrap();
    let error = fixture.run(&session).await.unwrap_err();
    assert!(error.to_string().contains("arrived damaged"), "{error}");
    assert_eq!(
        host(&session, "ls -A /usr/local/bin | grep -c berthd || :").await,
        "0\n"
    );
}

#[tokio::test]
async fn host_without_os_release_and_gzip_is_provisioned() {
    let fixture =
        Fixture::start("rm -f /etc/os-release /usr/lib/os-release; rm -f /bin/gzip /usr/bin/gzip");
    let session = fixture.session().await;
    let report = fixture.run(&session).await.unwrap();
    assert_eq!(report.facts.os.id, "linux");
    assert!(!report.facts.has_gzip);
    assert!(report.uploaded);
}

const USER: &str = "echo 'guest:x:4321:4321::/:/bin/sh' >>/etc/passwd
    chmod 755 \"$(dirname \"$1\")\"; chmod 644 \"$(dirname \"$1\")\"/authorized_keys
    rm -f /usr/bin/sudo /usr/local/bin/sudo";

#[tokio::test]
async fn user_without_sudo_is_told_what_to_do() {
    let fixture = Fixture::start(USER);
    let session = fixture.session_of("guest").await;
    let error = fixture.run(&session).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "user \"guest\" is not root and cannot become root on the host"
    );
    assert!(
        error.hint().unwrap().contains("install sudo"),
        "{:?}",
        error.hint()
    );
}

#[tokio::test]
async fn sudo_that_wants_a_password_is_answered_with_a_line_for_sudoers() {
    let sudo = "printf '#!/bin/sh\\necho \"sudo: a password is required\" >&2\\nexit 1\\n' \
                >/usr/local/bin/sudo; chmod 755 /usr/local/bin/sudo";
    let fixture = Fixture::start(&format!("{USER}\n{sudo}"));
    let session = fixture.session_of("guest").await;
    let error = fixture.run(&session).await.unwrap_err();
    assert!(
        error.to_string().ends_with("sudo: a password is required"),
        "{error}"
    );
    assert!(
        error.hint().unwrap().contains("NOPASSWD"),
        "{:?}",
        error.hint()
    );
}

#[tokio::test]
async fn hosts_with_openrc_and_with_another_processor_are_recognised() {
    let fixture = Fixture::start(
        "mkdir /run/openrc; touch /run/openrc/softlevel
         printf '#!/bin/sh\\n' >/usr/local/bin/rc-service
         printf '#!/bin/sh\\ncase $1 in -m) echo aarch64;; -s) echo Linux;; *) echo 6;; esac\\n' \
            >/usr/local/bin/uname
         chmod 755 /usr/local/bin/rc-service /usr/local/bin/uname",
    );
    let session = fixture.session().await;
    let facts = probe(&session).await.unwrap();
    assert_eq!(facts.init, Init::OpenRc);
    assert_eq!(facts.architecture, "aarch64");
    let error = fixture.run(&session).await.unwrap_err();
    assert!(
        matches!(error, ProvisionError::Architecture { .. }),
        "{error:?}"
    );
}
