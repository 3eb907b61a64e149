//! Logs of containers.

use std::io;

use berth_agent_engine::{Classified as _, LogBatch, Logs, LogsOptions};
use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};

use crate::answer;
use crate::api::Api;
use crate::body::{self, Body};
use crate::call::Call;
use crate::error::{ApiError, broken};
use crate::moment;
use crate::streams::frame::Framing;

/// How lines are written.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) framing: Framing,
    timestamps: bool,
    /// What comes before each line, besides its time.
    details: String,
}

/// Answers with a log, and follows it if that is asked for.
pub(super) fn logs(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    let query = &call.query;
    let (stdout, stderr) = (query.is_true("stdout"), query.is_true("stderr"));
    // Looked up first: that there is none comes before that nothing is asked of it.
    api.engine().phase(name)?;
    if !stdout && !stderr {
        let sentence = "Bad parameters: you must choose at least one stream";
        return Err(ApiError::bad_request(sentence));
    }
    let options = LogsOptions {
        follow: query.is_true("follow"),
        stdout,
        stderr,
        // As Docker: what is no number means all.
        tail: query.text("tail").parse().ok(),
        since: moment::parse(query.text("since"))?,
        until: moment::parse(query.text("until"))?,
        timestamps: query.is_true("timestamps"),
        resume: String::new(),
    };
    let timestamps = options.timestamps;
    let logs = api.engine().logs(name, options)?;
    let form = Form {
        framing: Framing::of(logs.tty),
        timestamps,
        details: details(&logs, query.is_true("details")),
    };
    let media_type = form.framing.media_type(call.version);
    let batches = stream::unfold((logs, form), |(mut logs, form)| async move {
        let batch = logs.next().await?;
        let chunk = match batch {
            Ok(batch) => Ok(Bytes::from(form.write(&batch))),
            Err(error) => Err(cut_off(&error.sentence())),
        };
        Some((chunk, (logs, form)))
    });
    Ok(answer::with(
        StatusCode::OK,
        media_type,
        body::streamed(batches),
    ))
}

fn cut_off(sentence: &str) -> io::Error {
    tracing::warn!(error = sentence, "log cut off");
    broken(sentence)
}

fn details(logs: &Logs, are_wanted: bool) -> String {
    if !are_wanted || logs.attributes.is_empty() {
        return String::new();
    }
    let pairs = logs
        .attributes
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    format!("{} ", pairs.collect::<Vec<_>>().join(","))
}

impl Form {
    /// Lines as they are.
    pub(super) fn bare(framing: Framing) -> Self {
        Self {
            framing,
            timestamps: false,
            details: String::new(),
        }
    }

    pub(super) fn write(&self, batch: &LogBatch) -> Vec<u8> {
        let mut out = Vec::new();
        for lines in &batch.lines {
            let mut prefix = String::new();
            if self.timestamps {
                prefix = format!("{} ", moment::in_log(lines.time));
            }
            prefix.push_str(&self.details);
            if prefix.is_empty() {
                self.framing.write(lines.stream, &lines.data, &mut out);
                continue;
            }
            // A frame is a line, as clients expect that look for its beginning.
            for line in lines.data.split_inclusive(|byte| *byte == b'\n') {
                let text = [prefix.as_bytes(), line].concat();
                self.framing.write(lines.stream, &text, &mut out);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use berth_agent_engine::{Lines, Stream};

    use super::*;

    #[test]
    fn each_line_has_its_time_and_details() {
        let form = Form {
            framing: Framing::Framed,
            timestamps: true,
            details: "a=b ".to_owned(),
        };
        let lines = Lines {
            stream: Stream::Stderr,
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(1),
            data: b"x\ny".to_vec(),
            lost: 0,
        };
        let batch = LogBatch {
            lines: vec![lines],
            cursor: String::new(),
        };
        let text = |line: &str| format!("1970-01-01T00:00:01.000000000Z a=b {line}");
        let mut wanted = Vec::new();
        for line in ["x\n", "y"] {
            Framing::Framed.write(Stream::Stderr, text(line).as_bytes(), &mut wanted);
        }
        assert_eq!(form.write(&batch), wanted);
        let bare = Form::bare(Framing::Bare).write(&batch);
        assert_eq!(bare, b"x\ny");
    }
}
