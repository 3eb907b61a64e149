//! Telling a distribution's own init what a machine has not: disks, screens, a network to set up.
//!
//! Done once, when the machine is made; afterwards it belongs to whoever uses it.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::disk::unless_gone;

/// Units that would reach for what is the host's, wait for what never comes, or change the address
/// that the machine has been given.
const NOT_FOR_SYSTEMD: [&str; 17] = [
    "console-getty.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-networkd-wait-online.service",
    "NetworkManager.service",
    "NetworkManager-wait-online.service",
    "networking.service",
    "ifup@.service",
    "dhcpcd.service",
    "cloud-init.service",
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "systemd-pstore.service",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    // The service itself is started, which tells when it listens; a socket would tell nothing.
    "ssh.socket",
    "sshd.socket",
];

/// The same for OpenRC, whose own scripts mostly need only be told that they are in a container.
const NOT_FOR_OPENRC: [&str; 7] = [
    "cgroups",
    "cloud-init",
    "dhcpcd",
    "net.eth0",
    "network",
    "networking",
    "wpa_supplicant",
];
const OPENRC_SETTINGS: &str = "/etc/rc.conf";
/// Said in the words that OpenRC knows: scripts for disks, clocks and devices leave themselves out.
const IN_A_CONTAINER: &str = "\n# A sandbox machine is a container of this kind.\nrc_sys=\"lxc\"\n";

/// The same for scripts that know of no container, with which sysvinit boots and OpenRC may.
///
/// Those that unmount at the end must not run at all: the machine's own directories lie on a disk
/// of the host, and what fails to unmount a disk makes it read-only. They also switch swapping off.
const NOT_FOR_SYSVINIT: [&str; 22] = [
    "brightness",
    "checkfs.sh",
    "checkroot-bootclean.sh",
    "checkroot.sh",
    "hwclock.sh",
    "hwclockfirst.sh",
    "keyboard-setup.sh",
    "kmod",
    "mountall-bootclean.sh",
    "mountall.sh",
    "mountdevsubfs.sh",
    "mountkernfs.sh",
    "mountnfs-bootclean.sh",
    "mountnfs.sh",
    "mount-configfs",
    "networking",
    "procps",
    "udev",
    "umountfs",
    "umountnfs.sh",
    "umountroot",
    "urandom",
];
const SCRIPTS: &str = "/etc/init.d";
/// Ends the part of a script that says what it depends on, and what on it.
const END_OF_HEADER: &str = "### END INIT INFO\n";

/// Where systemd looks for units that come with packages.
const UNITS: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];
const OWN_UNITS: &str = "/etc/systemd/system";
const RUNLEVELS: &str = "/etc/runlevels";

/// Adapts all inits that the root filesystem has.
pub(super) fn to_this_machine() -> io::Result<()> {
    // What is mounted is mounted; the disks in there are another machine's.
    fs::write(
        "/etc/fstab",
        "# A sandbox machine has nothing to mount at boot.\n",
    )?;
    if let Some(units) = UNITS.iter().map(Path::new).find(|units| units.is_dir()) {
        systemd(units)?;
    }
    if Path::new(RUNLEVELS).is_dir() {
        openrc()?;
    }
    for name in NOT_FOR_SYSVINIT {
        disarm(&Path::new(SCRIPTS).join(name))?;
    }
    match fs::read_to_string("/etc/inittab") {
        Ok(text) => fs::write("/etc/inittab", without_terminals(&text)),
        Err(error) => unless_gone(Err(error)),
    }
}

fn systemd(units: &Path) -> io::Result<()> {
    for unit in NOT_FOR_SYSTEMD {
        link("/dev/null", &Path::new(OWN_UNITS).join(unit))?;
    }
    for name in ["ssh.service", "sshd.service"] {
        let unit = units.join(name);
        if fs::symlink_metadata(&unit).is_ok_and(|data| data.is_file()) {
            let wanted = Path::new(OWN_UNITS).join("multi-user.target.wants");
            fs::create_dir_all(&wanted)?;
            return link(&unit, &wanted.join(name));
        }
    }
    Ok(())
}

fn openrc() -> io::Result<()> {
    let settings = match fs::read_to_string(OPENRC_SETTINGS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        result => result?,
    };
    // The last word counts.
    fs::write(OPENRC_SETTINGS, settings + IN_A_CONTAINER)?;
    for runlevel in fs::read_dir(RUNLEVELS)? {
        let runlevel = runlevel?.path();
        for service in NOT_FOR_OPENRC {
            unless_gone_or_no_directory(fs::remove_file(runlevel.join(service)))?;
        }
    }
    for name in ["ssh", "sshd"] {
        let script = Path::new(SCRIPTS).join(name);
        if script.is_file() {
            return link(&script, &Path::new(RUNLEVELS).join("default").join(name));
        }
    }
    Ok(())
}

fn unless_gone_or_no_directory(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(()),
        result => unless_gone(result),
    }
}

/// Leaves of a script only what others refer to.
fn disarm(script: &Path) -> io::Result<()> {
    match fs::read_to_string(script) {
        // Written in place, so that it can be run as before.
        Ok(text) => without_deeds(&text).map_or(Ok(()), |text| fs::write(script, text)),
        Err(error) => unless_gone(Err(error)),
    }
}

/// Returns the head of a script that starts services the old way, with nothing to do.
fn without_deeds(script: &str) -> Option<String> {
    let (head, _deeds) = script.split_once(END_OF_HEADER)?;
    Some(format!(
        "{head}{END_OF_HEADER}# Nothing to do in a sandbox machine.\nexit 0\n"
    ))
}

/// Makes a symbolic link in the place of whatever is there.
fn link(target: impl AsRef<Path>, place: &Path) -> io::Result<()> {
    unless_gone(fs::remove_file(place))?;
    symlink(target, place)
}

/// Takes the lines out of an inittab that ask for a login on each of the screens.
fn without_terminals(inittab: &str) -> String {
    inittab.lines().fold(String::new(), |all, line| {
        let login = !line.starts_with('#') && line.contains("getty");
        let mark = if login { "# no such screen: " } else { "" };
        all + mark + line + "\n"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_keeps_its_place_among_the_others() {
        let script =
            "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: umountfs\n### END INIT INFO\nswapoff -a\n";
        assert_eq!(
            without_deeds(script).unwrap(),
            "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: umountfs\n### END INIT INFO\n\
             # Nothing to do in a sandbox machine.\nexit 0\n"
        );
        assert_eq!(without_deeds("#!/sbin/openrc-run\nstart() { :; }\n"), None);
    }

    #[test]
    fn only_logins_are_taken_out_of_an_inittab() {
        let inittab = "id:2:initdefault:\n# a getty\n1:2345:respawn:/sbin/getty 38400 tty1\n";
        assert_eq!(
            without_terminals(inittab),
            "id:2:initdefault:\n# a getty\n# no such screen: 1:2345:respawn:/sbin/getty 38400 tty1\n"
        );
    }
}
