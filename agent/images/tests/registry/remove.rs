//! Removing, by Docker's rules.

use berth_agent_images::{
    CommitRequest, Digest, ErrorKind, HistoryEntry, Image, ImageConfiguration, ImageId, ImageUse,
    LayerSource, Reference, Removed,
};

use crate::push::build_on;
use crate::support::registry::Registry;
use crate::support::seed::{Layer, tar_of};
use crate::support::store::Store;

fn nobody(_id: &ImageId) -> Vec<ImageUse> {
    Vec::new()
}

fn tag(store: &Store, image: &Image, name: &str) {
    let reference = Reference::parse(name).expect("reference");
    store.images.tag(&image.id, &reference).expect("tag");
}

fn untagged(name: &str) -> Removed {
    Removed::Untagged(name.to_owned())
}

fn deleted(id: &impl ToString) -> Removed {
    Removed::Deleted(id.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_name_takes_the_image_and_all_of_its_content_along() {
    let registry = Registry::start();
    let layers = [
        Layer::gzip(&tar_of(&[("f", b"1")])),
        Layer::gzip(&tar_of(&[("g", b"2")])),
    ];
    let seeded = registry.seed("app", "1", &layers).await;
    let store = Store::new();
    let name = registry.reference("app:1");
    store.pull(&name).await.expect("pull");
    store
        .pull(&registry.reference(&format!("app@{}", seeded.manifest)))
        .await
        .expect("pull");
    let image = store.image(&name);
    tag(&store, &image, "other:2");

    let removed = store
        .images
        .remove("other:2", false, false, &nobody)
        .expect("remove");
    assert_eq!(removed, [untagged("other:2")]);
    let removed = store
        .images
        .remove(&name, false, false, &nobody)
        .expect("remove");
    let top = Digest::of(format!("{} {}", image.layers[0], image.layers[1]).as_bytes());
    assert_eq!(
        removed,
        [
            untagged(&name),
            untagged(&registry.reference(&format!("app@{}", seeded.manifest))),
            deleted(&image.id),
            deleted(&top),
            deleted(&image.layers[0]),
        ]
    );
    store.assert_empty();
    let error = store
        .images
        .remove(&name, false, false, &nobody)
        .expect_err("gone");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_that_others_need_stay() {
    let registry = Registry::start();
    let shared = Layer::gzip(&tar_of(&[("shared", b"1")]));
    for n in ["1", "2"] {
        let own = Layer::gzip(&tar_of(&[("own", n.as_bytes())]));
        registry.seed("app", n, &[shared.clone(), own]).await;
    }
    let store = Store::new();
    for n in ["1", "2"] {
        store
            .pull(&registry.reference(&format!("app:{n}")))
            .await
            .expect("pull");
    }
    // A container of the first image, whose image is then forced away.
    let first = store.image(&registry.reference("app:1"));
    store
        .snapshotter
        .prepare("box", &first.layers)
        .expect("prepare");
    store
        .images
        .remove(first.id.as_str(), true, false, &nobody)
        .expect("remove");
    assert_eq!(store.count("snapshots/layers"), 3);
    store.snapshotter.resume("box").expect("still whole");
    store.snapshotter.remove("box").expect("remove");
    store.images.gc().expect("gc");
    assert_eq!(store.count("snapshots/layers"), 2);
    assert_eq!(store.count("content/blobs/sha256"), 2);
    let second = store.image(&registry.reference("app:2"));
    assert_eq!(store.read(&second, "shared").expect("file"), b"1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_in_use_stays_unless_forced_and_one_that_runs_stays_always() {
    let store = Store::new();
    let image = build_on(&store, None, b"1").await;
    tag(&store, &image, "app:1");
    let used = |running| {
        move |_id: &ImageId| {
            vec![ImageUse {
                container: "0123456789abcdef".to_owned(),
                running,
            }]
        }
    };
    let error = store
        .images
        .remove("app:1", false, false, &used(false))
        .expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        error.to_string(),
        format!(
            "conflict: unable to remove repository reference \"app:1\" (must force) - container \
             0123456789ab is using its referenced image {}",
            image.id.short()
        )
    );
    let error = store
        .images
        .remove(image.id.short(), false, false, &used(false))
        .expect_err("in use");
    assert_eq!(
        error.to_string(),
        format!(
            "conflict: unable to delete {} (must be forced) - image is being used by stopped \
             container 0123456789ab",
            image.id.short()
        )
    );
    let error = store
        .images
        .remove(image.id.short(), true, false, &used(true))
        .expect_err("runs");
    assert!(error.to_string().contains("(cannot be forced)"), "{error}");
    assert_eq!(store.image("app:1").id, image.id);
    // By name the name goes, and the image stays for the container.
    let removed = store
        .images
        .remove("app:1", true, false, &used(true))
        .expect("remove");
    assert_eq!(removed, [untagged("app:1")]);
    store.images.get(&image.id).expect("still here");
    store
        .images
        .remove(image.id.short(), true, false, &used(false))
        .expect("remove");
    store.images.get(&image.id).expect_err("refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_with_names_in_several_repositories_must_be_forced() {
    let store = Store::new();
    let image = build_on(&store, None, b"1").await;
    tag(&store, &image, "one:1");
    tag(&store, &image, "two:1");
    let error = store
        .images
        .remove(image.id.as_str(), false, false, &nobody)
        .expect_err("names");
    assert!(
        error
            .to_string()
            .contains("referenced in multiple repositories"),
        "{error}"
    );
    let removed = store
        .images
        .remove(image.id.as_str(), true, false, &nobody)
        .expect("remove");
    assert_eq!(removed[..2], [untagged("one:1"), untagged("two:1")]);
    store.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn parents_without_names_go_along_and_parents_cannot_go_first() {
    let store = Store::new();
    let parent = build_on(&store, None, b"1").await;
    let commit = CommitRequest {
        parent: Some(parent.id.clone()),
        layer: LayerSource::Nothing,
        config: ImageConfiguration::default(),
        history: HistoryEntry::default(),
        reference: None,
    };
    let child = store.images.commit(commit).await.expect("commit");
    let error = store
        .images
        .remove(parent.id.as_str(), true, false, &nobody)
        .expect_err("child");
    assert!(
        error
            .to_string()
            .contains("image has dependent child images"),
        "{error}"
    );
    let removed = store
        .images
        .remove(child.as_str(), false, false, &nobody)
        .expect("remove");
    assert_eq!(
        removed,
        [
            deleted(&child),
            deleted(&parent.id),
            deleted(&parent.layers[0])
        ]
    );
    store.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beginning_of_several_ids_is_ambiguous() {
    let store = Store::new();
    let mut n = 0_u32;
    let clash = loop {
        build_on(&store, None, &n.to_le_bytes()).await;
        n += 1;
        let ids: Vec<String> = store
            .images
            .list()
            .expect("list")
            .into_iter()
            .map(|image| image.id.digest().hex().to_owned())
            .collect();
        let clash = ids
            .iter()
            .find(|id| ids.iter().filter(|other| other[..1] == id[..1]).count() > 1);
        if let Some(id) = clash {
            break id[..1].to_owned();
        }
    };
    let error = store.images.resolve(&clash).expect_err("ambiguous");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    store.images.resolve("sha256:").expect_err("refused");
    store.images.resolve("zzz").expect_err("refused");
}
