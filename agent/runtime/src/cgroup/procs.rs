//! Ending the processes of groups and removing their directories.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use berth_agent_sys::process::send_signal;

/// How often the members are read and killed again; a fork bomb makes new ones meanwhile.
const ROUNDS: u32 = 200;

/// Ends every process of these groups and of those below them.
///
/// `thaw` lets frozen processes run, which version 1 needs for them to take notice of the signal.
pub(super) fn kill_all(directories: &[PathBuf], thaw: impl Fn()) {
    for round in 0..ROUNDS {
        let mut members = Vec::new();
        for directory in directories {
            // One write does it all where the kernel can.
            if fs::write(directory.join("cgroup.kill"), "1").is_err() {
                collect(directory, &mut members);
            }
        }
        members.sort_unstable();
        members.dedup();
        if members.is_empty() {
            return thaw();
        }
        for pid in members {
            // It may have ended by now, which is what is wanted.
            drop(send_signal(pid, libc::SIGKILL));
        }
        thaw();
        sleep(Duration::from_millis(u64::from(round.min(10))));
    }
}

/// Returns every process of these groups and of those below them.
pub(super) fn members(directories: &[PathBuf]) -> Vec<i32> {
    let mut members = Vec::new();
    for directory in directories {
        collect(directory, &mut members);
    }
    members.sort_unstable();
    members.dedup();
    members
}

fn collect(directory: &Path, members: &mut Vec<i32>) {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    // A process outside of this process id namespace reads as 0, which would mean our own group to kill(2).
    members.extend(
        text.lines()
            .filter_map(|line| line.parse::<i32>().ok())
            .filter(|pid| *pid > 0),
    );
    for below in subdirectories(directory) {
        collect(&below, members);
    }
}

/// Removes a group and those that the container made below it, and tries again until the deadline while it is busy.
pub(super) fn remove_tree(directory: &Path, deadline: Instant) -> io::Result<()> {
    let mut pause = Duration::from_micros(200);
    loop {
        match fs::remove_dir(directory) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) if e.kind() != io::ErrorKind::ResourceBusy || Instant::now() >= deadline => {
                return Err(e);
            }
            Err(_) => {}
        }
        for below in subdirectories(directory) {
            remove_tree(&below, deadline)?;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

pub(super) fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
