//! The agent as Docker's clients see it: the real docker CLIs of this machine, and bytes on the wire
//! where a client's own view is not sharp enough.

mod crowd;
mod files;
mod images;
mod rights;
mod runs;
mod streams;
mod wire;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::client::IMAGE;
use crate::host::{Host, PATIENCE};
use crate::image;

/// Docker's own client and Debian's.
const PROGRAMS: [&str; 2] = ["/usr/local/bin/docker", "/usr/bin/docker"];

/// A docker CLI that speaks to an agent.
pub(super) struct Docker {
    program: &'static str,
    host: String,
    home: TempDir,
    /// Distinguishes what two clients make on one agent.
    pub(super) name: &'static str,
}

/// What a client said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) out: String,
    pub(super) err: String,
    pub(super) code: i32,
}

impl Docker {
    /// Returns the newest client of this machine.
    pub(super) fn new(host: &Host) -> Self {
        Self::each(host).swap_remove(0)
    }

    /// Returns all clients of this machine.
    pub(super) fn each(host: &Host) -> Vec<Self> {
        let socket = host.path("run/berthd.sock");
        let found = PROGRAMS.into_iter().zip(["new", "old"]);
        let all: Vec<Self> = found
            .filter(|(program, _)| Path::new(program).exists())
            .map(|(program, name)| Self {
                program,
                host: format!("unix://{}", socket.display()),
                home: tempfile::tempdir().expect("folder"),
                name,
            })
            .collect();
        assert!(!all.is_empty(), "no docker client on this machine");
        all
    }

    /// Returns a client that speaks to an agent whose image is there.
    pub(super) fn with_image(host: &Host) -> Self {
        let docker = Self::new(host);
        docker.import();
        docker
    }

    /// Imports the tests' image.
    pub(super) fn import(&self) {
        let path = self.file("root.tar");
        fs::write(&path, image::busybox()).expect("file");
        let path = path.to_str().expect("a path");
        let id = self.ok(&["import", "--change", "CMD [\"sh\"]", path, IMAGE]);
        assert!(id.starts_with("sha256:"), "{id}");
    }

    /// Returns a path that is this client's own.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("DOCKER_CONFIG", self.home.path().join(".docker"))
            .env("DOCKER_HOST", &self.host)
            .env("DOCKER_BUILDKIT", "0")
            .env("DOCKER_CLI_HINTS", "false")
            .args(words);
        command
    }

    /// Runs a command to its end.
    pub(super) fn run(&self, words: &[&str]) -> Said {
        self.run_with(words, "")
    }

    /// Runs a command with something to read.
    pub(super) fn run_with(&self, words: &[&str], input: &str) -> Said {
        let mut child = self.spawn(words);
        let mut stdin = child.stdin.take().expect("piped");
        let input = input.to_owned();
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let said = end(child);
        writer.join().expect("writer");
        said
    }

    /// Starts a command whose streams are pipes.
    pub(super) fn spawn(&self, words: &[&str]) -> Child {
        self.command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker")
    }

    /// Runs a command that succeeds; returns what it printed, without the last newline.
    pub(super) fn ok(&self, words: &[&str]) -> String {
        let said = self.run(words);
        assert_eq!(said.code, 0, "docker {words:?}: {}{}", said.out, said.err);
        said.out.trim_end_matches('\n').to_owned()
    }

    /// Runs a command that fails with a code; returns what it complained of.
    pub(super) fn fails(&self, words: &[&str], code: i32) -> String {
        let said = self.run(words);
        assert_eq!(
            said.code, code,
            "docker {words:?}: {}{}",
            said.out, said.err
        );
        said.err
    }

    /// Waits until a command prints something.
    pub(super) fn until(&self, words: &[&str], wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.run(words);
            if said.out.trim_end() == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "docker {words:?}: {said:?}");
        }
    }
}

/// Waits for a client's end.
pub(super) fn end(child: Child) -> Said {
    let output = child.wait_with_output().expect("output");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Said {
        out: text(&output.stdout),
        err: text(&output.stderr),
        code: output.status.code().unwrap_or(-1),
    }
}
