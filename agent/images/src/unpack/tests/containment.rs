//! Nothing in an archive reaches what is outside the tree.

use super::archives::file;
use super::{Tree, directory, hard_link, link};
use crate::unpack::{UnpackError, Unpacked};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

#[test]
fn dot_dot_and_absolute_names_stay_inside() {
    let tree = Tree::new();
    let members = [
        (file("../outside/a"), &b"1"[..]),
        (file("/etc/b"), b"2"),
        (file("x/../../../../tmp/c"), b"3"),
    ];
    tree.unpack(&members).expect("unpack");
    for name in ["outside/a", "etc/b", "tmp/c"] {
        assert!(tree.path(name).is_file(), "{name}");
    }
    tree.assert_contained();
}

#[test]
fn writes_through_symbolic_links_stay_inside() {
    let tree = Tree::new();
    let outside = tree.outside();
    let outside = outside.to_str().expect("text");
    let members = [
        (link("absolute", outside), &b""[..]),
        (link("relative", "../outside"), b""),
        (link("proc", "/proc/self/root"), b""),
        (file("absolute/secret"), b"changed"),
    ];
    // Inside the root the link leads nowhere.
    tree.unpack(&members).expect_err("refused");
    tree.unpack(&[(file("relative/secret"), b"changed")])
        .expect_err("refused");
    tree.unpack(&[(file("proc/secret"), b"changed")])
        .expect_err("refused");
    tree.assert_contained();

    // Once the directory exists inside, the link leads there.
    let members = [
        (directory("outside", 0o755), &b""[..]),
        (file("relative/secret"), b"in"),
    ];
    tree.unpack(&members).expect("unpack");
    assert_eq!(
        fs::read_to_string(tree.path("outside/secret")).expect("read"),
        "in"
    );
    tree.assert_contained();
}

#[test]
fn a_file_replaces_a_link_instead_of_following_it() {
    let tree = Tree::new();
    let secret = tree.outside().join("secret");
    symlink(&secret, tree.path("link")).expect("link");
    symlink(tree.outside(), tree.path("dir")).expect("link");
    let members = [(file("link"), &b"new"[..]), (directory("dir", 0o777), b"")];
    tree.unpack(&members).expect("unpack");
    assert!(
        tree.path("link")
            .symlink_metadata()
            .expect("file")
            .is_file()
    );
    assert!(
        tree.path("dir")
            .symlink_metadata()
            .expect("directory")
            .is_dir()
    );
    tree.assert_contained();
}

#[test]
fn hard_links_to_the_outside_are_refused() {
    let tree = Tree::new();
    let secret = tree.outside().join("secret");
    let target = secret.to_str().expect("text");
    for target in [target, "../outside/secret", "/proc/self/root/etc/passwd"] {
        let error = tree
            .unpack(&[(hard_link("stolen", target), b"")])
            .expect_err(target);
        assert!(matches!(error, UnpackError::Link { .. }), "{error:?}");
    }
    // Through a link as the original too: the link itself is what gets the name.
    let members = [
        (link("way", target), &b""[..]),
        (hard_link("stolen", "way"), b""),
    ];
    tree.unpack(&members).expect("unpack");
    assert!(
        tree.path("stolen")
            .symlink_metadata()
            .expect("link")
            .is_symlink()
    );
    tree.assert_contained();
}

#[test]
fn hard_links_inside_are_one_file() {
    let tree = Tree::new();
    let members = [
        (file("a/original"), &b"text"[..]),
        (hard_link("/b/name", "./a/original"), b""),
    ];
    let unpacked = tree.unpack(&members).expect("unpack");
    assert_eq!(
        unpacked,
        Unpacked {
            size: 4,
            n_entries: 2
        }
    );
    assert_eq!(fs::metadata(tree.path("b/name")).expect("link").nlink(), 2);
}

#[test]
fn something_else_than_a_directory_cannot_become_the_root() {
    let tree = Tree::new();
    for entry in [file("."), file("a/.."), link("/", "/etc")] {
        let error = tree.unpack(&[(entry, b"")]).expect_err("refused");
        assert!(matches!(error, UnpackError::Malformed { .. }), "{error:?}");
    }
    tree.unpack(&[(directory("./", 0o1777), b"")])
        .expect("unpack");
    let mode = fs::metadata(tree.path(""))
        .expect("root")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o1777);
}
