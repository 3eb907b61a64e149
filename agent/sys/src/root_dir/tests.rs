//! Nothing leads out of a root, and trees go away however they are made.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use super::{NodeKind, RootDir};

fn root() -> (tempfile::TempDir, RootDir) {
    let temp = tempfile::tempdir().expect("temporary directory");
    std::fs::create_dir(temp.path().join("root")).expect("root");
    let root = RootDir::open(&temp.path().join("root")).expect("open");
    (temp, root)
}

#[test]
fn absolute_links_and_dot_dot_stay_inside() {
    let (temp, root) = root();
    std::fs::create_dir(temp.path().join("outside")).expect("outside");
    symlink(temp.path().join("outside"), temp.path().join("root/link")).expect("link");
    symlink("../../outside", temp.path().join("root/up")).expect("link");

    root.open_dir(Path::new("link")).expect_err("outside");
    root.open_dir(Path::new("up")).expect_err("outside");
    let top = root.open_dir(Path::new("../../..")).expect("the root");
    assert_eq!(top.names().expect("names"), ["link", "up"]);

    root.create_dir_all(Path::new("outside"), 0o755)
        .expect("inside");
    root.open_dir(Path::new("up"))
        .expect("resolved inside")
        .create_file(OsStr::new("file"), 0o644)
        .expect("file");
    assert!(temp.path().join("root/outside/file").exists());
    assert!(!temp.path().join("outside/file").exists());
}

#[test]
fn magic_links_are_refused() {
    let root = RootDir::open(Path::new("/proc/self")).expect("proc");
    root.open_dir(Path::new("root")).expect_err("outside");
    root.open_dir(Path::new("cwd")).expect_err("outside");
}

#[test]
fn a_name_with_a_slash_is_refused_by_a_directory() {
    let (_temp, root) = root();
    let top = root.root().expect("root");
    for name in ["", ".", "..", "a/b", "../x"] {
        assert!(top.create_file(OsStr::new(name), 0o644).is_err(), "{name}");
    }
}

#[test]
fn files_links_nodes_and_attributes_are_made_as_told() {
    let (_temp, root) = root();
    let top = root.root().expect("root");
    let (file, link, fifo) = (OsStr::new("f"), OsStr::new("l"), OsStr::new("p"));
    top.create_file(file, 0o600)
        .and_then(|mut opened| opened.write_all(b"text"))
        .expect("write");
    top.chown(file, 7, 8).expect("chown");
    top.chmod(file, 0o4755).expect("chmod");
    top.set_modified(file, Duration::new(5, 6)).expect("time");
    top.symlink(link, OsStr::new("f")).expect("symlink");
    top.chown(link, 9, 10).expect("chown of a link");
    assert!(top.chmod(link, 0o777).is_err());
    top.make_node(fifo, NodeKind::Fifo, 0o644, (0, 0))
        .expect("fifo");
    top.hard_link(OsStr::new("g"), &top, file)
        .expect("hard link");

    let attributes = top.attributes(OsStr::new("g")).expect("attributes");
    assert_eq!(
        (attributes.mode, attributes.uid, attributes.gid),
        (0o4755, 7, 8)
    );
    assert_eq!(attributes.modified, Duration::new(5, 6));
    assert_eq!((attributes.n_links, attributes.size), (2, 4));
    assert_eq!(top.attributes(link).expect("link").uid, 9);
    assert_eq!(top.attributes(fifo).expect("fifo").kind, NodeKind::Fifo);
    let mut text = String::new();
    root.open_file(Path::new("/l"))
        .and_then(|mut file| file.read_to_string(&mut text))
        .expect("read through the link");
    assert_eq!(text, "text");
}

#[test]
fn extended_attributes_belong_to_the_link_itself() {
    let (_temp, root) = root();
    let top = root.root().expect("root");
    let (link, key) = (OsStr::new("l"), OsStr::new("trusted.berth"));
    top.symlink(link, OsStr::new("/etc/passwd")).expect("link");
    top.set_xattr(link, key, b"value").expect("set");
    assert_eq!(
        top.xattr(link, key).expect("get").as_deref(),
        Some(&b"value"[..])
    );
    assert_eq!(top.xattr_keys(link).expect("list"), ["trusted.berth"]);
    top.remove_xattr(link, key).expect("remove");
    assert_eq!(top.xattr(link, key).expect("get"), None);
}

#[test]
fn a_tree_deeper_than_any_path_is_removed() {
    let (temp, root) = root();
    let top = root.root().expect("root");
    let name = OsStr::new("directory");
    top.make_dir(name, 0o755).expect("first");
    let mut at = top.open_dir(name).expect("first");
    for _level in 0..3000 {
        at.make_dir(name, 0o755).expect("level");
        at = at.open_dir(name).expect("level");
    }
    drop(at);
    top.remove(name).expect("removed");
    assert_eq!(top.names().expect("names"), [""; 0]);
    top.remove(name).expect("removing nothing is no error");
    drop(temp);
}

#[test]
fn a_mode_is_never_set_through_a_link() {
    let (temp, root) = root();
    let secret = temp.path().join("secret");
    std::fs::write(&secret, "secret").expect("file");
    let before = std::fs::metadata(&secret).expect("file").permissions();
    symlink(&secret, temp.path().join("root/link")).expect("link");
    let top = root.root().expect("root");
    top.chmod(OsStr::new("link"), 0o777).expect_err("a link");
    assert_eq!(
        std::fs::metadata(&secret).expect("file").permissions(),
        before
    );
    std::fs::write(temp.path().join("root/own"), "").expect("file");
    top.chmod(OsStr::new("own"), 0o4711).expect("a file");
    let own = top.attributes(OsStr::new("own")).expect("attributes");
    assert_eq!(own.mode, 0o4711);
}

#[test]
fn only_regular_files_are_opened() {
    let (temp, root) = root();
    let top = root.root().expect("root");
    symlink("/etc/passwd", temp.path().join("root/link")).expect("link");
    top.make_node(OsStr::new("fifo"), NodeKind::Fifo, 0o644, (0, 0))
        .expect("fifo");
    top.make_node(OsStr::new("null"), NodeKind::CharacterDevice, 0o644, (1, 3))
        .expect("device");
    top.make_dir(OsStr::new("dir"), 0o755).expect("directory");
    for name in ["link", "fifo", "null", "dir"] {
        let error = top.open_regular(OsStr::new(name)).expect_err("no file");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{name}");
        top.rewrite_file(OsStr::new(name)).expect_err("no file");
    }
    std::fs::write(temp.path().join("root/file"), "long text").expect("file");
    let (mut file, attributes) = top.open_regular(OsStr::new("file")).expect("a file");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("read");
    assert_eq!((text.as_str(), attributes.size), ("long text", 9));
    let mut file = top.rewrite_file(OsStr::new("file")).expect("a file");
    file.write_all(b"new").expect("write");
    let content = std::fs::read(temp.path().join("root/file")).expect("read");
    assert_eq!(content, b"new");
}

#[test]
fn the_kernels_own_files_are_known() {
    let kernels = |path: &str| {
        let root = RootDir::open(Path::new(path)).expect("open");
        root.root().expect("root").is_kernels().expect("kind")
    };
    assert!(kernels("/proc") && kernels("/sys"));
    let (temp, _root) = root();
    assert!(!kernels(&temp.path().to_string_lossy()));
}
