//! The stream of a log.

use std::sync::Arc;

use berth_agent_engine::{Engine, LogBatch, Logs, LogsError, LogsOptions};
use berth_proto::v1;
use futures::{Stream, StreamExt as _, stream};
use tonic::Status;

use crate::convert;
use crate::status;

/// Opens a log.
pub(super) fn logs(
    engine: &Arc<Engine>,
    request: v1::LogsRequest,
) -> Result<impl Stream<Item = Result<v1::LogsResponse, Status>> + use<>, Status> {
    let options = LogsOptions {
        follow: request.follow,
        stdout: request.stdout,
        stderr: request.stderr,
        tail: request.tail_lines,
        since: request.since.map(convert::time).transpose()?,
        until: request.until.map(convert::time).transpose()?,
        timestamps: request.timestamps,
        resume: request.resume,
    };
    let mut logs = engine
        .logs(&request.container, options)
        .map_err(|e| status::of(&e))?;
    let attributes = if request.details {
        std::mem::take(&mut logs.attributes)
    } else {
        Vec::new()
    };
    let attributes: Vec<String> = attributes
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let tty = logs.tty;
    let batches = stream::unfold(logs, |mut logs: Logs| async move {
        Some((logs.next().await?, logs))
    });
    Ok(batches.flat_map(move |batch| stream::iter(messages(batch, &attributes, tty))))
}

fn messages(
    batch: Result<LogBatch, LogsError>,
    attributes: &[String],
    tty: bool,
) -> Vec<Result<v1::LogsResponse, Status>> {
    let LogBatch { lines, cursor } = match batch {
        Ok(batch) => batch,
        Err(error) => return vec![Err(status::of(&error))],
    };
    let messages = lines.into_iter().map(|lines| v1::LogsResponse {
        stream: convert::stream(lines.stream).into(),
        time: Some(lines.time.into()),
        data: lines.data,
        tty,
        attributes: attributes.to_vec(),
        lost_bytes: lines.lost,
        cursor: String::new(),
    });
    let mut messages: Vec<v1::LogsResponse> = messages.collect();
    match messages.last_mut() {
        Some(last) => last.cursor = cursor,
        None => messages.push(v1::LogsResponse {
            tty,
            cursor,
            ..v1::LogsResponse::default()
        }),
    }
    messages.into_iter().map(Ok).collect()
}
