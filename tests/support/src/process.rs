//! Processes that a test starts, and ends.

use std::io::Read;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::Outcome;

/// Sends a signal to a process.
///
/// # Panics
///
/// When there is no such process.
pub fn kill(pid: u32, signal: Signal) {
    nix::sys::signal::kill(Pid::from_raw(pid.cast_signed()), signal)
        .unwrap_or_else(|error| panic!("cannot send {signal} to process {pid}: {error}"));
}

/// A command that runs beside the test; killed when this value goes.
#[derive(Debug)]
pub struct Background {
    line: String,
    child: Child,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

// === impl Background ===

impl Background {
    /// Starts a command; its input stays open until [`Background::input`] is taken and dropped.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let line = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take(), &stdout),
            collect(child.stderr.take(), &stderr),
        ];
        Self {
            line,
            child,
            stdout,
            stderr,
            readers,
        }
    }

    /// Returns the process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Takes the command's input; dropping it is the end of input.
    pub fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Returns what it has written to standard output so far.
    #[must_use]
    pub fn stdout_so_far(&self) -> String {
        text(&self.stdout)
    }

    /// Returns what it has written to standard error so far.
    #[must_use]
    pub fn stderr_so_far(&self) -> String {
        text(&self.stderr)
    }

    /// Returns whether it has ended.
    ///
    /// # Panics
    ///
    /// When the kernel does not know our child.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_some()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When the kernel does not know our child.
    pub fn outcome(mut self) -> Outcome {
        drop(self.child.stdin.take());
        let status = self.child.wait().expect("our own child");
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader does not panic");
        }
        let take = |bytes: &Mutex<Vec<u8>>| {
            std::mem::take(&mut *bytes.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let output = std::process::Output {
            status,
            stdout: take(&self.stdout),
            stderr: take(&self.stderr),
        };
        Outcome::from_output(std::mem::take(&mut self.line), output)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended already, and then both do nothing.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    let bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn collect(
    from: Option<impl Read + Send + 'static>,
    into: &Arc<Mutex<Vec<u8>>>,
) -> std::thread::JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let Some(mut from) = from else { return };
        let mut chunk = [0; 8192];
        while let Ok(n_bytes @ 1..) = from.read(&mut chunk) {
            into.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(&chunk[..n_bytes]);
        }
    })
}
