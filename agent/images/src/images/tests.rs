//! What opening the store does after a power cut.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_agent_snapshots::Overlay;
use berth_agent_state::{OpenError, State};

use super::{Images, ImagesConfig, ImportRequest};
use crate::records::{BlobRecord, LayerRecord};
use crate::registry::media_type;
use crate::unpack::tests::archives::{archive, file};
use crate::{Digest, Image, Reference};

/// The mark of a layer that was unpacked before the machine went down.
const OTHER_BOOT: &str = "00000000-0000-0000-0000-000000000000#1";

/// Opens the database as soon as nobody else has it: what settles an earlier store's layers on the disk
/// lives on until that is done.
fn open_state(path: &Path) -> State {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match State::open(path) {
            Err(OpenError::InUse { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            state => return state.expect("state"),
        }
    }
}

fn open(root: &Path) -> Images {
    let config = ImagesConfig {
        root: root.join("content"),
        state: open_state(&root.join("state.redb")),
        snapshotter: Arc::new(Overlay::open(&root.join("snapshots")).expect("snapshots")),
        insecure_registries: Vec::new(),
        mirrors: Vec::new(),
    };
    Images::open(config).expect("images")
}

async fn import(images: &Images) -> Image {
    let tar = archive(&[(file("f"), b"text")]);
    let request = ImportRequest {
        reference: Some(Reference::parse("app:1").expect("reference")),
        ..ImportRequest::default()
    };
    let reader = Box::new(Cursor::new(tar));
    let id = images.import_rootfs(reader, request).await.expect("import");
    images.wait_until_settled();
    images.get(&id).expect("image")
}

/// Makes the only layer look as if it had not reached the disk, with a file torn.
fn tear(images: &Images, image: &Image) {
    let layer = &image.layers[0];
    let path = images.inner.snapshotter.layer_path(layer).join("f");
    fs::write(path, "").expect("torn");
    change(images, image, |record| {
        record.unsettled = Some(OTHER_BOOT.to_owned());
    });
}

fn change(images: &Images, image: &Image, edit: impl FnOnce(&mut LayerRecord)) {
    let key = image.layers[0].as_str();
    let result = images.inner.state.write(|writer| {
        let mut record = writer.get::<LayerRecord>(key)?.expect("record");
        edit(&mut record);
        writer.put(key, &record)
    });
    result.expect("write");
}

fn record(images: &Images, image: &Image) -> LayerRecord {
    let key = image.layers[0].as_str();
    let record = images
        .inner
        .state
        .read(|reader| reader.get::<LayerRecord>(key));
    record.expect("read").expect("record")
}

/// Keeps the compressed form of the layer, as a pull would have.
fn keep_blob(images: &Images, image: &Image, bytes: &[u8]) -> Digest {
    let layer = images.inner.snapshotter.layer_path(&image.layers[0]);
    let root = berth_agent_sys::root_dir::RootDir::open(&layer).expect("layer");
    let mut tar = Vec::new();
    crate::pack::pack_tree(&root, &mut tar).expect("pack");
    let digest = Digest::of(&tar);
    let kept = if bytes.is_empty() { &tar } else { bytes };
    fs::write(images.inner.content.blob_path(&digest), kept).expect("blob");
    let blob = BlobRecord {
        digest: digest.clone(),
        media_type: media_type::OCI_LAYER.to_owned(),
        size: tar.len() as u64,
        repositories: Vec::new(),
    };
    change(images, image, |record| record.add_blob(blob));
    digest
}

#[tokio::test]
async fn layers_are_marked_until_they_are_on_the_disk() {
    let temp = tempfile::tempdir().expect("temporary directory");
    let images = open(temp.path());
    let image = import(&images).await;
    assert_eq!(record(&images, &image).unsettled, None);
    // A kill without a power cut: the mark is of this boot, and nothing is lost.
    change(&images, &image, |record| {
        record.unsettled = Some(super::Inner::unsettled_mark());
    });
    drop(images);
    let images = open(temp.path());
    images.wait_until_settled();
    assert_eq!(record(&images, &image).unsettled, None);
    images.resolve("app:1").expect("image");
}

#[tokio::test]
async fn a_torn_layer_takes_its_image_along_when_it_cannot_be_restored() {
    let temp = tempfile::tempdir().expect("temporary directory");
    let images = open(temp.path());
    let image = import(&images).await;
    tear(&images, &image);
    drop(images);
    let images = open(temp.path());
    images.resolve("app:1").expect_err("refused");
    images.get(&image.id).expect_err("refused");
    assert!(!images.inner.snapshotter.has_layer(&image.layers[0]));
    // It can be made again.
    assert_eq!(import(&images).await.layers, image.layers);
}

#[tokio::test]
async fn a_torn_layer_is_restored_from_an_intact_blob() {
    let temp = tempfile::tempdir().expect("temporary directory");
    let images = open(temp.path());
    let image = import(&images).await;
    let blob = keep_blob(&images, &image, b"");
    tear(&images, &image);
    drop(images);
    let images = open(temp.path());
    images.wait_until_settled();
    let layer = images.inner.snapshotter.layer_path(&image.layers[0]);
    assert_eq!(fs::read_to_string(layer.join("f")).expect("file"), "text");
    assert!(images.inner.content.has(&blob));
    assert_eq!(record(&images, &image).unsettled, None);
    images.resolve("app:1").expect("image");
}

#[tokio::test]
async fn a_torn_blob_restores_nothing_and_goes_too() {
    let temp = tempfile::tempdir().expect("temporary directory");
    let images = open(temp.path());
    let image = import(&images).await;
    let blob = keep_blob(&images, &image, b"torn");
    tear(&images, &image);
    drop(images);
    let images = open(temp.path());
    images.resolve("app:1").expect_err("refused");
    assert!(!images.inner.content.has(&blob));
}

#[tokio::test]
async fn strays_that_got_no_record_are_removed() {
    let temp = tempfile::tempdir().expect("temporary directory");
    let images = open(temp.path());
    let image = import(&images).await;
    let stray = berth_agent_snapshots::LayerId::from_sha256(&[7; 32]);
    let staging = images.inner.snapshotter.begin_layer().expect("begin");
    images
        .inner
        .snapshotter
        .commit_layer(staging, &stray)
        .expect("commit");
    let blob = Digest::of(b"stray");
    fs::write(images.inner.content.blob_path(&blob), "stray").expect("blob");
    drop(images);
    let images = open(temp.path());
    assert!(!images.inner.snapshotter.has_layer(&stray));
    assert!(!images.inner.content.has(&blob));
    assert!(images.inner.snapshotter.has_layer(&image.layers[0]));
}

/// The faces run these on tasks that change threads.
#[test]
fn long_operations_may_change_threads() {
    fn check<T: Send>(_future: impl FnOnce(&Images) -> T) {}
    let (nobody, quiet) = (crate::Credentials::default(), crate::ProgressSink::none());
    let reference = Reference::parse("app").expect("reference");
    check(|images| {
        let (reference, nobody, quiet) = (reference.clone(), nobody.clone(), quiet.clone());
        let images = images.clone();
        async move { images.pull(&reference, &nobody, None, &quiet).await }
    });
    check(|images| {
        let (reference, nobody, quiet) = (reference.clone(), nobody.clone(), quiet.clone());
        let images = images.clone();
        async move { images.push(&reference, &nobody, &quiet).await }
    });
}
