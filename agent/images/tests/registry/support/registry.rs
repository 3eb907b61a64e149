//! Debian's docker-registry as a process.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::token::TokenServer;

/// Who may use the registry.
pub(crate) enum Access<'a> {
    Everybody,
    /// The user `captain` with [`PASSWORD`].
    Password,
    Token(&'a TokenServer),
    /// Everybody, over TLS with a certificate that nobody trusts.
    Tls,
}

pub(crate) const USER: &str = "captain";
pub(crate) const PASSWORD: &str = "open sesame";
const HASH: &str = "$2b$04$sxp9RZ3EqOmbGuhGIKt98uHnsuNSOO7pvrGGhnjNmEPcZFZ2n2d5C";

pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    child: Child,
    files: tempfile::TempDir,
}

impl Registry {
    pub(crate) fn start() -> Self {
        Self::with(&Access::Everybody, None)
    }

    /// Starts another registry on the same storage, with another rule.
    pub(crate) fn beside(&self, access: &Access<'_>) -> Self {
        Self::with(access, Some(self.files.path()))
    }

    fn with(access: &Access<'_>, storage: Option<&Path>) -> Self {
        let files = tempfile::tempdir().expect("temporary directory");
        let storage = storage.unwrap_or_else(|| files.path()).join("storage");
        let mut tls = String::new();
        let auth = match access {
            Access::Everybody => String::new(),
            Access::Tls => {
                tls = certificate(files.path());
                String::new()
            }
            Access::Password => {
                let users = files.path().join("htpasswd");
                std::fs::write(&users, format!("{USER}:{HASH}\n")).expect("htpasswd");
                format!(
                    "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                    users.display()
                )
            }
            Access::Token(server) => {
                let certificate = files.path().join("token.pem");
                std::fs::write(&certificate, server.certificate()).expect("certificate");
                format!(
                    "auth: {{token: {{realm: \"http://{}/token\", service: test, issuer: test, \
                     rootcertbundle: {}}}}}\n",
                    server.address(),
                    certificate.display()
                )
            }
        };
        for _attempt in 0..10 {
            let listener = TcpListener::bind("127.0.0.1:0").expect("port");
            let address = listener.local_addr().expect("address");
            drop(listener);
            let config = files.path().join("config.yml");
            let text = format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
                 storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
                 http: {{addr: \"{address}\"{tls}}}\n{auth}",
                storage.display()
            );
            std::fs::write(&config, text).expect("configuration");
            let mut child = Command::new("docker-registry")
                .arg("serve")
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("docker-registry is installed");
            if is_listening(&mut child, address) {
                return Self {
                    address,
                    child,
                    files,
                };
            }
        }
        panic!("docker-registry does not start");
    }

    pub(crate) fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }
}

/// Makes a certificate by itself and returns the setting for it.
fn certificate(directory: &Path) -> String {
    let names = vec!["somebody.else".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("certificate");
    let (certificate, key) = (directory.join("tls.pem"), directory.join("tls-key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("certificate");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("key");
    format!(
        ", tls: {{certificate: {}, key: {}}}",
        certificate.display(),
        key.display()
    )
}

fn is_listening(child: &mut Child, address: SocketAddr) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        if child.try_wait().expect("wait").is_some() {
            // Somebody else took the port.
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("kill");
    child.wait().expect("wait");
    false
}
