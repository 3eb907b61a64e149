//! What a path of a container leads to.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use berth_agent_sys::root_dir::{Attributes, Directory, NodeKind, RootDir};

use super::path::Asked;

/// How many links are followed, as the kernel's limit.
const MAX_LINKS: usize = 40;

/// What is there.
#[derive(Debug)]
pub(super) enum Found {
    Directory(Directory),
    Other {
        parent: Directory,
        name: OsString,
        attributes: Attributes,
    },
}

/// Finds what a path leads to. A link in the last place is not followed, unless only a directory can
/// be meant.
pub(super) fn look(root: &RootDir, asked: &Asked) -> io::Result<Found> {
    if asked.is_directory() {
        return root.open_dir(&asked.path).map(Found::Directory);
    }
    let (parent, name) = root.open_parent(&asked.path)?;
    let attributes = parent.attributes(&name)?;
    if attributes.kind == NodeKind::Directory {
        return parent.open_dir(&name).map(Found::Directory);
    }
    if parent.is_kernels()? {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(Found::Other {
        parent,
        name,
        attributes,
    })
}

/// Returns the path without links, as far as it leads to something; the rest as it is.
///
/// Only for telling: who goes there resolves it again, for it may have changed.
pub(super) fn follow(root: &RootDir, path: &Path) -> io::Result<PathBuf> {
    let mut resolved = PathBuf::new();
    let mut rest: VecDeque<PathBuf> = path.iter().map(PathBuf::from).collect();
    let mut n_links = 0;
    while let Some(part) = rest.pop_front() {
        match part.components().next() {
            Some(Component::Normal(name)) => resolved.push(name),
            Some(Component::RootDir) => {
                resolved.clear();
                continue;
            }
            Some(Component::ParentDir) => {
                resolved.pop();
                continue;
            }
            _ => continue,
        }
        let Some(target) = link_target(root, &resolved) else {
            continue;
        };
        n_links += 1;
        if n_links > MAX_LINKS {
            return Err(nix::errno::Errno::ELOOP.into());
        }
        resolved.pop();
        for part in Path::new(&target).iter().rev() {
            rest.push_front(PathBuf::from(part));
        }
    }
    Ok(resolved)
}

fn link_target(root: &RootDir, path: &Path) -> Option<OsString> {
    let (parent, name) = root.open_parent(path).ok()?;
    parent.read_link(&name).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_inside_and_loops_end() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("a/b")).expect("folders");
        symlink("/a", at("absolute")).expect("link");
        symlink("../../../../a/b", at("a/up")).expect("link");
        symlink("nowhere/else", at("a/dangling")).expect("link");
        symlink("loop", at("loop")).expect("link");
        let root = RootDir::open(folder.path()).expect("root");
        for (path, expected) in [
            ("absolute/b", "a/b"),
            ("absolute/up", "a/b"),
            ("a/dangling", "a/nowhere/else"),
            ("missing/x/../y", "missing/y"),
            ("", ""),
        ] {
            let found = follow(&root, Path::new(path)).expect("resolved");
            assert_eq!(found, Path::new(expected), "{path}");
        }
        follow(&root, Path::new("loop")).expect_err("endless");
    }
}
