//! Pushing, and what another machine then gets.

use berth_agent_images::{
    CommitRequest, Credentials, ErrorKind, HistoryEntry, Image, ImageConfiguration, LayerSource,
    ProgressSink, PushError, Pushed, Reference,
};

use crate::support::proxy::{Fate, Proxy};
use crate::support::registry::Registry;
use crate::support::seed::{Format, Layer, noise, tar_of};
use crate::support::store::Store;

async fn push(store: &Store, image: &Image, name: &str) -> Result<Pushed, PushError> {
    let reference = Reference::parse(name).expect("reference");
    store.images.tag(&image.id, &reference).expect("tag");
    let quiet = ProgressSink::none();
    store
        .images
        .push(&reference, &Credentials::default(), &quiet)
        .await
}

/// Builds an image with some of everything on top of another.
pub(crate) async fn build_on(store: &Store, parent: Option<&Image>, content: &[u8]) -> Image {
    let layers = parent.map_or(&[][..], |parent| &parent.layers);
    let prepared = store.snapshotter.prepare("step", layers).expect("prepare");
    {
        let mounted = store
            .snapshotter
            .mount_temporarily(&prepared)
            .expect("mount");
        let root = mounted.path();
        std::fs::create_dir_all(root.join("made/here")).expect("directory");
        std::fs::write(root.join("made/here/file"), content).expect("file");
        std::fs::hard_link(root.join("made/here/file"), root.join("made/again")).expect("link");
        std::os::unix::fs::symlink("here/file", root.join("made/link")).expect("link");
        let _ = std::fs::remove_file(root.join("gone"));
    }
    let commit = CommitRequest {
        parent: parent.map(|parent| parent.id.clone()),
        layer: LayerSource::Move(prepared.upper),
        config: ImageConfiguration::default(),
        history: HistoryEntry {
            created_by: Some("RUN make".to_owned()),
            ..HistoryEntry::default()
        },
        reference: None,
    };
    let id = store.images.commit(commit).await.expect("commit");
    store.snapshotter.remove("step").expect("remove");
    store.images.get(&id).expect("image")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pulled_image_is_pushed_as_it_came() {
    let registry = Registry::start();
    let tar = tar_of(&[("f", &noise(500_000, 1))]);
    let layers = [Layer::gzip(&tar), Layer::zstd(&tar_of(&[("g", b"1")]))];
    let seeded = registry
        .seed_as("app", "1", &layers, Format::Oci, "amd64")
        .await;
    let store = Store::new();
    store
        .pull(&registry.reference("app:1"))
        .await
        .expect("pull");
    let image = store.image(&registry.reference("app:1"));
    // Within the registry the layers are taken over without being sent.
    let proxy = Proxy::start(registry.address, vec![Fate::CutAfterSent(100_000)]);
    store
        .pull(&proxy.reference("app:1"))
        .await
        .expect("the same by another name");
    let pushed = push(&store, &image, &proxy.reference("team/copy:2"))
        .await
        .expect("push");
    assert_eq!(
        (pushed.digest, pushed.tag.as_str()),
        (seeded.manifest.clone(), "2")
    );
    assert_eq!(pushed.size_bytes, seeded.manifest_size as u64);
    // Into another registry they are sent.
    let elsewhere = Registry::start();
    let pushed = push(&store, &image, &elsewhere.reference("copy:1"))
        .await
        .expect("push");
    assert_eq!(pushed.digest, seeded.manifest);
    let names = store.images.get(&image.id).expect("image").repo_digests;
    assert!(names.contains(&elsewhere.reference(&format!("copy@{}", seeded.manifest))));
    let other = Store::new();
    other
        .pull(&elsewhere.reference("copy:1"))
        .await
        .expect("pull");
    assert_eq!(other.image(&elsewhere.reference("copy:1")).id, image.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_built_image_arrives_elsewhere_as_it_was_made() {
    let registry = Registry::start();
    let base = Layer::gzip(&tar_of(&[("gone", b"x"), ("kept", b"y")]));
    registry.seed("base", "1", &[base]).await;
    let store = Store::new();
    store
        .pull(&registry.reference("base:1"))
        .await
        .expect("pull");
    let base = store.image(&registry.reference("base:1"));
    let image = build_on(&store, Some(&base), &noise(300_000, 5)).await;
    let name = registry.reference("built:1");
    let first = push(&store, &image, &name).await.expect("push");
    let second = push(&store, &image, &name).await.expect("push again");
    assert_eq!(first, second);

    let other = Store::new();
    let pulled = other.pull(&name).await.expect("pull");
    assert_eq!(
        (pulled.image_id, pulled.digest),
        (image.id.clone(), first.digest)
    );
    let arrived = other.image(&name);
    assert!(other.read(&arrived, "made/link").expect("file") == noise(300_000, 5));
    assert_eq!(other.read(&arrived, "kept").expect("file"), b"y");
    other.read(&arrived, "gone").expect_err("refused");
    assert_eq!(
        arrived.config.history[1].created_by.as_deref(),
        Some("RUN make")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_goes_on() {
    let registry = Registry::start();
    let store = Store::new();
    let image = build_on(&store, None, &noise(3_000_000, 5)).await;
    let fates = vec![
        Fate::CutAfterSent(1_000_000),
        Fate::CutAfterSent(800_000),
        Fate::CutAfterSent(700_000),
        Fate::Lives,
    ];
    let proxy = Proxy::start(registry.address, fates);
    push(&store, &image, &proxy.reference("app:1"))
        .await
        .expect("push");
    let other = Store::new();
    other
        .pull(&registry.reference("app:1"))
        .await
        .expect("pull");
    assert_eq!(other.image(&registry.reference("app:1")).id, image.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_here_cannot_be_pushed() {
    let store = Store::new();
    let reference = Reference::parse("127.0.0.1:1/app:1").expect("reference");
    let (nobody, quiet) = (Credentials::default(), ProgressSink::none());
    let error = store
        .images
        .push(&reference, &nobody, &quiet)
        .await
        .expect_err("absent");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let image = build_on(&store, None, b"1").await;
    let error = push(&store, &image, "127.0.0.1:1/app:1")
        .await
        .expect_err("nobody there");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}
