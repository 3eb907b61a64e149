//! `ContainerService`: this file has the plain calls, its neighbours the streams.

mod attach;
mod exec;
mod life;
mod logs;
mod stats;
mod top;

use std::sync::Arc;

use berth_agent_engine::{Engine, ListOptions, RemoveOptions, StopOptions, WaitCondition};
use berth_proto::v1;
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::convert;
use crate::status;

/// The containers of the machine.
pub(crate) struct Containers {
    engine: Arc<Engine>,
}

impl Containers {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
}

#[async_trait]
impl v1::container_service_server::ContainerService for Containers {
    async fn create(
        &self,
        request: Request<v1::CreateRequest>,
    ) -> Result<Response<v1::CreateResponse>, Status> {
        let request = request.into_inner();
        let options =
            convert::container_options(request.config.unwrap_or_default(), request.platform)?;
        let created = self
            .engine
            .create(&request.name, options)
            .await
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::CreateResponse {
            id: created.id.to_string(),
            warnings: created.warnings,
        }))
    }

    async fn start(
        &self,
        request: Request<v1::StartRequest>,
    ) -> Result<Response<v1::StartResponse>, Status> {
        let request = request.into_inner();
        let warnings = self
            .engine
            .start(&request.container)
            .await
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::StartResponse { warnings }))
    }

    async fn stop(
        &self,
        request: Request<v1::StopRequest>,
    ) -> Result<Response<v1::StopResponse>, Status> {
        let request = request.into_inner();
        let options = StopOptions {
            timeout_seconds: request.timeout_seconds,
            signal: request.signal,
        };
        self.engine
            .stop(&request.container, &options)
            .await
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::StopResponse {}))
    }

    async fn restart(
        &self,
        request: Request<v1::RestartRequest>,
    ) -> Result<Response<v1::RestartResponse>, Status> {
        let request = request.into_inner();
        let options = StopOptions {
            timeout_seconds: request.timeout_seconds,
            signal: request.signal,
        };
        self.engine
            .restart(&request.container, &options)
            .await
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::RestartResponse {}))
    }

    async fn kill(
        &self,
        request: Request<v1::KillRequest>,
    ) -> Result<Response<v1::KillResponse>, Status> {
        let request = request.into_inner();
        self.engine
            .kill(&request.container, &request.signal)
            .await
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::KillResponse {}))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveRequest>,
    ) -> Result<Response<v1::RemoveResponse>, Status> {
        let request = request.into_inner();
        if request.link {
            let removed = self.engine.remove_link(&request.container).await;
            removed.map_err(|e| status::of(&e))?;
            return Ok(Response::new(v1::RemoveResponse {}));
        }
        let options = RemoveOptions {
            force: request.force,
            volumes: request.volumes,
        };
        self.engine
            .remove(&request.container, options)
            .await
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::RemoveResponse {}))
    }

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let request = request.into_inner();
        let options = ListOptions {
            all: request.all,
            filters: request.filters,
            limit: usize::try_from(request.limit).unwrap_or(usize::MAX),
            size: request.size,
        };
        let engine = Arc::clone(&self.engine);
        let list = move || engine.list(&options);
        // A walk over files blocks; a list without sizes is from memory.
        let found = if request.size {
            blocking(list).await?
        } else {
            list()
        };
        let containers = found.map_err(|e| status::of(&e))?;
        let containers = containers.into_iter().map(convert::summary).collect();
        Ok(Response::new(v1::ListResponse { containers }))
    }

    async fn inspect(
        &self,
        request: Request<v1::InspectRequest>,
    ) -> Result<Response<v1::InspectResponse>, Status> {
        let request = request.into_inner();
        let engine = Arc::clone(&self.engine);
        let object = blocking(move || engine.inspect(&request.container, request.size))
            .await?
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::InspectResponse {
            json: object.to_string(),
        }))
    }

    type LogsStream = BoxStream<'static, Result<v1::LogsResponse, Status>>;

    async fn logs(
        &self,
        request: Request<v1::LogsRequest>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        let stream = logs::logs(&self.engine, request.into_inner())?;
        Ok(Response::new(stream.boxed()))
    }

    type AttachStream = BoxStream<'static, Result<v1::AttachResponse, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<v1::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let stream = attach::attach(&self.engine, request.into_inner()).await?;
        Ok(Response::new(stream.boxed()))
    }

    type WaitStream = BoxStream<'static, Result<v1::WaitResponse, Status>>;

    async fn wait(
        &self,
        request: Request<v1::WaitRequest>,
    ) -> Result<Response<Self::WaitStream>, Status> {
        use v1::wait_response::Message;
        let request = request.into_inner();
        let condition = match request.condition() {
            v1::wait_request::Condition::NotRunning => WaitCondition::NotRunning,
            v1::wait_request::Condition::NextExit => WaitCondition::NextExit,
            v1::wait_request::Condition::Removed => WaitCondition::Removed,
        };
        let waiting = self
            .engine
            .wait(&request.container, condition)
            .map_err(|e| status::of(&e))?;
        let answer = |message| {
            Ok(v1::WaitResponse {
                message: Some(message),
            })
        };
        let registered = stream::iter([answer(Message::Registered(v1::WaitRegistered {}))]);
        let exited = stream::once(async move {
            let exit = waiting.exit().await.map_err(|e| status::of(&e))?;
            answer(Message::Exited(convert::exited(exit)))
        });
        Ok(Response::new(registered.chain(exited).boxed()))
    }

    async fn resize(
        &self,
        request: Request<v1::ResizeRequest>,
    ) -> Result<Response<v1::ResizeResponse>, Status> {
        let request = request.into_inner();
        let size = convert::terminal_size(request.size.unwrap_or_default());
        self.engine
            .resize(&request.container, size)
            .await
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::ResizeResponse {}))
    }

    type ExecStream = BoxStream<'static, Result<v1::ExecResponse, Status>>;

    async fn exec(
        &self,
        request: Request<Streaming<v1::ExecRequest>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        exec::exec(&self.engine, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn pause(
        &self,
        request: Request<v1::PauseRequest>,
    ) -> Result<Response<v1::PauseResponse>, Status> {
        let response = life::pause(&self.engine, request.into_inner()).await?;
        Ok(Response::new(response))
    }

    async fn unpause(
        &self,
        request: Request<v1::UnpauseRequest>,
    ) -> Result<Response<v1::UnpauseResponse>, Status> {
        let response = life::unpause(&self.engine, request.into_inner()).await?;
        Ok(Response::new(response))
    }

    async fn rename(
        &self,
        request: Request<v1::RenameRequest>,
    ) -> Result<Response<v1::RenameResponse>, Status> {
        let response = life::rename(&self.engine, request.into_inner()).await?;
        Ok(Response::new(response))
    }

    async fn update(
        &self,
        request: Request<v1::UpdateRequest>,
    ) -> Result<Response<v1::UpdateResponse>, Status> {
        let response = life::update(&self.engine, request.into_inner()).await?;
        Ok(Response::new(response))
    }

    async fn top(
        &self,
        request: Request<v1::TopRequest>,
    ) -> Result<Response<v1::TopResponse>, Status> {
        let table = top::top(&self.engine, request.into_inner()).await?;
        Ok(Response::new(table))
    }

    type StatsStream = BoxStream<'static, Result<v1::StatsResponse, Status>>;

    async fn stats(
        &self,
        request: Request<v1::StatsRequest>,
    ) -> Result<Response<Self::StatsStream>, Status> {
        let stream = stats::stats(&self.engine, request.into_inner())?;
        Ok(Response::new(stream.boxed()))
    }

    async fn prune(
        &self,
        request: Request<v1::PruneContainersRequest>,
    ) -> Result<Response<v1::PruneContainersResponse>, Status> {
        let response = life::prune(&self.engine, request.into_inner()).await?;
        Ok(Response::new(response))
    }
}

/// Runs work that blocks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Status::internal(format!("the work was cut off: {error}")))
}
