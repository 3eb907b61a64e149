//! Hostile and ordinary archives against a real filesystem.

pub(crate) mod archives;
mod containment;
mod members;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use berth_agent_sys::root_dir::RootDir;
use berth_archive::NewEntry;

use self::archives::{archive, file};
use super::{UnpackError, UnpackOptions, Unpacked, Whiteouts, apply_tar};
use crate::pack::pack_tree;

struct Tree {
    temp: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let temp = tempfile::tempdir().expect("temporary directory");
        fs::create_dir(temp.path().join("root")).expect("root");
        fs::create_dir(temp.path().join("outside")).expect("outside");
        fs::write(temp.path().join("outside/secret"), "secret").expect("secret");
        Self { temp }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join("root").join(name)
    }

    fn outside(&self) -> PathBuf {
        self.temp.path().join("outside")
    }

    fn unpack(&self, members: &[(NewEntry<'_>, &[u8])]) -> Result<Unpacked, UnpackError> {
        self.unpack_bytes(&archive(members), Whiteouts::Overlay)
    }

    fn unpack_bytes(&self, bytes: &[u8], whiteouts: Whiteouts) -> Result<Unpacked, UnpackError> {
        let root = RootDir::open(&self.path("")).expect("root");
        let options = UnpackOptions {
            whiteouts,
            owner: None,
            ..UnpackOptions::default()
        };
        apply_tar(bytes, &root, &options)
    }

    /// Nothing outside was made, changed or removed.
    fn assert_contained(&self) {
        let names: Vec<_> = fs::read_dir(self.temp.path())
            .expect("list")
            .map(|entry| entry.expect("entry").file_name())
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
        let outside: Vec<_> = fs::read_dir(self.outside()).expect("list").collect();
        assert_eq!(outside.len(), 1);
        let secret = self.outside().join("secret");
        assert_eq!(fs::read_to_string(&secret).expect("secret"), "secret");
        assert_eq!(fs::metadata(&secret).expect("secret").nlink(), 1);
    }

    fn is_whiteout(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path(name))
            .is_ok_and(|found| found.file_type().is_char_device() && found.rdev() == 0)
    }

    fn is_opaque(&self, name: &str) -> bool {
        let root = RootDir::open(&self.path("")).expect("root");
        let directory = root.open_dir(Path::new(name)).expect("directory");
        let value = directory
            .own_xattr(OsStr::new(super::OPAQUE))
            .expect("xattr");
        value.as_deref() == Some(b"y")
    }

    fn digest(&self) -> String {
        let root = RootDir::open(&self.path("")).expect("root");
        let mut bytes = Vec::new();
        pack_tree(&root, &mut bytes).expect("pack");
        crate::Digest::of(&bytes).to_string()
    }
}

fn link<'a>(path: &'a str, target: &'a str) -> NewEntry<'a> {
    NewEntry {
        path: path.as_bytes(),
        link: target.as_bytes(),
        kind: b'2',
        mode: 0o777,
        ..NewEntry::default()
    }
}

fn hard_link<'a>(path: &'a str, target: &'a str) -> NewEntry<'a> {
    NewEntry {
        kind: b'1',
        ..link(path, target)
    }
}

fn directory(path: &'static str, mode: u32) -> NewEntry<'static> {
    NewEntry {
        kind: b'5',
        mode,
        ..file(path)
    }
}
