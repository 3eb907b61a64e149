//! Stores of docker-machine, with Docker's own daemon behind them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use berth_tests_support::{Operator, Outcome, Sshd, SshdOptions, free_port, wait_until};

/// Certificates as docker-machine makes them: RSA, keys in the form of PKCS#1.
const CERTIFICATES: &str = r#"set -e
mkdir -p certs; cd certs
openssl genrsa -traditional -out ca-key.pem 2048
openssl req -x509 -new -key ca-key.pem -days 1080 -subj /O=me -out ca.pem \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,digitalSignature,keyEncipherment,keyAgreement,keyCertSign
issue() {
    openssl genrsa -traditional -out "$2" 2048
    openssl req -new -key "$2" -subj "/O=me.$3" -out csr
    printf '%s\n' "$4" >ext
    openssl x509 -req -in csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 1080 -extfile ext -out "$1"
}
issue cert.pem key.pem '<bootstrap>' 'extendedKeyUsage=clientAuth
keyUsage=critical,digitalSignature'
issue server.pem server-key.pem web "extendedKeyUsage=serverAuth
keyUsage=critical,digitalSignature,keyEncipherment,keyAgreement
subjectAltName=IP:$1,DNS:localhost"
rm -f csr ext ca.srl"#;

/// Makes a store with one machine, as docker-machine leaves it.
fn store(root: &Path, (ip, ssh_port, engine_port): (&str, u16, u16), key: &Path) {
    fs::create_dir_all(root).expect("store");
    let made = Command::new("sh")
        .args(["-c", CERTIFICATES, "sh", ip])
        .current_dir(root)
        .output();
    let made = made.expect("openssl");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let folder = root.join("machines/web");
    fs::create_dir_all(&folder).expect("folder");
    for file in [
        "ca.pem",
        "cert.pem",
        "key.pem",
        "server.pem",
        "server-key.pem",
    ] {
        fs::copy(root.join("certs").join(file), folder.join(file)).expect("copy");
    }
    fs::copy(key, folder.join("id_rsa")).expect("key");
    let (root, folder) = (root.display(), folder.display());
    let config = format!(
        r#"{{
    "ConfigVersion": 3,
    "Driver": {{
        "IPAddress": "{ip}", "MachineName": "web", "SSHUser": "root", "SSHPort": {ssh_port},
        "SSHKeyPath": "{folder}/id_rsa", "StorePath": "{root}", "SwarmMaster": false,
        "SwarmHost": "", "SwarmDiscovery": "", "EnginePort": {engine_port}, "SSHKey": ""
    }},
    "DriverName": "generic",
    "HostOptions": {{
        "Driver": "", "Memory": 0, "Disk": 0,
        "EngineOptions": {{"Labels": ["a=b"], "Env": [], "TlsVerify": true}},
        "SwarmOptions": {{"IsSwarm": false}},
        "AuthOptions": {{"CertDir": "{root}/certs", "CaCertPath": "{root}/certs/ca.pem",
            "CaPrivateKeyPath": "{root}/certs/ca-key.pem", "ServerCertSANs": [],
            "StorePath": "{folder}"}}
    }},
    "Name": "web"
}}"#
    );
    fs::write(format!("{folder}/config.json"), config).expect("config.json");
}

/// A Docker daemon of the test's own.
struct Dockerd {
    child: Child,
    folder: tempfile::TempDir,
}

impl Dockerd {
    fn start(certs: &Path, port: u16) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let cert = |name: &str| certs.join(name).display().to_string();
        let log = fs::File::create(at("log")).expect("log");
        let child = Command::new("dockerd")
            .args(["--tlsverify", "--bridge=none", "--iptables=false"])
            .args([
                "--ip-forward=false",
                "--ip-masq=false",
                "--storage-driver=vfs",
            ])
            .args(["-H", &format!("tcp://127.0.0.1:{port}")])
            .args([
                "--tlscacert",
                &cert("ca.pem"),
                "--tlscert",
                &cert("server.pem"),
            ])
            .args([
                "--tlskey",
                &cert("server-key.pem"),
                "--data-root",
                &at("data"),
            ])
            .args(["--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("dockerd is installed");
        let mut dockerd = Self { child, folder };
        wait_until("dockerd listens", || {
            let ended = dockerd.child.try_wait().expect("wait");
            assert!(ended.is_none(), "dockerd ended: {}", dockerd.log());
            dockerd.log().contains("API listen on")
        });
        dockerd
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // In order, so that it takes its containerd along.
        let ended = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        if !ended.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

#[test]
fn machine_of_docker_machine_is_used_with_its_docker() {
    let operator = Operator::new();
    let sshd = Sshd::start(&SshdOptions::default());
    let old: PathBuf = operator.home().join("old");
    let port = free_port();
    store(&old, ("127.0.0.1", sshd.port(), port), &sshd.client_key());
    let dockerd = Dockerd::start(&old.join("certs"), port);
    let path = old.display().to_string();
    operator
        .berth(&["machine", "import-docker-machine", &path, "--all"])
        .success();
    let version = operator.berth(&["machine", "version", "web"]).success();
    assert!(
        version.starts_with(|first: char| first.is_ascii_digit()),
        "{version}"
    );
    let ls = operator.berth(&["machine", "ls"]).success();
    assert!(ls.contains("Running") && ls.contains(&version), "{ls}");
    let url = format!("tcp://127.0.0.1:{port}");
    assert_eq!(operator.berth(&["machine", "url", "web"]).success(), url);
    assert_eq!(
        operator.berth(&["machine", "ip", "web"]).success(),
        "127.0.0.1"
    );
    let config = operator.berth(&["machine", "config", "web"]).success();
    let words: Vec<String> = config.lines().map(|line| line.replace('"', "")).collect();
    let docker = Command::new("docker")
        .args(&words)
        .args(["version", "--format", "{{.Server.Version}}"])
        .output()
        .expect("docker is installed");
    assert_eq!(String::from_utf8_lossy(&docker.stdout).trim(), version);
    let env = operator
        .berth(&["machine", "env", "--shell", "bash", "web"])
        .success();
    assert!(env.contains(&url), "{env}");
    assert_eq!(operator.existing("web").ssh("echo in").success(), "in");
    let _ = operator.existing("web").berth(&["ps"]).fails_saying(&[
        "Docker's own engine",
        "machine env web",
        "--convert",
    ]);
    let _ = operator
        .berth(&["machine", "provision", "web"])
        .fails_saying(&["left as it is", "--convert"]);
    drop(dockerd);
    let _ = operator
        .berth(&["machine", "env", "--shell", "bash", "web"])
        .fails_saying(&["Error checking TLS connection", "cannot be reached"]);
}

#[test]
fn docker_is_replaced_by_berthd_after_a_question() {
    let (first, second) = (Operator::new(), Operator::new());
    let host = first.machine("host");
    // What is left is a host with something that calls itself Docker.
    host.ssh(
        "kill $(cat /run/berth/watch.pid); rm -rf /etc/berth /usr/local/bin/berthd; \
         printf '#!/bin/sh\\necho web\\necho db\\n' >/usr/local/bin/docker; \
         chmod +x /usr/local/bin/docker; \
         cp \"$(command -v sleep)\" /usr/local/bin/dockerd; \
         dockerd 100000 >/dev/null 2>&1 </dev/null & echo $! >/var/run/docker.pid",
    )
    .success();
    let key = host.folder().join("id_ed25519");
    let old = second.home().join(".docker/machine");
    store(&old, (&host.ip(), 22, 2376), &key);
    let in_place = |words: &[&str]| {
        let mut command = second.command(words);
        command.env("MACHINE_STORAGE_PATH", &old);
        command
    };
    let convert = ["machine", "import-docker-machine", "--convert", "web"];
    let mut declined = in_place(&convert);
    let declined = Outcome::of(declined.stdin(Stdio::null())).success();
    assert!(
        declined.contains("2 running containers will be stopped: web, db"),
        "{declined}"
    );
    assert!(declined.contains("keeps its Docker"), "{declined}");
    host.ssh("kill -0 $(cat /var/run/docker.pid)").success();
    let mut agreed = in_place(&[&convert[..], &["-y"]].concat());
    Outcome::of(&mut agreed).success();
    let _ = host.ssh("kill -0 $(cat /var/run/docker.pid)").exits_with(1);
    let mut ps = in_place(&["ps"]);
    ps.env("BERTH_MACHINE", "web");
    Outcome::of(&mut ps).success();
    // docker-machine's own authority has signed what the agent shows.
    let issuer = host
        .ssh("openssl x509 -in /etc/berth/server.pem -noout -issuer")
        .success();
    assert!(
        issuer.contains("O = me") || issuer.contains("O=me"),
        "{issuer}"
    );
}
