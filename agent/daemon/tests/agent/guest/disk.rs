//! The guest's disk, ext4: busybox, the agent with its configuration, and the script that is process 1.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::modules::{FOR_AGENT, Kernel};
use crate::clients_and_strangers::Authority;
use crate::host::berthd;

const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o ptmxmode=666 devpts /dev/pts
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for module in /modules/*; do insmod $module; done
ip link set lo up
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
while :; do /berthd serve --config /berthd.json; echo the agent ended with $?; done
";

/// Makes `disk.qcow2` in a folder.
pub(super) fn make(folder: &Path, kernel: &Kernel, authority: &Authority) {
    let root = folder.join("root");
    for name in [
        "bin", "dev", "proc", "sys", "run", "tmp", "var/lib", "modules", "tls",
    ] {
        fs::create_dir_all(root.join(name)).expect("folder");
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("a static busybox on this machine");
    fs::write(root.join("init"), INIT).expect("file");
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755)).expect("mode");
    for (number, path) in kernel.in_order(&FOR_AGENT).into_iter().enumerate() {
        fs::copy(path, root.join(format!("modules/{number:02}"))).expect("module");
    }
    // The guest reads every byte of it by itself.
    did(Command::new("strip")
        .arg("-o")
        .arg(root.join("berthd"))
        .arg(berthd()));
    configure(&root, authority);
    let raw = folder.join("disk.raw");
    let file = fs::File::create(&raw).expect("disk");
    file.set_len(768 << 20).expect("size");
    did(Command::new("mkfs.ext4")
        .args(["-q", "-d"])
        .args([&root, &raw]));
    fs::remove_dir_all(&root).expect("removal");
    did(Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
        .args([raw, folder.join("disk.qcow2")]));
}

fn configure(root: &Path, authority: &Authority) {
    let (certificate, key) = authority.issue("machine.berth");
    fs::write(root.join("tls/ca.pem"), authority.0.pem()).expect("file");
    fs::write(root.join("tls/server.pem"), certificate).expect("file");
    fs::write(root.join("tls/server-key.pem"), key).expect("file");
    let config = json!({
        "listen": ["0.0.0.0:2376"],
        "tls": { "ca": "/tls/ca.pem", "cert": "/tls/server.pem", "key": "/tls/server-key.pem" },
    });
    fs::write(root.join("berthd.json"), config.to_string()).expect("file");
}

fn did(command: &mut Command) {
    let status = command.status().expect("a program of this machine");
    assert!(status.success(), "{command:?}: {status}");
}
