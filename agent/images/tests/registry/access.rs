//! Passwords, tokens, mirrors and redirections.

use berth_agent_images::{Credentials, ErrorKind, ProgressSink, PushError, Reference};

use crate::support::http::{Answer, Server};
use crate::support::registry::{Access, PASSWORD, Registry, USER};
use crate::support::seed::{Layer, noise, tar_of};
use crate::support::store::Store;
use crate::support::token::TokenServer;

fn captain() -> Credentials {
    Credentials {
        username: USER.to_owned(),
        password: PASSWORD.to_owned(),
        ..Credentials::default()
    }
}

fn impostor() -> Credentials {
    Credentials {
        password: "wrong".to_owned(),
        ..captain()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_passwords_admits_who_knows_them() {
    let open = Registry::start();
    open.seed("app", "1", &[Layer::gzip(&tar_of(&[("f", b"1")]))])
        .await;
    let registry = open.beside(&Access::Password);
    let name = registry.reference("app:1");
    let store = Store::new();
    for credentials in [Credentials::default(), impostor()] {
        let error = store
            .pull_as(&name, &credentials)
            .await
            .expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error:?}");
    }
    store.assert_empty();
    store.pull_as(&name, &captain()).await.expect("pull");
    let reference = Reference::parse(&registry.reference("copy:1")).expect("reference");
    let id = store.images.resolve(&name).expect("image");
    store.images.tag(&id, &reference).expect("tag");
    let quiet = ProgressSink::none();
    let error = store
        .images
        .push(&reference, &impostor(), &quiet)
        .await
        .expect_err("refused");
    assert!(matches!(error, PushError::Denied { .. }), "{error:?}");
    store
        .images
        .push(&reference, &captain(), &quiet)
        .await
        .expect("push");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_tokens_gets_them_for_the_right_scope() {
    let open = Registry::start();
    let layer = Layer::gzip(&tar_of(&[("f", b"1")]));
    open.seed("public/app", "1", std::slice::from_ref(&layer))
        .await;
    open.seed("private/app", "1", &[layer]).await;
    let tokens = TokenServer::start();
    let registry = open.beside(&Access::Token(&tokens));
    let store = Store::new();
    store
        .pull(&registry.reference("public/app:1"))
        .await
        .expect("anybody may");
    let scope = "scope=repository%3Apublic%2Fapp%3Apull";
    assert!(
        tokens
            .requests()
            .iter()
            .any(|request| request.target.contains(scope))
    );

    let private = registry.reference("private/app:1");
    for credentials in [Credentials::default(), impostor()] {
        let error = store
            .pull_as(&private, &credentials)
            .await
            .expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error:?}");
    }
    store.pull_as(&private, &captain()).await.expect("pull");

    let id = store.images.resolve(&private).expect("image");
    let copy = Reference::parse(&registry.reference("private/copy:1")).expect("reference");
    store.images.tag(&id, &copy).expect("tag");
    let quiet = ProgressSink::none();
    store
        .images
        .push(&copy, &captain(), &quiet)
        .await
        .expect("push");
    let other = Store::new();
    other
        .pull_as(&registry.reference("private/copy:1"), &captain())
        .await
        .expect("pull");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_on_this_machine_needs_no_trusted_certificate() {
    let open = Registry::start();
    open.seed("app", "1", &[Layer::gzip(&tar_of(&[("f", b"1")]))])
        .await;
    let registry = open.beside(&Access::Tls);
    let store = Store::new();
    store
        .pull(&registry.reference("app:1"))
        .await
        .expect("pull");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_token_is_sent_as_it_is() {
    let server = Server::start(|request| match request.header("authorization") {
        Some("Bearer ready") => Answer::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
        _ => {
            Answer::new(401, "{}").with("WWW-Authenticate", "Bearer realm=\"http://127.0.0.1:1/\"")
        }
    });
    let credentials = Credentials {
        registry_token: "ready".to_owned(),
        ..Credentials::default()
    };
    let store = Store::new();
    let error = store
        .pull_as(&server.reference("app:1"), &credentials)
        .await
        .expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirection_to_another_server_gets_no_credentials() {
    let registry = Registry::start();
    registry
        .seed(
            "app",
            "1",
            &[Layer::gzip(&tar_of(&[("f", &noise(200_000, 1))]))],
        )
        .await;
    let target = registry.address;
    let storage = Server::start(move |request| fetch(target, &request.target));
    let storage_address = storage.address;
    let front = Server::start(move |request| {
        if request.header("authorization").is_none() {
            return Answer::new(401, "{}").with("WWW-Authenticate", "Basic realm=\"x\"");
        }
        if request.target.contains("/blobs/") {
            let location = format!(
                "http://localhost:{}{}",
                storage_address.port(),
                request.target
            );
            return Answer::new(307, "").with("Location", location);
        }
        fetch(target, &request.target)
    });
    let store = Store::new();
    store
        .pull_as(&front.reference("app:1"), &captain())
        .await
        .expect("pull");
    let requests = storage.requests();
    assert!(!requests.is_empty());
    for request in requests {
        assert_eq!(request.header("authorization"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_stand_in_for_dockers_registry_without_its_credentials() {
    let registry = Registry::start();
    registry
        .seed(
            "library/app",
            "latest",
            &[Layer::gzip(&tar_of(&[("f", b"1")]))],
        )
        .await;
    let target = registry.address;
    let mirror = Server::start(move |request| fetch(target, &request.target));
    let broken = Server::start(|_request| Answer::new(500, "{}"));
    let mirrors = vec![
        format!("http://{}", broken.address),
        format!("http://{}/", mirror.address),
    ];
    let store = Store::with_mirrors(mirrors);
    let pulled = store.pull_as("app", &captain()).await.expect("pull");
    assert_eq!(pulled.reference.to_string(), "docker.io/library/app:latest");
    assert_eq!(store.image("app").repo_tags, ["app:latest"]);
    for request in mirror.requests().iter().chain(&broken.requests()) {
        assert_eq!(request.header("authorization"), None);
    }
}

/// Gets something from the real registry, with its type.
fn fetch(registry: std::net::SocketAddr, target: &str) -> Answer {
    let address = format!("http://{registry}{target}");
    let accept = [
        crate::support::seed::DOCKER_MANIFEST,
        crate::support::seed::OCI_MANIFEST,
        crate::support::seed::OCI_INDEX,
    ];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("runtime").block_on(async {
        let client = crate::support::seed::reqwest_client();
        let response = client
            .get(address)
            .header("accept", accept.join(","))
            .send()
            .await;
        let response = response.expect("answer");
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type").cloned();
        let body = response.bytes().await.expect("body").to_vec();
        let kind = kind.and_then(|kind| kind.to_str().map(str::to_owned).ok());
        Answer::new(status, body).with("Content-Type", kind.unwrap_or_default())
    })
}
