//! Containers.

use berth_proto::v1::container_service_server::ContainerService;
use berth_proto::v1::*;
use serde_json::json;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::process::{self, Act, Input};
use super::{Container, Seen, refuse};

type Answer<T> = Result<Response<T>, Status>;
type Answers<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl ContainerService for Seen {
    async fn create(&self, request: Request<CreateRequest>) -> Answer<CreateResponse> {
        let CreateRequest { name, config, .. } = request.into_inner();
        let config = config.unwrap_or_default();
        self.with(|state| {
            let pulled = state
                .pulled
                .iter()
                .any(|(image, _)| image.starts_with(&config.image));
            if config.image.starts_with("absent") && !pulled {
                let message = format!("No such image: {}:latest", config.image);
                return Err(refuse(Code::NotFound, "image-not-found", &message));
            }
            let id = format!("{:064x}", 0xabc + state.containers.len());
            let container = Container {
                name,
                config,
                started: watch::channel(false).0,
                exited: watch::channel(None).0,
                signals: broadcast::channel(8).0,
            };
            state.containers.insert(id.clone(), container);
            Ok(Response::new(CreateResponse {
                id,
                warnings: vec!["no swap limit".to_owned()],
            }))
        })
    }

    async fn start(&self, request: Request<StartRequest>) -> Answer<StartResponse> {
        let (_, container) = self.find(&request.into_inner().container)?;
        match container.config.command.first().map(String::as_str) {
            Some("not-there") => Err(refuse(
                Code::InvalidArgument,
                "command-not-found",
                "exec: \"not-there\": executable file not found in $PATH",
            )),
            Some("not-a-program") => Err(refuse(
                Code::InvalidArgument,
                "command-not-executable",
                "exec: \"not-a-program\": permission denied",
            )),
            _ => {
                container.started.send_replace(true);
                Ok(Response::new(StartResponse::default()))
            }
        }
    }

    async fn stop(&self, request: Request<StopRequest>) -> Answer<StopResponse> {
        self.find(&request.into_inner().container)?;
        Ok(Response::new(StopResponse {}))
    }

    async fn restart(&self, request: Request<RestartRequest>) -> Answer<RestartResponse> {
        self.find(&request.into_inner().container)?;
        Ok(Response::new(RestartResponse {}))
    }

    async fn kill(&self, request: Request<KillRequest>) -> Answer<KillResponse> {
        let request = request.into_inner();
        let (_, container) = self.find(&request.container)?;
        let _ = container.signals.send(request.signal);
        Ok(Response::new(KillResponse {}))
    }

    async fn remove(&self, request: Request<RemoveRequest>) -> Answer<RemoveResponse> {
        let (id, _) = self.find(&request.into_inner().container)?;
        self.with(|state| {
            state.containers.remove(&id);
            state.removed.push(id);
        });
        Ok(Response::new(RemoveResponse {}))
    }

    async fn list(&self, _request: Request<ListRequest>) -> Answer<ListResponse> {
        let containers = self.with(|state| {
            let containers = state.containers.iter();
            let summary = |(id, container): (&String, &Container)| ContainerSummary {
                id: id.clone(),
                names: vec![container.name.clone()],
                image: container.config.image.clone(),
                command: container.config.command.join(" "),
                state: ContainerState::Running.into(),
                status: "Up 2 minutes".to_owned(),
                ..ContainerSummary::default()
            };
            containers.map(summary).collect()
        });
        Ok(Response::new(ListResponse { containers }))
    }

    async fn inspect(&self, request: Request<InspectRequest>) -> Answer<InspectResponse> {
        let (id, container) = self.find(&request.into_inner().container)?;
        let json = json!({
            "Id": id,
            "Name": format!("/{}", container.name),
            "State": {"Running": *container.started.borrow()},
            "Config": {"Tty": container.config.tty, "OpenStdin": container.config.open_stdin},
        });
        Ok(Response::new(InspectResponse {
            json: json.to_string(),
        }))
    }

    type LogsStream = Answers<LogsResponse>;

    async fn logs(&self, request: Request<LogsRequest>) -> Answer<Self::LogsStream> {
        self.find(&request.into_inner().container)?;
        let (sender, receiver) = mpsc::channel(8);
        for (stream, data) in [(StreamKind::Stdout, "out\n"), (StreamKind::Stderr, "err\n")] {
            let record = LogsResponse {
                stream: stream.into(),
                time: Some(prost_types::Timestamp {
                    seconds: 1_700_000_000,
                    nanos: 7,
                }),
                data: data.as_bytes().to_vec(),
                ..LogsResponse::default()
            };
            sender.send(Ok(record)).await.unwrap();
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    type AttachStream = Answers<AttachResponse>;

    async fn attach(
        &self,
        request: Request<Streaming<AttachRequest>>,
    ) -> Answer<Self::AttachStream> {
        let mut requests = request.into_inner();
        let first = requests
            .message()
            .await?
            .and_then(|request| request.message);
        let Some(attach_request::Message::Options(options)) = first else {
            return Err(Status::invalid_argument("options come first"));
        };
        let (_, container) = self.find(&options.container)?;
        let (inputs, input) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let input = match request.message {
                    Some(attach_request::Message::Stdin(bytes)) => Input::Bytes(bytes),
                    Some(attach_request::Message::StdinClosed(_)) => Input::Closed,
                    Some(attach_request::Message::Resize(size)) => {
                        Input::Resize(size.rows, size.columns)
                    }
                    _ => continue,
                };
                if inputs.send(input).await.is_err() {
                    return;
                }
            }
        });
        let (sender, receiver) = mpsc::channel(8);
        let attached = attach_response::Message::Attached(Attached {
            tty: container.config.tty,
        });
        sender
            .send(Ok(AttachResponse {
                message: Some(attached),
            }))
            .await
            .unwrap();
        let mut started = container.started.subscribe();
        let signals = container.signals.subscribe();
        let (acts, mut act) = mpsc::channel(8);
        let command = container.config.command.clone();
        tokio::spawn(async move {
            let _ = started.wait_for(|started| *started).await;
            process::run(&command, input, signals, &acts).await;
        });
        tokio::spawn(async move {
            while let Some(act) = act.recv().await {
                let message = match act {
                    Act::Out(data) => {
                        attach_response::Message::Output(out(StreamKind::Stdout, data))
                    }
                    Act::Err(data) => {
                        attach_response::Message::Output(out(StreamKind::Stderr, data))
                    }
                    Act::Detach => attach_response::Message::Detached(Detached {}),
                    Act::Exit(code) => {
                        container.exited.send_replace(Some(code));
                        attach_response::Message::Exited(Exited {
                            code,
                            oom_killed: false,
                        })
                    }
                };
                let _ = sender
                    .send(Ok(AttachResponse {
                        message: Some(message),
                    }))
                    .await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    type WaitStream = Answers<WaitResponse>;

    async fn wait(&self, request: Request<WaitRequest>) -> Answer<Self::WaitStream> {
        let request = request.into_inner();
        let (id, container) = self.find(&request.container)?;
        let removed = request.condition() == wait_request::Condition::Removed;
        let (sender, receiver) = mpsc::channel(8);
        let registered = wait_response::Message::Registered(WaitRegistered {});
        sender
            .send(Ok(WaitResponse {
                message: Some(registered),
            }))
            .await
            .unwrap();
        let state = self.clone();
        tokio::spawn(async move {
            let mut exited = container.exited.subscribe();
            let code = exited
                .wait_for(Option::is_some)
                .await
                .map_or(0, |code| code.unwrap_or(0));
            if removed {
                state.with(|state| {
                    state.containers.remove(&id);
                    state.removed.push(id);
                });
            }
            let exited = wait_response::Message::Exited(Exited {
                code,
                oom_killed: false,
            });
            let _ = sender
                .send(Ok(WaitResponse {
                    message: Some(exited),
                }))
                .await;
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn resize(&self, _request: Request<ResizeRequest>) -> Answer<ResizeResponse> {
        Ok(Response::new(ResizeResponse {}))
    }

    type ExecStream = Answers<ExecResponse>;

    async fn exec(&self, request: Request<Streaming<ExecRequest>>) -> Answer<Self::ExecStream> {
        let mut requests = request.into_inner();
        let first = requests
            .message()
            .await?
            .and_then(|request| request.message);
        let Some(exec_request::Message::Options(options)) = first else {
            return Err(Status::invalid_argument("options come first"));
        };
        let (_, container) = self.find(&options.container)?;
        let (inputs, input) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let input = match request.message {
                    Some(exec_request::Message::Stdin(bytes)) => Input::Bytes(bytes),
                    Some(exec_request::Message::StdinClosed(_)) => Input::Closed,
                    Some(exec_request::Message::Resize(size)) => {
                        Input::Resize(size.rows, size.columns)
                    }
                    _ => continue,
                };
                if inputs.send(input).await.is_err() {
                    return;
                }
            }
        });
        let (sender, receiver) = mpsc::channel(8);
        let started = exec_response::Message::Started(ExecStarted { id: "e".to_owned() });
        sender
            .send(Ok(ExecResponse {
                message: Some(started),
            }))
            .await
            .unwrap();
        if options.detach {
            return Ok(Response::new(ReceiverStream::new(receiver)));
        }
        let (acts, mut act) = mpsc::channel(8);
        let signals = container.signals.subscribe();
        tokio::spawn(async move { process::run(&options.command, input, signals, &acts).await });
        tokio::spawn(async move {
            while let Some(act) = act.recv().await {
                let message = match act {
                    Act::Out(data) => exec_response::Message::Output(out(StreamKind::Stdout, data)),
                    Act::Err(data) => exec_response::Message::Output(out(StreamKind::Stderr, data)),
                    Act::Detach => exec_response::Message::Detached(Detached {}),
                    Act::Exit(code) => exec_response::Message::Exited(Exited {
                        code,
                        oom_killed: false,
                    }),
                };
                let _ = sender
                    .send(Ok(ExecResponse {
                        message: Some(message),
                    }))
                    .await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn pause(
        &self,
        _request: Request<PauseRequest>,
    ) -> Result<Response<PauseResponse>, Status> {
        Err(Status::unimplemented("pause"))
    }

    async fn unpause(
        &self,
        _request: Request<UnpauseRequest>,
    ) -> Result<Response<UnpauseResponse>, Status> {
        Err(Status::unimplemented("unpause"))
    }

    async fn rename(
        &self,
        _request: Request<RenameRequest>,
    ) -> Result<Response<RenameResponse>, Status> {
        Err(Status::unimplemented("rename"))
    }

    async fn update(
        &self,
        _request: Request<UpdateRequest>,
    ) -> Result<Response<UpdateResponse>, Status> {
        Err(Status::unimplemented("update"))
    }

    async fn top(&self, _request: Request<TopRequest>) -> Result<Response<TopResponse>, Status> {
        Err(Status::unimplemented("top"))
    }

    type StatsStream = Answers<StatsResponse>;

    async fn stats(
        &self,
        _request: Request<StatsRequest>,
    ) -> Result<Response<Self::StatsStream>, Status> {
        Err(Status::unimplemented("stats"))
    }

    async fn prune(
        &self,
        _request: Request<PruneContainersRequest>,
    ) -> Result<Response<PruneContainersResponse>, Status> {
        Err(Status::unimplemented("prune"))
    }
}

fn out(stream: StreamKind, data: Vec<u8>) -> Output {
    Output {
        stream: stream.into(),
        data,
        ..Output::default()
    }
}
