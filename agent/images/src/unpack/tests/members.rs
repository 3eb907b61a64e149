//! What is in an archive arrives as it was meant.

use super::archives::{archive, file};
use super::{Tree, directory, hard_link, link};
use crate::pack::pack_tree;
use crate::unpack::{UnpackError, Whiteouts};
use berth_agent_sys::root_dir::RootDir;
use berth_archive::NewEntry;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::path::Path;
use std::process::Command;

#[test]
fn whiteouts_hide_in_the_way_of_overlayfs() {
    let tree = Tree::new();
    let members = [
        (file("etc/.wh.gone"), &b""[..]),
        (file("opt/.wh..wh..opq"), b""),
        (file("opt/new"), b"1"),
        (file("var/.wh..wh.plnk"), b""),
        // Hidden and made again, in both orders.
        (file(".wh.first"), b""),
        (directory("first", 0o755), b""),
        (directory("second", 0o755), b""),
        (file(".wh.second"), b""),
        (file(".wh.third"), b""),
        (file("third"), b"3"),
        (file("fourth"), b"4"),
        (file(".wh.fourth"), b""),
    ];
    tree.unpack(&members).expect("unpack");
    assert!(tree.is_whiteout("etc/gone"));
    assert!(tree.is_opaque("opt") && tree.path("opt/new").is_file());
    assert!(!tree.path("var/.wh..wh.plnk").exists());
    assert!(tree.is_opaque("first") && tree.is_opaque("second"));
    assert!(tree.path("third").is_file() && tree.path("fourth").is_file());
}

#[test]
fn a_whiteout_of_nothing_sensible_is_refused() {
    let tree = Tree::new();
    for name in [".wh.", ".wh..", ".wh..."] {
        let error = tree.unpack(&[(file(name), b"")]).expect_err(name);
        assert!(matches!(error, UnpackError::Malformed { .. }), "{error:?}");
    }
}

#[test]
fn without_overlay_the_prefix_means_nothing() {
    let tree = Tree::new();
    let bytes = archive(&[(file(".wh.file"), b"1")]);
    tree.unpack_bytes(&bytes, Whiteouts::Ignored)
        .expect("unpack");
    assert!(tree.path(".wh.file").is_file());
}

#[test]
fn private_attributes_of_overlayfs_are_left_out_of_archives() {
    let tree = Tree::new();
    let xattrs = [
        (b"trusted.overlay.redirect".to_vec(), b"/etc".to_vec()),
        (b"trusted.overlay.opaque".to_vec(), b"y".to_vec()),
        (b"user.note".to_vec(), b"kept".to_vec()),
    ];
    let entry = NewEntry {
        xattrs: &xattrs,
        ..directory("d", 0o755)
    };
    tree.unpack(&[(entry, b"")]).expect("unpack");
    let root = RootDir::open(&tree.path("")).expect("root");
    let keys = root
        .root()
        .expect("root")
        .xattr_keys(OsStr::new("d"))
        .expect("list");
    assert_eq!(keys, ["user.note"]);
}

#[test]
fn modes_owners_times_devices_and_capabilities_arrive() {
    let tree = Tree::new();
    // Version 2, effective, CAP_NET_RAW permitted.
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    let xattrs = [(b"security.capability".to_vec(), capability.clone())];
    let suid = NewEntry {
        mode: 0o4755,
        uid: 1000,
        gid: 2000,
        modified_seconds: 86_400,
        xattrs: &xattrs,
        ..file("bin/ping")
    };
    let device = NewEntry {
        kind: b'3',
        device: (1, 3),
        mode: 0o666,
        ..file("dev/null")
    };
    let group = NewEntry {
        gid: 7,
        modified_seconds: 5,
        ..directory("group", 0o2775)
    };
    let members = [
        (suid, &b"x"[..]),
        (device, b""),
        (group, b""),
        (file("group/file"), b"1"),
    ];
    tree.unpack(&members).expect("unpack");
    let ping = fs::metadata(tree.path("bin/ping")).expect("file");
    assert_eq!(
        (ping.mode() & 0o7777, ping.uid(), ping.gid()),
        (0o4755, 1000, 2000)
    );
    assert_eq!(ping.mtime(), 86_400);
    let root = RootDir::open(&tree.path("")).expect("root");
    let bin = root.open_dir(Path::new("bin")).expect("bin");
    let found = bin.xattr(OsStr::new("ping"), OsStr::new("security.capability"));
    assert_eq!(found.expect("xattr"), Some(capability));
    let null = fs::metadata(tree.path("dev/null")).expect("device");
    assert!(null.file_type().is_char_device());
    assert_eq!(
        (null.rdev(), null.mode() & 0o777),
        (nix::sys::stat::makedev(1, 3), 0o666)
    );
    let group = fs::metadata(tree.path("group")).expect("directory");
    assert_eq!(
        (group.mode() & 0o7777, group.gid(), group.mtime()),
        (0o2775, 7, 5)
    );
    // Its own group, not that of the directory that hands on its own.
    assert_eq!(
        fs::metadata(tree.path("group/file")).expect("file").gid(),
        0
    );
}

#[test]
fn members_replace_earlier_ones_of_any_kind() {
    let tree = Tree::new();
    let members = [
        (file("a/b/c"), &b"1"[..]),
        (file("a"), b"2"),
        (directory("a", 0o700), b""),
        (link("a", "nowhere"), b""),
        (file("a"), b"3"),
        (file("d/e"), b"4"),
        (link("d", "f"), b""),
        (directory("f", 0o755), b""),
        (file("d/g"), b"5"),
    ];
    tree.unpack(&members).expect("unpack");
    assert_eq!(fs::read_to_string(tree.path("a")).expect("file"), "3");
    assert_eq!(fs::read_to_string(tree.path("f/g")).expect("file"), "5");
}

#[test]
fn a_full_disk_is_told_apart() {
    let tree = Tree::new();
    let target = tree.path("");
    let options = Some("size=1m");
    let (none, flags) = (None::<&str>, nix::mount::MsFlags::empty());
    nix::mount::mount(none, &target, Some("tmpfs"), flags, options).expect("mount");
    let result = tree.unpack(&[(file("big"), &vec![1; 2 << 20])]);
    nix::mount::umount2(&target, nix::mount::MntFlags::MNT_DETACH).expect("unmount");
    assert!(matches!(result, Err(UnpackError::DiskFull { path, .. }) if path == Path::new("big")));
}

#[test]
fn archives_of_gnu_tar_in_every_format_are_read() {
    let source = Tree::new();
    let long = "directory-with-a-rather-long-name/".repeat(6) + "file";
    fs::create_dir_all(source.path(&long).parent().expect("parent")).expect("directories");
    fs::write(source.path(&long), "deep").expect("file");
    symlink("target/".repeat(20), source.path("long-link")).expect("link");
    fs::hard_link(source.path(&long), source.path("other-name")).expect("hard link");
    fs::write(source.path("umläut"), "text").expect("file");
    let holes = fs::File::create(source.path("holes")).expect("file");
    holes.set_len(64 << 20).expect("length");
    for n in 0..40 {
        std::os::unix::fs::FileExt::write_all_at(&holes, b"data", n * (1 << 20)).expect("piece");
    }
    let expected = source.digest();
    for format in [
        &["--format=gnu"][..],
        &["--format=gnu", "--sparse"],
        &["--format=pax"],
        &["--format=pax", "--sparse", "--sparse-version=0.0"],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=pax", "--sparse", "--sparse-version=1.0"],
    ] {
        let output = Command::new("tar")
            .args(format)
            .args(["--numeric-owner", "-c", "-C"])
            .arg(source.path(""))
            .arg(".")
            .output()
            .expect("tar");
        assert!(output.status.success(), "{output:?}");
        let tree = Tree::new();
        tree.unpack_bytes(&output.stdout, Whiteouts::Overlay)
            .expect("unpack");
        assert_eq!(tree.digest(), expected, "{format:?}");
        if format.contains(&"--sparse") {
            let blocks = fs::metadata(tree.path("holes")).expect("file").blocks();
            assert!(blocks * 512 < 8 << 20, "{format:?}: {blocks} blocks");
        }
    }
}

#[test]
fn what_is_packed_is_read_by_gnu_tar_and_comes_back_the_same() {
    let source = Tree::new();
    let members = [
        (directory("./", 0o755), &b""[..]),
        (file("file"), b"text"),
        (hard_link("again", "file"), b""),
        (link("link", "file"), b""),
        (file(".wh.gone"), b""),
        (file("opaque/.wh..wh..opq"), b""),
        (
            NewEntry {
                kind: b'6',
                ..file("fifo")
            },
            b"",
        ),
    ];
    source.unpack(&members).expect("unpack");
    let root = RootDir::open(&source.path("")).expect("root");
    let mut bytes = Vec::new();
    pack_tree(&root, &mut bytes).expect("pack");
    let copy = Tree::new();
    copy.unpack_bytes(&bytes, Whiteouts::Overlay)
        .expect("unpack");
    assert_eq!(copy.digest(), source.digest());

    let archive = source.temp.path().join("archive.tar");
    fs::write(&archive, &bytes).expect("archive");
    let output = Command::new("tar")
        .arg("-tf")
        .arg(&archive)
        .output()
        .expect("tar");
    assert!(output.status.success(), "{output:?}");
    let names = String::from_utf8(output.stdout).expect("names");
    let expected = "./\nagain\nfifo\nfile\n.wh.gone\nlink\nopaque/\nopaque/.wh..wh..opq\n";
    assert_eq!(names, expected);
}

/// Layers made by earlier versions must be packed into the same bytes; see `tar::writer`.
#[test]
fn the_packed_form_of_a_tree_never_changes() {
    let source = Tree::new();
    let at = |entry: NewEntry<'static>| NewEntry {
        modified_seconds: 1_000_000_000,
        ..entry
    };
    let members = [
        (at(directory("./", 0o755)), &b""[..]),
        (at(directory("d", 0o2750)), b""),
        (
            NewEntry {
                uid: 70_000,
                ..at(file("d/file"))
            },
            b"text",
        ),
        (at(file("d/.wh.gone")), b""),
    ];
    source.unpack(&members).expect("unpack");
    let pinned = "sha256:3df745db33dda13a760c675e8c838f05433341734526e2bce9b8b865aed56953";
    assert_eq!(source.digest(), pinned);
}
