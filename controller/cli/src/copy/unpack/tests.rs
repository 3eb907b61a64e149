//! Archives of an agent that may be hostile.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use berth_archive::{NewEntry, TarWriter};

use super::*;

fn archive(members: &[(u8, &str, &str)]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (kind, path, rest) in members {
        let is_file = *kind == b'0';
        let entry = NewEntry {
            path: path.as_bytes(),
            link: if is_file { b"" } else { rest.as_bytes() },
            kind: *kind,
            mode: 0o6755,
            size: if is_file { rest.len() as u64 } else { 0 },
            modified_seconds: 1_000,
            ..NewEntry::default()
        };
        writer.entry(&entry).unwrap();
        if is_file {
            writer
                .data(rest.len() as u64, &mut rest.as_bytes())
                .unwrap();
        }
    }
    writer.finish().unwrap()
}

/// Unpacks into `target` of a folder that has a file `outside`, which must stay as it is.
fn unpacked(
    members: &[(u8, &str, &str)],
    base: &str,
    name: Option<&str>,
) -> (tempfile::TempDir, Result<Vec<PathBuf>, UnpackError>) {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("target")).unwrap();
    fs::write(place.path().join("outside"), "secret").unwrap();
    fs::set_permissions(
        place.path().join("outside"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let asked = Members {
        base: base.to_owned(),
        name: name.map(str::to_owned),
    };
    let folder = place.path().join("target").to_string_lossy().into_owned();
    let result = unpack(&archive(members)[..], &folder, &asked);
    let outside = fs::metadata(place.path().join("outside")).unwrap();
    assert_eq!((outside.nlink(), outside.mode() & 0o777), (1, 0o600));
    let text = fs::read_to_string(place.path().join("outside")).unwrap();
    assert_eq!(text, "secret");
    let n_names = fs::read_dir(place.path()).unwrap().count();
    assert_eq!(n_names, 2);
    (place, result)
}

#[test]
fn members_get_their_new_name_and_keep_modes_and_times() {
    let members = [
        (b'5', "old/", ""),
        (b'0', "old/file", "text"),
        (b'1', "old/second", "old/file"),
        (b'2', "old/link", "/anywhere"),
    ];
    let (place, result) = unpacked(&members, "old", Some("new"));
    assert_eq!(result.unwrap(), Vec::<PathBuf>::new());
    let at = |name: &str| place.path().join("target/new").join(name);
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "text");
    let file = fs::metadata(at("file")).unwrap();
    assert_eq!(
        (file.nlink(), file.mtime(), file.mode() & 0o777),
        (2, 1_000, 0o755)
    );
    assert_eq!(fs::metadata(at("")).unwrap().mtime(), 1_000);
    assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("/anywhere"));
}

#[test]
fn what_was_not_asked_for_is_refused() {
    for name in ["other", "../outside", "/outside", "f/../other"] {
        let (_place, result) = unpacked(&[(b'0', name, "x")], "f", None);
        assert!(matches!(result, Err(UnpackError::Foreign(_))), "{name}");
    }
}

#[test]
fn no_link_of_the_archive_leads_out() {
    for target in ["..", "/", "../../"] {
        let members = [(b'2', "d/l", target), (b'0', "d/l/outside", "overwritten")];
        let (_place, result) = unpacked(&members, "d", None);
        assert!(matches!(result, Err(UnpackError::Write { .. })), "{target}");
    }
    let members = [(b'2', "d", "../outside"), (b'0', "d", "replaced")];
    let (place, result) = unpacked(&members, "d", None);
    result.unwrap();
    let text = fs::read_to_string(place.path().join("target/d")).unwrap();
    assert_eq!(text, "replaced");
}

#[test]
fn no_hard_link_reaches_out() {
    for target in ["d/../../outside", "../outside", "/outside", "d/l/outside"] {
        let members = [(b'2', "d/l", ".."), (b'1', "d/h", target)];
        let (_place, result) = unpacked(&members, "d", None);
        assert!(result.is_err(), "{target}");
    }
}

#[test]
fn a_link_that_is_there_already_is_not_followed_but_replaced() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("outside"), "secret").unwrap();
    fs::create_dir(place.path().join("target")).unwrap();
    symlink("../outside", place.path().join("target/f")).unwrap();
    let asked = Members {
        base: "f".to_owned(),
        name: None,
    };
    let folder = place.path().join("target").to_string_lossy().into_owned();
    unpack(&archive(&[(b'0', "f", "new")])[..], &folder, &asked).unwrap();
    let read = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
    assert_eq!(
        (read("outside"), read("target/f")),
        ("secret".into(), "new".into())
    );
}

#[test]
fn folders_and_files_do_not_replace_each_other() {
    let members = [(b'5', "d/x/", ""), (b'0', "d/x", "file")];
    let (_place, result) = unpacked(&members, "d", None);
    assert!(matches!(result, Err(UnpackError::OverFolder(..))));
    let members = [(b'0', "d/x", "file"), (b'5', "d/x/", "")];
    let (_place, result) = unpacked(&members, "d", None);
    assert!(matches!(result, Err(UnpackError::OverOther(..))));
}

/// A program of the container with the rights of whoever copies it would be a way out of there.
#[test]
fn rights_and_devices_of_a_container_stay_there() {
    let mut writer = TarWriter::new(Vec::new());
    let xattrs = [
        (b"user.note".to_vec(), b"kept".to_vec()),
        (b"security.capability".to_vec(), CAPABILITY.to_vec()),
        (b"trusted.other".to_vec(), b"x".to_vec()),
    ];
    let entry = |path: &'static str, kind| NewEntry {
        path: path.as_bytes(),
        kind,
        mode: 0o6777,
        ..NewEntry::default()
    };
    let folder = entry("d/", b'5');
    writer.entry(&folder).unwrap();
    let program = NewEntry {
        xattrs: &xattrs,
        size: 1,
        ..entry("d/program", b'0')
    };
    writer.entry(&program).unwrap();
    writer.data(1, &mut &b"x"[..]).unwrap();
    writer.entry(&entry("d/fifo", b'6')).unwrap();
    for (path, kind) in [("d/disk", b'4'), ("d/tty", b'3')] {
        let device = NewEntry {
            device: (1, 3),
            ..entry(path, kind)
        };
        writer.entry(&device).unwrap();
    }
    let place = tempfile::tempdir().unwrap();
    let asked = Members {
        base: "d".to_owned(),
        name: None,
    };
    let to = place.path().to_string_lossy().into_owned();
    let left_out = unpack(&writer.finish().unwrap()[..], &to, &asked).unwrap();
    let at = |name: &str| place.path().join("d").join(name);
    assert_eq!(left_out, [at("disk"), at("tty")]);
    assert!(!at("disk").exists() && !at("tty").exists());
    for name in ["program", "fifo"] {
        let mode = fs::metadata(at(name)).unwrap().mode();
        assert_eq!(mode & 0o6000, 0, "{name}: {mode:o}");
    }
    let mut list = [0; 1024];
    let length = rustix::fs::llistxattr(at("program"), &mut list).unwrap();
    assert_eq!(&list[..length], b"user.note\0");
}

/// `cap_net_raw` for whoever executes it, as the kernel stores it (version 2).
const CAPABILITY: &[u8] = &[
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
