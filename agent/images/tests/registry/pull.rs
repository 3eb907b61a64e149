//! Pulling what registries hold.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex};

use berth_agent_images::{
    Credentials, ErrorKind, LayerPhase, Platform, Progress, ProgressSink, PullError, Reference,
};
use serde_json::json;

use crate::support::registry::Registry;
use crate::support::seed::{
    DOCKER_LIST, Format, Layer, OCI_INDEX, gzip, noise, reqwest_client, tar_of,
};
use crate::support::store::Store;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_unpacked_and_named() {
    let registry = Registry::start();
    let low = tar_of(&[("etc/name", b"low"), ("etc/gone", b"x")]);
    let high = tar_of(&[("etc/name", b"high"), ("etc/.wh.gone", b"")]);
    let layers = [Layer::gzip(&low), Layer::gzip(&high)];
    let seeded = registry.seed("team/app", "1", &layers).await;
    let store = Store::new();

    let pulled = store
        .pull(&registry.reference("team/app:1"))
        .await
        .expect("pull");
    assert_eq!(pulled.digest, seeded.manifest);
    assert_eq!(*pulled.image_id.digest(), seeded.config);
    assert!(pulled.newer);
    let image = store.image(&registry.reference("team/app:1"));
    assert_eq!(image.repo_tags, [registry.reference("team/app:1")]);
    let by_digest = format!("team/app@{}", seeded.manifest);
    assert_eq!(image.repo_digests, [registry.reference(&by_digest)]);
    assert_eq!(image.size, 8);
    assert_eq!(image.config.config.env, ["A=1"]);
    assert_eq!(store.read(&image, "/etc/name").expect("file"), b"high");
    store.read(&image, "/etc/gone").expect_err("refused");
    let path = store
        .snapshotter
        .layer_path(&image.layers[0])
        .join("etc/name");
    assert_eq!(
        std::fs::metadata(path).expect("file").mtime(),
        1_000_000_000
    );

    let again = store
        .pull(&registry.reference("team/app:1"))
        .await
        .expect("pull");
    assert!(!again.newer);
    for name in [by_digest.as_str(), "team/app:1"] {
        assert_eq!(store.image(&registry.reference(name)).id, image.id);
    }
    assert_eq!(store.image(image.id.short()).id, image.id);
    let store = store.reopen();
    assert_eq!(store.image(image.id.as_str()).layers, image.layers);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_compression_is_unpacked() {
    let registry = Registry::start();
    let tars: Vec<Vec<u8>> = (0_u64..4)
        .map(|n| {
            let name = format!("file{n}");
            tar_of(&[(name.as_str(), &noise(100_000, n))])
        })
        .collect();
    let (first, second) = tars[3].split_at(50_000);
    let members = [gzip(first), gzip(second)].concat();
    let layers = [
        Layer::gzip(&tars[0]),
        Layer::zstd(&tars[1]),
        Layer::plain(&tars[2]),
        Layer::compressed(&tars[3], members),
    ];
    registry
        .seed_as("all", "latest", &layers, Format::Oci, "amd64")
        .await;
    let store = Store::new();
    store.pull(&registry.reference("all")).await.expect("pull");
    let image = store.image(&registry.reference("all"));
    for n in 0..4 {
        let content = store.read(&image, &format!("file{n}")).expect("file");
        assert!(content == noise(100_000, n), "file{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_give_the_image_of_the_platform() {
    let registry = Registry::start();
    let store = Store::new();
    for (tag, kind, format) in [
        ("docker", DOCKER_LIST, Format::Docker),
        ("oci", OCI_INDEX, Format::Oci),
    ] {
        let mut entries = Vec::new();
        let mut configs = BTreeMap::new();
        for architecture in ["s390x", "amd64", "arm64"] {
            let layer = Layer::gzip(&tar_of(&[("arch", architecture.as_bytes())]));
            let name = format!("{tag}-{architecture}");
            let seeded = registry
                .seed_as("multi", &name, &[layer], format, architecture)
                .await;
            entries.push(json!({
                "mediaType": if format == Format::Oci { crate::support::seed::OCI_MANIFEST } else { crate::support::seed::DOCKER_MANIFEST },
                "size": seeded.manifest_size, "digest": seeded.manifest, "platform": seeded.platform,
            }));
            configs.insert(architecture, seeded.config);
        }
        let list = json!({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).to_string();
        registry.put_manifest("multi", tag, kind, &list).await;

        let name = registry.reference(&format!("multi:{tag}"));
        let reference = Reference::parse(&name).expect("reference");
        let (nobody, quiet) = (Credentials::default(), ProgressSink::none());
        for (wanted, architecture) in [("linux/arm64", "arm64"), ("linux/amd64", "amd64")] {
            let platform: Platform = wanted.parse().expect("platform");
            let pulled = store
                .images
                .pull(&reference, &nobody, Some(&platform), &quiet)
                .await;
            let pulled = pulled.expect("pull");
            assert_eq!(pulled.image_id.digest(), &configs[architecture]);
            // The name by digest is that of the whole list.
            assert_eq!(
                pulled.digest.as_str(),
                berth_agent_images::Digest::of(list.as_bytes()).as_str()
            );
        }
        let platform: Platform = "linux/riscv64".parse().expect("platform");
        let error = store
            .images
            .pull(&reference, &nobody, Some(&platform), &quiet)
            .await;
        let error = error.expect_err("no such platform");
        assert_eq!(
            error.to_string(),
            "no matching manifest for linux/riscv64 in the manifest list entries"
        );
    }
    let single = registry.reference("multi:docker-s390x");
    let reference = Reference::parse(&single).expect("reference");
    let platform: Platform = "linux/amd64".parse().expect("platform");
    let error = store
        .images
        .pull(
            &reference,
            &Credentials::default(),
            Some(&platform),
            &ProgressSink::none(),
        )
        .await
        .expect_err("another platform");
    assert!(
        matches!(error, PullError::WrongPlatform { .. }),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_at_once_share_what_they_bring() {
    let registry = Registry::start();
    let shared = Layer::gzip(&tar_of(&[("shared", &noise(3_000_000, 1))]));
    for n in 0..4_u8 {
        let own = Layer::gzip(&tar_of(&[("own", &[n])]));
        registry
            .seed("app", &n.to_string(), &[shared.clone(), own])
            .await;
    }
    let proxy = crate::support::proxy::Proxy::start(registry.address, Vec::new());
    let store = Store::new();
    let names: Vec<String> = (0..8)
        .map(|n| proxy.reference(&format!("app:{}", n % 4)))
        .collect();
    let pulls = names.iter().map(|name| store.pull(name));
    for result in futures::future::join_all(pulls).await {
        result.expect("pull");
    }
    assert_eq!(store.images.list().expect("list").len(), 4);
    assert!(
        proxy.received() < 4_000_000,
        "{} bytes came",
        proxy.received()
    );
    assert_eq!(store.count("snapshots/layers"), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_occurs_twice_is_fine() {
    let registry = Registry::start();
    let empty = Layer::gzip(&tar_of(&[]));
    let full = Layer::gzip(&tar_of(&[("f", b"1")]));
    registry
        .seed("twice", "1", &[empty.clone(), full, empty])
        .await;
    let store = Store::new();
    store
        .pull(&registry.reference("twice:1"))
        .await
        .expect("pull");
    let image = store.image(&registry.reference("twice:1"));
    assert_eq!(store.read(&image, "f").expect("file"), b"1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_apart() {
    let registry = Registry::start();
    registry
        .seed("app", "1", &[Layer::gzip(&tar_of(&[("f", b"")]))])
        .await;
    let store = Store::new();
    for name in ["app:2", "nothing"] {
        let error = store.pull(&registry.reference(name)).await.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    }
    let absent = format!("app@sha256:{}", "0".repeat(64));
    let error = store
        .pull(&registry.reference(&absent))
        .await
        .expect_err("absent");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let address = registry.address;
    drop(registry);
    let start = std::time::Instant::now();
    let error = store
        .pull(&format!("{address}/app:1"))
        .await
        .expect_err("nobody there");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(
        start.elapsed().as_secs() < 5,
        "refused connections are reported at once"
    );
    store.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_names_every_layer_and_ends_complete() {
    let registry = Registry::start();
    let layers: Vec<Layer> = (0..3_u64)
        .map(|n| Layer::gzip(&tar_of(&[("f", &noise(500_000, n))])))
        .collect();
    registry.seed("app", "1", &layers).await;
    let store = Store::new();
    let seen = Arc::new(Mutex::new((Vec::new(), BTreeMap::new())));
    let sink = ProgressSink::new({
        let seen = Arc::clone(&seen);
        move |progress| {
            let mut seen = seen.lock().unwrap();
            match progress {
                Progress::Status(line) => seen.0.push(line),
                Progress::Layer {
                    id,
                    phase,
                    current_bytes,
                    total_bytes,
                } => {
                    assert!(current_bytes <= total_bytes);
                    seen.1.insert(id, phase);
                }
            }
        }
    });
    let reference = Reference::parse(&registry.reference("app:1")).expect("reference");
    store
        .images
        .pull(&reference, &Credentials::default(), None, &sink)
        .await
        .expect("pull");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.0, ["1: Pulling from app"]);
    assert_eq!(seen.1.len(), 3);
    for layer in &layers {
        assert_eq!(seen.1[layer.digest().short()], LayerPhase::PullComplete);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_tag_leaves_the_old_image_without_a_name() {
    let registry = Registry::start();
    let store = Store::new();
    let mut ids = Vec::new();
    for content in [b"1", b"2"] {
        registry
            .seed("app", "1", &[Layer::gzip(&tar_of(&[("f", content)]))])
            .await;
        let pulled = store
            .pull(&registry.reference("app:1"))
            .await
            .expect("pull");
        assert!(pulled.newer);
        ids.push(pulled.image_id);
    }
    assert_eq!(store.images.get(&ids[0]).expect("old").repo_tags, [""; 0]);
    assert_eq!(store.images.get(&ids[1]).expect("new").repo_tags.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_no_image_is_refused() {
    let registry = Registry::start();
    let layer = Layer::gzip(&tar_of(&[("f", b"")]));
    registry
        .seed_as("chart", "1", &[layer], Format::Oci, "amd64")
        .await;
    let address = format!("http://{}/v2/chart/manifests/1", registry.address);
    let request = reqwest_client()
        .get(address)
        .header("accept", crate::support::seed::OCI_MANIFEST);
    let text = request
        .send()
        .await
        .expect("get")
        .text()
        .await
        .expect("text");
    let kind = "application/vnd.oci.image.config.v1+json";
    assert!(text.contains(kind));
    let text = text.replace(kind, "application/vnd.cncf.helm.config.v1+json");
    registry
        .put_manifest("chart", "1", crate::support::seed::OCI_MANIFEST, &text)
        .await;
    let store = Store::new();
    let error = store
        .pull(&registry.reference("chart:1"))
        .await
        .expect_err("a chart");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    store.assert_empty();
}
