//! What a sandbox machine has left on this host, found by the tag that everything of it carries:
//! its folder in the store.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns what there is of the machine in `folder`: one line for each kind of thing.
///
/// A running machine has at least a folder, processes, mounts, an interface, control groups and an
/// entry in the register.
#[must_use]
pub fn traces(folder: &Path) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    if folder.exists() {
        found.insert("folder");
    }
    look_at_processes(folder, &mut found);
    for interface in children("/sys/class/net") {
        let alias = fs::read_to_string(interface.join("ifalias")).unwrap_or_default();
        if Path::new(alias.trim_end_matches('\n')) == folder {
            found.insert("interface");
        }
    }
    let hierarchies = children("/sys/fs/cgroup").into_iter();
    for hierarchy in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
        for group in children(hierarchy.join("berth-sandbox")) {
            let mut tag = vec![0; 4097];
            let length = rustix::fs::getxattr(&group, "trusted.berth-sandbox", &mut tag);
            if length.is_ok_and(|length| &tag[..length] == folder.as_os_str().as_encoded_bytes()) {
                found.insert("control groups");
            }
        }
    }
    for entry in children("/var/lib/berth-sandbox") {
        if fs::read_to_string(entry).is_ok_and(|text| mentions(&text, folder)) {
            found.insert("register");
        }
    }
    found
}

fn look_at_processes(folder: &Path, found: &mut BTreeSet<&'static str>) {
    for process in children("/proc") {
        // Processes end while we look.
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        if line.starts_with("berth-sandbox") && mentions(&line, folder) {
            found.insert("processes");
        }
        let mounts = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
        if mentions(&mounts, folder) {
            found.insert("mounts");
        }
    }
}

/// Says whether a text has this path, and not only one that begins like it.
fn mentions(text: &str, folder: &Path) -> bool {
    let folder = folder.to_string_lossy();
    text.match_indices(folder.as_ref()).any(|(at, _)| {
        let next = text[at + folder.len()..].chars().next();
        next.is_none_or(|next| !next.is_alphanumeric() && !matches!(next, '-' | '_' | '.'))
    })
}

fn children(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
