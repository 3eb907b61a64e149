//! `berth logs`.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use berth_proto::REASON_TRAILER;
use berth_proto::v1::{LogsRequest, LogsResponse, StreamKind};
use futures::{FutureExt as _, StreamExt as _};
use jiff::Zoned;
use prost_types::Timestamp;
use tonic::Status;

use crate::engine::{Engine, Global};
use crate::failure::{Failure, Outcome};
use crate::session::Writers;
use crate::ui;
use crate::units::moment;

/// How long an agent that was lost while its log was followed may take to come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that are worth a write although more are there.
const ENOUGH: usize = 64 * 1024;

/// How often it is asked meanwhile.
const AGAIN: Duration = Duration::from_millis(200);

/// Show what a container has written
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Go on until the container ends
    #[arg(long, short)]
    follow: bool,

    /// From this moment on: 2026-01-02T13:23:37Z, or a span such as 42m
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Up to this moment
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// The last lines only: a number, or "all"
    #[arg(long, short = 'n', value_name = "LINES", allow_negative_numbers = true)]
    tail: Option<String>,

    /// Show when each line was written
    #[arg(long, short)]
    timestamps: bool,

    /// Show what --log-opt labels, env and tag say of the container
    #[arg(long)]
    details: bool,

    /// Name or id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

/// Shows a log, each stream on its own.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let mut request = args.request()?;
    let mut engine = global.engine().await?;
    let mut writers = Writers::new();
    let mut prefix = Prefix::new(args.timestamps, args.details);
    loop {
        let Err(failure) = show(&engine, &mut request, &mut writers, &mut prefix).await? else {
            return Ok(0);
        };
        // The agent was restarted; the container and its log were not.
        if !args.follow || !is_lost(&failure) {
            return Err(failure.into());
        }
        engine = connect_again(global, failure).await?;
    }
}

/// Shows a log until its end, or until a call fails. Notes in the request how far it has come.
async fn show(
    engine: &Engine,
    request: &mut LogsRequest,
    writers: &mut Writers,
    prefix: &mut Prefix,
) -> Result<Result<(), Status>, Failure> {
    let mut records = match engine.containers().logs(request.clone()).await {
        Ok(records) => records.into_inner(),
        Err(status) => return Ok(Err(status)),
    };
    let mut pending = Pending::default();
    loop {
        let next = match records.next().now_or_never() {
            Some(next) if pending.text.len() < ENOUGH => next,
            next => {
                pending.write(writers, request).await?;
                match next {
                    Some(next) => next,
                    None => records.next().await,
                }
            }
        };
        let record = match next {
            Some(Ok(record)) => record,
            end => {
                pending.write(writers, request).await?;
                return Ok(end.transpose().map(drop));
            }
        };
        if record.lost_bytes > 0 || record.stream() != pending.stream {
            pending.write(writers, request).await?;
        }
        if record.lost_bytes > 0 {
            ui::warn(&format!(
                "{} bytes of the log are missing here",
                record.lost_bytes
            ));
        }
        pending.add(record, prefix);
    }
}

/// Lines of one stream that are written together: with times, each of them comes by itself, and a write of its own would
/// take longer than its way here.
#[derive(Debug, Default)]
struct Pending {
    stream: StreamKind,
    text: Vec<u8>,
    /// Where to go on after them.
    cursor: String,
}

// === impl Pending ===

impl Pending {
    fn add(&mut self, record: LogsResponse, prefix: &mut Prefix) {
        self.stream = record.stream();
        self.text.extend_from_slice(&prefix.lines(&record));
        if !record.cursor.is_empty() {
            self.cursor = record.cursor;
        }
    }

    /// Writes what there is, and notes in the request how far that is.
    async fn write(
        &mut self,
        writers: &mut Writers,
        request: &mut LogsRequest,
    ) -> std::io::Result<()> {
        if !self.text.is_empty() {
            writers.write(self.stream, &self.text).await?;
            self.text.clear();
        }
        if !self.cursor.is_empty() {
            request.resume = std::mem::take(&mut self.cursor);
        }
        Ok(())
    }
}

/// Says whether it is the connection that failed: what the agent itself refuses has a reason.
fn is_lost(status: &Status) -> bool {
    status.metadata().get(REASON_TRAILER).is_none()
}

/// Connects again, to an agent that may take its time to come back.
async fn connect_again(global: &Global, lost: Status) -> Result<Engine, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match global.engine().await {
            Ok(engine) => return Ok(engine),
            Err(_) if Instant::now() < deadline => tokio::time::sleep(AGAIN).await,
            Err(_) => return Err(lost.into()),
        }
    }
}

impl Args {
    fn request(&self) -> Result<LogsRequest, Failure> {
        let now = Zoned::now();
        let moment = |option: &str, text: &Option<String>| -> Result<Option<Timestamp>, Failure> {
            let Some(text) = text else { return Ok(None) };
            let moment = moment::parse(text, &now).map_err(|error| {
                Failure::new(format!("invalid value for \"{option}\": {error}"))
            })?;
            Ok(Some(Timestamp {
                seconds: moment.as_second(),
                nanos: moment.subsec_nanosecond(),
            }))
        };
        Ok(LogsRequest {
            container: self.container.clone(),
            follow: self.follow,
            stdout: true,
            stderr: true,
            tail_lines: tail(self.tail.as_deref())?,
            since: moment("since", &self.since)?,
            until: moment("until", &self.until)?,
            details: self.details,
            timestamps: self.timestamps,
            resume: String::new(),
        })
    }
}

/// Reads a number of lines; "all" and negative numbers mean no limit.
fn tail(text: Option<&str>) -> Result<Option<u64>, Failure> {
    match text {
        None | Some("all" | "") => Ok(None),
        Some(text) => match text.parse::<i64>() {
            Ok(lines) => Ok(u64::try_from(lines).ok()),
            Err(_) => Err(Failure::new(format!("invalid value for \"tail\": {text}"))),
        },
    }
}

/// What stands before each line; a line that comes in parts has it once.
#[derive(Debug)]
struct Prefix {
    timestamps: bool,
    details: bool,
    /// Whether a line is unfinished, of standard output and of standard error.
    inside: [bool; 2],
}

// === impl Prefix ===

impl Prefix {
    fn new(timestamps: bool, details: bool) -> Self {
        Self {
            timestamps,
            details,
            inside: [false; 2],
        }
    }

    /// Returns the lines of a message as they are shown.
    fn lines<'a>(&mut self, record: &'a LogsResponse) -> Cow<'a, [u8]> {
        if !self.timestamps && !self.details {
            return Cow::Borrowed(&record.data);
        }
        let mut prefix = String::new();
        if self.timestamps {
            let time = record.time.unwrap_or_default();
            prefix = format!("{} ", moment::in_log(time.seconds, time.nanos));
        }
        if self.details {
            let details: Vec<String> = record.attributes.iter().map(|a| detail(a)).collect();
            prefix = format!("{prefix}{} ", details.join(","));
        }
        let inside = &mut self.inside[usize::from(record.stream() == StreamKind::Stderr)];
        let mut text = Vec::with_capacity(record.data.len() + prefix.len());
        for line in record.data.split_inclusive(|byte| *byte == b'\n') {
            let continues = std::mem::replace(inside, !line.ends_with(b"\n"));
            if !continues {
                text.extend_from_slice(prefix.as_bytes());
            }
            text.extend_from_slice(line);
        }
        Cow::Owned(text)
    }
}

/// Escapes an attribute as Docker does: as in the query of an address.
fn detail(attribute: &str) -> String {
    let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
    format!("{}={}", escaped(name), escaped(value))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(stream: StreamKind, data: &str) -> LogsResponse {
        LogsResponse {
            stream: stream.into(),
            time: Some(Timestamp {
                seconds: 1,
                nanos: 2,
            }),
            data: data.as_bytes().to_vec(),
            tty: false,
            attributes: vec!["a=1 2".to_owned(), "b/=x".to_owned()],
            ..LogsResponse::default()
        }
    }

    #[test]
    fn a_line_in_parts_has_its_time_once() {
        let mut prefix = Prefix::new(true, false);
        let mut shown = |stream, data| {
            let text = prefix.lines(&record(stream, data)).into_owned();
            String::from_utf8(text).unwrap()
        };
        let time = "1970-01-01T00:00:01.000000002Z ";
        assert_eq!(shown(StreamKind::Stdout, "a"), format!("{time}a"));
        assert_eq!(shown(StreamKind::Stderr, "x\n"), format!("{time}x\n"));
        assert_eq!(shown(StreamKind::Stdout, "b\n"), "b\n");
        assert_eq!(
            shown(StreamKind::Stdout, "c\nd\ne"),
            format!("{time}c\n{time}d\n{time}e")
        );
        let plain = record(StreamKind::Stdout, "c\n");
        assert_eq!(*Prefix::new(false, false).lines(&plain), *b"c\n");
    }

    #[test]
    fn details_come_between_time_and_line() {
        let record = record(StreamKind::Stdout, "text\n");
        let mut prefix = Prefix::new(true, true);
        let expected = b"1970-01-01T00:00:01.000000002Z a=1+2,b%2F=x text\n";
        assert_eq!(*prefix.lines(&record), *expected);
    }

    #[test]
    fn tail_takes_numbers_and_all() {
        assert_eq!(tail(Some("10")).unwrap(), Some(10));
        assert_eq!(tail(Some("all")).unwrap(), None);
        assert_eq!(tail(Some("-1")).unwrap(), None);
        tail(Some("ten")).unwrap_err();
    }
}
