//! Questions to the operator: on the terminal, or through the program that `SSH_ASKPASS` names.
//!
//! One question is asked at a time, however many connections are being made. What is typed is never
//! shown for secrets, and the terminal is put back whatever ends the question, ctrl-c included.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, raise};
use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use zeroize::Zeroizing;

/// Longest answer.
const MAX_ANSWER: usize = 1024;
/// Questions that are open now.
static OPEN: AtomicUsize = AtomicUsize::new(0);
/// The terminal is one.
static TURN: Mutex<()> = Mutex::new(());

/// Counts a question while it is open.
struct Opened;

impl Opened {
    fn new() -> Self {
        OPEN.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Returns whether somebody is being asked: then it is a person who takes long, not a host.
pub(crate) fn is_open() -> bool {
    OPEN.load(Ordering::SeqCst) > 0
}

/// Asks for a secret; `None` when nobody can be asked or nobody answers.
pub(crate) async fn secret(prompt: String) -> Option<Zeroizing<String>> {
    ask(prompt, false).await
}

/// Asks a question that `yes` affirms; `None` when nobody can be asked.
pub(crate) async fn affirmed(prompt: String) -> Option<bool> {
    let answer = ask(prompt, true).await?;
    Some(answer.trim().eq_ignore_ascii_case("yes"))
}

async fn ask(prompt: String, shown: bool) -> Option<Zeroizing<String>> {
    let opened = Opened::new();
    tokio::task::spawn_blocking(move || {
        let _opened = opened;
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let required = std::env::var("SSH_ASKPASS_REQUIRE").unwrap_or_default();
        let program = std::env::var_os("SSH_ASKPASS").filter(|program| !program.is_empty());
        let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        let terminal = || OpenOptions::new().read(true).write(true).open("/dev/tty");
        match (required.as_str(), program) {
            ("force" | "prefer", Some(program)) => by_program(&program, &prompt),
            ("force", None) => None,
            ("never", _) | (_, None) => by_terminal(terminal().ok()?, &prompt, shown).ok(),
            (_, Some(program)) => match terminal() {
                Ok(terminal) => by_terminal(terminal, &prompt, shown).ok(),
                Err(_no_terminal) if has_screen => by_program(&program, &prompt),
                Err(_no_terminal) => None,
            },
        }
    })
    .await
    .ok()
    .flatten()
}

fn by_program(program: &std::ffi::OsStr, prompt: &str) -> Option<Zeroizing<String>> {
    let output = Command::new(program)
        .arg(prompt)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .ok()?;
    let bytes = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return None;
    }
    let text = std::str::from_utf8(&bytes).ok()?;
    Some(Zeroizing::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

/// Puts the terminal back when dropped.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // There is nothing better to do with a terminal that has gone away.
        let _ = termios::tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn by_terminal(mut terminal: File, prompt: &str, shown: bool) -> io::Result<Zeroizing<String>> {
    let before = termios::tcgetattr(&terminal)?;
    let mut modes = before.clone();
    // Keys come one by one and as they are, ctrl-c among them: so nothing can end this program
    // before the terminal is put back.
    modes
        .local_modes
        .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    let quiet = Quiet {
        terminal: &terminal.try_clone()?,
        before,
    };
    termios::tcsetattr(&terminal, OptionalActions::Flush, &modes)?;
    terminal.write_all(prompt.as_bytes())?;
    let answer = read_answer(&mut terminal, shown);
    terminal.write_all(b"\r\n")?;
    drop(quiet);
    match answer? {
        Some(answer) => Ok(answer),
        None => {
            // As the terminal itself would have done it.
            raise(Signal::SIGINT)?;
            Err(io::ErrorKind::Interrupted.into())
        }
    }
}

/// Reads one line; `None` for ctrl-c.
fn read_answer(terminal: &mut File, shown: bool) -> io::Result<Option<Zeroizing<String>>> {
    // Room for all of it at once: growing would leave copies behind.
    let mut answer = Zeroizing::new(Vec::with_capacity(MAX_ANSWER));
    loop {
        let mut key = [0];
        let n_read = terminal.read(&mut key)?;
        match key[0] {
            _ if n_read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            b'\r' | b'\n' => break,
            0x03 => return Ok(None),
            0x04 if answer.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            0x08 | 0x7f => {
                let erased = answer.pop().is_some();
                if erased && shown {
                    terminal.write_all(b"\x08 \x08")?;
                }
            }
            0x15 => answer.clear(),
            key if answer.len() < MAX_ANSWER => {
                answer.push(key);
                if shown {
                    terminal.write_all(&[key])?;
                }
            }
            _ => {}
        }
    }
    let text = String::from_utf8(std::mem::take(&mut *answer));
    text.map(|text| Some(Zeroizing::new(text)))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}
