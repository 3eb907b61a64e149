//! What is found on the host itself.

use std::time::{SystemTime, UNIX_EPOCH};

use berth_controller_provision::{Examination, Family, HostFacts, Inside};

use super::Check;

/// Seconds that clocks may differ without anybody noticing.
const SMALL_SKEW: u64 = 30;
/// Seconds by which certificates are valid before they were made.
const LARGE_SKEW: u64 = 300;
/// Room below which the agent itself cannot work.
const NO_ROOM: u64 = 8 * 1024 * 1024;
/// Room below which images cannot be pulled.
const LITTLE_ROOM: u64 = 512 * 1024 * 1024;
/// Features of the kernel without which there are no containers.
const NEEDED: [&str; 8] = [
    "overlay",
    "mnt-namespace",
    "pid-namespace",
    "net-namespace",
    "ipc-namespace",
    "uts-namespace",
    "bridge",
    "veth",
];
/// Controllers that limits of containers need.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// Judges what was found on the host.
pub(super) fn checks(name: &str, found: &Examination) -> Vec<Check> {
    let facts = &found.facts;
    let mut checks = vec![clock(facts)];
    let Some(inside) = &found.inside else {
        checks.push(Check::fail(
            "root",
            format!("user {} cannot become root on the host", facts.user),
            "allow sudo to the user, or give its password ($BERTH_SUDO_PASSWORD_FILE)",
        ));
        return checks;
    };
    checks.extend(disk(facts));
    checks.push(cgroups(facts, inside));
    checks.push(kernel(facts, inside));
    checks.push(agent(name, facts, inside));
    checks
}

fn clock(facts: &HostFacts) -> Check {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let Some(ahead) = facts.clock_ahead(now) else {
        return Check::warn(
            "clock",
            "the host does not tell the time",
            "see date on the host",
        );
    };
    let by = ahead.unsigned_abs();
    let said = match (by, ahead < 0) {
        (0..=2, _) => "the host's clock agrees with this computer's".to_owned(),
        (by, true) => format!("the host's clock is {by} s behind this computer's"),
        (by, false) => format!("the host's clock is {by} s ahead of this computer's"),
    };
    let todo = format!(
        "have the wrong one of both set by the network (timedatectl set-ntp true), or now: date -u \
         -s @{now}; certificates depend on it"
    );
    if by <= SMALL_SKEW {
        Check::ok("clock", said)
    } else if by <= LARGE_SKEW {
        Check::warn("clock", said, todo)
    } else {
        Check::fail("clock", said, todo)
    }
}

fn disk(facts: &HostFacts) -> Vec<Check> {
    let mut checks = Vec::new();
    for folder in ["/var/lib/berth", "/etc/berth"] {
        let Some(place) = facts.place(folder) else {
            continue;
        };
        let free = place.free.unwrap_or(u64::MAX);
        let said = match place.free {
            Some(free) => format!("{folder} has {:.1} MB free", free as f64 / 1e6),
            None => format!("{folder} does not tell its room"),
        };
        let todo = format!(
            "make room on the host's {} (berth rmi, berth rm, or others' files)",
            place.mounted_at
        );
        if !place.writable {
            checks.push(Check::fail(
                "disk",
                format!("{folder} cannot be written"),
                format!(
                    "on the host: mount -o remount,rw {0}; if it went read-only by itself, its disk \
                     may be failing (dmesg)",
                    place.mounted_at
                ),
            ));
        } else if free < NO_ROOM {
            checks.push(Check::fail("disk", said, todo));
        } else if folder == "/var/lib/berth" && free < LITTLE_ROOM {
            checks.push(Check::warn("disk", said, todo));
        } else if folder == "/var/lib/berth" {
            checks.push(Check::ok("disk", said));
        }
    }
    checks
}

fn cgroups(facts: &HostFacts, inside: &Inside) -> Check {
    if facts.cgroups.is_empty() {
        return Check::warn(
            "cgroups",
            "no control groups are mounted at /sys/fs/cgroup",
            "mount them (mount -t cgroup2 none /sys/fs/cgroup); containers cannot be limited without",
        );
    }
    let missing: Vec<&str> = CONTROLLERS
        .into_iter()
        .filter(|wanted| !inside.controllers.iter().any(|has| has == wanted))
        .collect();
    let version = format!("version {}", facts.cgroups);
    if missing.is_empty() {
        return Check::ok("cgroups", version);
    }
    Check::warn(
        "cgroups",
        format!("{version}, without {}", missing.join(", ")),
        "enable them on the kernel's command line (cgroup_enable=memory) or in its configuration",
    )
}

fn kernel(facts: &HostFacts, inside: &Inside) -> Check {
    let without = |name: &&str| inside.features.get(*name) == Some(&false);
    let missing: Vec<&str> = NEEDED.into_iter().filter(without).collect();
    let release = &facts.kernel;
    if !missing.is_empty() {
        let package = match facts.os.family() {
            Family::Fedora => "; on this distribution: dnf install kernel-modules-core",
            Family::Alpine => "; on this distribution: apk add linux-lts",
            Family::Suse => "; on this distribution: zypper install kernel-default",
            _ => "",
        };
        return Check::fail(
            "kernel",
            format!("kernel {release} has no {}", missing.join(", ")),
            format!("boot a kernel that has them, or install its modules{package}"),
        );
    }
    let odd: Vec<&str> = ["nf_tables", "nat"].into_iter().filter(without).collect();
    if !odd.is_empty() {
        return Check::warn(
            "kernel",
            format!("kernel {release} has no {}", odd.join(", ")),
            "ports cannot be published and containers not reach other networks without",
        );
    }
    let unknown = NEEDED
        .iter()
        .filter(|name| !inside.features.contains_key(**name))
        .count();
    let said = match unknown {
        0 => format!("kernel {release} has what containers need"),
        _ => format!(
            "kernel {release} does not tell all that it has, and lacks nothing that it tells"
        ),
    };
    Check::ok("kernel", said)
}

fn agent(name: &str, facts: &HostFacts, inside: &Inside) -> Check {
    let log = inside.log.join("\n");
    let with_log = |said: String| {
        if log.is_empty() {
            said
        } else {
            format!("{said}; its last words:\n{log}")
        }
    };
    let provision = format!("berth machine provision {name}");
    if facts.agents.is_empty() {
        return Check::fail(
            "agent",
            "the agent is not installed",
            format!("{provision} installs it"),
        );
    }
    if inside.service != "active" {
        let said = format!("the agent's service is {}", or_unknown(&inside.service));
        return Check::fail(
            "agent",
            with_log(said),
            format!("{provision} starts it, and says why if it does not"),
        );
    }
    if facts.unsettled {
        return Check::warn(
            "agent",
            "the agent runs, but an upgrade of it was cut off",
            format!("{provision} settles it"),
        );
    }
    if !inside.listens {
        return Check::fail(
            "agent",
            with_log("the agent runs, but listens on no port".to_owned()),
            format!("{provision} writes its configuration anew"),
        );
    }
    Check::ok("agent", "its service runs and listens")
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}
