use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use berth_agent_sys::root_dir::RootDir;
use nix::sys::stat::{Mode, SFlag, mknod};

use super::*;
use crate::CopyUpError;

struct Store {
    directory: tempfile::TempDir,
}

impl Store {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self) -> Volumes {
        let state = State::open(&self.path("state.redb")).unwrap();
        Volumes::open(self.path("volumes"), state).unwrap()
    }

    fn image(&self) -> RootDir {
        let image = self.path("image");
        fs::create_dir_all(&image).unwrap();
        RootDir::open(&image).unwrap()
    }
}

#[test]
fn a_volume_is_there_until_it_is_removed() {
    let store = Store::new();
    let volumes = store.open();
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let request = CreateVolume {
        name: Some("data".to_owned()),
        labels: labels.clone(),
        ..CreateVolume::default()
    };
    let created = volumes.create(request).unwrap();
    assert_eq!(created.mountpoint, store.path("volumes/data/_data"));
    assert_eq!(
        fs::metadata(&created.mountpoint).unwrap().mode() & 0o7777,
        0o755
    );
    fs::write(created.mountpoint.join("file"), "content").unwrap();
    // Creating again changes neither the files nor the labels.
    assert_eq!(volumes.ensure("data").unwrap(), created);
    drop(volumes);
    let volumes = store.open();
    assert_eq!(volumes.get("data").unwrap(), Some(created.clone()));
    assert_eq!(volumes.list().unwrap(), std::slice::from_ref(&created));
    assert!(created.mountpoint.join("file").exists());
    volumes.remove("data").unwrap();
    assert_eq!(volumes.get("data").unwrap(), None);
    let again = volumes.remove("data").unwrap_err();
    assert!(matches!(again, RemoveVolumeError::NotFound { .. }));
    let anew = volumes.ensure("data").unwrap();
    assert_eq!(fs::read_dir(anew.mountpoint).unwrap().count(), 0);
}

#[test]
fn volumes_without_a_name_get_different_ones() {
    let store = Store::new();
    let volumes = store.open();
    let one = volumes.create(CreateVolume::default()).unwrap();
    let two = volumes.create(CreateVolume::default()).unwrap();
    assert_ne!(one.name, two.name);
    assert!(one.anonymous && one.name.len() == 64);
}

#[test]
fn a_name_that_is_a_path_is_refused() {
    let store = Store::new();
    let error = store.open().ensure("../../etc").unwrap_err();
    assert!(matches!(error, CreateVolumeError::Name(_)));
}

#[test]
fn removing_follows_no_links() {
    let store = Store::new();
    let volumes = store.open();
    let volume = volumes.ensure("data").unwrap();
    let outside = store.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    symlink(&outside, volume.mountpoint.join("link")).unwrap();
    volumes.remove("data").unwrap();
    assert!(outside.join("kept").exists());
}

#[test]
fn an_empty_volume_is_filled_with_everything_that_files_have() {
    let store = Store::new();
    let volumes = store.open();
    let root = store.image();
    let place = store.path("image/var/lib/data");
    fs::create_dir_all(place.join("inner")).unwrap();
    fs::write(place.join("inner/file"), "content").unwrap();
    fs::hard_link(place.join("inner/file"), place.join("second-name")).unwrap();
    symlink("/etc/passwd", place.join("link")).unwrap();
    mknod(
        &place.join("pipe"),
        SFlag::S_IFIFO,
        Mode::from_bits_truncate(0o640),
        0,
    )
    .unwrap();
    std::os::unix::fs::chown(&place, Some(70), Some(71)).unwrap();
    std::os::unix::fs::chown(place.join("inner/file"), Some(72), Some(73)).unwrap();
    fs::set_permissions(place.join("inner/file"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o1770)).unwrap();
    let capability = OsStr::new("security.capability");
    let value = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    root.open_dir(Path::new("/var/lib/data/inner"))
        .unwrap()
        .set_xattr(OsStr::new("file"), capability, &value)
        .unwrap();

    let volume = volumes.ensure("data").unwrap();
    volumes
        .copy_up("data", &root, Path::new("/var/lib/data"))
        .unwrap();

    let at = |name: &str| fs::symlink_metadata(volume.mountpoint.join(name)).unwrap();
    let top = fs::metadata(&volume.mountpoint).unwrap();
    assert_eq!(
        (top.uid(), top.gid(), top.mode() & 0o7777),
        (70, 71, 0o1770)
    );
    let file = at("inner/file");
    assert_eq!(
        (file.uid(), file.gid(), file.mode() & 0o7777),
        (72, 73, 0o4751)
    );
    let original = fs::metadata(place.join("inner/file")).unwrap();
    assert_eq!(file.modified().unwrap(), original.modified().unwrap());
    assert_eq!(file.ino(), at("second-name").ino());
    assert_eq!(
        fs::read_to_string(volume.mountpoint.join("inner/file")).unwrap(),
        "content"
    );
    assert_eq!(
        fs::read_link(volume.mountpoint.join("link")).unwrap(),
        Path::new("/etc/passwd")
    );
    assert_eq!(at("pipe").mode(), 0o010_640);
    let copied = RootDir::open(&volume.mountpoint).unwrap();
    let inner = copied.open_dir(Path::new("inner")).unwrap();
    let found = inner.xattr(OsStr::new("file"), capability).unwrap();
    assert_eq!(found.as_deref(), Some(&value[..]));
}

#[test]
fn a_volume_with_content_or_an_image_without_the_directory_changes_nothing() {
    let store = Store::new();
    let volumes = store.open();
    let root = store.image();
    fs::create_dir(store.path("image/data")).unwrap();
    fs::write(store.path("image/data/new"), "").unwrap();
    fs::write(store.path("image/plain"), "").unwrap();
    let volume = volumes.ensure("data").unwrap();
    for path in ["/absent", "/plain", "/absent/deeper"] {
        volumes.copy_up("data", &root, Path::new(path)).unwrap();
    }
    assert_eq!(fs::read_dir(&volume.mountpoint).unwrap().count(), 0);
    fs::write(volume.mountpoint.join("old"), "").unwrap();
    volumes.copy_up("data", &root, Path::new("/data")).unwrap();
    assert!(!volume.mountpoint.join("new").exists());
    let absent = volumes.copy_up("absent", &root, Path::new("/data"));
    assert!(matches!(absent, Err(CopyUpError::NotFound { .. })));
}

#[test]
fn links_in_the_image_do_not_lead_out_of_it() {
    let store = Store::new();
    let volumes = store.open();
    let root = store.image();
    fs::create_dir(store.path("outside")).unwrap();
    fs::write(store.path("outside/secret"), "").unwrap();
    symlink(store.path("outside"), store.path("image/data")).unwrap();
    symlink("../../../../../..", store.path("image/up")).unwrap();
    let volume = volumes.ensure("data").unwrap();
    volumes.copy_up("data", &root, Path::new("/data")).unwrap();
    assert_eq!(fs::read_dir(&volume.mountpoint).unwrap().count(), 0);
    // A link upwards ends at the image's root.
    volumes.copy_up("data", &root, Path::new("/up")).unwrap();
    assert!(volume.mountpoint.join("up").is_symlink());
}

#[test]
fn a_tree_without_end_is_refused_and_leaves_the_volume_empty() {
    let store = Store::new();
    let volumes = store.open();
    let root = store.image();
    let deep = "d/".repeat(300);
    fs::create_dir_all(store.path("image/data").join(deep)).unwrap();
    let volume = volumes.ensure("data").unwrap();
    let error = volumes
        .copy_up("data", &root, Path::new("/data"))
        .unwrap_err();
    assert!(matches!(error, CopyUpError::Copy { .. }));
    assert_eq!(fs::read_dir(&volume.mountpoint).unwrap().count(), 0);
}

struct SmallDisk(PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_leaves_the_volume_empty_and_it_works_again_after_space_is_freed() {
    let store = Store::new();
    let root = store.image();
    fs::create_dir(store.path("image/data")).unwrap();
    fs::write(store.path("image/data/a-small"), "small").unwrap();
    fs::write(store.path("image/data/big"), vec![1; 3 * 1024 * 1024]).unwrap();
    let disk = store.path("volumes");
    fs::create_dir(&disk).unwrap();
    let none = nix::mount::MsFlags::empty();
    nix::mount::mount(Some("tmpfs"), &disk, Some("tmpfs"), none, Some("size=4m")).unwrap();
    let _disk = SmallDisk(disk.clone());
    let volumes = store.open();
    let volume = volumes.ensure("data").unwrap();
    let ballast = disk.join("ballast-file");
    fs::write(&ballast, vec![1; 2 * 1024 * 1024]).unwrap();
    let error = volumes
        .copy_up("data", &root, Path::new("/data"))
        .unwrap_err();
    let CopyUpError::Copy { path, source, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(path, Path::new("big"));
    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    assert_eq!(fs::read_dir(&volume.mountpoint).unwrap().count(), 0);
    fs::remove_file(ballast).unwrap();
    volumes.copy_up("data", &root, Path::new("/data")).unwrap();
    assert!(volume.mountpoint.join("a-small").exists());
}

#[test]
fn what_a_killed_agent_began_is_finished() {
    let store = Store::new();
    let volumes = store.open();
    for name in ["made", "filling", "removing", "half-removed"] {
        volumes.ensure(name).unwrap();
        fs::write(store.path("volumes").join(name).join("_data/file"), "").unwrap();
    }
    let state = volumes.shared.state.clone();
    for (name, stage) in [
        ("filling", Stage::Filling),
        ("removing", Stage::Removing),
        ("half-removed", Stage::Removing),
    ] {
        let record = volumes.shared.record(name).unwrap().unwrap();
        volumes.shared.set_stage(name, record, stage).unwrap();
    }
    volumes.shared.rename_away("half-removed").unwrap();
    let record = VolumeRecord::new(BTreeMap::new(), BTreeMap::new(), false);
    state
        .write::<_, StateError>(|writer| writer.put("recorded-only", &record))
        .unwrap();
    let names = |volumes: &Volumes| -> Vec<String> {
        let all = volumes.list().unwrap();
        all.into_iter().map(|volume| volume.name).collect()
    };
    assert_eq!(names(&volumes), ["filling", "made", "recorded-only"]);
    drop((state, volumes));

    let volumes = store.open();
    assert_eq!(names(&volumes), ["filling", "made", "recorded-only"]);
    assert!(store.path("volumes/made/_data/file").exists());
    assert!(!store.path("volumes/filling/_data/file").exists());
    assert!(store.path("volumes/recorded-only/_data").is_dir());
    assert!(!store.path("volumes/removing").exists());
    assert!(!store.path("volumes").join(TRASH).exists());
}

#[test]
fn a_volume_that_could_not_be_removed_is_not_seen_and_not_inherited() {
    let store = Store::new();
    let volumes = store.open();
    let volume = volumes.ensure("data").unwrap();
    fs::write(volume.mountpoint.join("old"), "").unwrap();
    // Something in the way of the directory that removed files go to.
    fs::write(store.path("volumes").join(TRASH), "").unwrap();
    let error = volumes.remove("data").unwrap_err();
    assert!(matches!(error, RemoveVolumeError::Files { .. }), "{error}");
    assert_eq!(volumes.list().unwrap(), []);
    fs::remove_file(store.path("volumes").join(TRASH)).unwrap();
    let volume = volumes.ensure("data").unwrap();
    assert_eq!(fs::read_dir(&volume.mountpoint).unwrap().count(), 0);
    volumes.remove("data").unwrap();
    assert_eq!(
        fs::read_dir(store.path("volumes").join(TRASH))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn creating_the_same_volume_at_once_gives_one() {
    let store = Store::new();
    let volumes = store.open();
    let all: Vec<Volume> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| volumes.ensure("data").unwrap()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(all.iter().all(|volume| *volume == all[0]));
}
