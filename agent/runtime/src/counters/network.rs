//! Network interfaces of a container's own namespace.

use std::path::Path;

use super::text::Files;
use super::{InterfaceCounters, PacketCounters};

/// Reads the counters of the interfaces that a process sees, other than those that every namespace has.
pub(super) fn read(files: &mut Files, pid: i32) -> Vec<InterfaceCounters> {
    files.enter(Path::new("/proc"));
    let text = files.text(&format!("{pid}/net/dev"));
    text.lines().filter_map(interface).collect()
}

fn interface(line: &str) -> Option<InterfaceCounters> {
    let (name, numbers) = line.split_once(':')?;
    let name = name.trim();
    let numbers: Vec<u64> = numbers
        .split_whitespace()
        .map_while(|number| number.parse().ok())
        .collect();
    let direction = |from: usize| {
        let at = |index: usize| numbers.get(from + index).copied().unwrap_or_default();
        PacketCounters {
            bytes: at(0),
            packets: at(1),
            errors: at(2),
            dropped: at(3),
        }
    };
    // Modules of the kernel put theirs into every namespace; ours are all named so.
    name.starts_with("eth").then(|| InterfaceCounters {
        name: name.to_owned(),
        received: direction(0),
        sent: direction(8),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_in_both_directions() {
        let line = "  eth0: 11 12 13 14 0 0 0 0 21 22 23 24 0 0 0 0";
        let found = interface(line).unwrap();
        let packets = |bytes| PacketCounters {
            bytes,
            packets: bytes + 1,
            errors: bytes + 2,
            dropped: bytes + 3,
        };
        assert_eq!(found.name, "eth0");
        assert_eq!((found.received, found.sent), (packets(11), packets(21)));
        for other in [
            "    lo: 1 2 3 4 0 0 0 0 5 6 7 8",
            " face |bytes    packets errs",
        ] {
            assert_eq!(interface(other), None);
        }
    }
}
