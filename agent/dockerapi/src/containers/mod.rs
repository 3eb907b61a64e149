//! Calls about containers.

mod archive;
mod attach;
mod changes;
pub(crate) mod commit;
mod create;
mod inspect;
mod life;
pub(crate) mod list;
mod logs;
mod options;
mod prune;
mod stats;
mod top;
mod update;
mod wait;

use http::{Method, Response};

use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::{exec, router};

pub(crate) use life::terminal_size;
pub(crate) use options::EndpointSettings;

/// Answers a call.
pub(crate) async fn route(
    api: &Api,
    call: Call,
    rest: &[&str],
) -> Result<Response<Body>, ApiError> {
    let method = call.method.clone();
    match (&method, rest) {
        (&Method::GET, ["json"]) => return list::list(api, &call).await,
        (&Method::POST, ["create"]) => return create::create(api, call).await,
        (&Method::POST, ["prune"]) => return prune::prune(api, &call).await,
        (&Method::DELETE, [_, ..]) => return life::remove(api, &call, &rest.join("/")).await,
        _ => {}
    }
    let (name, verb) = router::name_and_verb(rest);
    match method {
        Method::GET => read(api, call, &name, verb).await,
        Method::HEAD if verb == "archive" => archive::stat(api, &call, &name).await,
        Method::PUT if verb == "archive" => archive::put(api, call, &name).await,
        Method::POST => change(api, call, &name, verb).await,
        _ => Err(ApiError::page_not_found()),
    }
}

async fn read(api: &Api, call: Call, name: &str, verb: &str) -> Result<Response<Body>, ApiError> {
    match verb {
        "json" => inspect::inspect(api, &call, name).await,
        "logs" => logs::logs(api, &call, name),
        "top" => top::top(api, &call, name).await,
        "stats" => stats::stats(api, &call, name),
        "changes" => changes::changes(api, name).await,
        "export" => archive::export(api, name).await,
        "archive" => archive::get(api, &call, name).await,
        _ => Err(ApiError::page_not_found()),
    }
}

async fn change(api: &Api, call: Call, name: &str, verb: &str) -> Result<Response<Body>, ApiError> {
    match verb {
        "start" => life::start(api, call, name).await,
        "stop" => life::stop(api, &call, name).await,
        "restart" => life::restart(api, &call, name).await,
        "kill" => life::kill(api, &call, name).await,
        "pause" => life::pause(api, name).await,
        "unpause" => life::unpause(api, name).await,
        "rename" => life::rename(api, &call, name).await,
        "resize" => life::resize(api, &call, name).await,
        "update" => update::update(api, call, name).await,
        "wait" => wait::wait(api, &call, name).await,
        "attach" => attach::attach(api, call, name).await,
        "exec" => exec::create::create(api, call, name).await,
        _ => Err(ApiError::page_not_found()),
    }
}
