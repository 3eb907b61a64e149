//! Connections that break and servers that lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use berth_agent_images::{Digest, ErrorKind, PullError};

use crate::support::http::{Answer, Request, Server};
use crate::support::proxy::{Fate, Proxy};
use crate::support::registry::Registry;
use crate::support::seed::{DOCKER_MANIFEST, Format, Layer, documents, noise, tar_of};
use crate::support::store::Store;

const SIZE: usize = 2_000_000;

fn big_layer() -> Layer {
    Layer::gzip(&tar_of(&[("big", &noise(SIZE, 7))]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_keeps_cutting_the_connection_is_asked_for_the_rest() {
    let registry = Registry::start();
    registry.seed("app", "1", &[big_layer()]).await;
    let proxy = Proxy::start(registry.address, vec![Fate::CutAfter(300_000)]);
    let store = Store::new();
    store.pull(&proxy.reference("app:1")).await.expect("pull");
    let image = store.image(&proxy.reference("app:1"));
    assert!(store.read(&image, "big").expect("file") == noise(SIZE, 7));
    assert!(proxy.n_connections() > 6);
    assert!(
        proxy.received() < SIZE as u64 * 5 / 4,
        "{} bytes came",
        proxy.received()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_anywhere_never_leaves_half_an_image() {
    let registry = Registry::start();
    let layers = [Layer::gzip(&tar_of(&[("a", &noise(3000, 1))])), big_layer()];
    registry.seed("app", "1", &layers).await;
    for limit in [0, 1, 100, 400, 900, 1500, 4000, 20_000] {
        let fates = vec![Fate::CutAfter(limit), Fate::CutAfter(limit), Fate::Lives];
        let proxy = Proxy::start(registry.address, fates);
        let store = Store::new();
        match store.pull(&proxy.reference("app:1")).await {
            Ok(_pulled) => {
                let image = store.image(&proxy.reference("app:1"));
                assert!(store.read(&image, "big").expect("file") == noise(SIZE, 7));
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{limit}: {error:?}");
                assert_eq!(store.images.list().expect("list").len(), 0);
                store
                    .pull(&proxy.reference("app:1"))
                    .await
                    .expect("pull again");
            }
        }
        assert_eq!(store.count("snapshots/staging"), 0);
        assert_eq!(store.count("content/ingest"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_pull_is_taken_up_where_it_stopped() {
    let registry = Registry::start();
    registry.seed("app", "1", &[big_layer()]).await;
    let proxy = Proxy::start(
        registry.address,
        vec![
            // The first connection only learns that there is no TLS.
            Fate::Lives,
            Fate::StallsAfter(1_200_000),
            Fate::Lives,
        ],
    );
    let store = Store::new();
    let name = proxy.reference("app:1");
    {
        let mut pull = std::pin::pin!(store.pull(&name));
        loop {
            tokio::select! {
                result = &mut pull => panic!("finished: {result:?}"),
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
            }
            if proxy.has_stalled() && kept(&store) > 900_000 {
                break;
            }
        }
    }
    // The thread behind it cleans up on its own.
    while store.count("snapshots/staging") > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(store.count("snapshots/layers"), 0);
    let before = proxy.received();
    store.pull(&name).await.expect("pull");
    let rest = proxy.received() - before;
    assert!(rest < 1_200_000, "{rest} bytes came the second time");
    let image = store.image(&name);
    assert!(store.read(&image, "big").expect("file") == noise(SIZE, 7));
}

/// How much of a layer is kept of a broken transfer.
fn kept(store: &Store) -> u64 {
    let entries = std::fs::read_dir(store.root.join("content/ingest")).expect("list");
    entries
        .map(|entry| {
            entry
                .and_then(|entry| entry.metadata())
                .map_or(0, |m| m.len())
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_rest_of_an_earlier_transfer_is_thrown_away() {
    let registry = Registry::start();
    let layer = big_layer();
    registry
        .seed("app", "1", std::slice::from_ref(&layer))
        .await;
    for damaged in [
        vec![0; 100_000],
        vec![0; layer.blob.len()],
        vec![0; layer.blob.len() + 1],
    ] {
        let store = Store::new();
        let partial = format!("content/ingest/{}.partial", layer.digest().hex());
        std::fs::write(store.root.join(partial), damaged).expect("partial");
        store
            .pull(&registry.reference("app:1"))
            .await
            .expect("pull");
        let image = store.image(&registry.reference("app:1"));
        assert!(store.read(&image, "big").expect("file") == noise(SIZE, 7));
    }
}

/// A registry of one image that can lie about everything.
struct Liar {
    config: String,
    manifest: String,
    layer: Layer,
}

impl Liar {
    fn new() -> Self {
        Self::of(big_layer())
    }

    fn of(layer: Layer) -> Self {
        let (config, manifest) = documents(std::slice::from_ref(&layer), Format::Docker, "amd64");
        Self {
            config,
            manifest,
            layer,
        }
    }

    /// Answers truthfully.
    fn answer(&self, request: &Request) -> Answer {
        let target = request.target.as_str();
        if target.contains("/manifests/") {
            return Answer::new(200, self.manifest.clone()).with("Content-Type", DOCKER_MANIFEST);
        }
        if target.ends_with(self.layer.digest().as_str()) {
            return Answer::new(200, self.layer.blob.clone());
        }
        if target.ends_with(Digest::of(self.config.as_bytes()).as_str()) {
            return Answer::new(200, self.config.clone());
        }
        Answer::new(200, "{}")
    }

    fn is_layer(&self, request: &Request) -> bool {
        request.target.ends_with(self.layer.digest().as_str())
    }
}

async fn pull_from(
    liar: Liar,
    lie: impl Fn(&Liar, &Request) -> Option<Answer> + Send + Sync + 'static,
) -> (Store, Result<berth_agent_images::Pulled, PullError>) {
    let server =
        Server::start(move |request| lie(&liar, request).unwrap_or_else(|| liar.answer(request)));
    let store = Store::new();
    let result = store.pull(&server.reference("app:1")).await;
    (store, result)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_ranges_sends_everything_again_and_that_is_fine() {
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    let (store, result) = pull_from(Liar::new(), move |liar, request| {
        if !liar.is_layer(request) || asked.fetch_add(1, Ordering::SeqCst) > 0 {
            return None;
        }
        let length = liar.layer.blob.len();
        // Less than was announced.
        let half = Answer::new(200, &liar.layer.blob[..length / 2]);
        Some(half.with("Content-Length", length.to_string()))
    })
    .await;
    let pulled = result.expect("pull");
    let image = store.images.get(&pulled.image_id).expect("image");
    assert!(store.read(&image, "big").expect("file") == noise(SIZE, 7));
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_content_is_recognised_and_nothing_of_it_stays() {
    let flip = |liar: &Liar, request: &Request| {
        liar.is_layer(request).then(|| {
            let mut blob = liar.layer.blob.clone();
            let middle = blob.len() / 2;
            blob[middle] ^= 1;
            Answer::new(200, blob)
        })
    };
    let other = |liar: &Liar, request: &Request| {
        let length = liar.layer.blob.len();
        liar.is_layer(request)
            .then(|| Answer::new(200, noise(length, 99)))
    };
    let config = |liar: &Liar, request: &Request| {
        let is_config = request
            .target
            .ends_with(Digest::of(liar.config.as_bytes()).as_str());
        is_config.then(|| Answer::new(200, liar.config.replace("/bin/sh", "/bin/xx")))
    };
    type Lie = fn(&Liar, &Request) -> Option<Answer>;
    for lie in [flip as Lie, other as Lie, config as Lie] {
        let (store, result) = pull_from(Liar::new(), lie).await;
        let error = result.expect_err("a lie");
        assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error:?}");
        store.assert_empty();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_is_not_what_the_configuration_says_is_refused() {
    let mut layer = big_layer();
    layer.diff_id = Digest::of(b"something else");
    let (store, result) = pull_from(Liar::of(layer), |_, _| None).await;
    let error = result.expect_err("wrong diff id");
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error:?}");
    store.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_with_the_right_digest_that_is_no_archive_is_refused() {
    for blob in [b"not a tar at all".to_vec(), noise(4000, 3)] {
        let layer = Layer {
            diff_id: Digest::of(&blob),
            blob,
            ..big_layer()
        };
        let (store, result) = pull_from(Liar::of(layer), |_, _| None).await;
        let error = result.expect_err("no archive");
        assert!(matches!(error, PullError::Unpack { .. }), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        store.assert_empty();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_longer_than_announced_is_not_read_on() {
    let (store, result) = pull_from(Liar::new(), |liar, request| {
        liar.is_layer(request).then(|| {
            let mut blob = liar.layer.blob.clone();
            blob.extend_from_slice(&[0; 1000]);
            Answer::new(200, blob)
        })
    })
    .await;
    let error = result.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    assert_eq!(store.images.list().expect("list").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_manifests_are_not_read_to_their_end() {
    let (store, result) = pull_from(Liar::new(), |_liar, request| {
        request.target.contains("/manifests/").then(|| {
            let body = format!("{{\"schemaVersion\":2,\"x\":\"{}\"}}", "x".repeat(5 << 20));
            Answer::new(200, body).with("Content-Type", DOCKER_MANIFEST)
        })
    })
    .await;
    let error = result.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    store.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_under_another_digest_is_refused() {
    let server = {
        let liar = Liar::new();
        Server::start(move |request| liar.answer(request))
    };
    let store = Store::new();
    let name = format!("app@sha256:{}", "a".repeat(64));
    let error = store
        .pull(&server.reference(&name))
        .await
        .expect_err("another manifest");
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_layers_in_the_configuration_than_in_the_manifest_are_refused() {
    let mut liar = Liar::new();
    let (config, _) = documents(&[], Format::Docker, "amd64");
    let old = Digest::of(liar.config.as_bytes());
    liar.manifest = liar
        .manifest
        .replace(old.as_str(), Digest::of(config.as_bytes()).as_str());
    liar.config = config;
    let (store, result) = pull_from(liar, |_, _| None).await;
    let error = result.expect_err("disagreement");
    assert!(matches!(error, PullError::LayerCount { .. }), "{error:?}");
    store.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_registry_is_asked_again() {
    let count = AtomicUsize::new(0);
    let (_store, result) = pull_from(Liar::new(), move |_liar, request| {
        let is_first = request.target.contains("/v2/app/")
            && count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        is_first.then(|| Answer::new(503, "{}"))
    })
    .await;
    result.expect("pull");
}
