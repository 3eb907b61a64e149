//! What the skin has to do with: streams and environment. Tests bring their own.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Exit code of a program that SIGPIPE would have killed.
const BROKEN_PIPE: u8 = 141;

type Writer = Mutex<Box<dyn Write + Send>>;

/// Looks up a variable of the environment.
pub type Variables = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Streams and environment.
pub struct World {
    stdin: Mutex<Box<dyn BufRead + Send>>,
    stdout: Writer,
    stderr: Writer,
    env: Variables,
    /// Progress goes to standard error, because somebody evaluates what is on standard output.
    evaluated: AtomicBool,
    debug: AtomicBool,
}

/// A command that did not do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What standard error says; nothing when it was said already.
    pub(crate) message: Option<String>,
    /// The exit code.
    pub(crate) code: u8,
}

// === impl World ===

impl World {
    /// The streams and the environment of this process.
    #[must_use]
    pub fn real() -> Self {
        Self::new(
            Box::new(BufReader::new(io::stdin())),
            Box::new(io::stdout()),
            Box::new(io::stderr()),
            Box::new(|name| std::env::var(name).ok()),
        )
    }

    /// Other streams and another environment.
    #[must_use]
    pub fn new(
        stdin: Box<dyn BufRead + Send>,
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
        env: Variables,
    ) -> Self {
        Self {
            stdin: Mutex::new(stdin),
            stdout: Mutex::new(stdout),
            stderr: Mutex::new(stderr),
            env,
            evaluated: AtomicBool::new(false),
            debug: AtomicBool::new(false),
        }
    }

    /// A variable that is set to something.
    pub(crate) fn env(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// Sends progress to standard error from now on.
    pub(crate) fn is_evaluated(&self) {
        self.evaluated.store(true, Ordering::Relaxed);
    }

    /// Tells what is done, too.
    pub(crate) fn tell_more(&self) {
        self.debug.store(true, Ordering::Relaxed);
    }

    /// Prints on standard output what the command is for.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        write(&self.stdout, text).map_err(Failure::from)
    }

    /// Prints a line on standard output.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.print(&format!("{text}\n"))
    }

    /// Says how the work goes; who does not listen is no reason to stop it.
    pub(crate) fn info(&self, text: &str) {
        let stream = if self.evaluated.load(Ordering::Relaxed) {
            &self.stderr
        } else {
            &self.stdout
        };
        let _ = write(stream, &format!("{text}\n"));
    }

    /// Says what went wrong.
    pub(crate) fn error(&self, text: &str) {
        let _ = write(&self.stderr, &format!("{text}\n"));
    }

    /// Says what only `--debug` wants to know.
    pub(crate) fn debug(&self, text: &str) {
        if self.debug.load(Ordering::Relaxed) {
            self.error(text);
        }
    }

    /// Asks a question and reads one word, as Go's `Scanln` does.
    pub(crate) fn ask(&self, question: &str) -> Result<String, Failure> {
        self.print(&format!("{question} (y/n): "))?;
        let mut answer = String::new();
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        let read = stdin.read_line(&mut answer);
        let problem = match (read, answer.split_whitespace().count()) {
            (Err(error), _) => error.to_string(),
            (Ok(0), _) => "EOF".to_owned(),
            (Ok(_), 1) => return Ok(answer.trim().to_owned()),
            (Ok(_), 0) => "unexpected newline".to_owned(),
            (Ok(_), _) => "expected newline".to_owned(),
        };
        Err(Failure::new(problem))
    }
}

fn write(stream: &Writer, text: &str) -> io::Result<()> {
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("World").finish_non_exhaustive()
    }
}

// === impl Failure ===

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into()),
            code: 1,
        }
    }

    /// A failure that was told already.
    pub(crate) fn silent(code: u8) -> Self {
        Self {
            message: None,
            code,
        }
    }

    /// Sets the exit code.
    pub(crate) fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::silent(BROKEN_PIPE),
            _ => Self::new(error.to_string()),
        }
    }
}
