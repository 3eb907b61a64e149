//! One port, two protocols: gRPC, and the Docker Engine API for everything else.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use berth_agent_access::{AuditLog, Identity, Role};
use berth_agent_dockerapi::{Api, Hold};
use berth_agent_trust::Caller;
use http::header::CONTENT_TYPE;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use crate::idle::Activity;

/// Name of the header with a call's status, when the call has nothing else to say.
const GRPC_STATUS: &str = "grpc-status";

/// Answers requests of either protocol.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    grpc: Routes,
    docker: Api,
    audit: Arc<AuditLog>,
    activity: Activity,
    caller: Caller,
    identity: Arc<Identity>,
    hold: Option<Hold>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Face {
    pub(crate) fn new(grpc: Routes, docker: Api, audit: Arc<AuditLog>, activity: Activity) -> Self {
        Self {
            grpc,
            docker,
            audit,
            activity,
            caller: Caller::Local,
            identity: Arc::new(Identity::local(0)),
            hold: None,
        }
    }

    /// Returns the face that one connection sees, whose client is `caller`, user `uid` of this machine if
    /// it has come over the unix socket. `admission` is kept as long as the connection.
    pub(crate) fn called_by(
        mut self,
        caller: Caller,
        uid: u32,
        admission: Arc<OwnedSemaphorePermit>,
    ) -> Self {
        self.identity = Arc::new(Identity::of(&caller, uid));
        self.caller = caller;
        self.hold = Some(Hold::new(admission));
        self
    }

    fn call_docker(&self, mut request: Request<Incoming>) -> Answer {
        if let Some(hold) = &self.hold {
            request.extensions_mut().insert(hold.clone());
        }
        let (docker, identity) = (self.docker.clone(), Arc::clone(&self.identity));
        Box::pin(async move {
            let response = docker.call(request, &identity).await?;
            Ok(response.map(Body::new))
        })
    }

    fn call_grpc(&mut self, mut request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let is_change = berth_agent_grpc::is_change(&path);
        let identity = &self.identity;
        let note = is_change.then(|| self.audit.begin(identity, path, String::new()));
        if is_change && identity.role() == Role::Reader {
            let sentence = format!("{identity} is read-only: it may look, but change nothing");
            let status = Status::permission_denied(sentence);
            if let Some(note) = note {
                note.end("7");
            }
            return Box::pin(std::future::ready(Ok(status.into_http())));
        }
        request.extensions_mut().insert(self.caller.clone());
        let answer = self.grpc.call(request.map(Body::new));
        Box::pin(async move {
            let response = match answer.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            if let Some(note) = note {
                // Of a call that goes on, how it began.
                let status = response.headers().get(GRPC_STATUS);
                let status = status.and_then(|status| status.to_str().ok());
                note.end(status.unwrap_or("0"));
            }
            Ok(response)
        })
    }
}

/// Whether a request is one of gRPC, which is spoken over HTTP/2 only.
fn is_grpc(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.map(http::HeaderValue::as_bytes).unwrap_or_default();
    request.version() == Version::HTTP_2 && kind.starts_with(b"application/grpc")
}

impl Service<Request<Incoming>> for Face {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Routes is always ready, by its documentation of axum's router.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Answer {
        self.activity.note();
        if is_grpc(&request) {
            self.call_grpc(request)
        } else {
            self.call_docker(request)
        }
    }
}
