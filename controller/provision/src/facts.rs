//! What a host is, read from what the probe printed.

use std::collections::BTreeMap;

use crate::os_release::OsRelease;
use crate::place::{DATA_ROOT, Place, Shortage};

/// What supervises services on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// systemd runs.
    Systemd,
    /// OpenRC runs.
    OpenRc,
    /// Nothing that we know; the agent supervises itself.
    Own,
}

/// How to become root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// The user is root.
    Root,
    /// `sudo` works without a password.
    Sudo,
    /// `sudo` works with a password, which the operator has given.
    SudoWithPassword,
    /// `doas` works without a password.
    Doas,
    /// `sudo` is there but wants a password.
    SudoPassword {
        /// What it said.
        said: String,
    },
    /// `sudo` is there but wants a terminal.
    SudoTerminal {
        /// What it said.
        said: String,
    },
    /// There is no `sudo`.
    None,
}

/// Whether SELinux decides what may be executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selinux {
    /// It forbids.
    Enforcing,
    /// It only complains.
    Permissive,
    /// There is none.
    #[default]
    Off,
}

/// An agent that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The folder that it is in.
    pub folder: String,
    /// SHA-256 of the executable, hex.
    pub sha256: String,
}

/// What a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// The distribution.
    pub os: OsRelease,
    /// What supervises services.
    pub init: Init,
    /// `uname -m`.
    pub architecture: String,
    /// `uname -r`.
    pub kernel: String,
    /// `uname -s`.
    pub system: String,
    /// The user that logged in.
    pub user: String,
    /// How to become root.
    pub privilege: Privilege,
    /// Whether it can unpack gzip.
    pub has_gzip: bool,
    /// Its clock, in seconds since 1970.
    pub clock: u64,
    /// The agents that are there.
    pub agents: Vec<Installed>,
    /// Agents that were uploaded, but not yet put in place.
    pub waiting: Vec<Installed>,
    /// Whether a change to the agent was cut off before it had been found good.
    pub unsettled: bool,
    /// Whether SELinux decides what may be executed.
    pub selinux: Selinux,
    /// `1`, `2`, `hybrid`, or empty when there are no control groups.
    pub cgroups: String,
    /// Folders that the agent may be put in or needs.
    pub places: Vec<Place>,
}

// === impl HostFacts ===

impl HostFacts {
    /// Reads what the probe printed; `None` when it did not run to its end.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = Lines::read(text);
        if lines.take("end") != "1" {
            return None;
        }
        let privilege = match lines.take("root").as_str() {
            "user" => Privilege::Root,
            "sudo" => Privilege::Sudo,
            "doas" => Privilege::Doas,
            "password" => refusal(lines.take("sudo")),
            _ => Privilege::None,
        };
        let init = match lines.take("init").as_str() {
            "systemd" => Init::Systemd,
            "openrc" => Init::OpenRc,
            _ => Init::Own,
        };
        let mut facts = Self {
            os: OsRelease::parse(&lines.os),
            init,
            architecture: lines.take("machine"),
            kernel: lines.take("kernel"),
            system: lines.take("system"),
            user: lines.take("name"),
            privilege,
            has_gzip: lines.take("gzip") == "1",
            clock: lines.take("clock").parse().unwrap_or(0),
            agents: Vec::new(),
            waiting: Vec::new(),
            unsettled: false,
            selinux: Selinux::Off,
            cgroups: String::new(),
            places: Vec::new(),
        };
        facts.read_roots_part(lines);
        Some(facts)
    }

    /// Adds what only root could find out, from a second run; returns whether it ran to its end.
    pub(crate) fn add_roots_part(&mut self, text: &str) -> bool {
        let mut lines = Lines::read(text);
        let complete = lines.take("root-end") == "1";
        if complete {
            self.read_roots_part(lines);
        }
        complete
    }

    fn read_roots_part(&mut self, mut lines: Lines<'_>) {
        self.agents = std::mem::take(&mut lines.agents);
        self.waiting = std::mem::take(&mut lines.waiting);
        self.unsettled = lines.take("unsettled") == "1";
        self.selinux = match lines.take("selinux").to_lowercase().as_str() {
            "enforcing" | "1" => Selinux::Enforcing,
            "permissive" | "0" => Selinux::Permissive,
            _ => Selinux::Off,
        };
        self.cgroups = lines.take("cgroups");
        self.places = lines
            .places
            .iter()
            .filter_map(|line| Place::parse(line, &lines.mounts))
            .collect();
    }

    /// Returns what is known of a folder.
    #[must_use]
    pub fn place(&self, folder: &str) -> Option<&Place> {
        self.places.iter().find(|place| place.folder == folder)
    }

    /// Returns the folder for an agent with this digest and size: where one is already if that
    /// will do, else the first that will.
    pub(crate) fn folder_for(&self, sha256: &str, size: u64) -> Result<&str, Shortage> {
        let is_wanted = |agent: &&Installed| {
            agent.sha256 == sha256 && self.place(&agent.folder).is_some_and(Place::executes)
        };
        if let Some(agent) = self.agents.iter().find(is_wanted) {
            return Ok(&agent.folder);
        }
        let has_one = |place: &Place| self.agents.iter().any(|agent| agent.folder == place.folder);
        let candidates = || self.places.iter().filter(|place| place.is_for_programs());
        let chosen = candidates()
            .filter(|place| place.is_usable())
            .min_by_key(|place| !has_one(place))
            .ok_or_else(|| Shortage::nowhere(candidates()))?;
        chosen.require_room(size)?;
        if let Some(data) = self.place(DATA_ROOT) {
            data.require_writable()?;
            data.require_room(crate::place::LEAST_DATA)?;
        }
        if let Some(etc) = self.place("/etc/berth") {
            etc.require_writable()?;
        }
        Ok(&chosen.folder)
    }

    /// Returns by how many seconds the host's clock is ahead of `now`; nothing when it did not
    /// tell.
    #[must_use]
    pub fn clock_ahead(&self, now: u64) -> Option<i64> {
        (self.clock != 0).then(|| self.clock.cast_signed() - now.cast_signed())
    }
}

/// The probe's lines by their keys.
struct Lines<'a> {
    values: BTreeMap<&'a str, &'a str>,
    os: String,
    places: Vec<&'a str>,
    agents: Vec<Installed>,
    waiting: Vec<Installed>,
    mounts: BTreeMap<&'a str, &'a str>,
}

impl<'a> Lines<'a> {
    fn read(text: &'a str) -> Self {
        let mut lines = Self {
            values: BTreeMap::new(),
            os: String::new(),
            places: Vec::new(),
            agents: Vec::new(),
            waiting: Vec::new(),
            mounts: BTreeMap::new(),
        };
        // What a login script prints besides has no such prefix.
        for line in text.lines().filter_map(|line| line.strip_prefix("berth:")) {
            match line.split_once('=') {
                Some(("os", line)) => {
                    lines.os.push_str(line);
                    lines.os.push('\n');
                }
                Some(("place", line)) => lines.places.push(line),
                Some(("agent", line)) => lines.agents.extend(installed(line)),
                Some(("waiting", line)) => lines.waiting.extend(installed(line)),
                Some(("mount", line)) => {
                    lines.mounts.extend(line.split_once(' '));
                }
                Some((key, value)) => {
                    lines.values.insert(key, value);
                }
                None => {}
            }
        }
        lines
    }

    fn take(&mut self, key: &str) -> String {
        self.values.remove(key).unwrap_or_default().to_owned()
    }
}

fn installed(line: &str) -> Option<Installed> {
    let (folder, sha256) = line.rsplit_once(' ')?;
    (sha256.len() == 64).then(|| Installed {
        folder: folder.to_owned(),
        sha256: sha256.to_owned(),
    })
}

fn refusal(said: String) -> Privilege {
    if said.contains("a tty") || said.contains("no tty") {
        Privilege::SudoTerminal { said }
    } else {
        Privilege::SudoPassword { said }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chatter_of_login_scripts_is_not_taken_for_facts() {
        let text = "Welcome!\ninit=systemd\nberth:machine=x86_64\nberth:root=user\nberth:end=1\n";
        let facts = HostFacts::parse(text).unwrap();
        assert_eq!(facts.init, Init::Own);
        assert_eq!(facts.privilege, Privilege::Root);
        assert_eq!(facts.agents, []);
    }

    #[test]
    fn cut_off_probe_is_no_answer() {
        assert_eq!(
            HostFacts::parse("berth:machine=x86_64\nberth:root=user\n"),
            None
        );
    }

    #[test]
    fn sudo_says_what_it_lacks() {
        let parse = |said: &str| {
            let text = format!("berth:root=password\nberth:sudo={said}\nberth:end=1\n");
            HostFacts::parse(&text).unwrap().privilege
        };
        assert!(matches!(
            parse("sudo: sorry, you must have a tty to run sudo"),
            Privilege::SudoTerminal { .. }
        ));
        assert!(matches!(
            parse("sudo: a password is required"),
            Privilege::SudoPassword { .. }
        ));
    }
}
