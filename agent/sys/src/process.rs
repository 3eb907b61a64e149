//! Forking, sending signals by number and dealing with all descriptors at once.
#![expect(
    unsafe_code,
    reason = "forking, and system calls that the C library has no functions for"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use nix::libc;

use crate::call::{check, owned};

const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;

/// What a copy of a process has to show for being one, and for having a single thread.
#[derive(Debug)]
pub struct Copied(());

/// Runs `child` in a copy of this process and returns its process id; the copy ends with what `child` returns.
///
/// Of the descriptors the copy keeps those in `keep` and the three standard ones; `child` must not use others, and
/// start no threads.
///
/// # Errors
/// Fails when the process has other threads, whose locks the copy would inherit in an unknown state, or when the
/// system has no room for one more process.
pub fn fork(keep: &[BorrowedFd<'_>], child: impl FnOnce(Copied) -> i32) -> io::Result<i32> {
    if std::fs::read_dir("/proc/self/task")?.take(2).count() != 1 {
        return Err(io::Error::other(
            "a process with several threads does not fork",
        ));
    }
    // SAFETY: after a fork only async-signal-safe functions may be called in the copy of a process with several
    // threads; the check above says that this one has a single thread, and nothing between could have made another.
    let pid = unsafe { libc::fork() };
    if pid != 0 {
        return check(pid.into()).map(|_| pid);
    }
    let code = match close_all_but(keep) {
        Ok(()) => child(Copied(())),
        Err(_) => 255,
    };
    // SAFETY: _exit takes a number; it runs no destructors, which belong to the original process.
    unsafe { libc::_exit(code) }
}

impl Copied {
    /// Replaces this process by a copy of its own, which is a child of its parent and is born in the process id
    /// namespace that is set for children. Returns only if that fails.
    ///
    /// The copy ends with what `sibling` returns. This process calls `leave` with the copy's process id and ends.
    /// Of their descriptors both keep only those in `keep` and the three standard ones, which are all that `sibling`,
    /// `leave` and, after a failure, the caller may use. `sibling` must not panic: the C library does not know of it.
    pub fn succeed(
        self,
        keep: &[BorrowedFd<'_>],
        sibling: impl FnOnce(Self) -> i32,
        leave: impl FnOnce(i32),
    ) -> io::Error {
        if let Err(error) = close_all_but(keep) {
            return error;
        }
        let flags = libc::CLONE_PARENT | libc::SIGCHLD;
        // SAFETY: clone without a stack and without shared memory copies the process as fork does. It has a single
        // thread, to which `self` testifies, so no lock of the C library is held by anybody else. What the C library
        // remembers of its process id is wrong in the copy, and is used by nothing but raising signals.
        let result = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
        let code = match check(result) {
            Ok(0) => sibling(Self(())),
            Ok(pid) => {
                leave(i32::try_from(pid).unwrap_or(-1));
                0
            }
            Err(error) => return error,
        };
        // SAFETY: _exit takes a number; it runs no destructors, whose descriptors are closed already.
        unsafe { libc::_exit(code) }
    }

    /// Makes a child of this process, which ends with what `child` returns. `child` must not panic, see
    /// [`Self::succeed`].
    ///
    /// # Errors
    /// Fails when the system has no room for one more process.
    pub fn beget(&self, child: impl FnOnce() -> i32) -> io::Result<i32> {
        // SAFETY: as in `succeed`: one thread, to which `self` testifies, no stack, no shared memory.
        let result = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        match check(result)? {
            0 => {
                let code = child();
                // SAFETY: _exit takes a number; it runs no destructors, which belong to the original process.
                unsafe { libc::_exit(code) }
            }
            pid => i32::try_from(pid).map_err(io::Error::other),
        }
    }

    /// Closes all descriptors but the standard ones, and ends with what `last` returns, which may use no others.
    pub fn end_with(self, last: impl FnOnce() -> i32) -> ! {
        let code = match close_all_but(&[]) {
            Ok(()) => last(),
            Err(_) => 255,
        };
        // SAFETY: _exit takes a number; it runs no destructors, whose descriptors are closed already.
        unsafe { libc::_exit(code) }
    }
}

/// Returns whether `pid` is a child of this process that has not been reaped.
pub fn is_child(pid: i32) -> bool {
    let Ok(id) = libc::id_t::try_from(pid) else {
        return false;
    };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: a siginfo_t is plain data, for which zeroes are a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: waitid wants room for a siginfo_t, which outlives the call; with these flags it changes nothing.
    pid > 0 && unsafe { libc::waitid(libc::P_PID, id, &raw mut info, flags) } == 0
}

/// Closes every descriptor above the standard ones that is not in `keep`. The owners of the others never run again in
/// the copy that calls this.
fn close_all_but(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<RawFd> = keep
        .iter()
        .map(AsRawFd::as_raw_fd)
        .filter(|fd| *fd > 2)
        .collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept.into_iter().chain([RawFd::MAX]) {
        if first < fd {
            // SAFETY: close_range takes three numbers. What it closes is used by nobody afterwards, see above.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) })?;
        }
        first = fd.saturating_add(1);
    }
    Ok(())
}

/// Sends the signal with this number (real-time signals too) to a process.
///
/// # Errors
/// Fails when there is no such process or signal.
pub fn send_signal(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: kill takes two numbers.
    let result = unsafe { libc::kill(pid, signal) };
    check(result.into()).map(drop)
}

/// Takes the exit status of any child that has ended; `None` when none has.
///
/// # Errors
/// Fails when the process has no children.
pub fn reap_any() -> io::Result<Option<(i32, ExitStatus)>> {
    let mut status = 0;
    // SAFETY: waitpid wants room for an int, which outlives the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    check(pid.into())?;
    Ok((pid > 0).then(|| (pid, ExitStatus::from_raw(status))))
}

/// Opens a descriptor that stands for a process.
///
/// # Errors
/// Fails when there is no such process, or on kernels before 5.3.
pub fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers; the descriptor that it makes has close-on-exec set.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    owned(result)
}

/// Sends a signal to the process that a descriptor stands for, and to no other.
///
/// # Errors
/// Fails when it has ended, or may not be sent signals.
pub fn signal_pidfd(process: &OwnedFd, signal: i32) -> io::Result<()> {
    let nothing = std::ptr::null::<libc::siginfo_t>();
    let fd = process.as_raw_fd();
    // SAFETY: pidfd_send_signal takes an open descriptor, a number, and for the third a null pointer, which it does
    // not follow.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, nothing, 0) }).map(drop)
}

/// Takes over `count` descriptors from `first` on that this process has inherited; to be called once, before it opens
/// any.
///
/// # Errors
/// Fails when one of them is not open.
pub fn inherited(first: RawFd, count: usize) -> io::Result<Vec<OwnedFd>> {
    let numbers = (first..).take(count);
    let owned = numbers.map(|fd| {
        // SAFETY: F_GETFD takes a number and touches no memory.
        check(unsafe { libc::fcntl(fd, libc::F_GETFD) }.into())?;
        // SAFETY: from_raw_fd wants an open descriptor that nobody else owns: it is open, and in a process that has
        // opened nothing yet nobody but the caller knows of it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    });
    owned.collect()
}

/// Sets the execution domain of this process (`personality(2)`).
///
/// # Errors
/// Fails when the kernel does not know it.
pub fn set_personality(persona: u64) -> io::Result<()> {
    // SAFETY: personality takes a number and touches no memory.
    check(unsafe { libc::personality(persona) }.into()).map(drop)
}

/// Closes all descriptors from `first` on that this process has inherited; to be called before it opens any.
///
/// # Errors
/// Fails on kernels before 5.9.
pub fn close_on_start(first: RawFd) -> io::Result<()> {
    // SAFETY: close_range takes three numbers. A process that has just started owns no descriptors but those that it
    // inherited, which nobody else in it knows of.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) }).map(drop)
}

/// Makes all descriptors from `first` on close at the next `execve`.
///
/// # Errors
/// Fails on kernels before 5.11.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    let first = libc::c_uint::try_from(first).map_err(io::Error::other)?;
    // SAFETY: close_range with this flag takes numbers and closes nothing now.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            libc::c_uint::MAX,
            CLOSE_RANGE_CLOEXEC,
        )
    };
    check(result).map(drop)
}

/// Sets every signal back to its default action and blocks none, as a program expects to be started.
///
/// # Errors
/// Fails never with the signals of this kernel; the result says so anyway.
pub fn reset_signals() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        if signal == libc::SIGKILL || signal == libc::SIGSTOP {
            continue;
        }
        // SAFETY: signal(2) with SIG_DFL installs no handler. The C library refuses the few numbers that it keeps for
        // itself, which is as good.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    nix::sys::signal::SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// Sets the NIS domain name of the calling process's UTS namespace.
///
/// # Errors
/// Fails without `CAP_SYS_ADMIN` and for names longer than 64 bytes.
pub fn set_domain_name(name: &str) -> io::Result<()> {
    // SAFETY: setdomainname wants a pointer and a length, and reads that many bytes.
    let result = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    check(result.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_children_are_children() {
        let mut child = std::process::Command::new("/bin/true")
            .spawn()
            .expect("true");
        let pid = i32::try_from(child.id()).expect("pid");
        // Also when it has ended, as long as nobody has asked how.
        assert!(is_child(pid));
        child.wait().expect("end");
        assert!(!is_child(pid) && !is_child(1) && !is_child(0) && !is_child(-1));
    }

    #[test]
    fn a_threaded_process_does_not_fork() {
        // The test harness runs this on a thread of its own.
        let error = fork(&[], |_| 0).expect_err("fork of a threaded process");
        assert!(error.to_string().contains("several threads"), "{error}");
    }

    #[test]
    fn signal_zero_reaches_this_process_and_no_other_number_does() {
        let own = i32::try_from(std::process::id()).expect("pid");
        send_signal(own, 0).expect("own process");
        let error = send_signal(own, 4096).expect_err("no such signal");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }
}
