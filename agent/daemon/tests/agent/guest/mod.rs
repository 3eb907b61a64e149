//! A machine with a kernel and a clock of its own: a QEMU guest without hardware virtualisation, whose only
//! program is the agent. It can lose its power and its time, which no namespace can.
//!
//! These tests boot several times, some 15 seconds each, and so are left out unless asked for:
//! `cargo nextest run -p berth-agent-daemon --run-ignored only guest::`. They need the packages
//! qemu-system-x86 and qemu-utils, and the kernel of linux-image-cloud-amd64, installed or unpacked
//! (`dpkg -x`) in the folder that `BERTH_GUEST_KERNEL` names.

mod clock;
mod disk;
mod initramfs;
mod modules;
mod power;
mod qmp;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use berth_proto::v1::{ContainerConfig, HostConfig, VersionRequest};
use tempfile::TempDir;

use crate::client::{Client, Ran, command};
use crate::clients_and_strangers::{Authority, channel_over, client_config};
use crate::host::connect_in;

/// Longest wait for anything in a guest, which is some twenty times slower than its host.
pub(super) const LONG: Duration = Duration::from_secs(180);

/// A guest with an agent.
pub(super) struct Guest {
    folder: TempDir,
    authority: Authority,
    machine: Option<Child>,
}

// === impl Guest ===

impl Guest {
    /// Makes a guest and switches it on.
    pub(super) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("berthd-guest")
            .tempdir()
            .expect("folder");
        let authority = Authority::new();
        let kernel = modules::Kernel::find();
        fs::write(folder.path().join("initramfs"), initramfs::make(&kernel)).expect("initramfs");
        disk::make(folder.path(), &kernel, &authority);
        let mut guest = Self {
            folder,
            authority,
            machine: None,
        };
        guest.switch_on(&kernel);
        guest
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn switch_on(&mut self, kernel: &modules::Kernel) {
        let drive = format!(
            "file={},if=none,id=disk,format=qcow2,cache=writeback",
            self.path("disk.qcow2").display()
        );
        let mut machine = Command::new("unshare");
        machine
            .args([
                "--net",
                "sh",
                "-c",
                "ip link set lo up && exec \"$@\"",
                "sh",
            ])
            .arg("qemu-system-x86_64")
            .args([
                "-machine", "pc", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "1024",
            ])
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .arg("-kernel")
            .arg(&kernel.image)
            .arg("-initrd")
            .arg(self.path("initramfs"))
            .args([
                "-append",
                "console=ttyS0 quiet net.ifnames=0 mitigations=off nokaslr panic=1",
            ])
            .args(["-drive", &drive, "-device", "virtio-blk-pci,drive=disk"])
            .args([
                "-netdev",
                "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:2376-:2376",
            ])
            .args(["-device", "virtio-net-pci,netdev=net,romfile="])
            .arg("-serial")
            .arg(format!("file:{}", self.path("console").display()))
            .arg("-qmp")
            .arg(format!(
                "unix:{},server=on,wait=off",
                self.path("qmp").display()
            ))
            .stdin(Stdio::null());
        self.machine = Some(machine.spawn().expect("unshare"));
    }

    /// Resets the guest as the button on its case would: what its kernel has not written is lost.
    pub(super) fn reset(&mut self) {
        qmp::execute(&self.path("qmp"), "system_reset");
    }

    /// Takes the power away from guest and disk: what the guest has not had flushed may be lost too, since the disk's
    /// own table of new blocks is in QEMU's memory until then.
    pub(super) fn cut_power(&mut self) {
        self.switch_off();
        fs::remove_file(self.path("qmp")).expect("the socket of a guest that is off");
        self.switch_on(&modules::Kernel::find());
    }

    fn switch_off(&mut self) {
        if let Some(mut machine) = self.machine.take() {
            machine.kill().expect("kill");
            machine.wait().expect("wait");
        }
    }

    /// Connects to the guest's agent once it is up.
    pub(super) async fn client(&self) -> Client {
        let deadline = Instant::now() + LONG;
        loop {
            if let Ok(Some(client)) =
                tokio::time::timeout(Duration::from_secs(10), self.connect()).await
            {
                return client;
            }
            let console = fs::read(self.path("console")).unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "the guest's agent does not answer:\n{}",
                String::from_utf8_lossy(&console)
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn connect(&self) -> Option<Client> {
        let machine = self.machine.as_ref().expect("a guest that is on");
        let stream = connect_in(machine.id(), "127.0.0.1:2376").ok()?;
        let identity = self.authority.identity("operator");
        let config = client_config(&self.authority, Some(identity));
        let client = Client::over(channel_over(stream, config).await.ok()?);
        client
            .system
            .clone()
            .version(VersionRequest {})
            .await
            .ok()?;
        Some(client)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.switch_off();
    }
}

/// Returns a container that runs a script with everything that root of the guest has; its files are below `/host`.
pub(super) fn root_config(script: &str) -> ContainerConfig {
    ContainerConfig {
        host: Some(HostConfig {
            privileged: true,
            network_mode: "host".to_owned(),
            pid_mode: "host".to_owned(),
            binds: vec!["/:/host".to_owned()],
            auto_remove: true,
            ..Default::default()
        }),
        ..command(&["sh", "-c", script])
    }
}

/// Runs a script as root of the guest to its end.
pub(super) async fn as_root(client: &Client, script: &str) -> Ran {
    let id = client
        .create("", root_config(script))
        .await
        .expect("create");
    let mut attached = client.attach(&id, false).await.expect("attach");
    client.start(&id).await.expect("start");
    let ran = tokio::time::timeout(LONG, attached.rest()).await;
    ran.expect("an end in time")
}

/// Waits until `holds` does, for as long as a guest may take.
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
