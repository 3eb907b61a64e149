//! Calls about images.

mod export;
mod history;
mod import;
mod inspect;
pub(crate) mod list;
mod load;
pub(crate) mod names;
mod prune;
mod pull;
mod push;
mod remove;
mod tag;

use http::{Method, Response};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::router;

/// Answers a call.
pub(crate) async fn route(
    api: &Api,
    call: Call,
    rest: &[&str],
) -> Result<Response<Body>, ApiError> {
    let method = call.method.clone();
    match (&method, rest) {
        (&Method::GET, ["json"]) => return list::list(api, &call).await,
        (&Method::GET, ["search"]) => return search(),
        (&Method::GET, ["get"]) => return export::several(api, &call).await,
        (&Method::POST, ["load"]) => return load::load(api, call).await,
        (&Method::POST, ["prune"]) => return prune::prune(api, &call).await,
        (&Method::POST, ["create"]) => return create(api, call).await,
        (&Method::DELETE, [_, ..]) => return remove::remove(api, &call, rest.join("/")).await,
        _ => {}
    }
    let (name, verb) = router::name_and_verb(rest);
    match (method, verb) {
        (Method::GET, "json") => inspect::inspect(api, &call, &name),
        (Method::GET, "history") => history::history(api, &name),
        (Method::GET, "get") => export::one(api, &name).await,
        (Method::POST, "tag") => tag::tag(api, &call, &name),
        (Method::POST, "push") => push::push(api, &call, &name),
        _ => Err(ApiError::page_not_found()),
    }
}

async fn create(api: &Api, call: Call) -> Result<Response<Body>, ApiError> {
    if call.query.text("fromSrc").is_empty() {
        pull::pull(api, &call).await
    } else {
        import::import(api, call).await
    }
}

/// The registry of Docker's own is the only one that could be searched, and not by this protocol.
fn search() -> Result<Response<Body>, ApiError> {
    Err(ApiError::not_implemented(
        "searching for images is not supported by berth",
    ))
}

/// Answers with a list; empty lists are lists here.
fn list_of(values: &[serde_json::Value]) -> Response<Body> {
    answer::ok(&values)
}
