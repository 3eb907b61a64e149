//! How long the supervisor waits for a process that is on its way to a command.
//!
//! The ways are short, but a disk can hold one up for longer than anybody would wait for a process that hangs: a cold
//! overlay of many layers on a rotating disk takes seconds, and one that is being written full may not answer for half a
//! minute. The kernel tells the two apart. A process that sleeps for anything else, or that somebody has stopped, gets
//! [`QUIET`]; one that waits for a disk, or for a processor, gets [`BUSY`], both counted from its last sign of progress.
//! A program of many threads and processes, which an external runtime is, always gets [`BUSY`]: its first thread sleeps
//! while others work.

use std::fs;
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// Time without progress after which a process that does nothing is given up.
pub(super) const QUIET: Duration = Duration::from_secs(10);

/// The same for a process that is at work.
const BUSY: Duration = Duration::from_secs(120);

/// How often a process that is at work is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// Patience with one process.
#[derive(Debug)]
pub(super) struct Patience {
    step: String,
    /// Its last sign of progress.
    since: Instant,
    /// When to look at it.
    look: Instant,
    /// How long it may do nothing.
    quiet: Duration,
}

impl Patience {
    /// Begins to wait for a step.
    pub(super) fn with(step: &str) -> Self {
        Self::for_quiet(step, QUIET)
    }

    /// Begins to wait for a program that does not tell how it gets on.
    pub(super) fn with_program(step: &str) -> Self {
        Self::for_quiet(step, BUSY)
    }

    fn for_quiet(step: &str, quiet: Duration) -> Self {
        let since = Instant::now();
        Self {
            step: step.to_owned(),
            since,
            look: since + quiet,
            quiet,
        }
    }

    /// Notes that the next step has begun.
    pub(super) fn reached(&mut self, step: &str) {
        *self = Self::for_quiet(step, self.quiet);
    }

    /// Begins anew with the same step: what held it up was no fault of its.
    pub(super) fn renew(&mut self) {
        *self = Self::for_quiet(&self.step, self.quiet);
    }

    /// Returns how long to wait before the process is to be looked at.
    pub(super) fn left(&self) -> Duration {
        self.look.saturating_duration_since(Instant::now())
    }

    /// Looks at the process, if it is time to, and returns a failure when there is no sense in waiting longer.
    pub(super) fn look_at(&mut self, pid: i32) -> Option<Failure> {
        let now = Instant::now();
        if now < self.look {
            return None;
        }
        let waited = now.saturating_duration_since(self.since);
        let state = state(pid);
        if waited < BUSY && matches!(state, Some('R' | 'D')) {
            self.look = now + AGAIN;
            return None;
        }
        let (does, advice) = match state {
            Some('R') => ("computes", "the machine may be overloaded"),
            Some('D') => ("waits for a disk", "the machine's kernel log may tell why"),
            Some('T' | 't') => (
                "was stopped by a signal",
                "something in the container may hold it",
            ),
            Some(_) => (
                "waits for something",
                "a filesystem that it needs may not answer",
            ),
            None => ("is gone", "the machine may be out of memory"),
        };
        Some(Failure::new(
            &self.step,
            format!(
                "no progress for {} s, given up: the process {does}; {advice}",
                waited.as_secs()
            ),
        ))
    }
}

#[cfg(test)]
impl Patience {
    /// Lets time pass for it.
    pub(super) fn age(&mut self, time: Duration) {
        self.since = self.since.checked_sub(time).unwrap();
        self.look = self.look.checked_sub(time).unwrap();
    }
}

/// Returns the kernel's letter for what a process does.
fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may have any character, parentheses too.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.chars().next()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    fn waiting_since(ago: Duration) -> Patience {
        let mut patience = Patience::with("mounting");
        patience.age(ago);
        patience
    }

    fn until_state(pid: i32, letter: char) {
        while state(pid) != Some(letter) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn who_works_gets_more_time_than_who_sleeps_or_is_stopped() {
        // What the letters are read from is the main thread, of which a test knows nothing.
        let mut busy = Command::new("/bin/sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        let mut idle = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let (at_work, asleep) = (busy.id().cast_signed(), idle.id().cast_signed());
        until_state(at_work, 'R');
        until_state(asleep, 'S');
        let early = waiting_since(QUIET / 2).look_at(asleep);
        let late = waiting_since(QUIET).look_at(asleep);
        let working = waiting_since(QUIET).look_at(at_work);
        let overdue = waiting_since(BUSY).look_at(at_work);
        kill(Pid::from_raw(asleep), Signal::SIGSTOP).unwrap();
        until_state(asleep, 'T');
        let stopped = waiting_since(QUIET).look_at(asleep);
        let mut program = Patience::with_program("external runtime");
        program.age(BUSY / 2);
        let quiet_program = program.look_at(asleep);
        program.age(BUSY / 2);
        let hung_program = program.look_at(asleep);
        for child in [&mut busy, &mut idle] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(early.is_none() && working.is_none() && quiet_program.is_none());
        let message = |failure: Option<Failure>| failure.map(|f| (f.step, f.message)).unwrap();
        let (step, text) = message(late);
        assert_eq!(step, "mounting");
        assert!(
            text.starts_with("no progress for 10 s, given up: the process waits for something")
        );
        assert!(
            message(overdue)
                .1
                .contains("120 s, given up: the process computes")
        );
        assert!(message(stopped).1.contains("was stopped by a signal"));
        assert!(message(hung_program).1.contains("no progress for 120 s"));
    }
}
