//! Debian packages that a chore needs, installed when their programs are missing.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{is_root, run, say};

/// A package, and one file by which to tell that it is installed.
pub(crate) struct Package {
    name: &'static str,
    witness: &'static str,
}

const fn package(name: &'static str, witness: &'static str) -> Package {
    Package { name, witness }
}

/// What sandbox machines and the engine inside them use from the host.
pub(crate) const SANDBOX: &[Package] = &[
    package("openssh-server", "/usr/sbin/sshd"),
    package("nftables", "/usr/sbin/nft"),
    package("iproute2", "/usr/sbin/ip"),
    package("busybox-static", "/bin/busybox"),
    package("docker-registry", "/usr/bin/docker-registry"),
];

/// What the tests use besides.
pub(crate) const TESTS: &[Package] = &[
    package("openssh-client", "/usr/bin/ssh"),
    package("mmdebstrap", "/usr/bin/mmdebstrap"),
    package("runc", "/usr/sbin/runc"),
    package("procps", "/bin/ps"),
    package("gcc", "/usr/bin/gcc"),
    package("curl", "/usr/bin/curl"),
    package("openssl", "/usr/bin/openssl"),
    package("rsync", "/usr/bin/rsync"),
    package("python3", "/usr/bin/python3"),
    // The engine of machines that docker-machine made.
    package("docker.io", "/usr/sbin/dockerd"),
    package("iptables", "/usr/sbin/iptables"),
];

/// What the bench compares with.
pub(crate) const BENCH: &[Package] = &[
    package("docker.io", "/usr/sbin/dockerd"),
    package("iptables", "/usr/sbin/iptables"),
    package("podman", "/usr/bin/podman"),
    package("netavark", "/usr/lib/podman/netavark"),
    package("crun", "/usr/bin/crun"),
];

/// Installs those of `packages` whose witness is missing.
///
/// # Errors
/// When something is missing and this is no Debian-like host, or we are not root, or apt fails.
pub(crate) fn install(packages: &[&[Package]]) -> Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .flat_map(|group| group.iter())
        .filter(|package| !Path::new(package.witness).exists())
        .map(|package| package.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "missing on this host: {}; install them and try again",
            missing.join(" ")
        );
    }
    if !is_root() {
        bail!(
            "installing {} needs root: run the command with sudo",
            missing.join(" ")
        );
    }
    say(&format!("Installing {}", missing.join(" ")));
    run(apt().args(["update", "-qq"]))?;
    run(apt()
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(&missing))
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    // Nothing may ask, and no service may be started by a package's script.
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    command
}
