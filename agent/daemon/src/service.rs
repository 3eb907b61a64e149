//! One port, two protocols: HTTP/2 is gRPC, HTTP/1.1 will be the Docker Engine API.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use berth_agent_trust::Caller;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use crate::idle::Activity;

/// What HTTP/1.1 callers are told, in the form of the Docker Engine API's errors.
const NOT_DOCKER: &str =
    "{\"message\":\"the Docker Engine API is not served by this version of berthd\"}\n";

/// Answers requests of either protocol.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    grpc: Routes,
    activity: Activity,
    caller: Caller,
}

impl Face {
    pub(crate) fn new(grpc: Routes, activity: Activity) -> Self {
        Self {
            grpc,
            activity,
            caller: Caller::Local,
        }
    }

    /// Returns the face that one connection sees, whose client is `caller`.
    pub(crate) fn called_by(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }
}

impl Service<Request<Incoming>> for Face {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Routes is always ready, by its documentation of axum's router.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        self.activity.note();
        request.extensions_mut().insert(self.caller.clone());
        if request.version() != Version::HTTP_2 {
            return Box::pin(std::future::ready(Ok(not_docker())));
        }
        let answer = self.grpc.call(request.map(Body::new));
        Box::pin(async move {
            match answer.await {
                Ok(response) => Ok(response),
                Err(never) => match never {},
            }
        })
    }
}

fn not_docker() -> Response<Body> {
    let mut response = Response::new(Body::new(NOT_DOCKER.to_owned()));
    *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
