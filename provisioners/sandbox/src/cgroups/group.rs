//! One control group: a directory that the kernel fills.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use rustix::process::Signal;

use crate::processes::Process;

/// Makes a group and those above it, although another machine may be removing the common one.
pub(super) fn make(group: &Path) -> io::Result<()> {
    let mut attempts = 0;
    loop {
        match fs::create_dir_all(group) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempts < 100 => {
                attempts += 1;
            }
            result => return result,
        }
    }
}

/// Returns the groups right below `group`.
pub(super) fn children(group: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(group) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Returns the processes in `group` and below it; none when there is no such group.
pub(super) fn members(group: &Path) -> io::Result<Vec<(i32, Process)>> {
    let mut found = Vec::new();
    let text = match fs::read_to_string(group.join("cgroup.procs")) {
        Ok(text) => text,
        Err(error) if is_gone(&error) => return Ok(found),
        // A group of threads has no list of processes; its parent lists them.
        Err(error) if error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => String::new(),
        Err(error) => return Err(error),
    };
    for number in text.lines().filter_map(|line| line.parse().ok()) {
        if let Some(process) = Process::open(number)? {
            found.push((number, process));
        }
    }
    // A number may have gone to a stranger between the list and the handle.
    if !found.is_empty() {
        let still = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        found.retain(|(number, _process)| still.lines().any(|line| line.parse() == Ok(*number)));
    }
    for child in children(group) {
        found.extend(members(&child)?);
    }
    Ok(found)
}

/// Kills all processes in `group` and below it, and waits for their end.
pub(super) fn kill(group: &Path) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let members = members(group)?;
        if members.is_empty() {
            return Ok(());
        }
        for (_number, process) in &members {
            process.signal(Signal::KILL)?;
        }
        for (number, process) in &members {
            let left = deadline.saturating_duration_since(Instant::now());
            if !process.wait(left)? {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("process {number} does not end"),
                ));
            }
        }
    }
}

/// Removes a group and all below it. Processes that are just ending may keep it busy for a moment,
/// as may a monitor that was told nothing, has come late, and is about to see that nobody is there.
pub(super) fn remove(group: &Path) -> io::Result<()> {
    for child in children(group) {
        remove(&child)?;
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match fs::remove_dir(group) {
            Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => {
                if Instant::now() > deadline {
                    return Err(error);
                }
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) if is_gone(&error) => return Ok(()),
            result => return result,
        }
    }
}

/// Tells whether a group was not there any more.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ENODEV as i32)
}
