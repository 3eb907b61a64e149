//! Images.

use berth_proto::v1::image_service_server::ImageService;
use berth_proto::v1::layer_progress::Phase;
use berth_proto::v1::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Seen, refuse};

type Answer<T> = Result<Response<T>, Status>;

fn layer(phase: Phase, current: u64) -> LayerProgress {
    LayerProgress {
        id: "0123456789ab".to_owned(),
        phase: phase.into(),
        current_bytes: current,
        total_bytes: 100,
    }
}

#[tonic::async_trait]
impl ImageService for Seen {
    type PullStream = ReceiverStream<Result<PullResponse, Status>>;

    async fn pull(&self, request: Request<PullRequest>) -> Answer<Self::PullStream> {
        let request = request.into_inner();
        if request.reference.starts_with("absent-everywhere") {
            let message = format!(
                "manifest for {} not found: manifest unknown",
                request.reference
            );
            return Err(refuse(Code::NotFound, "manifest-not-found", &message));
        }
        let done = PullDone {
            digest: "sha256:00".to_owned(),
            image_id: "sha256:11".to_owned(),
            newer: true,
            reference: format!("docker.io/library/{}", request.reference),
        };
        self.with(|state| state.pulled.push((request.reference, request.auth)));
        let (sender, receiver) = mpsc::channel(16);
        let status = "latest: Pulling from library/absent".to_owned();
        let mut events = vec![pull_response::Event::Status(status)];
        for (phase, current) in [
            (Phase::Waiting, 0),
            (Phase::Downloading, 40),
            (Phase::Downloading, 100),
            (Phase::Verifying, 100),
            (Phase::Extracting, 50),
            (Phase::PullComplete, 100),
        ] {
            events.push(pull_response::Event::Layer(layer(phase, current)));
        }
        events.push(pull_response::Event::Done(done));
        for event in events {
            sender
                .send(Ok(PullResponse { event: Some(event) }))
                .await
                .unwrap();
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    type PushStream = ReceiverStream<Result<PushResponse, Status>>;

    async fn push(&self, request: Request<PushRequest>) -> Answer<Self::PushStream> {
        let request = request.into_inner();
        self.with(|state| state.pulled.push((request.reference, request.auth)));
        let (sender, receiver) = mpsc::channel(16);
        let status = "The push refers to repository [reg:5000/app]".to_owned();
        for event in [
            push_response::Event::Status(status),
            push_response::Event::Layer(layer(Phase::Preparing, 0)),
            push_response::Event::Layer(layer(Phase::Pushing, 50)),
            push_response::Event::Layer(layer(Phase::Pushed, 100)),
            push_response::Event::Done(PushDone {
                tag: "latest".to_owned(),
                digest: "sha256:00".to_owned(),
                size_bytes: 528,
            }),
        ] {
            sender
                .send(Ok(PushResponse { event: Some(event) }))
                .await
                .unwrap();
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn list(&self, _request: Request<ListImagesRequest>) -> Answer<ListImagesResponse> {
        let image = Image {
            id: format!("sha256:{}", "ab".repeat(32)),
            repo_tags: vec!["box:latest".to_owned()],
            size_bytes: 4_261_502,
            ..Image::default()
        };
        Ok(Response::new(ListImagesResponse {
            images: vec![image],
        }))
    }

    async fn inspect(&self, request: Request<InspectImageRequest>) -> Answer<InspectImageResponse> {
        let name = request.into_inner().name;
        if name != "box" {
            let message = format!("No such image: {name}");
            return Err(refuse(Code::NotFound, "image-not-found", &message));
        }
        let json = "{\"Id\":\"sha256:11\",\"RepoTags\":[\"box:latest\"]}".to_owned();
        Ok(Response::new(InspectImageResponse { json }))
    }

    async fn tag(&self, _request: Request<TagRequest>) -> Answer<TagResponse> {
        Ok(Response::new(TagResponse {}))
    }

    async fn remove(&self, request: Request<RemoveImageRequest>) -> Answer<RemoveImageResponse> {
        let name = request.into_inner().name;
        if name == "used" {
            let message = "conflict: unable to remove repository reference \"used\"";
            return Err(refuse(Code::FailedPrecondition, "image-in-use", message));
        }
        let removed = [
            removed_image::What::Untagged(format!("{name}:latest")),
            removed_image::What::Deleted("sha256:11".to_owned()),
        ];
        let removed = removed
            .map(|what| RemovedImage { what: Some(what) })
            .to_vec();
        Ok(Response::new(RemoveImageResponse { removed }))
    }

    async fn import(&self, request: Request<Streaming<ImportRequest>>) -> Answer<ImportResponse> {
        let mut requests = request.into_inner();
        while let Some(request) = requests.message().await? {
            match request.message {
                Some(import_request::Message::Options(options)) if options.reference == "Bad" => {
                    return Err(Status::invalid_argument("invalid reference format"));
                }
                Some(import_request::Message::Chunk(chunk)) => {
                    self.with(|state| state.imported.extend(chunk));
                }
                _ => {}
            }
        }
        Ok(Response::new(ImportResponse {
            image_id: "sha256:22".to_owned(),
        }))
    }

    async fn history(&self, _request: Request<HistoryRequest>) -> Answer<HistoryResponse> {
        let step = |image_id: &str, created_by: &str, size_bytes| HistoryStep {
            image_id: image_id.to_owned(),
            created_by: created_by.to_owned(),
            size_bytes,
            ..HistoryStep::default()
        };
        let id = format!("sha256:{}", "ab".repeat(32));
        let steps = vec![step(&id, "CMD [\"sh\"]", 0), step("", "ADD x", 4_261_502)];
        Ok(Response::new(HistoryResponse { steps }))
    }

    async fn prune(&self, request: Request<PruneImagesRequest>) -> Answer<PruneImagesResponse> {
        let filters = request.into_inner().filters;
        self.with(|state| state.pruned.push(("images", filters)));
        let removed = vec![RemovedImage {
            what: Some(removed_image::What::Deleted("sha256:33".to_owned())),
        }];
        Ok(Response::new(PruneImagesResponse {
            removed,
            space_reclaimed_bytes: 1_500_000,
        }))
    }

    type SaveStream = ReceiverStream<Result<SaveResponse, Status>>;

    async fn save(&self, request: Request<SaveRequest>) -> Answer<Self::SaveStream> {
        let names = request.into_inner().names;
        let (sender, receiver) = mpsc::channel(16);
        for name in names {
            let chunk = format!("<{name}>").into_bytes();
            sender.send(Ok(SaveResponse { chunk })).await.unwrap();
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn load(&self, request: Request<Streaming<LoadRequest>>) -> Answer<LoadResponse> {
        let mut requests = request.into_inner();
        let mut archive = Vec::new();
        while let Some(request) = requests.message().await? {
            archive.extend(request.chunk);
        }
        self.with(|state| state.imported.extend(archive));
        let named = LoadedImage {
            id: "sha256:44".to_owned(),
            names: vec![LoadedName {
                name: "box:1".to_owned(),
                replaced_image_id: "sha256:55".to_owned(),
            }],
        };
        let nameless = LoadedImage {
            id: "sha256:66".to_owned(),
            names: Vec::new(),
        };
        Ok(Response::new(LoadResponse {
            images: vec![named, nameless],
        }))
    }
}
