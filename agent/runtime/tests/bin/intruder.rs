//! What a hostile container runs in this crate's tests: it stops every process that appears in its process id
//! namespace, and tries to get hold of rights, files and memory that are not the container's.
//!
//! It prints `early` for each process that it has seen before that was what the container runs, and `finding` for each
//! thing that it got and must not get. Its argument is a path that exists on the machine only.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Type and numbers of `/dev/null`, which is everybody's.
const NULL: (u64, u64) = (1, 3);

/// How often to look whether a process has stopped.
const SPINS: usize = 200;

/// How far process ids may be apart.
const AHEAD: i32 = 4;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    if std::env::args()
        .nth(1)
        .is_some_and(|word| word == "exchange")
    {
        return exchange(&std::env::args().skip(2).collect::<Vec<_>>());
    }
    let secret = arguments.next().unwrap_or_default();
    let is_neighbour = arguments.next().is_some();
    let own = Rights::of("self").ok_or(io::ErrorKind::NotFound)?;
    let mut newest = 1;
    say("ready");
    loop {
        for pid in newest + 1..=newest + AHEAD {
            if Path::new(&format!("/proc/{pid}")).exists() {
                newest = pid;
                inspect(pid, &own, &secret, is_neighbour);
            }
        }
    }
}

/// Exchanges each pair of names for each other, as fast as it can: whoever looks a name up and then uses it finds
/// something else the second time.
fn exchange(names: &[String]) -> io::Result<()> {
    say("ready");
    loop {
        for pair in names.chunks_exact(2) {
            renameat2(
                AT_FDCWD,
                Path::new(&pair[0]),
                AT_FDCWD,
                Path::new(&pair[1]),
                RenameFlags::RENAME_EXCHANGE,
            )?;
        }
    }
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    // A reader that has gone ends the container with the test.
    let _written = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// What a process may do, and where it is.
#[derive(Debug, Eq, PartialEq)]
struct Rights {
    capabilities: u64,
    filter: String,
    places: Vec<String>,
}

impl Rights {
    fn of(process: &str) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().to_owned())
        };
        let capabilities = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"]
            .iter()
            .filter_map(|name| u64::from_str_radix(&field(name)?, 16).ok())
            .fold(0, |all, set| all | set);
        let mut places = vec![fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?];
        for kind in [
            "mnt",
            "net",
            "ipc",
            "uts",
            "pid",
            "pid_for_children",
            "cgroup",
        ] {
            let link = fs::read_link(format!("/proc/{process}/ns/{kind}")).ok()?;
            places.push(link.display().to_string());
        }
        for link in ["root", "cwd"] {
            let metadata = fs::metadata(format!("/proc/{process}/{link}")).ok()?;
            places.push(format!("{link} {}", metadata.dev()));
        }
        Some(Self {
            capabilities,
            filter: field("Seccomp:")?,
            places,
        })
    }
}

/// Stops a process wherever it is, looks into it, and lets it run on, until it has become what the container runs.
fn inspect(pid: i32, own: &Rights, secret: &str, is_neighbour: bool) {
    let target = Pid::from_raw(pid);
    let mut seen = BTreeSet::new();
    loop {
        if kill(target, Signal::SIGSTOP).is_err() {
            return;
        }
        let has_stopped = has_stopped(pid);
        let executable = fs::read_link(format!("/proc/{pid}/exe"));
        let is_early = executable
            .as_ref()
            .is_ok_and(|path| !path.starts_with("/bin"));
        if is_early {
            seen.insert("early".to_owned());
        }
        // One that is on its way out cannot be stopped, and has been taken out of its groups.
        if let Some(rights) = Rights::of(&pid.to_string()).filter(|_| has_stopped) {
            compare(&rights, own, is_neighbour, &mut seen);
        }
        if is_early {
            take(pid, secret, &mut seen);
        }
        let _gone = kill(target, Signal::SIGCONT);
        if !is_early {
            break;
        }
    }
    for line in seen {
        say(&format!("{line} [{pid}]"));
    }
}

fn has_stopped(pid: i32) -> bool {
    (0..SPINS).any(|_| {
        let status = fs::read_to_string(format!("/proc/{pid}/status"));
        status.is_ok_and(|status| status.contains("State:\tT"))
    })
}

fn compare(rights: &Rights, own: &Rights, is_neighbour: bool, seen: &mut BTreeSet<String>) {
    let more = rights.capabilities & !own.capabilities;
    if more != 0 {
        seen.insert(format!("finding: capabilities {more:x}"));
    }
    if rights.filter != own.filter {
        seen.insert(format!("finding: seccomp mode {}", rights.filter));
    }
    // A neighbour shares the processes and nothing else.
    if !is_neighbour && rights.places != own.places {
        seen.insert(format!(
            "finding: places {:?} instead of {:?}",
            rights.places, own.places
        ));
    }
}

/// Tries to get at the files behind a process, and at its executable to write it.
fn take(pid: i32, secret: &str, seen: &mut BTreeSet<String>) {
    if fs::File::options()
        .read(true)
        .write(true)
        .open(format!("/proc/{pid}/mem"))
        .is_ok()
    {
        seen.insert("memory".to_owned());
    }
    for place in ["root", "cwd"] {
        let path = format!("/proc/{pid}/{place}/{secret}");
        if Path::new(&path).exists() {
            seen.insert(format!("finding: the machine's files through {place}"));
        }
    }
    if fs::File::options()
        .write(true)
        .open(format!("/proc/{pid}/exe"))
        .is_ok()
    {
        seen.insert("finding: a writable executable".to_owned());
    }
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return;
    };
    for descriptor in descriptors.filter_map(Result::ok) {
        let path = descriptor.path();
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let kind = metadata.file_type();
        let device = metadata.rdev();
        let is_null = kind.is_char_device() && (device >> 8 & 0xfff, device & 0xff) == NULL;
        if !(kind.is_fifo() || kind.is_socket() || is_null) {
            let target = fs::read_link(&path).unwrap_or_default();
            let name = descriptor.file_name().display().to_string();
            seen.insert(format!(
                "finding: descriptor {name} of {}",
                target.display()
            ));
        }
    }
}
