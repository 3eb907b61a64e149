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
    /// When it began, in the kernel's ticks since the boot: with the number it names one process for ever.
    began: u64,
}

/// A command, told apart from whoever gets its number after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Root {
    pid: i32,
    /// Nothing: it had ended before it could be looked at.
    began: Option<u64>,
}

// === impl Root ===

impl Root {
    /// Looks at a command that has just been started.
    pub(crate) fn of(pid: i32) -> Self {
        Self {
            pid,
            began: read(pid).map(|kin| kin.began),
        }
    }

    /// Whether a process is another one with the number of this.
    fn is_other(&self, kin: &Kin) -> bool {
        kin.pid == self.pid && Some(kin.began) != self.began
    }
}

/// Kills `root`, all processes below it and those of its session, as far as they are the container's, whose
/// processes `members` returns. Blocks. A process that left both (a daemon) is on its own, as after an
/// ordinary `exec`.
///
/// The command may have ended long ago, with something of its own still writing; its number can be that of
/// any process of the machine then, of which nothing is touched.
pub(crate) fn kill(root: Root, members: impl Fn() -> Vec<i32>) {
    for _round in 0..MOST_ROUNDS {
        let all: Vec<Kin> = processes().collect();
        let own: HashSet<i32> = members().into_iter().collect();
        let mut family = family(root, &all);
        family.retain(|kin| own.contains(&kin.pid));
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
    // Its parent may have changed meanwhile: that one is killed too.
    if read(seen.pid).is_some_and(|now| now.began == seen.began)
        && let Err(error) = signal_pidfd(&process, SIGKILL)
    {
        tracing::debug!(pid = seen.pid, error = %error, "process of a health check not killed");
    }
}

/// Returns `root` and those that belong to it, zombies left out.
fn family(root: Root, all: &[Kin]) -> Vec<Kin> {
    // As long as one process of its session is left, the kernel gives the number to nobody else.
    if all.iter().any(|kin| root.is_other(kin)) {
        return Vec::new();
    }
    let root = root.pid;
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
    // Field 22; the session is field 6.
    let began = fields.nth(15)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Kin {
        pid,
        parent,
        session,
        began,
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
            began: 7,
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
        let pids = |pid, began| -> Vec<i32> {
            let family = family(Root { pid, began }, &all);
            family.iter().map(|one| one.pid).collect()
        };
        assert_eq!(pids(10, Some(7)), [10, 11, 12, 13]);
        assert_eq!(pids(99, Some(7)), [0; 0]);
        // Somebody else has its number now.
        assert_eq!(pids(10, Some(6)), [0; 0]);
        assert_eq!(pids(10, None), [0; 0]);
    }

    #[test]
    fn names_do_not_confuse() {
        let rest = "4 2 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7 1000";
        let named = format!("5 (a) Z 1 (x)) S 3 {rest}");
        assert_eq!(parse(5, &named), Some(kin(5, 3, 2)));
        assert_eq!(parse(5, &format!("5 (a) Z 3 {rest}")), None);
    }

    /// Starts a shell with a child, and returns it and the child's number.
    fn shell_with_child() -> (std::process::Child, i32) {
        let mut root = Command::new("sh")
            .args(["-c", "sleep 1000 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let mut line = String::new();
        let stdout = root.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a pid");
        (root, line.trim().parse().expect("a pid"))
    }

    #[test]
    fn children_die_with_the_root_and_strangers_do_not() {
        let (mut root, child) = shell_with_child();
        let pid = i32::try_from(root.id()).expect("pid");
        // None of them is the container's: then none is touched.
        kill(Root::of(pid), Vec::new);
        assert!(read(pid).is_some() && read(child).is_some());
        let of_another = Root {
            pid,
            began: Some(0),
        };
        kill(of_another, || vec![pid, child]);
        assert!(read(pid).is_some() && read(child).is_some());
        kill(Root::of(pid), || vec![pid, child]);
        root.wait().expect("wait");
        // The kernel ends it when it gets to it; a zombie runs no more either.
        while read(child).is_some() {
            std::thread::yield_now();
        }
    }
}
