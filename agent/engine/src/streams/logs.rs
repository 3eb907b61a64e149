//! Reads containers' logs, and follows them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use berth_agent_runtime::log::{Line, LineSplitter, LogSelection, ReadLogError, Reader, Stream};
use berth_agent_runtime::{AttachFrom, AttachOptions, Output};
use tokio::sync::mpsc;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::Container;
use crate::container::containers::LookupError;

/// Lines that are read ahead of a client.
const AHEAD: usize = 64;

/// Which part of a log is wanted.
#[derive(Clone, Debug, Default)]
pub struct LogsOptions {
    /// Goes on while the container runs.
    pub follow: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Only the last so many lines.
    pub tail: Option<u64>,
    /// Only from then on.
    pub since: Option<SystemTime>,
    /// Only until then.
    pub until: Option<SystemTime>,
}

/// A log that is being read.
#[derive(Debug)]
pub struct Logs {
    /// Whether the container has a terminal.
    pub tty: bool,
    lines: mpsc::Receiver<Result<Line, ReadLogError>>,
}

/// A log is not read.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// Neither stream is wanted.
    #[error("you must choose at least one stream")]
    NoStream,
    /// The log cannot be read.
    #[error("reading the container's log")]
    Read(#[source] ReadLogError),
}

/// Sends lines of interest to the client; a client that goes away ends the reading.
struct Sender {
    options: LogsOptions,
    lines: mpsc::Sender<Result<Line, ReadLogError>>,
}

impl Engine {
    /// Opens a container's log.
    ///
    /// # Errors
    /// When there is no such container or its log cannot be opened.
    pub fn logs(&self, name: &str, options: LogsOptions) -> Result<Logs, LogsError> {
        let container = self.containers.find(name)?;
        if !options.stdout && !options.stderr {
            return Err(LogsError::NoStream);
        }
        let folder = self.paths.container(container.id());
        let reader = Reader::open(&folder).map_err(LogsError::Read)?;
        let tty = container.with_record(|record| record.config.tty);
        let (sender, lines) = mpsc::channel(AHEAD);
        let sender = Sender {
            options,
            lines: sender,
        };
        tokio::spawn(read(container, folder, reader, sender));
        Ok(Logs { tty, lines })
    }
}

impl Logs {
    /// Waits for the next line, or for a part of a long or unfinished one; nothing at the end.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Line, LogsError>> {
        Some(self.lines.recv().await?.map_err(LogsError::Read))
    }
}

async fn read(container: Arc<Container>, folder: PathBuf, reader: Reader, sender: Sender) {
    // Attached before the file is read to its end, so that nothing falls in between.
    let news = if sender.options.follow {
        live(&container).await
    } else {
        None
    };
    let work = tokio::task::spawn_blocking(move || {
        let mut reader = reader;
        let goes_on = sender.send_existing(&mut reader);
        (reader, sender, goes_on)
    });
    let (reader, sender, goes_on) = crate::task::outcome(work).await;
    if let (Some(news), true) = (news, goes_on) {
        follow(reader, sender, news).await;
    }
    drop(folder);
}

/// Connects to a running container, as a bell: what is new is read from the file.
async fn live(container: &Container) -> Option<Output> {
    let running = container.running()?;
    let options = AttachOptions {
        from: AttachFrom::Now,
        stdin: false,
    };
    match running.attach(options).await {
        Ok(attachment) => Some(attachment.output),
        // It ended a moment ago, so that the file has everything.
        Err(error) => {
            tracing::debug!(error = %error, "log not followed");
            None
        }
    }
}

async fn follow(mut reader: Reader, sender: Sender, mut news: Output) {
    let mut splitter = LineSplitter::default();
    loop {
        let ended = tokio::select! {
            // Cancel-safe by its documentation; what it returns is in the file too.
            record = news.next() => !matches!(record, Ok(Some(_))),
            // A client that went away needs no more.
            () = sender.lines.closed() => return,
        };
        let mut lines = VecDeque::new();
        loop {
            match reader.next_record() {
                Ok(Some(record)) => lines.extend(splitter.push(&record)),
                Ok(None) => break,
                Err(error) => {
                    drop(sender.lines.send(Err(error)).await);
                    return;
                }
            }
        }
        if ended {
            lines.extend(splitter.finish());
            splitter = LineSplitter::default();
        }
        for line in lines {
            if sender.is_past(&line) {
                return;
            }
            if sender.wants(&line) && sender.lines.send(Ok(line)).await.is_err() {
                return;
            }
        }
        if ended {
            return;
        }
    }
}

impl Sender {
    /// Sends what is in the log now; returns whether there is sense in going on.
    fn send_existing(&self, reader: &mut Reader) -> bool {
        let options = &self.options;
        let selection = LogSelection {
            since: options.since,
            until: options.until,
            stream: match (options.stdout, options.stderr) {
                (true, false) => Some(Stream::Stdout),
                (false, true) => Some(Stream::Stderr),
                _ => None,
            },
            tail: options.tail,
        };
        let mut is_there = true;
        let read = reader.for_each_line(&selection, |line| {
            is_there = self.lines.blocking_send(Ok(line)).is_ok();
            is_there
        });
        if let Err(error) = read {
            drop(self.lines.blocking_send(Err(error)));
            return false;
        }
        is_there && options.until.is_none_or(|until| until > SystemTime::now())
    }

    fn wants(&self, line: &Line) -> bool {
        let stream = match line.stream {
            Stream::Stdout => self.options.stdout,
            Stream::Stderr => self.options.stderr,
        };
        stream && self.options.since.is_none_or(|since| line.time >= since)
    }

    fn is_past(&self, line: &Line) -> bool {
        self.options.until.is_some_and(|until| line.time > until)
    }
}

impl Classified for LogsError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::NoStream => ErrorClass::InvalidArgument,
            Self::Read(_) => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::NoStream => "invalid-argument",
            Self::Read(_) => "log-unreadable",
        }
    }
}
