//! Images made on this machine.

use berth_agent_images::{
    CommitError, CommitRequest, ErrorKind, HistoryEntry, ImageConfiguration, ImportRequest,
    LayerSource, Reference,
};

use crate::push::build_on;
use crate::support::seed::{gzip, tar_of};
use crate::support::store::Store;

async fn import(store: &Store, tar: Vec<u8>, name: Option<&str>) -> berth_agent_images::ImageId {
    let request = ImportRequest {
        reference: name.map(|name| Reference::parse(name).expect("reference")),
        comment: "imported".to_owned(),
        ..ImportRequest::default()
    };
    let reader = Box::new(std::io::Cursor::new(tar));
    store
        .images
        .import_rootfs(reader, request)
        .await
        .expect("import")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_root_filesystem_is_an_image_of_one_layer() {
    let store = Store::new();
    let tar = tar_of(&[("etc/hostname", b"imported")]);
    let plain = import(&store, tar.clone(), Some("made:1")).await;
    let compressed = import(&store, gzip(&tar), None).await;
    let zstd = import(
        &store,
        zstd::encode_all(&tar[..], 1).expect("compress"),
        None,
    )
    .await;
    let image = store.image("made:1");
    assert_eq!(image.id, plain);
    assert_eq!(image.layers.len(), 1);
    assert_eq!(image.config.history[0].comment.as_deref(), Some("imported"));
    assert_eq!(
        image.config.architecture,
        berth_agent_images::Platform::host().architecture
    );
    assert_eq!(
        store.read(&image, "etc/hostname").expect("file"),
        b"imported"
    );
    for other in [compressed, zstd] {
        assert_eq!(
            store.images.get(&other).expect("image").layers,
            image.layers
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_archive_is_not_imported() {
    let store = Store::new();
    let tar = tar_of(&[("f", &[1; 5000])]);
    let compressed = gzip(&tar);
    for broken in [&tar[..1024], &compressed[..compressed.len() / 2]] {
        let reader = Box::new(std::io::Cursor::new(broken.to_vec()));
        let error = store
            .images
            .import_rootfs(reader, ImportRequest::default())
            .await;
        assert_eq!(error.expect_err("broken").kind(), ErrorKind::Invalid);
    }
    store.assert_empty();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_without_files_adds_no_layer() {
    let store = Store::new();
    let base = import(&store, tar_of(&[("f", b"1")]), None).await;
    let commit = |layer| CommitRequest {
        parent: Some(base.clone()),
        layer,
        config: ImageConfiguration::default(),
        history: HistoryEntry::default(),
        reference: None,
    };
    let id = store
        .images
        .commit(commit(LayerSource::Nothing))
        .await
        .expect("commit");
    let image = store.images.get(&id).expect("image");
    assert_eq!(image.layers.len(), 1);
    assert!(image.config.history[1].empty_layer);
    assert_eq!(image.parent.as_ref(), Some(&base));

    let prepared = store
        .snapshotter
        .prepare("step", &image.layers)
        .expect("prepare");
    let id = store
        .images
        .commit(commit(LayerSource::Move(prepared.upper)))
        .await
        .expect("commit");
    assert_eq!(store.images.get(&id).expect("image").layers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn copying_a_layer_leaves_the_container_as_it_was_and_equals_moving_it() {
    let store = Store::new();
    let base = import(&store, tar_of(&[("low", b"1"), ("dir/low", b"1")]), None).await;
    let base = store.images.get(&base).expect("image");
    let prepared = store
        .snapshotter
        .prepare("box", &base.layers)
        .expect("prepare");
    {
        let mounted = store
            .snapshotter
            .mount_temporarily(&prepared)
            .expect("mount");
        let root = mounted.path();
        std::fs::remove_file(root.join("low")).expect("remove");
        std::fs::remove_dir_all(root.join("dir")).expect("remove");
        std::fs::create_dir(root.join("dir")).expect("an opaque directory");
        std::fs::write(root.join("dir/high"), "2").expect("file");
    }
    let mut layers = Vec::new();
    for layer in [
        LayerSource::Copy(prepared.upper.clone()),
        LayerSource::Move(prepared.upper.clone()),
    ] {
        assert!(prepared.upper.join("dir/high").exists());
        let commit = CommitRequest {
            parent: Some(base.id.clone()),
            layer,
            config: ImageConfiguration::default(),
            history: HistoryEntry::default(),
            reference: None,
        };
        let id = store.images.commit(commit).await.expect("commit");
        let image = store.images.get(&id).expect("image");
        assert!(store.read(&image, "low").is_err() && store.read(&image, "dir/low").is_err());
        assert_eq!(store.read(&image, "dir/high").expect("file"), b"2");
        layers.push(image.layers);
    }
    assert_eq!(layers[0], layers[1]);
    assert!(!prepared.upper.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_is_gone_is_named() {
    let store = Store::new();
    let image = build_on(&store, None, b"1").await;
    store
        .images
        .remove(image.id.as_str(), true, false, &|_| Vec::new())
        .expect("remove");
    let commit = CommitRequest {
        parent: Some(image.id),
        layer: LayerSource::Nothing,
        config: ImageConfiguration::default(),
        history: HistoryEntry::default(),
        reference: None,
    };
    let error = store.images.commit(commit).await.expect_err("gone");
    assert!(
        matches!(error, CommitError::NoSuchParent { .. }),
        "{error:?}"
    );
}
