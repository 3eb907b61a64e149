//! Builds.

use berth_proto::EXIT_CODE_TRAILER;
use berth_proto::v1::build_service_server::BuildService;
use berth_proto::v1::build_step::Status as Step;
use berth_proto::v1::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Seen, refuse};

fn step(status: Step) -> build_response::Message {
    build_response::Message::Step(BuildStep {
        number: 1,
        total: 1,
        instruction: "FROM box".to_owned(),
        status: status.into(),
        line: 1,
        image_id: "sha256:0123456789abcdef".to_owned(),
    })
}

#[tonic::async_trait]
impl BuildService for Seen {
    type BuildStream = ReceiverStream<Result<BuildResponse, Status>>;

    async fn build(
        &self,
        request: Request<Streaming<BuildRequest>>,
    ) -> Result<Response<Self::BuildStream>, Status> {
        let mut requests = request.into_inner();
        let first = requests
            .message()
            .await?
            .and_then(|request| request.message);
        let Some(build_request::Message::Options(options)) = first else {
            return Err(Status::invalid_argument("options come first"));
        };
        let (sender, receiver) = mpsc::channel(8);
        let seen = self.clone();
        tokio::spawn(async move {
            let send = async |message| {
                let _ = sender
                    .send(Ok(BuildResponse {
                        message: Some(message),
                    }))
                    .await;
            };
            send(step(Step::Started)).await;
            if options.target == "broken" {
                let message = "Dockerfile:4: RUN exit 7: exit code 7";
                let mut status = refuse(Code::Aborted, "build-failed", message);
                status
                    .metadata_mut()
                    .insert(EXIT_CODE_TRAILER, "7".parse().unwrap());
                let _ = sender.send(Err(status)).await;
                return;
            }
            let mut context = Vec::new();
            while let Ok(Some(request)) = requests.message().await {
                if let Some(build_request::Message::Context(chunk)) = request.message {
                    context.extend(chunk);
                }
            }
            send(step(Step::Cached)).await;
            send(build_response::Message::Output(BuildOutput {
                stream: 1,
                data: b"hi\n".to_vec(),
            }))
            .await;
            let image_id = "sha256:0123456789abcdef".to_owned();
            seen.with(|state| state.build = Some((options, context)));
            send(build_response::Message::Done(BuildDone { image_id })).await;
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
