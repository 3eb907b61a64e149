//! A real SSH server for tests: OpenSSH on a loopback port, with keys of its own, optionally on a
//! root file system of its own, so that what is installed over it vanishes with it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Makes a private root: this host's file system with a layer in memory over it, its own mounts and
/// its own processes; then runs the server in it.
const PRIVATE_ROOT: &str = r#"
set -e
layer=$1; shift
mount -t tmpfs -o mode=755 tmpfs "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
root=$layer/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount --bind "$(dirname "$layer")" "$root$(dirname "$layer")"
mkdir -p "$root/run/sshd" "$root/etc/berth"
exec chroot "$root" "$@"
"#;

/// One running SSH server; it and everything that was started over it end with this value.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    directory: TempDir,
    port: u16,
}

/// How the server shall be.
#[derive(Clone, Debug, Default)]
pub struct SshdOptions {
    /// Further lines of its configuration.
    pub config: Vec<String>,
    /// Whether it gets a root file system and processes of its own.
    pub private_root: bool,
    /// The port; any free one without.
    pub port: Option<u16>,
    /// Shell lines that are run in the private root before the server starts.
    pub prepare: String,
}

impl Sshd {
    /// Starts a server as `options` say and returns when it listens.
    ///
    /// # Panics
    ///
    /// When OpenSSH is not installed or does not start.
    #[must_use]
    pub fn start(options: &SshdOptions) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let port = options.port.unwrap_or_else(free_port);
        for name in ["host_key", "client_key"] {
            make_key(&directory.path().join(name));
        }
        fs::copy(
            directory.path().join("client_key.pub"),
            directory.path().join("authorized_keys"),
        )
        .expect("authorized_keys");
        fs::write(directory.path().join("prepare"), &options.prepare).expect("prepare");
        fs::create_dir(directory.path().join("layer")).expect("layer");
        let config = directory.path().join("sshd_config");
        fs::write(&config, configuration(directory.path(), port, options)).expect("sshd_config");
        let mut child = spawn(directory.path(), &config, options);
        wait_until_listening(&mut child);
        Self {
            child,
            directory,
            port,
        }
    }

    /// Returns its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the private key that it lets `root` in with.
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.directory.path().join("client_key")
    }

    /// Returns its public host key in OpenSSH's form.
    ///
    /// # Panics
    ///
    /// When the file has gone.
    #[must_use]
    pub fn host_key(&self) -> String {
        fs::read_to_string(self.directory.path().join("host_key.pub")).expect("host key")
    }

    /// Returns the pid of the server, or of its first process with a private root.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // Sessions are children of the listener: with a private root they end with it, without
        // one they end when the client's side closes.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a private key without a passphrase at `path`.
///
/// # Panics
///
/// When `ssh-keygen` fails.
pub fn make_key(path: &Path) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .status()
        .expect("ssh-keygen");
    assert!(status.success(), "ssh-keygen failed");
}

/// Returns a port of 127.0.0.1 that is free now.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("free port");
    listener.local_addr().expect("address").port()
}

fn configuration(directory: &Path, port: u16, options: &SshdOptions) -> String {
    let directory = directory.display();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host_key\n\
         AuthorizedKeysFile {directory}/authorized_keys\nPidFile none\nUsePAM no\nStrictModes no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
         MaxStartups 100\n{}\n",
        options.config.join("\n")
    )
}

fn spawn(directory: &Path, config: &Path, options: &SshdOptions) -> Child {
    fs::create_dir_all("/run/sshd").expect("/run/sshd");
    let mut command = if options.private_root {
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                PRIVATE_ROOT,
                "sh",
            ])
            .arg(directory.join("layer"))
            .args([
                "sh",
                "-c",
                r#". "$2"; exec /usr/sbin/sshd -D -e -f "$1""#,
                "sh",
            ])
            .arg(config)
            .arg(directory.join("prepare"));
        command
    } else {
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(config);
        command
    };
    command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sshd")
}

fn wait_until_listening(child: &mut Child) {
    let mut lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
    let mut said = Vec::new();
    loop {
        match lines.next() {
            Some(Ok(line)) if line.contains("Server listening") => break,
            Some(Ok(line)) => said.push(line),
            _ => panic!("sshd did not start: {said:?}"),
        }
    }
    // Whatever it says later is read and dropped, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
}
