//! The client against real OpenSSH servers, agents and certificates, and against servers that lie.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

mod files;
mod forwards;
mod hostile;
mod hosts;
mod login;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use berth_controller_ssh::{Endpoint, HostConfig, HostKey, HostKeyPolicy, Session};
use berth_tests_support::{Sshd, SshdOptions};

pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A server and a private folder.
pub(crate) struct Host {
    pub(crate) sshd: Sshd,
    pub(crate) folder: tempfile::TempDir,
}

impl Host {
    pub(crate) fn start(config: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config)
    }

    pub(crate) fn start_in(folder: tempfile::TempDir, config: &[&str]) -> Self {
        let options = SshdOptions {
            config: config.iter().map(|line| (*line).to_owned()).collect(),
            ..SshdOptions::default()
        };
        Self {
            sshd: Sshd::start(&options),
            folder,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            host: "127.0.0.1".to_owned(),
            port: self.sshd.port(),
            user: "root".to_owned(),
            key: Some(self.sshd.client_key()),
            config: HostConfig {
                agent: berth_controller_ssh::AgentChoice::None,
                ..HostConfig::default()
            },
            ..Endpoint::default()
        }
    }

    pub(crate) fn pinned(&self) -> HostKeyPolicy {
        HostKeyPolicy::Pinned(HostKey::parse(&self.sshd.host_key()).unwrap())
    }

    pub(crate) async fn session(&self) -> Session {
        Session::connect(&self.endpoint(), &self.pinned(), LONG)
            .await
            .unwrap()
    }

    /// Lets the owner of a public key in.
    pub(crate) fn authorize(&self, public: &Path) {
        let file = self.sshd.client_key().with_file_name("authorized_keys");
        let mut text = fs::read_to_string(&file).unwrap();
        text.push_str(&fs::read_to_string(public).unwrap());
        fs::write(file, text).unwrap();
    }

    /// Lets nobody in by a bare key.
    pub(crate) fn authorize_nobody(&self) {
        let file = self.sshd.client_key().with_file_name("authorized_keys");
        fs::write(file, "").unwrap();
    }
}

/// Runs a program that must succeed.
pub(crate) fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{program} {words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a key of a kind, with a passphrase or none.
pub(crate) fn make_key(path: &Path, kind: &str, passphrase: &str) {
    let path = path.to_str().unwrap();
    run(
        "ssh-keygen",
        &["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", path],
    );
}
