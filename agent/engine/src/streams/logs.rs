//! Reads containers' logs, and follows them.
//!
//! What is there is read from the files. What comes afterwards is sent by the supervisor from exactly the place where
//! the files were read up to: it keeps for its clients what rotation would remove.

use std::sync::Arc;
use std::time::SystemTime;

use berth_agent_runtime::log::{
    Cursor, InvalidCursor, LineSplitter, Lines, LogSelection, ReadLogError, Reader, Record, Stream,
};
use berth_agent_runtime::{AttachFrom, AttachOptions, Output};
use futures::FutureExt as _;
use tokio::sync::mpsc;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::Container;
use crate::container::containers::LookupError;
use crate::streams::log_driver::{self, LogDriverError};

/// Batches that are read ahead of a client.
const AHEAD: usize = 8;

/// About how many bytes a batch has.
const BATCH: usize = 128 * 1024;

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
    /// Only up to then.
    pub until: Option<SystemTime>,
    /// Whether lines of different times have to come apart.
    pub timestamps: bool,
    /// Goes on after a batch with this cursor, instead of at `tail`; empty: does not.
    pub resume: String,
}

/// A log that is being read.
#[derive(Debug)]
pub struct Logs {
    /// Whether the container has a terminal.
    pub tty: bool,
    /// What the log options `labels`, `env` and `tag` say of the container, by name.
    pub attributes: Vec<(String, String)>,
    batches: mpsc::Receiver<Result<LogBatch, LogsError>>,
}

/// Some lines of a log.
#[derive(Clone, Debug, Default)]
pub struct LogBatch {
    /// The lines, in the order in which they were completed; none in a batch that only tells a client that follows
    /// where it is.
    pub lines: Vec<Lines>,
    /// From where to go on without losing or repeating anything.
    pub cursor: String,
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
    /// The driver keeps no log, or its options make no sense.
    #[error(transparent)]
    Driver(#[from] LogDriverError),
    /// The cursor is none.
    #[error("cannot go on reading the log")]
    Cursor(#[source] InvalidCursor),
    /// The log cannot be read.
    #[error("reading the container's log")]
    Read(#[source] ReadLogError),
    /// The supervisor's connection broke.
    #[error("following the container's log")]
    Follow(#[source] std::io::Error),
}

/// Puts lines together and sends them to the client; a client that goes away ends the reading.
struct Sender {
    options: LogsOptions,
    selection: LogSelection,
    splitter: LineSplitter,
    /// Lines that are not wanted, since only the last ones are.
    skip: u64,
    batch: LogBatch,
    bytes: usize,
    batches: mpsc::Sender<Result<LogBatch, LogsError>>,
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
        let (tty, attributes) = container.with_record(|record| {
            let driver = &record.host.log;
            log_driver::readable(driver)?;
            let attributes = log_driver::attributes(driver, record)?;
            Ok::<_, LogDriverError>((record.config.tty, attributes))
        })?;
        let resume = match options.resume.as_str() {
            "" => None,
            text => Some(text.parse().map_err(LogsError::Cursor)?),
        };
        let folder = self.paths.container(container.id());
        let reader = Reader::open(&folder).map_err(LogsError::Read)?;
        let (sender, batches) = mpsc::channel(AHEAD);
        tokio::spawn(read(
            container,
            reader,
            Sender::new(options, resume, sender),
            resume,
        ));
        Ok(Logs {
            tty,
            attributes,
            batches,
        })
    }
}

impl Logs {
    /// Waits for the next lines; nothing at the end.
    ///
    /// # Errors
    /// When the log is damaged or cannot be read.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<LogBatch, LogsError>> {
        self.batches.recv().await
    }
}

async fn read(container: Arc<Container>, reader: Reader, sender: Sender, resume: Option<Cursor>) {
    // Attached before the file is read to there, so that nothing falls in between.
    let news = if sender.options.follow {
        live(&container).await
    } else {
        None
    };
    let end = news.as_ref().and_then(Output::offset);
    let work = tokio::task::spawn_blocking(move || {
        let (mut reader, mut sender) = (reader, sender);
        let goes_on = sender.send_existing(&mut reader, end, resume);
        (sender, goes_on)
    });
    let (sender, goes_on) = crate::task::outcome(work).await;
    if goes_on {
        follow(sender, news).await;
    }
}

/// Connects to a running container.
async fn live(container: &Container) -> Option<Output> {
    let running = container.running()?;
    let options = AttachOptions {
        from: AttachFrom::Now,
        stdin: false,
    };
    match running.attach(options).await {
        Ok(attachment) => Some(attachment.output).filter(|output| output.offset().is_some()),
        // It ended a moment ago, so that the file has everything.
        Err(error) => {
            tracing::debug!(error = %error, "log not followed");
            None
        }
    }
}

/// Sends what comes, until the container has ended.
async fn follow(mut sender: Sender, news: Option<Output>) {
    let deadline = sender.selection.until;
    let Some(mut news) = news else {
        sender.finish().await;
        return;
    };
    loop {
        let record = tokio::select! {
            // Cancel-safe by its documentation.
            record = news.next() => record,
            // A client that went away needs no more.
            () = sender.batches.closed() => return,
            // What would come now is not wanted any more.
            () = sleep_until(deadline) => return,
        };
        let mut record = match record {
            Ok(Some(record)) => record,
            Ok(None) => break,
            Err(error) => {
                drop(sender.batches.send(Err(LogsError::Follow(error))).await);
                return;
            }
        };
        // What is here already goes into the same batch.
        let ended = loop {
            sender.push(record);
            if sender.bytes >= BATCH {
                break false;
            }
            match news.next().now_or_never() {
                Some(Ok(Some(next))) => record = next,
                None => break false,
                Some(_) => break true,
            }
        };
        let next = news.offset().unwrap_or_default();
        if !sender.send(next).await {
            return;
        }
        if ended {
            break;
        }
    }
    sender.finish().await;
}

async fn sleep_until(deadline: Option<SystemTime>) {
    match deadline {
        Some(deadline) => {
            let left = deadline.duration_since(SystemTime::now());
            tokio::time::sleep(left.unwrap_or_default()).await;
        }
        None => std::future::pending().await,
    }
}

impl Sender {
    fn new(
        options: LogsOptions,
        resume: Option<Cursor>,
        batches: mpsc::Sender<Result<LogBatch, LogsError>>,
    ) -> Self {
        let stream = match (options.stdout, options.stderr) {
            (true, false) => Some(Stream::Stdout),
            (false, true) => Some(Stream::Stderr),
            _ => None,
        };
        let selection = LogSelection {
            since: options.since,
            until: options.until,
            stream,
            tail: options.tail,
        };
        Self {
            options,
            selection,
            splitter: resume.map(LineSplitter::resume).unwrap_or_default(),
            skip: 0,
            batch: LogBatch::default(),
            bytes: 0,
            batches,
        }
    }

    /// Sends what is in the log up to `end`, or now; returns whether there is sense in going on. Blocks.
    fn send_existing(
        &mut self,
        reader: &mut Reader,
        end: Option<u64>,
        resume: Option<Cursor>,
    ) -> bool {
        let result = self.read_existing(reader, end, resume);
        match result {
            Ok(goes_on) => goes_on,
            Err(error) => {
                drop(self.batches.blocking_send(Err(LogsError::Read(error))));
                false
            }
        }
    }

    fn read_existing(
        &mut self,
        reader: &mut Reader,
        end: Option<u64>,
        resume: Option<Cursor>,
    ) -> Result<bool, ReadLogError> {
        match resume {
            Some(cursor) => reader.seek(cursor.first()),
            None => self.skip = reader.seek_to_tail(&self.selection, end.unwrap_or(u64::MAX))?,
        }
        while end.is_none_or(|end| reader.offset() < end) {
            let Some(record) = reader.next_record()? else {
                break;
            };
            self.push(record);
            if self.bytes >= BATCH {
                let batch = self.take(reader.offset());
                if self.batches.blocking_send(Ok(batch)).is_err() {
                    return Ok(false);
                }
            }
        }
        let batch = self.take(reader.offset());
        // A client that follows is told where it is even before it gets a line: otherwise one that comes back could
        // only ask for the last lines once more, which are others by then.
        let is_worth_sending = self.options.follow || !batch.lines.is_empty();
        Ok(!is_worth_sending || self.batches.blocking_send(Ok(batch)).is_ok())
    }

    /// Adds what a record completes to the batch.
    fn push(&mut self, record: Record) {
        let Self {
            splitter,
            selection,
            skip,
            batch,
            bytes,
            options,
            ..
        } = self;
        splitter.push(record, |lines| {
            add(lines, selection, skip, batch, bytes, options.timestamps);
        });
    }

    fn take(&mut self, next: u64) -> LogBatch {
        self.bytes = 0;
        let mut batch = std::mem::take(&mut self.batch);
        batch.cursor = self.splitter.cursor(next).to_string();
        batch
    }

    /// Sends the batch; returns whether the client is still there.
    async fn send(&mut self, next: u64) -> bool {
        let batch = self.take(next);
        batch.lines.is_empty() || self.batches.send(Ok(batch)).await.is_ok()
    }

    /// Sends lines that will not be finished any more.
    async fn finish(mut self) {
        let Self {
            splitter,
            selection,
            skip,
            batch,
            bytes,
            options,
            ..
        } = &mut self;
        splitter.finish(|lines| {
            add(lines, selection, skip, batch, bytes, options.timestamps);
        });
        if !self.batch.lines.is_empty() {
            // A client that went away needs no more.
            drop(self.batches.send(Ok(self.batch)).await);
        }
    }
}

fn add(
    mut lines: Lines,
    selection: &LogSelection,
    skip: &mut u64,
    batch: &mut LogBatch,
    bytes: &mut usize,
    timestamps: bool,
) {
    if !selection.wants(&lines) {
        return;
    }
    let skipped = lines.count().min(*skip);
    *skip -= skipped;
    lines.skip(skipped);
    if lines.data.is_empty() {
        return;
    }
    *bytes += lines.data.len();
    match batch.lines.last_mut() {
        Some(last) if !timestamps && last.stream == lines.stream && lines.lost == 0 => {
            last.data.extend_from_slice(&lines.data);
        }
        _ => batch.lines.push(lines),
    }
}

impl Classified for LogsError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::Driver(error) => error.class(),
            Self::NoStream | Self::Cursor(_) => ErrorClass::InvalidArgument,
            Self::Read(_) | Self::Follow(_) => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::Driver(error) => error.reason(),
            Self::NoStream | Self::Cursor(_) => "invalid-argument",
            Self::Read(_) | Self::Follow(_) => "log-unreadable",
        }
    }
}
