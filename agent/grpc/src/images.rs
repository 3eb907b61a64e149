//! `ImageService`.

use std::sync::Arc;

use berth_agent_engine::{Engine, ErrorClass};
use berth_agent_images::{
    Credentials, Image, LayerPhase, Platform, Progress, ProgressSink, Reference, Removed,
};
use berth_proto::v1;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::containers::blocking;
use crate::import;
use crate::status;

/// Reports that wait for a slow client; what does not fit is dropped, as the next one tells more.
const WAITING_REPORTS: usize = 1024;

/// The images of the machine.
pub(crate) struct Images {
    engine: Arc<Engine>,
}

impl Images {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
}

#[async_trait]
impl v1::image_service_server::ImageService for Images {
    type PullStream = BoxStream<'static, Result<v1::PullResponse, Status>>;

    async fn pull(
        &self,
        request: Request<v1::PullRequest>,
    ) -> Result<Response<Self::PullStream>, Status> {
        use v1::pull_response::Event;
        let request = request.into_inner();
        let reference = reference(&request.reference)?;
        let platform = platform(&request.platform)?;
        let credentials = credentials(request.auth);
        let engine = Arc::clone(&self.engine);
        let (sink, reports) = sink();
        let work = async move {
            let pulled = engine
                .images()
                .pull(&reference, &credentials, platform.as_ref(), &sink)
                .await
                .map_err(|e| status::of(&e))?;
            engine.image_event("pull", &reference.familiar(), &reference.familiar_name());
            Ok(Event::Done(v1::PullDone {
                digest: pulled.digest.to_string(),
                image_id: pulled.image_id.to_string(),
                newer: pulled.newer,
                reference: pulled.reference.to_string(),
            }))
        };
        let events = progress_then_result(
            reports,
            Wrap {
                status: Event::Status,
                layer: Event::Layer,
            },
            work,
        );
        let stream = events.map(|event| event.map(|event| v1::PullResponse { event: Some(event) }));
        Ok(Response::new(stream.boxed()))
    }

    type PushStream = BoxStream<'static, Result<v1::PushResponse, Status>>;

    async fn push(
        &self,
        request: Request<v1::PushRequest>,
    ) -> Result<Response<Self::PushStream>, Status> {
        use v1::push_response::Event;
        let request = request.into_inner();
        let reference = reference(&request.reference)?;
        let credentials = credentials(request.auth);
        let engine = Arc::clone(&self.engine);
        let (sink, reports) = sink();
        let work = async move {
            let pushed = engine
                .images()
                .push(&reference, &credentials, &sink)
                .await
                .map_err(|e| status::of(&e))?;
            engine.image_event("push", &reference.familiar(), &reference.familiar_name());
            Ok(Event::Done(v1::PushDone {
                tag: pushed.tag,
                digest: pushed.digest.to_string(),
                size_bytes: pushed.size_bytes,
            }))
        };
        let events = progress_then_result(
            reports,
            Wrap {
                status: Event::Status,
                layer: Event::Layer,
            },
            work,
        );
        let stream = events.map(|event| event.map(|event| v1::PushResponse { event: Some(event) }));
        Ok(Response::new(stream.boxed()))
    }

    async fn list(
        &self,
        request: Request<v1::ListImagesRequest>,
    ) -> Result<Response<v1::ListImagesResponse>, Status> {
        let request = request.into_inner();
        let engine = Arc::clone(&self.engine);
        let found =
            blocking(move || engine.list_images(&request.filters, &request.reference, request.all))
                .await?
                .map_err(|e| status::of(&e))?;
        let images = found
            .iter()
            .map(|found| message(&self.engine, found))
            .collect();
        Ok(Response::new(v1::ListImagesResponse { images }))
    }

    async fn inspect(
        &self,
        request: Request<v1::InspectImageRequest>,
    ) -> Result<Response<v1::InspectImageResponse>, Status> {
        let name = request.into_inner().name;
        let object = self
            .engine
            .inspect_image(&name)
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::InspectImageResponse {
            json: object.to_string(),
        }))
    }

    async fn tag(
        &self,
        request: Request<v1::TagRequest>,
    ) -> Result<Response<v1::TagResponse>, Status> {
        let request = request.into_inner();
        let target = reference(&request.target)?;
        let images = self.engine.images();
        let id = images
            .resolve(&request.source)
            .map_err(|e| status::of(&e))?;
        images.tag(&id, &target).map_err(|e| status::of(&e))?;
        self.engine
            .image_event("tag", id.as_str(), &target.familiar());
        Ok(Response::new(v1::TagResponse {}))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveImageRequest>,
    ) -> Result<Response<v1::RemoveImageResponse>, Status> {
        let request = request.into_inner();
        let engine = Arc::clone(&self.engine);
        let removed =
            blocking(move || engine.remove_image(&request.name, request.force, request.no_prune))
                .await?
                .map_err(|e| status::of(&e))?;
        let removed = removed
            .into_iter()
            .map(|line| {
                let what = match line {
                    Removed::Untagged(name) => v1::removed_image::What::Untagged(name),
                    Removed::Deleted(id) => v1::removed_image::What::Deleted(id),
                };
                v1::RemovedImage { what: Some(what) }
            })
            .collect();
        Ok(Response::new(v1::RemoveImageResponse { removed }))
    }

    async fn import(
        &self,
        request: Request<Streaming<v1::ImportRequest>>,
    ) -> Result<Response<v1::ImportResponse>, Status> {
        let image_id = import::import(&self.engine, request.into_inner()).await?;
        Ok(Response::new(v1::ImportResponse { image_id }))
    }
}

/// Reads a name as the caller typed it.
pub(crate) fn reference(text: &str) -> Result<Reference, Status> {
    Reference::parse_definite(text).map_err(|error| status::invalid(error.to_string()))
}

/// Reads a platform; empty means the machine's own.
pub(crate) fn platform(text: &str) -> Result<Option<Platform>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|error: berth_agent_images::ParsePlatformError| status::invalid(error.to_string()))
}

/// Returns the credentials of a message; none for none.
pub(crate) fn credentials(auth: Option<v1::RegistryAuth>) -> Credentials {
    let auth = auth.unwrap_or_default();
    Credentials {
        username: auth.username,
        password: auth.password,
        identity_token: auth.identity_token,
        registry_token: auth.registry_token,
    }
}

fn sink() -> (ProgressSink, mpsc::Receiver<Progress>) {
    let (sender, reports) = mpsc::channel(WAITING_REPORTS);
    let sink = ProgressSink::new(move |progress| drop(sender.try_send(progress)));
    (sink, reports)
}

/// How reports become events of one of the two calls.
struct Wrap<E> {
    status: fn(String) -> E,
    layer: fn(v1::LayerProgress) -> E,
}

/// Returns the reports of `work` while it goes on, then its result. Dropping the stream ends it.
fn progress_then_result<E: Send + 'static>(
    reports: mpsc::Receiver<Progress>,
    wrap: Wrap<E>,
    work: impl Future<Output = Result<E, Status>> + Send + 'static,
) -> impl Stream<Item = Result<E, Status>> + Send {
    let task = AbortOnDropHandle::new(tokio::spawn(work));
    // The work owns the only sender, so that the reports end with it.
    let reports = stream::unfold(reports, |mut reports| async move {
        Some((reports.recv().await?, reports))
    })
    .map(move |progress| {
        Ok(match progress {
            Progress::Status(text) => (wrap.status)(text),
            Progress::Layer {
                id,
                phase,
                current_bytes,
                total_bytes,
            } => (wrap.layer)(layer_progress(id, phase, current_bytes, total_bytes)),
        })
    });
    let result = stream::once(async move {
        task.await.unwrap_or_else(|error| {
            let message = format!("the transfer was cut off: {error}");
            Err(status::build(
                ErrorClass::Internal,
                "interrupted",
                message,
                None,
            ))
        })
    });
    reports.chain(result)
}

fn layer_progress(
    id: String,
    phase: LayerPhase,
    current_bytes: u64,
    total_bytes: u64,
) -> v1::LayerProgress {
    use v1::layer_progress::Phase;
    let phase = match phase {
        LayerPhase::Waiting => Phase::Waiting,
        LayerPhase::Downloading => Phase::Downloading,
        LayerPhase::Verifying => Phase::Verifying,
        LayerPhase::Extracting => Phase::Extracting,
        LayerPhase::PullComplete => Phase::PullComplete,
        LayerPhase::AlreadyExists => Phase::AlreadyExists,
        LayerPhase::Preparing => Phase::Preparing,
        LayerPhase::Pushing => Phase::Pushing,
        LayerPhase::Pushed => Phase::Pushed,
        LayerPhase::Mounted => Phase::Mounted,
    };
    v1::LayerProgress {
        id,
        phase: phase.into(),
        current_bytes,
        total_bytes,
    }
}

fn message(engine: &Engine, image: &Image) -> v1::Image {
    v1::Image {
        id: image.id.to_string(),
        repo_tags: image.repo_tags.clone(),
        repo_digests: image.repo_digests.clone(),
        created_unix_seconds: berth_agent_engine::created_seconds(image),
        size_bytes: image.size,
        labels: image.config.config.labels.clone().into_iter().collect(),
        containers: u32::try_from(engine.n_users_of_image(image)).unwrap_or(u32::MAX),
    }
}
