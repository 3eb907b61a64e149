//! Everything that an agent has made on its machine and could forget there, counted: folders, network
//! namespaces, interfaces, rules, leases, mounts, control groups, processes.
//!
//! Two inventories are compared; what is in one and not in the other is told by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::control_groups::control_groups;

/// Where an agent lives.
#[derive(Clone, Debug)]
pub struct Ground {
    /// What survives a boot.
    pub data: PathBuf,
    /// What does not.
    pub run: PathBuf,
    /// A process in the agent's network and mount namespaces that starts nothing itself.
    pub holder: u32,
}

/// What there is, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory(BTreeMap<&'static str, BTreeSet<String>>);

/// Folders below the data root whose entries are things of their own.
const DATA: [(&str, &str); 8] = [
    ("container folder", "containers"),
    ("container filesystem", "snapshots/containers"),
    ("layer", "snapshots/layers"),
    ("build step", "steps"),
    ("volume", "volumes"),
    ("removed volume", "volumes/.removed"),
    ("build context", "build"),
    ("staged layer", "snapshots/staging"),
];

/// The same below the run directory.
const RUN: [(&str, &str); 3] = [
    ("run folder", "containers"),
    ("network namespace", "netns"),
    ("address lease", "leases"),
];

// === impl Ground ===

impl Ground {
    /// Returns where a path of the agent's mount namespace is for us.
    fn look_into(&self, path: &Path) -> PathBuf {
        let path = path.strip_prefix("/").unwrap_or(path);
        PathBuf::from(format!("/proc/{}/root", self.holder)).join(path)
    }
}

// === impl Inventory ===

impl Inventory {
    /// Looks at everything. `seen` are names that containers and build steps had: what is called like
    /// one of them in the control groups belongs to this agent.
    #[must_use]
    pub fn take(ground: &Ground, seen: &BTreeSet<String>) -> Self {
        let mut inventory = Self::default();
        let (data, run) = (
            ground.look_into(&ground.data),
            ground.look_into(&ground.run),
        );
        for (kind, folder) in DATA {
            inventory.add(kind, names(&data.join(folder)));
        }
        for (kind, folder) in RUN {
            inventory.add(kind, names(&run.join(folder)));
        }
        inventory.add("blob", blobs(&data.join("content")));
        inventory.add("interface", said(ground, &["ip", "-o", "link"], interface));
        inventory.add("rule", said(ground, &["nft", "list", "ruleset"], rule));
        inventory.add("mount", mounts(ground));
        inventory.add("control group", control_groups(seen));
        inventory.add("process", processes(ground));
        inventory
    }

    /// Takes inventories until one is like this, which may take a moment as cleaning up does.
    ///
    /// # Panics
    ///
    /// When none is within `patience`; says what is different.
    #[track_caller]
    pub fn assert_returns(&self, what: &str, patience: Duration, take: impl Fn() -> Self) {
        let deadline = Instant::now() + patience;
        loop {
            let now = take();
            if self.is_left_by(&now) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: not as before:\n{}",
                self.difference(&now)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether a later inventory is like this one. Rules of the firewall may be fewer: they go when no
    /// container has needed them for a while.
    fn is_left_by(&self, later: &Self) -> bool {
        let rules = |inventory: &Self| inventory.0.get("rule").cloned().unwrap_or_default();
        self.without("rule") == later.without("rule") && rules(later).is_subset(&rules(self))
    }

    /// Adds things that somebody else has counted.
    pub fn add(&mut self, kind: &'static str, things: impl IntoIterator<Item = String>) {
        self.0.entry(kind).or_default().extend(things);
    }

    /// Returns all but the things of one kind.
    #[must_use]
    pub fn without(&self, kind: &str) -> Self {
        let mut kinds = self.0.clone();
        kinds.remove(kind);
        Self(kinds)
    }

    /// Returns whether there is a thing of a kind that is like this.
    #[must_use]
    pub fn any(&self, kind: &str, is_like: impl Fn(&str) -> bool) -> bool {
        let mut things = self.0.get(kind).into_iter().flatten();
        things.any(|thing| is_like(thing))
    }

    /// Returns how many things of a kind there are.
    #[must_use]
    pub fn count(&self, kind: &str) -> usize {
        self.0.get(kind).map_or(0, BTreeSet::len)
    }

    /// Returns what `later` has more (`+`) and less (`-`), a line each.
    #[must_use]
    pub fn difference(&self, later: &Self) -> String {
        let mut text = String::new();
        let kinds: BTreeSet<_> = self.0.keys().chain(later.0.keys()).collect();
        let none = BTreeSet::new();
        for kind in kinds {
            let (before, after) = (
                self.0.get(kind).unwrap_or(&none),
                later.0.get(kind).unwrap_or(&none),
            );
            let gone = before.difference(after).map(|thing| ('-', thing));
            for (sign, thing) in gone.chain(after.difference(before).map(|thing| ('+', thing))) {
                let _ = writeln!(text, "{sign} {kind} {thing}");
            }
        }
        text
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        // Folders for what is on its way, which have kinds of their own.
        .filter(|name| !name.starts_with('.'))
        .collect()
}

/// Files of any depth, by their path.
fn blobs(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(entry.path());
            } else {
                let path = entry.path();
                let path = path.strip_prefix(folder).unwrap_or(&path).to_owned();
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found
}

/// Returns the lines of a command that runs on the machine.
fn said(ground: &Ground, words: &[&str], line: fn(&str) -> Option<String>) -> Vec<String> {
    let output = Command::new("nsenter")
        .args(["--net", "--mount", "--target", &ground.holder.to_string()])
        .arg("--")
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {words:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(line).collect()
}

/// Returns the name of an interface in a line such as `7: eth0@if6: <BROADCAST…`.
fn interface(line: &str) -> Option<String> {
    let name = line.split(": ").nth(1)?;
    Some(name.split('@').next().unwrap_or(name).to_owned())
}

fn rule(line: &str) -> Option<String> {
    let line = line.trim();
    (!line.is_empty() && line != "}").then(|| line.to_owned())
}

fn mounts(ground: &Ground) -> Vec<String> {
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", ground.holder));
    let table = table.unwrap_or_default();
    let places = table.lines().filter_map(|line| line.split(' ').nth(4));
    let (data, run) = (ground.data.to_string_lossy(), ground.run.to_string_lossy());
    places
        .filter(|place| place.starts_with(data.as_ref()) || place.starts_with(run.as_ref()))
        .map(str::to_owned)
        .collect()
}

/// Processes of containers, which have the data root in their mounts, and of the agent, which are in
/// its mount namespace. The agent itself is called so and not by its number, which changes.
fn processes(ground: &Ground) -> Vec<String> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let own = namespace(&ground.holder.to_string());
    let data = format!("{}/", ground.data.to_string_lossy());
    let holder = ground.holder.to_string();
    let mut found = Vec::new();
    for pid in names(Path::new("/proc")) {
        if !pid.bytes().all(|byte| byte.is_ascii_digit()) || pid == holder {
            continue;
        }
        // Processes end while we look.
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        // What containers that stay wait with, another one each time.
        if line.starts_with("sleep 0.0") {
            continue;
        }
        if own.is_some() && namespace(&pid) == own {
            found.push(if line.contains(" serve ") {
                "agent".to_owned()
            } else {
                format!("{pid} {line}")
            });
            continue;
        }
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        if mounts.contains(&data) {
            found.push(format!("{pid} {line}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_what_came_and_what_went() {
        let mut before = Inventory::default();
        before.add("lease", ["a".to_owned(), "b".to_owned()]);
        let mut after = Inventory::default();
        after.add("lease", ["b".to_owned()]);
        after.add("mount", ["/x".to_owned()]);
        assert_eq!(before.difference(&after), "- lease a\n+ mount /x\n");
        assert_eq!(before.count("lease"), 2);
        assert_eq!(before.difference(&before), "");
    }

    #[test]
    fn lines_of_ip_and_nft_become_names() {
        let line = "7: veth0@if6: <BROADCAST> mtu 1500 qdisc noqueue";
        assert_eq!(interface(line).as_deref(), Some("veth0"));
        assert_eq!(rule("\t}"), None);
        assert_eq!(
            rule("\ttcp dport 80 accept").as_deref(),
            Some("tcp dport 80 accept")
        );
    }
}
