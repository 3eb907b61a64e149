//! The stream of a log.

use std::sync::Arc;

use berth_agent_engine::{Engine, LogsOptions};
use berth_proto::v1;
use futures::{Stream, stream};
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
    };
    let logs = engine
        .logs(&request.container, options)
        .map_err(|e| status::of(&e))?;
    Ok(stream::unfold(logs, |mut logs| async move {
        let answer = match logs.next().await? {
            Ok(line) => Ok(v1::LogsResponse {
                stream: convert::stream(line.stream).into(),
                time: Some(line.time.into()),
                data: line.data,
                tty: logs.tty,
                attributes: Vec::new(),
            }),
            Err(error) => Err(status::of(&error)),
        };
        Some((answer, logs))
    }))
}
