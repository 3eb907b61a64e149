//! A client as the controller is one, in few words.

use std::path::PathBuf;
use std::time::Duration;

use berth_proto::v1::attach_request::Message as Ask;
use berth_proto::v1::attach_response::Message as Answer;
use berth_proto::v1::container_service_client::ContainerServiceClient;
use berth_proto::v1::image_service_client::ImageServiceClient;
use berth_proto::v1::network_service_client::NetworkServiceClient;
use berth_proto::v1::system_service_client::SystemServiceClient;
use berth_proto::v1::volume_service_client::VolumeServiceClient;
use berth_proto::v1::{self, ContainerConfig, HostConfig};
use berth_proto::{MAX_MESSAGE_BYTES, REASON_TRAILER};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};
use tower::service_fn;

use crate::host::PATIENCE;
use crate::image;

/// The name of the tests' image.
pub(crate) const IMAGE: &str = "busybox:test";

/// A connected client.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) containers: ContainerServiceClient<Channel>,
    pub(crate) images: ImageServiceClient<Channel>,
    pub(crate) system: SystemServiceClient<Channel>,
    pub(crate) volumes: VolumeServiceClient<Channel>,
    pub(crate) channel: Channel,
}

/// What an attached run gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

/// The client's side of an attachment.
pub(crate) struct Attached {
    pub(crate) requests: mpsc::Sender<v1::AttachRequest>,
    pub(crate) answers: Streaming<v1::AttachResponse>,
}

impl Client {
    /// Connects to a unix socket.
    pub(crate) async fn unix(path: PathBuf) -> Self {
        let connect = service_fn(move |_uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://agent")
            .timeout(Duration::from_secs(600))
            .connect_with_connector(connect)
            .await
            .expect("the agent's socket");
        Self::over(channel)
    }

    /// Uses a channel.
    pub(crate) fn over(channel: Channel) -> Self {
        Self {
            containers: ContainerServiceClient::new(channel.clone())
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
            images: ImageServiceClient::new(channel.clone()),
            system: SystemServiceClient::new(channel.clone()),
            volumes: VolumeServiceClient::new(channel.clone()),
            channel,
        }
    }

    /// Returns the client for networks.
    pub(crate) fn networks(&self) -> NetworkServiceClient<Channel> {
        NetworkServiceClient::new(self.channel.clone())
    }

    /// Imports the tests' image.
    pub(crate) async fn import(&self) -> String {
        self.import_as(IMAGE, &image::busybox()).await
    }

    /// Imports a tar.
    pub(crate) async fn import_as(&self, reference: &str, tar: &[u8]) -> String {
        let options = v1::ImportOptions {
            reference: reference.to_owned(),
            ..Default::default()
        };
        let message = |message| v1::ImportRequest {
            message: Some(message),
        };
        let mut requests = vec![message(v1::import_request::Message::Options(options))];
        for chunk in tar.chunks(64 * 1024) {
            requests.push(message(v1::import_request::Message::Chunk(chunk.to_vec())));
        }
        let answer = self
            .images
            .clone()
            .import(tokio_stream::iter(requests))
            .await;
        answer.expect("import").into_inner().image_id
    }

    /// Creates a container.
    pub(crate) async fn create(
        &self,
        name: &str,
        config: ContainerConfig,
    ) -> Result<String, Status> {
        let request = v1::CreateRequest {
            name: name.to_owned(),
            config: Some(config),
            platform: String::new(),
        };
        Ok(self
            .containers
            .clone()
            .create(request)
            .await?
            .into_inner()
            .id)
    }

    pub(crate) async fn start(&self, container: &str) -> Result<(), Status> {
        let request = v1::StartRequest {
            container: container.to_owned(),
        };
        self.containers.clone().start(request).await.map(drop)
    }

    /// Creates and starts a container that nobody is attached to.
    pub(crate) async fn run_detached(&self, name: &str, config: ContainerConfig) -> String {
        let id = self.create(name, config).await.expect("create");
        self.start(&id).await.expect("start");
        id
    }

    pub(crate) async fn remove(
        &self,
        container: &str,
        force: bool,
        volumes: bool,
    ) -> Result<(), Status> {
        let request = v1::RemoveRequest {
            container: container.to_owned(),
            force,
            volumes,
            link: false,
        };
        self.containers.clone().remove(request).await.map(drop)
    }

    pub(crate) async fn kill(&self, container: &str, signal: &str) -> Result<(), Status> {
        let request = v1::KillRequest {
            container: container.to_owned(),
            signal: signal.to_owned(),
        };
        self.containers.clone().kill(request).await.map(drop)
    }

    pub(crate) async fn stop(&self, container: &str, timeout_seconds: i64) -> Result<(), Status> {
        let request = v1::StopRequest {
            container: container.to_owned(),
            timeout_seconds: Some(timeout_seconds),
            ..Default::default()
        };
        self.containers.clone().stop(request).await.map(drop)
    }

    pub(crate) async fn list(&self, filters: &[&str]) -> Result<Vec<v1::ContainerSummary>, Status> {
        let request = v1::ListRequest {
            all: true,
            filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
            ..Default::default()
        };
        Ok(self
            .containers
            .clone()
            .list(request)
            .await?
            .into_inner()
            .containers)
    }

    pub(crate) async fn inspect(&self, container: &str) -> Result<Value, Status> {
        let request = v1::InspectRequest {
            container: container.to_owned(),
            size: false,
        };
        let json = self
            .containers
            .clone()
            .inspect(request)
            .await?
            .into_inner()
            .json;
        Ok(serde_json::from_str(&json).expect("JSON"))
    }

    /// Registers a wait, and returns what gives its result.
    pub(crate) async fn wait(
        &self,
        container: &str,
        condition: v1::wait_request::Condition,
    ) -> Result<impl Future<Output = v1::Exited> + use<>, Status> {
        let request = v1::WaitRequest {
            container: container.to_owned(),
            condition: condition.into(),
        };
        let mut answers = self.containers.clone().wait(request).await?.into_inner();
        let first = answers.message().await?.and_then(|answer| answer.message);
        assert!(matches!(
            first,
            Some(v1::wait_response::Message::Registered(_))
        ));
        Ok(async move {
            let last = tokio::time::timeout(PATIENCE, answers.message()).await;
            let last = last
                .expect("an end in time")
                .expect("an answer")
                .expect("a message");
            match last.message {
                Some(v1::wait_response::Message::Exited(exited)) => exited,
                other => panic!("no exit: {other:?}"),
            }
        })
    }

    /// Attaches with everything; returns once nothing can be missed.
    pub(crate) async fn attach(&self, container: &str, stdin: bool) -> Result<Attached, Status> {
        let options = v1::AttachOptions {
            container: container.to_owned(),
            stdin,
            stdout: true,
            stderr: true,
            ..Default::default()
        };
        self.attach_with(options).await
    }

    pub(crate) async fn attach_with(&self, options: v1::AttachOptions) -> Result<Attached, Status> {
        let (requests, outgoing) = mpsc::channel(16);
        let attached = |message| v1::AttachRequest {
            message: Some(message),
        };
        requests
            .send(attached(Ask::Options(options)))
            .await
            .expect("an open channel");
        let stream = ReceiverStream::new(outgoing);
        let mut answers = self.containers.clone().attach(stream).await?.into_inner();
        let first = answers.message().await?.and_then(|answer| answer.message);
        assert!(matches!(first, Some(Answer::Attached(_))), "{first:?}");
        Ok(Attached { requests, answers })
    }

    /// Does what `run` does: create, attach, wait, start.
    pub(crate) async fn run(&self, config: ContainerConfig) -> Result<Ran, Status> {
        let condition = if config.host.as_ref().is_some_and(|host| host.auto_remove) {
            v1::wait_request::Condition::Removed
        } else {
            v1::wait_request::Condition::NextExit
        };
        let id = self.create("", config).await?;
        let mut attached = self.attach(&id, false).await?;
        let exited = self.wait(&id, condition).await?;
        self.start(&id).await?;
        let mut ran = attached.rest().await;
        ran.code = exited.await.code;
        Ok(ran)
    }

    /// Runs a shell script to its end in a container that goes away.
    pub(crate) async fn sh(&self, script: &str) -> Ran {
        self.run(sh(script)).await.expect("run")
    }

    /// Reads a log to its end.
    pub(crate) async fn logs(
        &self,
        request: v1::LogsRequest,
    ) -> Result<Vec<v1::LogsResponse>, Status> {
        let mut answers = self.containers.clone().logs(request).await?.into_inner();
        let mut lines = Vec::new();
        while let Some(line) = answers.message().await? {
            lines.push(line);
        }
        Ok(lines)
    }

    /// Reads all of a log as text.
    pub(crate) async fn log_text(&self, container: &str) -> String {
        let lines = self.logs(everything(container)).await.expect("logs");
        text(lines.iter().map(|line| line.data.as_slice()))
    }

    /// Runs a further command to its end.
    pub(crate) async fn exec(&self, options: v1::ExecOptions, input: &[u8]) -> Result<Ran, Status> {
        use v1::exec_request::Message;
        let message = |message| v1::ExecRequest {
            message: Some(message),
        };
        let mut requests = vec![message(Message::Options(options))];
        if !input.is_empty() {
            requests.push(message(Message::Stdin(input.to_vec())));
            requests.push(message(Message::StdinClosed(v1::StdinClosed {})));
        }
        let mut answers = self
            .containers
            .clone()
            .exec(tokio_stream::iter(requests))
            .await?
            .into_inner();
        let mut ran = Ran::default();
        while let Some(answer) = answers.message().await? {
            match answer.message {
                Some(v1::exec_response::Message::Output(output)) => ran.add(&output),
                Some(v1::exec_response::Message::Exited(exited)) => ran.code = exited.code,
                _ => {}
            }
        }
        Ok(ran)
    }

    /// Removes every container.
    pub(crate) async fn remove_all(&self) {
        for container in self.list(&[]).await.unwrap_or_default() {
            let _ = self.remove(&container.id, true, true).await;
        }
    }
}

impl Attached {
    pub(crate) async fn send(&self, message: Ask) {
        let request = v1::AttachRequest {
            message: Some(message),
        };
        self.requests.send(request).await.expect("an open stream");
    }

    pub(crate) async fn type_in(&self, bytes: &[u8]) {
        self.send(Ask::Stdin(bytes.to_vec())).await;
    }

    /// Returns the next answer; panics when none comes.
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        let answer = tokio::time::timeout(PATIENCE, self.answers.message()).await;
        answer
            .expect("an answer in time")
            .expect("no error")?
            .message
    }

    /// Reads until the output has `wanted` in it.
    pub(crate) async fn read_until(&mut self, wanted: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(wanted) {
            match self.next().await {
                Some(Answer::Output(output)) => {
                    seen.push_str(&String::from_utf8_lossy(&output.data));
                }
                other => panic!("no {wanted:?} in {seen:?}, but {other:?}"),
            }
        }
        seen
    }

    /// Reads to the end.
    pub(crate) async fn rest(&mut self) -> Ran {
        let mut ran = Ran::default();
        loop {
            match self.next().await {
                Some(Answer::Output(output)) => ran.add(&output),
                Some(Answer::Exited(exited)) => {
                    ran.code = exited.code;
                    return ran;
                }
                other => panic!("no exit, but {other:?}"),
            }
        }
    }
}

impl Ran {
    fn add(&mut self, output: &v1::Output) {
        let text = String::from_utf8_lossy(&output.data);
        match output.stream() {
            v1::StreamKind::Stderr => self.stderr.push_str(&text),
            _ => self.stdout.push_str(&text),
        }
    }
}

/// Returns a container that runs a shell script and goes away.
pub(crate) fn sh(script: &str) -> ContainerConfig {
    let mut config = command(&["sh", "-c", script]);
    config.host = Some(HostConfig {
        auto_remove: true,
        ..Default::default()
    });
    config
}

/// Returns a container that runs a command.
pub(crate) fn command(words: &[&str]) -> ContainerConfig {
    ContainerConfig {
        image: IMAGE.to_owned(),
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        ..Default::default()
    }
}

/// Returns a request for all of a log.
pub(crate) fn everything(container: &str) -> v1::LogsRequest {
    v1::LogsRequest {
        container: container.to_owned(),
        stdout: true,
        stderr: true,
        ..Default::default()
    }
}

pub(crate) fn text<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> String {
    String::from_utf8_lossy(&pieces.collect::<Vec<_>>().concat()).into_owned()
}

/// Returns the stable word of an error.
pub(crate) fn reason(status: &Status) -> String {
    let value = status.metadata().get(REASON_TRAILER);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}
