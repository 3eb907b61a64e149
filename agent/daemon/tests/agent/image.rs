//! The root filesystem of the tests' image: busybox and the few files that users need.

use tar::{Builder, EntryType, Header};

const APPLETS: &[&str] = &[
    "sh", "true", "false", "echo", "cat", "sleep", "id", "env", "ls", "mkdir", "mount", "nc",
    "pwd", "hostname", "stty", "tty", "kill", "touch", "wget", "head", "seq", "yes", "wc", "test",
    "grep",
];

/// Something that a hostile image brings, in place of what the usual one has there.
pub(crate) enum Odd<'a> {
    /// A symbolic link and where it leads.
    Link(&'a str, &'a str),
    /// A named pipe.
    Fifo(&'a str),
    /// A device file with its numbers.
    Device(&'a str, EntryType, u32, u32),
    /// A program with this content.
    File(&'a str, &'a [u8]),
}

/// Returns the tar of the root filesystem.
pub(crate) fn busybox() -> Vec<u8> {
    busybox_with(&[])
}

/// Returns the tar of the root filesystem with odd things in it.
pub(crate) fn busybox_with(odd: &[Odd<'_>]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for folder in ["bin", "etc", "tmp", "root", "home", "home/app", "data"] {
        let mut header = header(EntryType::Directory, 0, 0o755);
        tar.append_data(&mut header, folder, std::io::empty())
            .expect("folder");
    }
    let busybox = std::fs::read("/bin/busybox").expect("a static busybox on this machine");
    add(&mut tar, "bin/busybox", &busybox, 0o755);
    for applet in APPLETS {
        let mut header = header(EntryType::Symlink, 0, 0o777);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox")
            .expect("link");
    }
    let passwd = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n";
    let group = b"root:x:0:\nwheel:x:10:root,app\napp:x:1001:\n";
    for (path, content) in [
        ("etc/passwd", passwd.as_slice()),
        ("etc/group", group.as_slice()),
    ] {
        if odd.iter().all(|one| one.path() != path) {
            add(&mut tar, path, content, 0o644);
        }
    }
    for one in odd {
        one.add(&mut tar);
    }
    add(&mut tar, "data/from-image", b"seed\n", 0o644);
    add(&mut tar, "etc/not-executable", b"#!/bin/sh\n", 0o644);
    tar.into_inner().expect("tar")
}

impl Odd<'_> {
    fn path(&self) -> &str {
        match self {
            Self::Link(path, _)
            | Self::Fifo(path)
            | Self::Device(path, ..)
            | Self::File(path, _) => path,
        }
    }

    fn add(&self, tar: &mut Builder<Vec<u8>>) {
        let result = match *self {
            Self::Link(path, target) => {
                tar.append_link(&mut header(EntryType::Symlink, 0, 0o777), path, target)
            }
            Self::Fifo(path) => {
                let mut header = header(EntryType::Fifo, 0, 0o666);
                tar.append_data(&mut header, path, std::io::empty())
            }
            Self::Device(path, kind, major, minor) => {
                let mut header = header(kind, 0, 0o666);
                header.set_device_major(major).expect("major");
                header.set_device_minor(minor).expect("minor");
                tar.append_data(&mut header, path, std::io::empty())
            }
            Self::File(path, content) => {
                add(tar, path, content, 0o755);
                Ok(())
            }
        };
        result.expect("an entry");
    }
}

fn add(tar: &mut Builder<Vec<u8>>, path: &str, content: &[u8], mode: u32) {
    let size = u64::try_from(content.len()).expect("size");
    let mut header = header(EntryType::Regular, size, mode);
    tar.append_data(&mut header, path, content).expect("file");
}

fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(1_700_000_000);
    header
}
