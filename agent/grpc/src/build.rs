//! `BuildService`.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use berth_agent_build::{BuildError, BuildEvent, BuildOptions, Builder, StepEvent, StepStatus};
use berth_agent_engine::{Engine, ErrorClass};
use berth_agent_images::ImageId;
use berth_proto::v1::{self, build_request, build_response};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::context;
use crate::images::credentials;
use crate::status;

/// Events that wait for a slow client; the build waits when there are more.
const WAITING_EVENTS: usize = 64;

/// Builds on the machine.
pub(crate) struct Builds {
    /// Nothing when its folder could not be prepared, which is told to whoever builds.
    builder: Result<Arc<Builder>, io::Error>,
}

impl Builds {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self {
            builder: Builder::over(&engine).map(Arc::new),
        }
    }
}

#[async_trait]
impl v1::build_service_server::BuildService for Builds {
    type BuildStream = BoxStream<'static, Result<v1::BuildResponse, Status>>;

    async fn build(
        &self,
        request: Request<Streaming<v1::BuildRequest>>,
    ) -> Result<Response<Self::BuildStream>, Status> {
        let builder = self.builder.as_ref().map_err(|error| {
            let message = format!("preparing the folder for builds: {error}");
            status::build(ErrorClass::Internal, "build-failed", message, None)
        })?;
        let builder = Arc::clone(builder);
        let mut requests = request.into_inner();
        let first = requests
            .message()
            .await?
            .and_then(|request| request.message);
        let Some(build_request::Message::Options(options)) = first else {
            return Err(status::invalid(
                "the first message of a build must be its options",
            ));
        };
        let options = build_options(options)?;
        let context = context::reader(requests, |request| match request.message {
            Some(build_request::Message::Context(bytes)) => bytes,
            Some(build_request::Message::Options(_)) | None => Vec::new(),
        });
        let (sender, events) = mpsc::channel(WAITING_EVENTS);
        let work =
            tokio::spawn(async move { builder.build(options, Box::pin(context), sender).await });
        Ok(Response::new(answer(events, AbortOnDropHandle::new(work))))
    }
}

/// Returns the events while the build goes on, then its result. Dropping the stream ends the build.
fn answer(
    events: mpsc::Receiver<BuildEvent>,
    work: AbortOnDropHandle<Result<ImageId, BuildError>>,
) -> BoxStream<'static, Result<v1::BuildResponse, Status>> {
    // The build owns the only sender, so that the events end with it.
    let events = stream::unfold(events, |mut events| async move {
        Some((Ok(message(events.recv().await?)), events))
    });
    let result = stream::once(async move {
        match work.await {
            Ok(Ok(image)) => Ok(build_response::Message::Done(v1::BuildDone {
                image_id: image.to_string(),
            })),
            Ok(Err(error)) => Err(status::with_exit_code(&error, error.exit_code())),
            Err(error) => {
                let message = format!("the build was cut off: {error}");
                Err(status::build(
                    ErrorClass::Internal,
                    "build-failed",
                    message,
                    None,
                ))
            }
        }
    });
    events
        .chain(result)
        .map(|message| {
            message.map(|message| v1::BuildResponse {
                message: Some(message),
            })
        })
        .boxed()
}

fn build_options(options: v1::BuildOptions) -> Result<BuildOptions, Status> {
    let dockerfile_text = options
        .dockerfile_text
        .map(String::from_utf8)
        .transpose()
        .map_err(|_not_text| status::invalid("the Dockerfile is not valid UTF-8"))?;
    Ok(BuildOptions {
        tags: options.tags,
        dockerfile: options.dockerfile,
        dockerfile_text,
        build_args: options.build_args.into_iter().collect::<BTreeMap<_, _>>(),
        target: options.target,
        no_cache: options.no_cache,
        labels: options.labels.into_iter().collect(),
        pull: options.pull,
        platform: options.platform,
        network_mode: options.network_mode,
        registry_auths: options
            .registry_auths
            .into_iter()
            .map(|(registry, auth)| (registry, credentials(Some(auth))))
            .collect(),
    })
}

fn message(event: BuildEvent) -> build_response::Message {
    match event {
        BuildEvent::Step(step) => build_response::Message::Step(build_step(step)),
        BuildEvent::Output { stream, data } => build_response::Message::Output(v1::BuildOutput {
            stream: stream.into(),
            data,
        }),
        BuildEvent::Warning(text) => build_response::Message::Warning(text),
    }
}

fn build_step(step: StepEvent) -> v1::BuildStep {
    use v1::build_step::Status as Wire;
    let (status, image) = match step.status {
        StepStatus::Started => (Wire::Started, None),
        StepStatus::Cached(image) => (Wire::Cached, image),
        StepStatus::Finished(image) => (Wire::Finished, image),
    };
    v1::BuildStep {
        number: step.number,
        total: step.total,
        instruction: step.instruction,
        status: status.into(),
        line: step.line,
        image_id: image.map(|id| id.to_string()).unwrap_or_default(),
    }
}
