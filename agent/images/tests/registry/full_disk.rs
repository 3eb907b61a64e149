//! A disk that fills up in the middle.

use std::error::Error as _;
use std::path::{Path, PathBuf};

use berth_agent_images::{ErrorKind, ImportRequest};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::support::registry::Registry;
use crate::support::seed::{Layer, noise, tar_of};
use crate::support::store::Store;

/// A small filesystem of its own.
struct SmallDisk {
    temp: tempfile::TempDir,
}

impl SmallDisk {
    fn new(megabytes: usize) -> Self {
        let temp = tempfile::tempdir().expect("temporary directory");
        let options = format!("size={megabytes}m");
        let nothing = None::<&str>;
        let (kind, flags) = (Some("tmpfs"), MsFlags::empty());
        mount(nothing, temp.path(), kind, flags, Some(options.as_str())).expect("mount");
        Self { temp }
    }

    fn path(&self) -> &Path {
        self.temp.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    fn used(&self) -> u64 {
        let stat = nix::sys::statvfs::statvfs(self.path()).expect("statvfs");
        (stat.blocks() - stat.blocks_free()) * stat.fragment_size()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        umount2(self.path(), MntFlags::MNT_DETACH).expect("unmount");
    }
}

/// Returns the whole chain of an error as text.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_onto_a_full_disk_leaves_nothing_and_works_after_room_is_made() {
    let registry = Registry::start();
    // The first layer fits, the second does not: blob and files need twice its size.
    let layers = [
        Layer::gzip(&tar_of(&[("small", &noise(100_000, 1))])),
        Layer::gzip(&tar_of(&[
            ("big", &noise(2_500_000, 2)),
            ("more", &noise(500_000, 3)),
        ])),
    ];
    registry.seed("app", "1", &layers).await;
    let disk = SmallDisk::new(16);
    let store = Store::at(disk.path());
    let before = disk.used();
    let room = 16 * 1024 * 1024 - before - 4_000_000;
    std::fs::write(disk.ballast(), vec![0; usize::try_from(room).unwrap()]).expect("ballast");
    let with_ballast = disk.used();

    let error = store
        .pull(&registry.reference("app:1"))
        .await
        .expect_err("full");
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:?}");
    let text = chain(&error);
    assert!(
        text.to_lowercase().contains("no space left on device"),
        "{text}"
    );
    store.assert_empty();
    assert!(
        disk.used() <= with_ballast + 200_000,
        "{} of {with_ballast}",
        disk.used()
    );

    std::fs::remove_file(disk.ballast()).expect("room");
    store
        .pull(&registry.reference("app:1"))
        .await
        .expect("pull");
    let image = store.image(&registry.reference("app:1"));
    assert!(store.read(&image, "big").expect("file") == noise(2_500_000, 2));
    store.images.wait_until_settled();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_any_room_is_reported_too() {
    let registry = Registry::start();
    registry
        .seed(
            "app",
            "1",
            &[Layer::gzip(&tar_of(&[("f", &noise(10_000, 1))]))],
        )
        .await;
    let disk = SmallDisk::new(8);
    let store = Store::at(disk.path());
    let mut ballast = std::fs::File::create(disk.ballast()).expect("ballast");
    let error = std::io::copy(&mut std::io::repeat(0), &mut ballast).expect_err("filled");
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let error = store
        .pull(&registry.reference("app:1"))
        .await
        .expect_err("full");
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:?}");
    store.assert_empty();
    drop(ballast);
    std::fs::remove_file(disk.ballast()).expect("room");
    store
        .pull(&registry.reference("app:1"))
        .await
        .expect("pull");
    store.images.wait_until_settled();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_onto_a_full_disk_leaves_nothing() {
    let disk = SmallDisk::new(8);
    let store = Store::at(disk.path());
    let tar = tar_of(&[("big", &noise(9_000_000, 1))]);
    let reader = Box::new(std::io::Cursor::new(tar));
    let result = store
        .images
        .import_rootfs(reader, ImportRequest::default())
        .await;
    let error = result.expect_err("full");
    assert_eq!(
        error.kind(),
        ErrorKind::DiskFull,
        "{error:?} {:?}",
        error.source()
    );
    store.assert_empty();
}
