//! `kill`: a signal for the first process, or for all.

use std::str::FromStr as _;

use berth_agent_sys::process::{send_signal, signal_pidfd};
use nix::sys::signal::Signal;

use super::error::OciError;
use super::record::Store;
use super::words::Words;

pub(super) fn run(store: &Store, words: &mut Words) -> Result<(), OciError> {
    let is_all = words.flag("all", Some('a'));
    let id = words
        .next()
        .ok_or_else(|| OciError::Usage("a container is missing".to_owned()))?;
    let signal = number(&words.next().unwrap_or_else(|| "TERM".to_owned()))?;
    words.end()?;
    let record = store.read(&id)?;
    let process = record.process();
    if is_all {
        let cgroup = record.cgroup()?;
        for pid in cgroup.members() {
            // One that has ended meanwhile needs no signal.
            drop(send_signal(pid, signal));
        }
        return thaw(signal, &record);
    }
    let Some(process) = process else {
        return Err(OciError::WrongState("container not running".to_owned()));
    };
    signal_pidfd(&process, signal)
        .map_err(|e| OciError::io("sending signal", signal.to_string(), e))?;
    thaw(signal, &record)
}

/// A paused container takes no notice of its end in version 1.
fn thaw(signal: i32, record: &super::Record) -> Result<(), OciError> {
    let cgroup = record.cgroup()?;
    if signal == libc::SIGKILL && cgroup.is_frozen() {
        drop(cgroup.freeze(false));
    }
    Ok(())
}

/// Reads a signal: a number, or a name with or without `SIG`.
pub(super) fn number(text: &str) -> Result<i32, OciError> {
    let unknown = || OciError::Usage(format!("unknown signal {text:?}"));
    if let Ok(number) = text.parse::<i32>() {
        return Some(number)
            .filter(|n| (1..=libc::SIGRTMAX()).contains(n))
            .ok_or_else(unknown);
    }
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let relative = |name: &str, base: i32| {
        let rest = bare.strip_prefix(name)?;
        let distance = if rest.is_empty() {
            Some(0)
        } else {
            rest.parse().ok()
        };
        distance
            .map(|n: i32| base + n)
            .filter(|n| (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(n))
    };
    let real_time = relative("RTMIN", libc::SIGRTMIN());
    if let Some(number) = real_time.or_else(|| relative("RTMAX", libc::SIGRTMAX())) {
        return Ok(number);
    }
    let named = Signal::from_str(&format!("SIG{bare}"));
    named.map(|signal| signal as i32).map_err(|_none| unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_numbers_and_names() {
        for (text, expected) in [
            ("9", 9),
            ("KILL", 9),
            ("sigterm", 15),
            ("RTMIN+3", libc::SIGRTMIN() + 3),
            ("SIGRTMAX-1", libc::SIGRTMAX() - 1),
        ] {
            assert_eq!(number(text).unwrap(), expected, "{text}");
        }
        for text in ["", "0", "-1", "99", "SIGNOTHING", "RTMIN+99"] {
            number(text).unwrap_err();
        }
    }
}
