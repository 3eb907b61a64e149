//! `ImageService`: this file has the calls, its neighbours the archives and the progress.

mod archive;
mod progress;

use std::sync::Arc;

use berth_agent_engine::Engine;
use berth_agent_images::{Credentials, Image, Platform, Reference, Removed};
use berth_proto::v1;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::containers::blocking;
use crate::import;
use crate::status;

use self::progress::{Wrap, progress_then_result, sink};

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
        let removed = removed_lines(removed);
        Ok(Response::new(v1::RemoveImageResponse { removed }))
    }

    async fn history(
        &self,
        request: Request<v1::HistoryRequest>,
    ) -> Result<Response<v1::HistoryResponse>, Status> {
        let name = request.into_inner().name;
        let engine = Arc::clone(&self.engine);
        let steps = blocking(move || engine.image_history(&name))
            .await?
            .map_err(|e| status::of(&e))?;
        let steps = steps.into_iter().map(archive::step).collect();
        Ok(Response::new(v1::HistoryResponse { steps }))
    }

    async fn prune(
        &self,
        request: Request<v1::PruneImagesRequest>,
    ) -> Result<Response<v1::PruneImagesResponse>, Status> {
        let filters = request.into_inner().filters;
        let engine = Arc::clone(&self.engine);
        let pruned = blocking(move || engine.prune_images(&filters))
            .await?
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::PruneImagesResponse {
            removed: removed_lines(pruned.removed),
            space_reclaimed_bytes: pruned.reclaimed,
        }))
    }

    type SaveStream = BoxStream<'static, Result<v1::SaveResponse, Status>>;

    async fn save(
        &self,
        request: Request<v1::SaveRequest>,
    ) -> Result<Response<Self::SaveStream>, Status> {
        let stream = archive::save(&self.engine, request.into_inner()).await?;
        Ok(Response::new(stream))
    }

    async fn load(
        &self,
        request: Request<Streaming<v1::LoadRequest>>,
    ) -> Result<Response<v1::LoadResponse>, Status> {
        let images = archive::load(&self.engine, request.into_inner()).await?;
        Ok(Response::new(v1::LoadResponse { images }))
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

fn removed_lines(removed: Vec<Removed>) -> Vec<v1::RemovedImage> {
    let lines = removed.into_iter().map(|line| {
        let what = match line {
            Removed::Untagged(name) => v1::removed_image::What::Untagged(name),
            Removed::Deleted(id) => v1::removed_image::What::Deleted(id),
        };
        v1::RemovedImage { what: Some(what) }
    });
    lines.collect()
}

pub(crate) fn message(engine: &Engine, image: &Image) -> v1::Image {
    v1::Image {
        id: image.id.to_string(),
        repo_tags: image.repo_tags.clone(),
        repo_digests: image.repo_digests.clone(),
        created_unix_seconds: berth_agent_engine::created_seconds(image),
        size_bytes: image.size,
        labels: image.config.config.labels.clone().into_iter().collect(),
        containers: u32::try_from(engine.n_users_of_image(image)).unwrap_or(u32::MAX),
        shared_size_bytes: None,
    }
}
