//! Calls about builds, by the classic builder.

mod context;
mod options;
mod report;

use std::sync::Arc;

use berth_agent_build::{BuildError, BuildErrorKind, Builder};
use berth_agent_engine::Engine;
use berth_agent_images::Reference;
use http::{Method, Response};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::streams::progress::Line;
use crate::streams::transfer::{self, Failure};

use self::report::Report;

/// Lines that wait for a slow client; the build waits when there are more.
const WAITING: usize = 64;

/// Answers a call.
pub(crate) async fn route(
    api: &Api,
    call: Call,
    rest: &[&str],
) -> Result<Response<Body>, ApiError> {
    match (&call.method, rest) {
        (&Method::POST, []) => build(api, call).await,
        // The cache of builds is made of images, which have a pruning of their own.
        (&Method::POST, ["prune"]) => Ok(answer::ok(&json!({
            "CachesDeleted": null,
            "SpaceReclaimed": 0,
        }))),
        // Of a build by BuildKit.
        (&Method::POST, ["cancel"]) => Ok(answer::done()),
        _ => Err(ApiError::page_not_found()),
    }
}

async fn build(api: &Api, call: Call) -> Result<Response<Body>, ApiError> {
    let builder = api.0.builder.as_ref().map_err(|reason| {
        ApiError::internal(format!("preparing the folder for builds: {reason}"))
    })?;
    let (builder, engine) = (Arc::clone(builder), Arc::clone(api.engine()));
    let options = options::options(&call)?;
    let report = Report::new(call.query.is_true("q"), options.tags.clone());
    let (lines, receiver) = mpsc::channel(WAITING);
    let work = run(builder, engine, (options, call), report, lines);
    transfer::answer(receiver, work).await
}

async fn run(
    builder: Arc<Builder>,
    engine: Arc<Engine>,
    (mut options, call): (berth_agent_build::BuildOptions, Call),
    mut report: Report,
    lines: mpsc::Sender<Line>,
) -> Result<(), Failure> {
    let remote = call.query.text("remote").to_owned();
    let context = context::context(call, &remote, &mut options).await?;
    let (sender, mut events) = mpsc::channel(WAITING);
    let tags = options.tags.clone();
    // Ends with this future, which ends with the client.
    let build = tokio::spawn(async move { builder.build(options, context, sender).await });
    let build = AbortOnDropHandle::new(build);
    while let Some(event) = events.recv().await {
        if let Some(line) = report.event(event) {
            // The answer's end ends the build.
            let _ = lines.send(line).await;
        }
    }
    let image = match build.await {
        Ok(Ok(image)) => image,
        Ok(Err(error)) => {
            for line in report.what_was_kept() {
                let _ = lines.send(line).await;
            }
            return Err(failure(error));
        }
        Err(error) => return Err(ApiError::cut_off(&error).into()),
    };
    for tag in tags
        .iter()
        .filter_map(|tag| Reference::parse_definite(tag).ok())
    {
        engine.image_event("tag", image.as_str(), &tag.familiar());
    }
    for line in report.end(&image) {
        let _ = lines.send(line).await;
    }
    Ok(())
}

/// Says how a build failed as Docker does.
fn failure(error: BuildError) -> Failure {
    let code = error.exit_code();
    let sentence = match &error.kind {
        BuildErrorKind::Command { .. } => {
            let text = error.kind.to_string();
            let mut letters = text.chars();
            // Docker begins it with a capital.
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            Some(first.into_iter().chain(letters).collect::<String>())
        }
        BuildErrorKind::Syntax(problem) => Some(match error.line() {
            Some(line) => format!("dockerfile parse error on line {line}: {problem}"),
            None => problem.to_string(),
        }),
        _ => None,
    };
    let error = ApiError::from(error);
    let error = match sentence {
        Some(sentence) => ApiError::new(error.status(), sentence),
        None => error,
    };
    Failure { error, code }
}
