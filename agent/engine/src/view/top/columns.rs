//! Formats of `ps` that are made here, and the values of their columns as procps writes them.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{Timestamp, Zoned};
use nix::unistd::{Gid, Group, Uid, User};

use super::process::{Machine, Process};

/// Columns of `-ef`.
const FULL: [Column; 8] = [
    Column("UID", "user"),
    Column("PID", "pid"),
    Column("PPID", "ppid"),
    Column("C", "c"),
    Column("STIME", "stime"),
    Column("TTY", "tty"),
    Column("TIME", "time"),
    Column("CMD", "args"),
];

/// Columns of `aux`.
const OF_USERS: [Column; 11] = [
    Column("USER", "user"),
    Column("PID", "pid"),
    Column("%CPU", "%cpu"),
    Column("%MEM", "%mem"),
    Column("VSZ", "vsz"),
    Column("RSS", "rss"),
    Column("TTY", "tt"),
    Column("STAT", "stat"),
    Column("START", "stime"),
    Column("TIME", "bsdtime"),
    Column("COMMAND", "args"),
];

/// Columns that `-o` takes, by the names that they have there.
const NAMED: [Column; 44] = [
    Column("PID", "pid"),
    Column("PPID", "ppid"),
    Column("PGID", "pgid"),
    Column("PGRP", "pgrp"),
    Column("SID", "sid"),
    Column("SESS", "sess"),
    Column("UID", "uid"),
    Column("EUID", "euid"),
    Column("GID", "gid"),
    Column("EGID", "egid"),
    Column("USER", "user"),
    Column("EUSER", "euser"),
    Column("USER", "uname"),
    Column("GROUP", "group"),
    Column("EGROUP", "egroup"),
    Column("C", "c"),
    Column("%CPU", "%cpu"),
    Column("%CPU", "pcpu"),
    Column("%MEM", "%mem"),
    Column("%MEM", "pmem"),
    Column("VSZ", "vsz"),
    Column("VSZ", "vsize"),
    Column("RSS", "rss"),
    Column("RSS", "rssize"),
    Column("TT", "tty"),
    Column("TT", "tt"),
    Column("TTY", "tname"),
    Column("S", "s"),
    Column("S", "state"),
    Column("STAT", "stat"),
    Column("PRI", "pri"),
    Column("NI", "ni"),
    Column("NI", "nice"),
    Column("NLWP", "nlwp"),
    Column("THCNT", "thcount"),
    Column("STIME", "stime"),
    Column("ELAPSED", "etime"),
    Column("ELAPSED", "etimes"),
    Column("TIME", "time"),
    Column("TIME", "cputime"),
    Column("CMD", "cmd"),
    Column("COMMAND", "args"),
    Column("COMMAND", "command"),
    Column("COMMAND", "comm"),
];

/// A column: its heading, and what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column(&'static str, &'static str);

/// A table that can be made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) columns: Vec<Column>,
}

impl Format {
    /// Returns the format that arguments of `ps` ask for, if it is one of ours. All of them have the process id.
    pub(super) fn of(arguments: &[String]) -> Option<Self> {
        let arguments: Vec<&str> = arguments
            .iter()
            .flat_map(|text| text.split_whitespace())
            .collect();
        let columns = match arguments.as_slice() {
            [] | ["-ef" | "-fe"] | ["-e", "-f"] => FULL.to_vec(),
            ["aux" | "-aux" | "axu" | "uax"] => OF_USERS.to_vec(),
            [first, rest @ ..] => {
                let list = match (*first, rest) {
                    ("-o" | "-eo" | "-Ao" | "axo" | "-axo" | "o", [list]) => list,
                    ("-e" | "-A" | "ax", ["-o" | "o", list]) => list,
                    (joined, []) => joined.strip_prefix("-o").filter(|list| !list.is_empty())?,
                    _ => return None,
                };
                named(list)?
            }
        };
        let has_pid = columns.iter().any(|column| column.0 == "PID");
        has_pid.then_some(Self { columns })
    }
}

fn named(list: &str) -> Option<Vec<Column>> {
    let column = |name: &str| NAMED.iter().find(|column| column.1 == name).copied();
    list.split(',').map(column).collect()
}

/// Returns what gives another column the heading of the process id.
pub(super) fn renames_pid(arguments: &[String]) -> Option<String> {
    let words = arguments.iter().flat_map(|text| text.split([' ', ',']));
    let mut renamed = words.filter_map(|word| word.split_once('='));
    renamed
        .find(|(_, heading)| heading.starts_with("PID"))
        .map(|(column, heading)| format!("{column}={heading}"))
}

impl Column {
    pub(super) fn title(&self) -> &'static str {
        self.0
    }

    /// Returns what the column shows of a process.
    pub(super) fn value(
        self,
        process: &Process,
        machine: &Machine,
        users: &mut HashMap<u32, String>,
    ) -> String {
        match self.1 {
            "pid" => process.pid.to_string(),
            "ppid" => process.ppid.to_string(),
            "pgid" | "pgrp" => process.pgid.to_string(),
            "sid" | "sess" => process.session.to_string(),
            "uid" | "euid" => process.uid.to_string(),
            "gid" | "egid" => process.gid.to_string(),
            "user" | "euser" | "uname" => user(process.uid, users),
            "group" | "egroup" => group(process.gid),
            "c" => format!("{:.0}", process.cpu_percent(machine).floor().min(99.0)),
            "%cpu" | "pcpu" => format!("{:.1}", process.cpu_percent(machine)),
            "%mem" | "pmem" => share(process.resident_kib, machine.memory_kib),
            "vsz" | "vsize" => process.virtual_kib.to_string(),
            "rss" | "rssize" => process.resident_kib.to_string(),
            "tty" | "tt" | "tname" => terminal(process.tty),
            "s" | "state" => process.state.to_string(),
            "stat" => state(process),
            "pri" => (39 - process.priority).to_string(),
            "ni" | "nice" => process.nice.to_string(),
            "nlwp" | "thcount" => process.threads.to_string(),
            "stime" => started(process, machine),
            "etime" => elapsed(machine.uptime.saturating_sub(process.start)),
            "etimes" => {
                let age = machine.uptime.saturating_sub(process.start);
                age.as_secs().to_string()
            }
            "time" | "cputime" => clock(process.cpu),
            "bsdtime" => {
                let seconds = process.cpu.as_secs();
                format!("{}:{:02}", seconds / 60, seconds % 60)
            }
            "comm" => process.name.clone(),
            _ if process.arguments.is_empty() => format!("[{}]", process.name),
            _ => process.arguments.clone(),
        }
    }
}

fn user(uid: u32, known: &mut HashMap<u32, String>) -> String {
    let look_up = || match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    };
    known.entry(uid).or_insert_with(look_up).clone()
}

fn group(gid: u32) -> String {
    match Group::from_gid(Gid::from_raw(gid)) {
        Ok(Some(group)) => group.name,
        _ => gid.to_string(),
    }
}

fn share(part: u64, whole: u64) -> String {
    let per_mille = (part * 1000).checked_div(whole).unwrap_or(0).min(999);
    format!("{}.{}", per_mille / 10, per_mille % 10)
}

/// Names a terminal by the number of its device.
fn terminal(number: u64) -> String {
    let major = (number >> 8) & 0xfff;
    let minor = (number & 0xff) | ((number >> 12) & 0xf_ff00);
    match major {
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        _ => "?".to_owned(),
    }
}

fn state(process: &Process) -> String {
    let mut state = process.state.to_string();
    let marks = [
        (process.nice < 0, '<'),
        (process.nice > 0, 'N'),
        (process.session == process.pid, 's'),
        (process.threads > 1, 'l'),
        (process.foreground == process.pgid, '+'),
    ];
    state.extend(marks.iter().filter(|(has, _)| *has).map(|(_, mark)| mark));
    state
}

/// The time of today, the day of this year, or the year.
fn started(process: &Process, machine: &Machine) -> String {
    let zoned = |time| {
        let timestamp = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
        timestamp.to_zoned(jiff::tz::TimeZone::system())
    };
    let (start, now): (Zoned, Zoned) = (zoned(machine.moment(process.start)), zoned(machine.now));
    let format = if start.date() == now.date() {
        "%H:%M"
    } else if start.year() == now.year() {
        "%b%d"
    } else {
        "%Y"
    };
    start.strftime(format).to_string()
}

/// `[days-]hours:minutes:seconds`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let rest = format!("{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60);
    if days > 0 {
        format!("{days}-{rest}")
    } else {
        rest
    }
}

/// `[[days-]hours:]minutes:seconds`.
fn elapsed(time: Duration) -> String {
    let text = clock(time);
    match text.strip_prefix("00:") {
        Some(short) => short.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(arguments: &[&str]) -> Option<String> {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let format = Format::of(&arguments)?;
        let titles: Vec<&str> = format.columns.iter().map(Column::title).collect();
        Some(titles.join(" "))
    }

    #[test]
    fn usual_formats_are_known_and_others_left_to_ps() {
        let full = Some("UID PID PPID C STIME TTY TIME CMD".to_owned());
        assert_eq!(titles(&[]), full);
        assert_eq!(titles(&["-ef"]), full);
        assert_eq!(titles(&["-e", "-f"]), full);
        let of_users = "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND";
        assert_eq!(titles(&["aux"]), Some(of_users.to_owned()));
        assert_eq!(titles(&["-o", "pid,cmd"]), Some("PID CMD".to_owned()));
        assert_eq!(titles(&["-eo pid,comm"]), Some("PID COMMAND".to_owned()));
        assert_eq!(titles(&["-opid,rss"]), Some("PID RSS".to_owned()));
        for other in [
            &["-o", "cmd"][..],
            &["-o", "pid,wchan"],
            &["-ejH"],
            &["-e", "x"],
        ] {
            assert_eq!(titles(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_heading_of_the_process_id_is_taken() {
        let renamed = |text: &str| renames_pid(&[text.to_owned()]);
        assert_eq!(renamed("-o ppid=PID,cmd"), Some("ppid=PID".to_owned()));
        assert_eq!(renamed("-o pid,ppid=PARENT"), None);
    }

    #[test]
    fn values_look_as_procps_writes_them() {
        assert_eq!(clock(Duration::from_secs(3661)), "01:01:01");
        assert_eq!(clock(Duration::from_secs(90_061)), "1-01:01:01");
        assert_eq!(elapsed(Duration::from_secs(61)), "01:01");
        assert_eq!(elapsed(Duration::from_secs(3661)), "01:01:01");
        assert_eq!(terminal(0), "?");
        assert_eq!(terminal(34_817), "pts/1");
        assert_eq!(terminal(1025), "tty1");
        assert_eq!(share(15, 1000), "1.5");
    }
}
