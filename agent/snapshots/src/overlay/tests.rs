//! The store against the kernel: what is committed, stacked, removed and left behind.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use berth_agent_sys::root_dir::NodeKind;
use nix::mount::{MsFlags, mount};

use super::Overlay;
use crate::{Access, Bind, LayerId, SnapshotError, Snapshotter as _};

fn id(byte: u8) -> LayerId {
    LayerId::from_sha256(&[byte; 32])
}

fn store() -> (tempfile::TempDir, Overlay) {
    let temp = tempfile::tempdir().expect("temporary directory");
    let overlay = Overlay::open(temp.path()).expect("open");
    (temp, overlay)
}

fn layer_with(overlay: &Overlay, layer: &LayerId, name: &str, text: &str) {
    let staging = overlay.begin_layer().expect("begin");
    fs::write(staging.path().join(name), text).expect("write");
    overlay.commit_layer(staging, layer).expect("commit");
}

fn entries(path: &Path) -> usize {
    fs::read_dir(path).expect("list").count()
}

#[test]
fn a_layer_is_visible_only_after_its_commit() {
    let (temp, overlay) = store();
    let staging = overlay.begin_layer().expect("begin");
    assert!(!overlay.has_layer(&id(1)));
    fs::write(staging.path().join("f"), "x").expect("write");
    overlay.commit_layer(staging, &id(1)).expect("commit");
    assert!(overlay.has_layer(&id(1)));
    assert_eq!(overlay.list_layers().expect("list"), [id(1)]);
    assert_eq!(entries(&temp.path().join("staging")), 0);
}

#[test]
fn a_dropped_staging_leaves_nothing() {
    let (temp, overlay) = store();
    let staging = overlay.begin_layer().expect("begin");
    fs::write(staging.path().join("f"), "x").expect("write");
    drop(staging);
    assert_eq!(entries(&temp.path().join("staging")), 0);
}

#[test]
fn the_first_commit_of_a_layer_stays() {
    let (temp, overlay) = store();
    layer_with(&overlay, &id(1), "first", "");
    layer_with(&overlay, &id(1), "second", "");
    assert!(overlay.layer_path(&id(1)).join("first").exists());
    assert_eq!(entries(&temp.path().join("staging")), 0);
}

#[test]
fn opening_removes_what_was_left_half_made() {
    let temp = tempfile::tempdir().expect("temporary directory");
    let overlay = Overlay::open(temp.path()).expect("open");
    let staging = overlay.begin_layer().expect("begin");
    fs::write(staging.path().join("f"), "x").expect("write");
    std::mem::forget(staging);
    let point = temp.path().join("mounts/9");
    fs::create_dir(&point).expect("mount point");
    mount(
        Some("left"),
        &point,
        Some("tmpfs"),
        MsFlags::empty(),
        None::<&str>,
    )
    .expect("mount");

    Overlay::open(temp.path()).expect("open again");
    assert_eq!(entries(&temp.path().join("staging")), 0);
    assert_eq!(entries(&temp.path().join("mounts")), 0);
}

#[test]
fn a_container_sees_its_layers_stacked_and_keeps_its_changes() {
    let (_temp, overlay) = store();
    layer_with(&overlay, &id(1), "low", "1");
    layer_with(&overlay, &id(2), "high", "2");
    let layers = [id(1), id(2)];
    let prepared = overlay.prepare("box", &layers).expect("prepare");
    {
        let mounted = overlay.mount_temporarily(&prepared).expect("mount");
        let root = mounted.root().root().expect("root");
        assert_eq!(root.names().expect("names"), ["high", "low"]);
        root.unlink(OsStr::new("low")).expect("remove");
        root.create_file(OsStr::new("new"), 0o644)
            .and_then(|mut file| file.write_all(b"n"))
            .expect("write");
    }
    let upper = berth_agent_sys::root_dir::RootDir::open(&prepared.upper).expect("upper");
    let upper = upper.root().expect("upper");
    let whiteout = upper.attributes(OsStr::new("low")).expect("whiteout");
    assert_eq!(whiteout.kind, NodeKind::CharacterDevice);
    assert!(prepared.upper.join("new").exists());
    assert_eq!(overlay.resume("box").expect("resume"), prepared);
    assert_eq!(overlay.layers_of("box").expect("layers"), layers);
    assert_eq!(overlay.list_keys().expect("keys"), ["box"]);
    assert!(matches!(
        overlay.prepare("box", &layers),
        Err(SnapshotError::KeyExists { .. })
    ));
    overlay.remove("box").expect("remove");
    overlay.remove("box").expect("removing nothing is no error");
    assert_eq!(overlay.list_keys().expect("keys"), [""; 0]);
}

#[test]
fn a_container_without_layers_has_an_empty_root() {
    let (_temp, overlay) = store();
    let prepared = overlay.prepare("scratch", &[]).expect("prepare");
    let mounted = overlay.mount_temporarily(&prepared).expect("mount");
    let root = mounted.root().root().expect("root");
    root.create_file(OsStr::new("f"), 0o644).expect("file");
    assert_eq!(root.names().expect("names"), ["f"]);
}

#[test]
fn the_root_has_the_attributes_of_the_topmost_layer() {
    let (_temp, overlay) = store();
    let staging = overlay.begin_layer().expect("begin");
    fs::set_permissions(staging.path(), fs::Permissions::from_mode(0o1777)).expect("mode");
    overlay.commit_layer(staging, &id(1)).expect("commit");
    let prepared = overlay.prepare("box", &[id(1)]).expect("prepare");
    let mode = fs::metadata(&prepared.upper).expect("upper").mode();
    assert_eq!(mode & 0o7777, 0o1777);
}

#[test]
fn a_hundred_layers_fit_one_mount_and_repeated_ones_count_once() {
    let (_temp, overlay) = store();
    let mut layers: Vec<LayerId> = (0..100).map(id).collect();
    for (number, layer) in layers.iter().enumerate() {
        layer_with(&overlay, layer, &format!("f{number}"), "");
    }
    layers.push(id(0));
    let prepared = overlay.prepare("box", &layers).expect("prepare");
    let mounted = overlay.mount_temporarily(&prepared).expect("mount");
    assert_eq!(
        mounted
            .root()
            .root()
            .and_then(|root| root.names())
            .expect("names")
            .len(),
        100
    );
}

#[test]
fn layers_are_mounted_read_only() {
    let (_temp, overlay) = store();
    layer_with(&overlay, &id(1), "f", "");
    let mounted = overlay.mount_layers(&[id(1)]).expect("mount");
    let root = mounted.root().root().expect("root");
    assert_eq!(root.names().expect("names"), ["f"]);
    let error = root
        .create_file(OsStr::new("g"), 0o644)
        .expect_err("read-only");
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    let nothing = overlay.mount_layers(&[]).expect("mount");
    assert_eq!(
        nothing
            .root()
            .root()
            .and_then(|root| root.names())
            .expect("names"),
        [""; 0]
    );
}

#[test]
fn a_missing_layer_is_named() {
    let (_temp, overlay) = store();
    let error = overlay.prepare("box", &[id(7)]).expect_err("missing");
    assert!(matches!(error, SnapshotError::NoSuchLayer { layer } if layer == id(7)));
    assert_eq!(overlay.list_keys().expect("keys"), [""; 0]);
    assert!(matches!(
        overlay.resume("box"),
        Err(SnapshotError::NoSuchKey { .. })
    ));
}

#[test]
fn keys_that_are_no_plain_names_are_refused() {
    let (_temp, overlay) = store();
    for key in ["", ".", "..", "a/b", ".hidden", "a\0b"] {
        assert!(
            matches!(
                overlay.prepare(key, &[]),
                Err(SnapshotError::InvalidKey { .. })
            ),
            "{key:?}"
        );
    }
}

#[test]
fn what_belongs_into_a_filesystem_is_mounted_where_nobody_else_sees_it() {
    let (temp, overlay) = store();
    let sources = temp.path().join("sources");
    fs::create_dir_all(sources.join("volume")).expect("source");
    fs::write(sources.join("volume/file"), "in the volume").expect("file");
    fs::write(sources.join("hosts"), "127.0.0.1").expect("file");
    fs::create_dir_all(sources.join("volume/a")).expect("folder");
    std::os::unix::fs::symlink("../..", sources.join("volume/up")).expect("link");
    let bind = |source: &str, target: &str, access| Bind {
        source: sources.join(source),
        target: PathBuf::from(target),
        recursive: true,
        access,
        ..Bind::default()
    };
    let below = |subpath: &str, target: &str| Bind {
        subpath: PathBuf::from(subpath),
        ..bind("volume", target, Access::ReadWrite)
    };
    let binds = [
        bind("volume", "/data/volume", Access::ReadOnly),
        bind("hosts", "/etc/hosts", Access::ReadWrite),
        bind("missing", "/missing", Access::ReadWrite),
        below("up/a", "/below"),
        below("none", "/none"),
    ];
    let prepared = overlay.prepare("key", &[]).expect("prepare");
    let before = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let private = overlay.mount_privately(&prepared).expect("mount");
    let mounted = private.with(&binds, false).expect("binds");
    assert_eq!(
        fs::read_to_string("/proc/self/mountinfo").expect("mounts"),
        before
    );
    let root = mounted.root();
    let volume = root.open_dir(Path::new("data/volume")).expect("volume");
    assert_eq!(volume.names().expect("names"), ["a", "file", "up"]);
    assert!(volume.is_read_only().expect("flags"));
    let top = root.root().expect("root");
    assert!(!top.is_read_only().expect("flags"));
    top.create_file(OsStr::new("new"), 0o644).expect("file");
    let hosts = root.metadata(Path::new("etc/hosts")).expect("hosts");
    assert_eq!(hosts.size, 9);
    let below = root
        .open_dir(Path::new("below"))
        .expect("a path in the volume");
    assert_eq!(
        below.names().expect("names"),
        Vec::<std::ffi::OsString>::new()
    );
    below.create_file(OsStr::new("x"), 0o644).expect("file");
    assert!(sources.join("volume/a/x").is_file());
    root.metadata(Path::new("none")).expect_err("no such path");
    // Others work on the same filesystem at the same time, each with its own mounts.
    let alone = private.alone().expect("without binds");
    let also = private.with(&[], true).expect("read-only");
    for other in [&alone, &also] {
        other.root().metadata(Path::new("new")).expect("the same");
        let hosts = other.root().metadata(Path::new("etc/hosts"));
        assert_eq!(hosts.expect("a place").size, 0);
    }
    let also = also.root().root().expect("root");
    also.create_file(OsStr::new("also"), 0o644)
        .expect_err("read-only");
    alone
        .root()
        .root()
        .and_then(|top| top.create_file(OsStr::new("alone"), 0o644))
        .expect("writable");
    root.metadata(Path::new("alone")).expect("the same");
    drop((volume, top, below, also, alone, mounted, private));
    assert!(prepared.upper.join("new").is_file());
    // The places stay, empty.
    assert!(prepared.upper.join("data/volume").is_dir());
    assert!(!prepared.upper.join("missing").exists());
    let private = overlay.mount_privately(&prepared).expect("again");
    let mounted = private.with(&[], true).expect("read-only");
    let top = mounted.root().root().expect("root");
    assert!(top.is_read_only().expect("flags"));
    top.create_file(OsStr::new("more"), 0o644)
        .expect_err("read-only");
}
