//! What this host must have before a machine is made of it.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use berth_provisioners_api::DriverError;
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};
use nix::unistd::Uid;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::cgroups::ControlGroups;
use crate::failure::Doing as _;
use crate::host::HostMachine;
use crate::subnet::Subnet;

/// Checks everything, and changes nothing.
pub(crate) fn before_create(machine: &HostMachine) -> Result<(), DriverError> {
    if !Uid::effective().is_root() {
        return Err(
            DriverError::refused("sandbox machines can only be made by root")
                .with_hint("run the command with sudo"),
        );
    }
    ControlGroups::of(&machine.config.id)?;
    programs(machine)?;
    overlay(&machine.directory)?;
    let routes = fs::read_to_string("/proc/net/route")
        .doing(|| "cannot read the routes of this host".to_owned())?;
    free_network(&routes, machine.config.subnet)
}

fn programs(machine: &HostMachine) -> Result<(), DriverError> {
    let root = machine
        .config
        .rootfs
        .as_deref()
        .unwrap_or_else(|| Path::new("/"));
    if !root.is_dir() {
        return Err(
            DriverError::refused(format!("there is no directory {}", root.display()))
                .with_hint("give --sandbox-rootfs the directory of a root filesystem"),
        );
    }
    let sshd = root.join("usr/sbin/sshd");
    if fs::symlink_metadata(&sshd).is_err() {
        return Err(missing(&sshd.display().to_string(), "openssh-server"));
    }
    if let Some(init) = &machine.config.init {
        program_inside(root, init)?;
    }
    match found("nft") {
        Some(_) => Ok(()),
        None => Err(missing("nft", "nftables")),
    }
}

/// Checks that the root filesystem has a program, by its path as it is inside.
fn program_inside(root: &Path, program: &Path) -> Result<(), DriverError> {
    let doing = || format!("cannot find {} in {}", program.display(), root.display());
    let directory = File::open(root).doing(doing)?;
    let file = openat2(
        &directory,
        program,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT,
    )
    .doing(doing)?;
    let data = File::from(file).metadata().doing(doing)?;
    if data.is_file() && data.mode() & 0o111 != 0 {
        Ok(())
    } else {
        Err(DriverError::refused(format!(
            "{} is not a program in {}",
            program.display(),
            root.display()
        ))
        .with_hint("give --sandbox-init the path of an init as it is inside the root filesystem"))
    }
}

fn missing(program: &str, package: &str) -> DriverError {
    DriverError::refused(format!("program {program} is missing"))
        .with_hint(format!("install it: apt-get install {package}"))
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Checks that the kernel has overlays and that the disk can be part of one.
fn overlay(directory: &Path) -> Result<(), DriverError> {
    // Nothing of the machine need exist yet; what is made later lies on the same filesystem.
    let existing = directory
        .ancestors()
        .find(|folder| folder.exists())
        .unwrap_or(directory);
    let filesystem = statfs(existing).doing(|| format!("cannot examine {}", existing.display()))?;
    if filesystem.filesystem_type() == OVERLAYFS_SUPER_MAGIC {
        return Err(DriverError::refused(format!(
            "store {} lies on an overlay, which cannot hold another one",
            directory.display()
        ))
        .with_hint("choose a store on another filesystem with --storage-path"));
    }
    let module = fs::read_to_string("/proc/sys/kernel/osrelease")
        .map(|release| Path::new("/lib/modules").join(release.trim()));
    let known = fs::read_to_string("/proc/filesystems").is_ok_and(|text| {
        text.lines()
            .any(|line| line.trim_start() == "nodev\toverlay")
    });
    // A module is loaded by the first mount.
    if known || module.is_ok_and(|module| module.is_dir()) {
        Ok(())
    } else {
        Err(DriverError::refused(
            "the kernel of this host has no overlay filesystem",
        ))
    }
}

/// Checks that no other interface leads to the network; `routes` is the text of `/proc/net/route`.
fn free_network(routes: &str, subnet: Subnet) -> Result<(), DriverError> {
    let bridge = subnet.bridge();
    let clash = routes
        .lines()
        .skip(1)
        .filter_map(route)
        .find(|(interface, network)| *interface != bridge && network.overlaps(subnet));
    match clash {
        None => Ok(()),
        Some((interface, network)) => Err(DriverError::refused(format!(
            "network {subnet} overlaps {network} on interface {interface}"
        ))
        .with_hint("choose another one with --sandbox-subnet")),
    }
}

/// Returns interface and network of one line, unless it is the default route.
fn route(line: &str) -> Option<(&str, Subnet)> {
    let mut fields = line.split_whitespace();
    let interface = fields.next()?;
    // Hexadecimal, in the byte order of the machine.
    let address = |text: &str| Some(u32::from_str_radix(text, 16).ok()?.swap_bytes());
    let network = address(fields.next()?)?;
    let mask = address(fields.nth(5)?)?;
    let prefix = u8::try_from(mask.leading_ones()).ok()?;
    (prefix > 0).then(|| {
        (
            interface,
            Subnet::containing(Ipv4Addr::from(network), prefix),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "\
Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000620A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
bsb0a630000\t0000630A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
";

    #[test]
    fn links_of_a_root_filesystem_lead_to_programs_inside_it() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("lib/own-init")).unwrap();
        symlink("/lib/own-init/init", root.join("init")).unwrap();
        symlink("/bin/sh", root.join("sh")).unwrap();
        let program = root.join("lib/own-init/init");
        fs::write(&program, "").unwrap();
        let init = Path::new("/init");
        assert!(program_inside(root, init).is_err());
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        program_inside(root, init).unwrap();
        // There is one on this host.
        assert!(program_inside(root, Path::new("/sh")).is_err());
    }

    #[test]
    fn a_network_that_leads_elsewhere_is_refused() {
        let error = free_network(ROUTES, "10.98.4.0/24".parse().unwrap()).unwrap_err();
        assert!(
            error.to_string().contains("10.98.0.0/16 on interface eth0"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("--sandbox-subnet"));
    }

    #[test]
    fn the_default_route_and_our_own_bridge_are_no_obstacle() {
        free_network(ROUTES, "10.97.0.0/16".parse().unwrap()).unwrap();
        free_network(ROUTES, "10.99.0.0/16".parse().unwrap()).unwrap();
    }
}
