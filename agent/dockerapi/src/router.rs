//! Finds what answers a call.

use http::{Method, Response};

use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::{build, containers, distribution, exec, images, networks, not_here, system, volumes};

/// Answers a call.
pub(crate) async fn route(api: &Api, call: Call) -> Result<Response<Body>, ApiError> {
    let path = call.path.clone();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let Some((first, rest)) = segments.split_first() else {
        return Err(ApiError::page_not_found());
    };
    match *first {
        "containers" => containers::route(api, call, rest).await,
        "exec" => exec::route(api, call, rest).await,
        "images" => images::route(api, call, rest).await,
        "volumes" => volumes::route(api, call, rest).await,
        "networks" => networks::route(api, call, rest).await,
        "build" => build::route(api, call, rest).await,
        "commit" if rest.is_empty() && call.method == Method::POST => {
            containers::commit::commit(api, call).await
        }
        "distribution" => distribution::route(api, call, rest).await,
        "swarm" | "services" | "nodes" | "tasks" | "secrets" | "configs" => {
            not_here::swarm(&call, rest)
        }
        "plugins" => not_here::plugins(&call, rest),
        // BuildKit's; without them clients use the classic builder.
        "grpc" | "session" => Err(ApiError::page_not_found()),
        _ => system::route(api, call, &segments).await,
    }
}

/// Splits segments into a name, which may have slashes, and what is wanted of it.
pub(crate) fn name_and_verb<'a>(rest: &[&'a str]) -> (String, &'a str) {
    match rest.split_last() {
        Some((verb, name)) if !name.is_empty() => (name.join("/"), verb),
        Some((name, _nothing)) => ((*name).to_owned(), ""),
        None => (String::new(), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_slashes() {
        let split = |path: &'static str| {
            let rest: Vec<&str> = path.split('/').collect();
            name_and_verb(&rest)
        };
        assert_eq!(split("a/json"), ("a".to_owned(), "json"));
        assert_eq!(
            split("reg:5000/a/b:1/json"),
            ("reg:5000/a/b:1".to_owned(), "json")
        );
        assert_eq!(split("a"), ("a".to_owned(), ""));
    }
}
