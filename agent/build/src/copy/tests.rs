//! Copies between real trees.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use berth_agent_sys::root_dir::RootDir;
use tempfile::TempDir;

use super::{CopyError, Owner, Placement, digest, find, parse_mode, place, resolve_owner};

/// A context and an image's tree.
struct Trees {
    source: TempDir,
    target: TempDir,
}

impl Trees {
    fn new() -> Self {
        let directory = || tempfile::tempdir().expect("temp dir");
        Self {
            source: directory(),
            target: directory(),
        }
    }

    fn write(&self, path: &str, content: &str) -> &Self {
        write(self.source.path(), path, content);
        self
    }

    fn copy(&self, sources: &[&str], destination: &str) -> Result<(), CopyError> {
        self.copy_with(sources, destination, |_| {})
    }

    fn copy_with(
        &self,
        sources: &[&str],
        destination: &str,
        change: impl FnOnce(&mut Placement),
    ) -> Result<(), CopyError> {
        let source = RootDir::open(self.source.path()).expect("source");
        let target = RootDir::open(self.target.path()).expect("target");
        let mut found = Vec::new();
        for word in sources {
            found.extend(find(&source, word)?);
        }
        let mut placement = Placement {
            keyword: "COPY",
            sources: found,
            contents: Vec::new(),
            destination: PathBuf::from(destination),
            into_directory: destination.ends_with('/'),
            owner: None,
            mode: None,
            keep_owner: false,
            unpack: false,
        };
        change(&mut placement);
        place(&placement, &source, &target)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.target.path().join(path)).expect(path)
    }

    fn list(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.target.path().join(path)).expect(path);
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }
}

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("parent")).expect("directory");
    fs::write(path, content).expect("file");
}

fn tar(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    build(&mut builder);
    builder.into_inner().expect("archive")
}

fn add(builder: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    // Written by hand, as the library refuses names that lead out.
    header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(7);
    header.set_gid(8);
    header.set_mtime(1_000_000);
    header.set_cksum();
    builder.append(&header, content).expect("entry");
}

fn link(builder: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, target: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(0o777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    builder
        .append_link(&mut header, name, target)
        .expect("link");
}

#[test]
fn a_file_becomes_the_destination_or_goes_into_it() {
    let trees = Trees::new();
    trees.write("f", "x");
    trees.copy(&["f"], "/new/name").expect("copied");
    assert_eq!(trees.read("new/name"), "x");
    trees.copy(&["f"], "/dir/").expect("copied");
    assert_eq!(trees.read("dir/f"), "x");
    // The destination was not written as a directory, but is one.
    trees.copy(&["f"], "/new").expect("copied");
    assert_eq!(trees.read("new/f"), "x");
}

#[test]
fn of_a_directory_its_content_is_copied() {
    let trees = Trees::new();
    trees.write("d/a", "1").write("d/sub/b", "2");
    trees.copy(&["d"], "/to").expect("copied");
    assert_eq!(trees.list("to"), ["a", "sub"]);
    assert_eq!(trees.read("to/sub/b"), "2");
    trees.copy(&["."], "/all/").expect("copied");
    assert_eq!(trees.list("all"), ["d"]);
}

#[test]
fn several_sources_need_a_directory() {
    let trees = Trees::new();
    trees
        .write("a.txt", "1")
        .write("b.txt", "2")
        .write("c.md", "3");
    trees.copy(&["*.txt"], "/into/").expect("copied");
    assert_eq!(trees.list("into"), ["a.txt", "b.txt"]);
    let error = trees
        .copy(&["a.txt", "b.txt"], "/file")
        .expect_err("not a directory");
    assert!(
        matches!(
            error,
            CopyError::DestinationNotDirectory { keyword: "COPY" }
        ),
        "{error}"
    );
}

#[test]
fn what_is_missing_is_named() {
    let trees = Trees::new();
    assert!(
        matches!(trees.copy(&["nope"], "/x"), Err(CopyError::NotFound { path, .. }) if path == "nope")
    );
    assert!(
        matches!(trees.copy(&["*.no"], "/x"), Err(CopyError::NoMatch { pattern }) if pattern == "*.no")
    );
}

#[test]
fn no_link_and_no_path_leads_out_of_the_context() {
    let trees = Trees::new();
    let secret = tempfile::tempdir().expect("temp dir");
    write(secret.path(), "secret", "leaked");
    trees.write("etc/passwd", "the context's own");
    symlink(
        secret.path().join("secret"),
        trees.source.path().join("absolute"),
    )
    .expect("link");
    symlink("/etc/passwd", trees.source.path().join("rooted")).expect("link");
    symlink(secret.path(), trees.source.path().join("dir")).expect("link");
    let up = format!("../../../../../../../../{}/secret", secret.path().display());
    assert!(matches!(
        trees.copy(&[&up], "/x"),
        Err(CopyError::NotFound { .. })
    ));
    // A link is followed as if the context were the whole world: there it leads to nothing.
    trees
        .copy(&["absolute"], "/dangling")
        .expect("copied as a link");
    assert!(
        fs::symlink_metadata(trees.target.path().join("dangling"))
            .expect("there")
            .is_symlink()
    );
    assert!(matches!(
        trees.copy(&["dir/secret"], "/x"),
        Err(CopyError::NotFound { .. })
    ));
    trees.copy(&["rooted"], "/own").expect("copied");
    assert_eq!(trees.read("own"), "the context's own");
}

#[test]
fn no_link_in_the_image_leads_out_of_it() {
    let trees = Trees::new();
    let outside = tempfile::tempdir().expect("temp dir");
    trees.write("f", "x");
    symlink(outside.path(), trees.target.path().join("escape")).expect("link");
    symlink("/data", trees.target.path().join("inner")).expect("link");
    fs::create_dir(trees.target.path().join("data")).expect("directory");
    trees.copy(&["f"], "/inner/").expect("copied");
    assert_eq!(trees.read("data/f"), "x");
    // The link's target does not exist inside, so that nothing can be copied through it.
    trees.copy(&["f"], "/escape/f").expect_err("dangling");
    assert_eq!(fs::read_dir(outside.path()).expect("list").count(), 0);
    // A file replaces a link in its own place.
    symlink(
        outside.path().join("victim"),
        trees.target.path().join("data/g"),
    )
    .expect("link");
    trees.copy(&["f"], "/data/g").expect("copied");
    assert!(
        fs::symlink_metadata(trees.target.path().join("data/g"))
            .expect("there")
            .is_file()
    );
    assert!(!outside.path().join("victim").exists());
}

#[test]
fn a_directory_is_never_overwritten_by_a_file_nor_a_file_by_a_directory() {
    let trees = Trees::new();
    trees.write("a/x", "file").write("b/x/y", "deeper");
    trees.copy(&["a"], "/to").expect("copied");
    assert!(matches!(
        trees.copy(&["b"], "/to"),
        Err(CopyError::NotDirectory { .. })
    ));
    trees.copy(&["b"], "/other").expect("copied");
    assert!(matches!(
        trees.copy(&["a"], "/other"),
        Err(CopyError::IsDirectory { .. })
    ));
    assert!(matches!(
        trees.copy(&["a"], "/to/x"),
        Err(CopyError::NotDirectory { .. })
    ));
}

#[test]
fn owners_modes_and_times_are_set() {
    let trees = Trees::new();
    trees.write("d/f", "x");
    let file = trees.source.path().join("d/f");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4755)).expect("mode");
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567);
    fs::File::options()
        .write(true)
        .open(&file)
        .expect("open")
        .set_modified(then)
        .expect("time");
    trees.copy(&["d"], "/plain").expect("copied");
    let found = fs::metadata(trees.target.path().join("plain/f")).expect("there");
    assert_eq!(
        (found.uid(), found.gid(), found.mode() & 0o7777),
        (0, 0, 0o4755)
    );
    assert_eq!(found.mtime(), 1_234_567);
    let owner = Owner { uid: 12, gid: 34 };
    let change = |placement: &mut Placement| {
        placement.owner = Some(owner);
        placement.mode = Some(0o600);
    };
    trees
        .copy_with(&["d/f"], "/new/deep/f", change)
        .expect("copied");
    let found = fs::metadata(trees.target.path().join("new/deep/f")).expect("there");
    assert_eq!(
        (found.uid(), found.gid(), found.mode() & 0o7777),
        (12, 34, 0o600)
    );
    let made = fs::metadata(trees.target.path().join("new")).expect("there");
    assert_eq!(
        (made.uid(), made.gid(), made.mode() & 0o7777),
        (12, 34, 0o755)
    );
}

#[test]
fn the_digest_follows_content_mode_and_name_but_not_time() {
    let trees = Trees::new();
    trees.write("d/f", "x").write("d/g", "y");
    let root = RootDir::open(trees.source.path()).expect("source");
    let name = |path: &str| digest(&root, &[PathBuf::from(path)], false).expect("digest");
    let before = name("d");
    let file = trees.source.path().join("d/f");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1000);
    fs::File::options()
        .write(true)
        .open(&file)
        .expect("open")
        .set_modified(later)
        .expect("time");
    assert_eq!(name("d"), before);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("mode");
    let other_mode = name("d");
    assert_ne!(other_mode, before);
    trees.write("d/f", "z");
    assert_ne!(name("d"), other_mode);
    let content = name("d");
    fs::rename(
        trees.source.path().join("d/g"),
        trees.source.path().join("d/h"),
    )
    .expect("rename");
    assert_ne!(name("d"), content);
    assert_ne!(name("d/f"), name("d/h"));
}

#[test]
fn owners_are_looked_up_in_the_image() {
    let trees = Trees::new();
    write(
        trees.target.path(),
        "etc/passwd",
        "root:x:0:0::/:\napp:x:100:101::/:\n",
    );
    write(trees.target.path(), "etc/group", "staff:x:50:app\n");
    let root = RootDir::open(trees.target.path()).expect("target");
    let owner = |spec| {
        resolve_owner(&root, spec)
            .map(|owner| (owner.uid, owner.gid))
            .ok()
    };
    assert_eq!(owner("app"), Some((100, 101)));
    assert_eq!(owner("app:staff"), Some((100, 50)));
    assert_eq!(owner("55"), Some((55, 55)));
    assert_eq!(owner("55:staff"), Some((55, 50)));
    assert_eq!(owner("1:2"), Some((1, 2)));
    assert_eq!(owner("nobody"), None);
    assert_eq!(owner("app:nogroup"), None);
}

#[test]
fn modes_are_octal() {
    assert_eq!(parse_mode("").expect("none"), None);
    assert_eq!(parse_mode("0644").expect("mode"), Some(0o644));
    for wrong in ["64a", "10000", "+7", "u+x"] {
        parse_mode(wrong).expect_err(wrong);
    }
}

#[test]
fn archives_are_unpacked_whatever_their_compression_and_name() {
    let archive = tar(|builder| {
        add(builder, "top/file", tar::EntryType::Regular, b"content");
        link(builder, "top/hard", tar::EntryType::Link, "top/file");
        link(builder, "top/soft", tar::EntryType::Symlink, "file");
    });
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive).expect("gzip");
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&archive).expect("bzip2");
    let zstd = zstd::encode_all(archive.as_slice(), 1).expect("zstd");
    let forms = [
        ("plain", archive.clone()),
        ("gzip", gzip.finish().expect("gzip")),
        ("bzip2", bzip2.finish().expect("bzip2")),
        ("zstd", zstd),
    ];
    for (name, bytes) in forms {
        let trees = Trees::new();
        fs::write(trees.source.path().join(name), bytes).expect("write");
        trees
            .copy_with(&[name], "/to", |placement| placement.unpack = true)
            .expect(name);
        assert_eq!(trees.read("to/top/soft"), "content", "{name}");
        let found = fs::metadata(trees.target.path().join("to/top/hard")).expect("there");
        assert_eq!(
            (found.uid(), found.gid(), found.nlink()),
            (7, 8, 2),
            "{name}"
        );
    }
}

#[test]
fn a_compressed_file_that_is_no_archive_is_copied() {
    let trees = Trees::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&[b'x'; 2000]).expect("gzip");
    fs::write(
        trees.source.path().join("log.gz"),
        gzip.finish().expect("gzip"),
    )
    .expect("write");
    trees
        .copy_with(&["log.gz"], "/to/", |placement| placement.unpack = true)
        .expect("copied");
    assert_eq!(trees.list("to"), ["log.gz"]);
}

#[test]
fn an_archive_cannot_write_outside_of_the_destination() {
    let outside = tempfile::tempdir().expect("temp dir");
    let elsewhere = outside.path().display().to_string();
    let archives = [
        tar(|builder| add(builder, "a/../../../x", tar::EntryType::Regular, b"x")),
        tar(|builder| add(builder, "/abs", tar::EntryType::Regular, b"x")),
        tar(|builder| {
            link(builder, "out", tar::EntryType::Symlink, &elsewhere);
            add(builder, "out/x", tar::EntryType::Regular, b"x");
        }),
        tar(|builder| link(builder, "shadow", tar::EntryType::Link, "/etc/passwd")),
    ];
    for archive in archives {
        let trees = Trees::new();
        fs::write(trees.source.path().join("a.tar"), archive).expect("write");
        // Some are confined, some are errors; none may reach anything.
        drop(trees.copy_with(&["a.tar"], "/to", |placement| placement.unpack = true));
        assert_eq!(trees.list(""), ["to"]);
        assert_eq!(fs::read_dir(outside.path()).expect("list").count(), 0);
    }
}

#[test]
fn an_archive_that_breaks_off_is_an_error() {
    let bytes = tar(|builder| add(builder, "f", tar::EntryType::Regular, &[b'x'; 5000]));
    let trees = Trees::new();
    fs::write(trees.source.path().join("a.tar"), &bytes[..2000]).expect("write");
    let copied = trees.copy_with(&["a.tar"], "/to", |placement| placement.unpack = true);
    assert!(
        matches!(copied, Err(CopyError::Archive { .. })),
        "{copied:?}"
    );
}
