//! Work that tells how far it is: its lines, then its end. When it fails before it has said anything
//! the call fails; after that the failure is the last line.

use std::io;

use bytes::Bytes;
use futures::{Stream, stream};
use http::{Response, StatusCode};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::answer;
use crate::body::{self, Body};
use crate::error::ApiError;
use crate::streams::lines;
use crate::streams::progress::Line;

/// Ends of lines as Docker's.
const END: &str = "\r\n";

/// A piece of work.
struct Work {
    lines: mpsc::Receiver<Line>,
    task: Option<AbortOnDropHandle<Result<(), Failure>>>,
    first: Option<Line>,
}

/// How work fails.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ApiError,
    /// Exit code of the command that failed.
    pub(crate) code: Option<i32>,
}

impl<E: Into<ApiError>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        Self { error, code: None }
    }
}

/// Answers with the lines of some work; it has the only senders. Dropping the body ends it.
///
/// # Errors
/// When the work fails before its first line.
pub(crate) async fn answer(
    lines: mpsc::Receiver<Line>,
    work: impl Future<Output = Result<(), Failure>> + Send + 'static,
) -> Result<Response<Body>, ApiError> {
    let mut work = Work::begin(lines, work);
    work.first = work.lines.recv().await;
    if work.first.is_none() {
        // All senders are gone, so that the work is over.
        if let Some(failure) = work.end().await {
            return Err(failure.error);
        }
    }
    Ok(work.answer())
}

/// As [`answer()`], for work whose failure is always the last line.
pub(crate) fn answer_at_once(
    lines: mpsc::Receiver<Line>,
    work: impl Future<Output = Result<(), Failure>> + Send + 'static,
) -> Response<Body> {
    Work::begin(lines, work).answer()
}

impl Work {
    fn begin(
        lines: mpsc::Receiver<Line>,
        work: impl Future<Output = Result<(), Failure>> + Send + 'static,
    ) -> Self {
        Self {
            lines,
            task: Some(AbortOnDropHandle::new(tokio::spawn(work))),
            first: None,
        }
    }

    fn answer(self) -> Response<Body> {
        let body = body::streamed(self.lines());
        answer::with(StatusCode::OK, answer::JSON, body)
    }

    /// Waits for the end; returns what went wrong.
    async fn end(&mut self) -> Option<Failure> {
        match self.task.take()?.await {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(failure),
            Err(error) => Some(ApiError::cut_off(&error).into()),
        }
    }

    fn lines(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        stream::unfold(self, |mut work| async move {
            let line = match work.first.take() {
                Some(line) => Some(line),
                None => work.lines.recv().await,
            };
            let line = match line {
                Some(line) => line,
                None => {
                    let failure = work.end().await?;
                    Line::error(failure.error.sentence(), failure.code)
                }
            };
            Some((lines::line(&line, END), work))
        })
    }
}
