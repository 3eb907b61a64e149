//! Kills a command with everything that it started.

use std::collections::HashSet;
use std::fs;

use berth_agent_sys::process::{open_pidfd, signal_pidfd};
use nix::libc::SIGKILL;

/// Looks in which nothing new may turn up before the work counts as done. A process that goes on forking
/// is killed with the container's end at the latest.
const MOST_ROUNDS: usize = 16;

/// What the kernel says of a process's family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kin {
    pid: i32,
    parent: i32,
    session: i32,
}

/// Kills `root`, all processes below it and those of its session. Blocks. A process that left both (a
/// daemon) is on its own, as after an ordinary `exec`.
pub(crate) fn kill(root: i32) {
    for _round in 0..MOST_ROUNDS {
        let all: Vec<Kin> = processes().collect();
        let family = family(root, &all);
        if family.is_empty() {
            return;
        }
        for member in family {
            kill_one(member);
        }
    }
}

/// Kills a process if it still is the one that was seen: numbers are used again.
fn kill_one(seen: Kin) {
    let Ok(process) = open_pidfd(seen.pid) else {
        return;
    };
    if read(seen.pid) == Some(seen)
        && let Err(error) = signal_pidfd(&process, SIGKILL)
    {
        tracing::debug!(pid = seen.pid, error = %error, "process of a health check not killed");
    }
}

/// Returns `root` and those that belong to it, zombies left out.
fn family(root: i32, all: &[Kin]) -> Vec<Kin> {
    let mut known = HashSet::from([root]);
    loop {
        let before = known.len();
        let kin = all
            .iter()
            .filter(|one| known.contains(&one.parent) || one.session == root);
        known.extend(kin.map(|one| one.pid).collect::<Vec<_>>());
        if known.len() == before {
            break;
        }
    }
    all.iter()
        .filter(|one| known.contains(&one.pid))
        .copied()
        .collect()
}

fn processes() -> impl Iterator<Item = Kin> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(read)
}

/// Reads `/proc/PID/stat`, see proc(5); nothing for zombies.
fn read(pid: i32) -> Option<Kin> {
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &String::from_utf8_lossy(&bytes))
}

fn parse(pid: i32, stat: &str) -> Option<Kin> {
    // The name in brackets may have anything in it.
    let (_name, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Kin {
        pid,
        parent,
        session,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    fn kin(pid: i32, parent: i32, session: i32) -> Kin {
        Kin {
            pid,
            parent,
            session,
        }
    }

    #[test]
    fn a_family_is_descendants_and_session() {
        let all = [
            kin(1, 0, 1),
            kin(10, 1, 10),
            kin(11, 10, 10),
            kin(12, 11, 12),
            kin(13, 1, 10),
            kin(14, 1, 14),
        ];
        let family: Vec<i32> = family(10, &all).iter().map(|one| one.pid).collect();
        assert_eq!(family, [10, 11, 12, 13]);
        assert!(super::family(99, &all).is_empty());
    }

    #[test]
    fn names_do_not_confuse() {
        assert_eq!(parse(5, "5 (a) Z 1 (x)) S 3 4 2 0"), Some(kin(5, 3, 2)));
        assert_eq!(parse(5, "5 (a) Z 3 4 2 0"), None);
    }

    #[test]
    fn children_die_with_the_root() {
        let mut root = Command::new("sh")
            .args(["-c", "sleep 1000 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let mut line = String::new();
        let stdout = root.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a pid");
        let child: i32 = line.trim().parse().expect("a pid");
        kill(i32::try_from(root.id()).expect("pid"));
        root.wait().expect("wait");
        // The kernel ends it when it gets to it; a zombie runs no more either.
        while read(child).is_some() {
            std::thread::yield_now();
        }
    }
}
