//! What makes the copy of a root filesystem a machine of its own: names, keys, configuration.

use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use berth_provisioners_api::DriverError;

use crate::disk::unless_gone;
use crate::failure::Doing as _;
use crate::init::adapt;
use crate::plan::BootPlan;

/// Where the machine notes that it was given its personality, and for which address.
const NOTE: &str = "/var/lib/berth-sandbox/personality";

/// Files of the host that would make the machine take itself for the host, or do its work.
const OF_THE_HOST: [&str; 8] = [
    "/etc/berth",
    "/usr/local/bin/berthd",
    "/etc/systemd/system/berthd.service",
    "/etc/init.d/berthd",
    "/etc/rc.local",
    "/etc/docker",
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
];

const SSHD_CONFIG: &str = "\
# Written once, when the machine was made.
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd.pid
AuthorizedKeysFile .ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
ChallengeResponseAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
X11Forwarding no
AcceptEnv LANG LC_*
MaxStartups 100:30:400
MaxSessions 100
Subsystem sftp internal-sftp
";

/// The usual commands, for an init that is told by signals.
const POWER_COMMANDS: [(&str, &str); 4] = [
    ("poweroff", "#!/bin/sh\nexec kill -TERM 1\n"),
    ("halt", "#!/bin/sh\nexec kill -TERM 1\n"),
    ("reboot", "#!/bin/sh\nexec kill -INT 1\n"),
    (
        "shutdown",
        "#!/bin/sh\nfor word; do\n  case $word in\n    -r | --reboot) exec kill -INT 1 ;;\n    \
         -c) exit 0 ;;\n  esac\ndone\nexec kill -TERM 1\n",
    ),
];

/// Where the machine's keys are.
#[derive(Debug)]
pub(super) struct Secrets {
    /// The public key that may log in.
    pub(super) client: String,
    /// The private key by which the machine is known, on the host.
    pub(super) host_key: PathBuf,
}

/// The machine's keys, ready to be written.
#[derive(Debug)]
pub(super) struct ReadSecrets {
    client: String,
    host_key: Vec<u8>,
}

impl Secrets {
    /// Reads the keys while the host's files can be seen.
    pub(super) fn read(self) -> Result<ReadSecrets, DriverError> {
        let host_key = fs::read(&self.host_key)
            .doing(|| format!("cannot read key {}", self.host_key.display()))?;
        Ok(ReadSecrets {
            client: self.client,
            host_key,
        })
    }
}

/// Returns a host name for a machine's name.
pub(super) fn host_name(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let mut text: String = name
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .take(63)
        .collect();
    if text.is_empty() {
        "sandbox".clone_into(&mut text);
    }
    text
}

/// Returns the host's name servers that can be reached from a machine, as a `resolv.conf`.
pub(super) fn resolver() -> String {
    ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .map(|text| without_loopback(&text))
        .find(|text| text.contains("nameserver"))
        .unwrap_or_else(|| "# This host has no name server that a machine can reach.\n".to_owned())
}

fn without_loopback(text: &str) -> String {
    let is_loopback = |line: &str| {
        line.strip_prefix("nameserver")
            .map(str::trim)
            .is_some_and(|server| server.starts_with("127.") || server == "::1")
    };
    text.lines()
        .filter(|line| !is_loopback(line.trim()))
        .fold(String::new(), |all, line| all + line + "\n")
}

/// Writes what is the machine's own; most of it only once.
pub(super) fn put_on(
    plan: &BootPlan,
    secrets: &ReadSecrets,
    resolver: &str,
) -> Result<(), DriverError> {
    let doing = || "cannot give the machine its personality".to_owned();
    replace("/etc/resolv.conf", resolver, 0o644).doing(doing)?;
    let noted = fs::read_to_string(NOTE).unwrap_or_default();
    let address = plan.address.to_string();
    if noted == address {
        return Ok(());
    }
    name(plan).doing(doing)?;
    if noted.is_empty() {
        become_another(plan, secrets).doing(doing)?;
    }
    replace(NOTE, &address, 0o600).doing(doing)
}

fn name(plan: &BootPlan) -> io::Result<()> {
    let name = host_name(&plan.name);
    replace("/etc/hostname", format!("{name}\n"), 0o644)?;
    let hosts = format!(
        "127.0.0.1\tlocalhost\n{}\t{name}\n::1\tlocalhost ip6-localhost ip6-loopback\n",
        plan.address
    );
    replace("/etc/hosts", &hosts, 0o644)
}

fn become_another(plan: &BootPlan, secrets: &ReadSecrets) -> io::Result<()> {
    for path in OF_THE_HOST {
        remove(Path::new(path))?;
    }
    for entry in fs::read_dir("/etc/ssh").into_iter().flatten() {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            remove(&entry.path())?;
        }
    }
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?.replace('-', "");
    replace("/etc/machine-id", &id, 0o444)?;
    replace("/etc/ssh/sshd_config", SSHD_CONFIG, 0o644)?;
    replace("/etc/ssh/ssh_host_ed25519_key", &secrets.host_key, 0o600)?;
    replace(
        "/root/.ssh/authorized_keys",
        format!("{}\n", secrets.client),
        0o600,
    )?;
    fs::set_permissions("/root/.ssh", fs::Permissions::from_mode(0o700))?;
    if plan.init.is_some() {
        adapt::to_this_machine()?;
    } else {
        for (command, script) in POWER_COMMANDS {
            // A link to a service manager's program, mostly.
            replace(&format!("/usr/sbin/{command}"), script, 0o755)?;
        }
    }
    copy_skeleton()?;
    unlock_root()
}

/// Gives root the files that every new user gets.
fn copy_skeleton() -> io::Result<()> {
    for entry in fs::read_dir("/etc/skel").into_iter().flatten() {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), Path::new("/root").join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Lets root log in by key: sshd refuses an account that is locked, as opposed to one that has no
/// password.
fn unlock_root() -> io::Result<()> {
    let Ok(text) = fs::read_to_string("/etc/shadow") else {
        return Ok(());
    };
    let unlocked = with_root_unlocked(&text);
    if unlocked == text {
        return Ok(());
    }
    // Written in place, so that owner and permissions stay.
    fs::write("/etc/shadow", unlocked)
}

fn with_root_unlocked(shadow: &str) -> String {
    shadow.lines().fold(String::new(), |all, line| {
        let line = match line.strip_prefix("root:!") {
            Some(rest) => {
                let fields = rest
                    .split_once(':')
                    .map_or("", |(_password, fields)| fields);
                format!("root:*:{fields}")
            }
            None => line.to_owned(),
        };
        all + &line + "\n"
    })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => unless_gone(Err(error)),
    }
}

/// Writes a file in the place of whatever is there, a link for example.
fn replace(path: &str, text: impl AsRef<[u8]>, mode: u32) -> io::Result<()> {
    let path = Path::new(path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    unless_gone(fs::remove_file(path))?;
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    io::Write::write_all(&mut &file, text.as_ref())?;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_on_loopback_are_left_out() {
        let text = "search example.org\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n";
        assert_eq!(
            without_loopback(text),
            "search example.org\nnameserver 192.0.2.1\n"
        );
        assert_eq!(without_loopback("nameserver ::1\n"), "");
    }

    #[test]
    fn only_root_is_unlocked() {
        let shadow = "root:!:19000:0:99999:7:::\ndaemon:!:19000:0:99999:7:::\n";
        assert_eq!(
            with_root_unlocked(shadow),
            "root:*:19000:0:99999:7:::\ndaemon:!:19000:0:99999:7:::\n"
        );
        let open = "root:$y$hash:19000::::::\n";
        assert_eq!(with_root_unlocked(open), open);
    }

    #[test]
    fn a_host_name_has_only_what_host_names_have() {
        assert_eq!(host_name("web_1.x"), "web-1.x");
        assert_eq!(host_name(&"a".repeat(100)).len(), 63);
    }
}
