//! `berth logs`.

use berth_proto::v1::{LogsRequest, LogsResponse, StreamKind};
use jiff::Zoned;
use prost_types::Timestamp;

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::session::Writers;
use crate::units::moment;

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

    /// Name or id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

/// Shows a log, each stream on its own.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let now = Zoned::now();
    let moment = |text: &Option<String>| -> Result<Option<Timestamp>, Failure> {
        let Some(text) = text else { return Ok(None) };
        let moment = moment::parse(text, &now).map_err(|error| Failure::because(&error))?;
        Ok(Some(Timestamp {
            seconds: moment.as_second(),
            nanos: moment.subsec_nanosecond(),
        }))
    };
    let request = LogsRequest {
        container: args.container.clone(),
        follow: args.follow,
        stdout: true,
        stderr: true,
        tail_lines: tail(args.tail.as_deref())?,
        since: moment(&args.since)?,
        until: moment(&args.until)?,
        details: false,
    };
    let engine = global.engine().await?;
    let mut records = engine.containers().logs(request).await?.into_inner();
    let mut writers = Writers::new();
    let mut prefix = Prefix::new(args.timestamps);
    while let Some(record) = records.message().await? {
        if let Some(time) = prefix.of(&record) {
            writers.write(record.stream(), time.as_bytes()).await?;
        }
        writers.write(record.stream(), &record.data).await?;
    }
    Ok(0)
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

/// The time before each line; a line that comes in parts has it once.
#[derive(Debug)]
struct Prefix {
    wanted: bool,
    /// Whether a line is unfinished, of standard output and of standard error.
    inside: [bool; 2],
}

// === impl Prefix ===

impl Prefix {
    fn new(wanted: bool) -> Self {
        Self {
            wanted,
            inside: [false; 2],
        }
    }

    fn of(&mut self, record: &LogsResponse) -> Option<String> {
        let inside = &mut self.inside[usize::from(record.stream() == StreamKind::Stderr)];
        let continues = std::mem::replace(inside, !record.data.ends_with(b"\n"));
        if !self.wanted || continues {
            return None;
        }
        let time = record.time.unwrap_or_default();
        Some(format!("{} ", moment::in_log(time.seconds, time.nanos)))
    }
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
            attributes: Vec::new(),
        }
    }

    #[test]
    fn a_line_in_parts_has_its_time_once() {
        let mut prefix = Prefix::new(true);
        let time = Some("1970-01-01T00:00:01.000000002Z ".to_owned());
        assert_eq!(prefix.of(&record(StreamKind::Stdout, "a")), time);
        assert_eq!(prefix.of(&record(StreamKind::Stderr, "x\n")), time);
        assert_eq!(prefix.of(&record(StreamKind::Stdout, "b\n")), None);
        assert_eq!(prefix.of(&record(StreamKind::Stdout, "c\n")), time);
        assert_eq!(
            Prefix::new(false).of(&record(StreamKind::Stdout, "c\n")),
            None
        );
    }

    #[test]
    fn tail_takes_numbers_and_all() {
        assert_eq!(tail(Some("10")).unwrap(), Some(10));
        assert_eq!(tail(Some("all")).unwrap(), None);
        assert_eq!(tail(Some("-1")).unwrap(), None);
        tail(Some("ten")).unwrap_err();
    }
}
