//! The host's side of the machines' network: a bridge, translation of addresses for traffic to the
//! outside, and forwarding.

use std::fs;
use std::io::{self, Write as _};
use std::process::{Child, Command, Stdio};

use berth_provisioners_api::DriverError;
use serde::{Deserialize, Serialize};

use crate::failure::Doing as _;
use crate::netlink::{self, Cable, Netlink};
use crate::plan::BootPlan;
use crate::register::Register;
use crate::subnet::{Subnet, hardware_address};
use crate::tags;

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
const FORWARDING_NOTE: &str = "forwarding";
/// The name of the machine's end of its cable, as on many hosts.
pub(crate) const MACHINE_INTERFACE: &str = "eth0";

/// How the host forwarded packets before the first machine came.
#[derive(Debug, Serialize, Deserialize)]
struct ForwardingNote {
    /// The boot of the host that the note is about; a later one starts anew.
    boot: String,
    previous: String,
}

/// Makes what is missing of the network, while the register is held.
pub(crate) fn ensure(register: &Register, subnet: Subnet) -> Result<(), DriverError> {
    ensure_bridge(subnet).doing(|| format!("cannot make bridge {}", subnet.bridge()))?;
    ensure_forwarding(register).doing(|| "cannot switch on forwarding of packets".to_owned())
}

/// Removes the network when no machine is left on it, while the register is held.
pub(crate) fn remove_unused(register: &Register, subnet: Subnet) -> Result<(), DriverError> {
    let entries = register.entries()?;
    if entries.iter().all(|entry| entry.subnet != subnet) {
        let bridge = subnet.bridge();
        Netlink::open()
            .and_then(|mut netlink| netlink.remove(&bridge))
            .doing(|| format!("cannot remove bridge {bridge}"))?;
        remove_translation(subnet)?;
    }
    if entries.is_empty() {
        restore_forwarding(register).doing(|| "cannot restore forwarding of packets".to_owned())?;
    }
    Ok(())
}

/// Connects a booting machine, one of whose processes is `process`.
pub(crate) fn connect(plan: &BootPlan, process: u32) -> io::Result<()> {
    let host_end = plan.id.cable();
    let bridge = netlink::interface(&plan.subnet.bridge())?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the bridge is gone"))?;
    let mut netlink = Netlink::open()?;
    // The kernel takes its time to clear away the network of an earlier boot.
    netlink.remove(&host_end)?;
    netlink.add_cable(&Cable {
        host_end: &host_end,
        bridge,
        machine_end: MACHINE_INTERFACE,
        hardware_address: hardware_address(plan.address),
        process,
    })?;
    let index = netlink::interface(&host_end)?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the cable is gone"))?;
    netlink.switch_on(index, tags::note(&plan.directory))
}

/// Removes the host's end of a machine's cable, if there is one.
pub(crate) fn disconnect(cable: &str) -> Result<(), DriverError> {
    Netlink::open()
        .and_then(|mut netlink| netlink.remove(cable))
        .doing(|| format!("cannot remove interface {cable}"))
}

fn ensure_bridge(subnet: Subnet) -> io::Result<()> {
    let name = subnet.bridge();
    let mut netlink = Netlink::open()?;
    netlink.add_bridge(&name, hardware_address(subnet.gateway()))?;
    let index = netlink::interface(&name)?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the bridge is gone"))?;
    netlink.add_address(index, subnet.gateway(), subnet.prefix())?;
    netlink.switch_on(index, None)
}

fn boot_of_host() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

fn ensure_forwarding(register: &Register) -> io::Result<()> {
    let path = register.note(FORWARDING_NOTE);
    let boot = boot_of_host()?;
    let noted = fs::read(&path)
        .ok()
        .and_then(|text| serde_json::from_slice::<ForwardingNote>(&text).ok())
        .is_some_and(|note| note.boot == boot);
    if !noted {
        let previous = fs::read_to_string(FORWARDING)?.trim().to_owned();
        let note = serde_json::to_vec(&ForwardingNote { boot, previous })?;
        fs::write(&path, note)?;
    }
    if fs::read_to_string(FORWARDING)?.trim() != "1" {
        fs::write(FORWARDING, "1")?;
    }
    Ok(())
}

fn restore_forwarding(register: &Register) -> io::Result<()> {
    let path = register.note(FORWARDING_NOTE);
    let note = match fs::read(&path) {
        Ok(text) => serde_json::from_slice::<ForwardingNote>(&text).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if let Some(note) = note
        && note.boot == boot_of_host()?
        && note.previous != "1"
    {
        fs::write(FORWARDING, note.previous)?;
    }
    fs::remove_file(path)
}

/// Starts to make the translation of addresses anew, in one step; [`Translation::finish`] waits.
pub(crate) fn begin_translation(subnet: Subnet) -> Translation {
    let table = subnet.table();
    let bridge = subnet.bridge();
    let rules = format!(
        "add table ip {table}\n\
         delete table ip {table}\n\
         table ip {table} {{\n\
           chain outward {{\n\
             type nat hook postrouting priority 100\n\
             ip saddr {subnet} oifname != \"{bridge}\" masquerade\n\
           }}\n\
           chain through {{\n\
             type filter hook forward priority 0\n\
             iifname \"{bridge}\" accept\n\
             oifname \"{bridge}\" accept\n\
           }}\n\
         }}\n"
    );
    Translation {
        child: feed_nft(&rules),
    }
}

/// Rules on their way into the packet filter.
#[derive(Debug)]
pub(crate) struct Translation {
    child: io::Result<Child>,
}

impl Translation {
    /// Waits until the rules are in force.
    pub(crate) fn finish(self) -> Result<(), DriverError> {
        self.child
            .and_then(finish_nft)
            .doing(|| "cannot set up translation of addresses".to_owned())
    }
}

fn remove_translation(subnet: Subnet) -> Result<(), DriverError> {
    let table = subnet.table();
    // Adding first makes it no error that there is none.
    let rules = format!("add table ip {table}\ndelete table ip {table}\n");
    match feed_nft(&rules) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        child => child
            .and_then(finish_nft)
            .doing(|| format!("cannot remove table {table} of the packet filter")),
    }
}

fn feed_nft(rules: &str) -> io::Result<Child> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(rules.as_bytes())?;
    }
    Ok(child)
}

fn finish_nft(child: Child) -> io::Result<()> {
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("nft: {}", said.trim())))
}
