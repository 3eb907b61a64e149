//! Packing real directories and reading the stream back.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use tar::{Archive, EntryType};

use super::{Packed, pack};
use crate::Ignore;

struct Entry {
    kind: EntryType,
    mode: u32,
    owner: (u64, u64),
    content: String,
    link: Option<String>,
}

fn packed(context: &Path, dockerfile: Option<&str>, ignore: &str) -> (Packed, Vec<u8>) {
    let ignore = Ignore::parse(ignore).expect("patterns");
    let mut bytes = Vec::new();
    let packed = pack(context, dockerfile.map(Path::new), &ignore, &mut bytes).expect("packed");
    (packed, bytes)
}

fn entries(bytes: &[u8]) -> BTreeMap<String, Entry> {
    let mut archive = Archive::new(bytes);
    let mut entries = BTreeMap::new();
    for entry in archive.entries().expect("archive") {
        let mut entry = entry.expect("entry");
        let mut content = String::new();
        entry.read_to_string(&mut content).expect("content");
        let header = entry.header();
        let found = Entry {
            kind: header.entry_type(),
            mode: header.mode().expect("mode"),
            owner: (header.uid().expect("uid"), header.gid().expect("gid")),
            content,
            link: entry
                .link_name()
                .expect("link")
                .map(|link| link.display().to_string()),
        };
        entries.insert(entry.path().expect("path").display().to_string(), found);
    }
    entries
}

fn names(context: &Path, dockerfile: Option<&str>, ignore: &str) -> Vec<String> {
    let (packed, bytes) = packed(context, dockerfile, ignore);
    let names: Vec<String> = entries(&bytes).into_keys().collect();
    assert_eq!(packed.n_entries, names.len() as u64);
    names
}

fn write(context: &Path, path: &str, content: &str) {
    let path = context.join(path);
    fs::create_dir_all(path.parent().expect("parent")).expect("directory");
    fs::write(path, content).expect("file");
}

#[test]
fn files_links_and_directories_arrive_with_mode_and_without_owner() {
    let context = tempfile::tempdir().expect("temp dir");
    write(context.path(), "bin/tool", "#!/bin/sh\n");
    fs::set_permissions(
        context.path().join("bin/tool"),
        fs::Permissions::from_mode(0o4751),
    )
    .expect("mode");
    symlink("/etc/passwd", context.path().join("bin/link")).expect("symlink");
    fs::hard_link(context.path().join("bin/tool"), context.path().join("twin")).expect("link");
    let entries = entries(&packed(context.path(), None, "").1);
    let tool = &entries["bin/tool"];
    assert_eq!(
        (tool.kind, tool.mode, tool.owner),
        (EntryType::Regular, 0o4751, (0, 0))
    );
    assert_eq!(tool.content, "#!/bin/sh\n");
    assert_eq!(entries["twin"].kind, EntryType::Regular);
    assert_eq!(entries["twin"].content, "#!/bin/sh\n");
    assert_eq!(entries["bin/link"].kind, EntryType::Symlink);
    assert_eq!(entries["bin/link"].link.as_deref(), Some("/etc/passwd"));
    assert_eq!(entries["bin"].kind, EntryType::Directory);
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let context = tempfile::tempdir().expect("temp dir");
    for name in ["z", "a", "m/n/o", "m/b"] {
        write(context.path(), name, name);
    }
    assert_eq!(
        packed(context.path(), None, "").1,
        packed(context.path(), None, "").1
    );
}

#[test]
fn names_longer_than_a_tar_header_survive() {
    let context = tempfile::tempdir().expect("temp dir");
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(200));
    write(context.path(), &long, "x");
    symlink("t".repeat(180), context.path().join("link")).expect("symlink");
    let entries = entries(&packed(context.path(), None, "").1);
    assert_eq!(entries[&long].content, "x");
    assert_eq!(entries["link"].link.as_deref().map(str::len), Some(180));
}

#[test]
fn ignored_paths_stay_behind_and_taken_back_ones_bring_their_directories() {
    let context = tempfile::tempdir().expect("temp dir");
    for name in [
        "keep",
        "node_modules/a/b",
        "node_modules/keep/me",
        "docs/x.md",
        "docs/y.txt",
    ] {
        write(context.path(), name, "");
    }
    let ignore = "node_modules\n!node_modules/keep\n**/*.md\n";
    assert_eq!(
        names(context.path(), None, ignore),
        [
            "docs",
            "docs/y.txt",
            "keep",
            "node_modules",
            "node_modules/keep",
            "node_modules/keep/me"
        ]
    );
}

#[test]
fn the_dockerfile_and_the_ignore_file_are_sent_even_when_ignored() {
    let context = tempfile::tempdir().expect("temp dir");
    for name in ["build/Dockerfile", "build/other", ".dockerignore", "file"] {
        write(context.path(), name, "");
    }
    assert_eq!(
        names(context.path(), Some("./build/Dockerfile"), "*\n"),
        [".dockerignore", "build", "build/Dockerfile"]
    );
}

#[test]
fn sockets_are_left_out_and_named() {
    let context = tempfile::tempdir().expect("temp dir");
    let _listener = UnixListener::bind(context.path().join("socket")).expect("socket");
    let (packed, bytes) = packed(context.path(), None, "");
    assert!(entries(&bytes).is_empty());
    assert_eq!(packed.skipped, [Path::new("socket")]);
}

#[test]
fn a_context_that_is_not_there_is_an_error_that_names_it() {
    let error = pack(
        Path::new("/nonexistent/context"),
        None,
        &Ignore::default(),
        Vec::new(),
    )
    .expect_err("no such directory");
    assert!(
        error.to_string().contains("/nonexistent/context"),
        "{error}"
    );
}

#[test]
fn a_writer_that_fails_is_told_apart_from_a_file_that_cannot_be_read() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let context = tempfile::tempdir().expect("temp dir");
    write(context.path(), "file", "content");
    let error = pack(context.path(), None, &Ignore::default(), Full).expect_err("full");
    assert!(matches!(error, super::PackError::Send { .. }), "{error}");
}
