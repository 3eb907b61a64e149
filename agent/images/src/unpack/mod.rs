//! Unpacking archives from strangers into a tree.
//!
//! Names are cleaned as if the tree's root were `/` (so `../x` and `/x` are both `x`), directories
//! on the way are resolved inside the root by the kernel, and links in the last place are never
//! followed. That is what Docker gets from unpacking in a chroot.

mod attributes;
mod data;
mod error;
mod name;
#[cfg(test)]
pub(crate) mod tests;
mod whiteout;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_agent_sys::root_dir::{Directory, NodeKind, RootDir};
use berth_archive::{Entry, EntryKind, TarError, TarReader, clean};
use nix::errno::Errno;

pub use error::UnpackError;
pub(crate) use error::is_disk_full;
pub(crate) use whiteout::{OPAQUE, is_whiteout};

/// How an archive is unpacked.
#[derive(Debug, Clone, Default)]
pub struct UnpackOptions {
    /// What `.wh.` names mean.
    pub whiteouts: Whiteouts,
    /// Everything belongs to this user and group, instead of those in the archive.
    pub owner: Option<(u32, u32)>,
    /// The tree belongs to a container that may run. Nothing is done to the kernel's own files in it,
    /// files that something is mounted on are written in place, and what the archive says of its own
    /// root is left out.
    pub live: Option<Live>,
}

/// Where and how an archive is unpacked in a container's tree.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// The directory that the archive's names begin at, as a path from the tree's root.
    pub below: PathBuf,
    /// Refuse to replace a directory by something else, or something else by a directory.
    pub keep_kinds: bool,
}

/// What names that begin with `.wh.` mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Whiteouts {
    /// Nothing special.
    #[default]
    Ignored,
    /// What they hide in lower layers is hidden in overlayfs's way.
    Overlay,
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Sum of the sizes of the files.
    pub size: u64,
    /// How many members there were.
    pub n_entries: u64,
}

/// Unpacks a tar (not compressed; see [`crate::decompress`]) below `root`.
///
/// What is in the way is replaced, except that directories stay and get the new attributes. Others
/// may change the tree at the same time: that can make this fail, but never lead it out of the tree.
/// Reading stops at the archive's end mark.
///
/// # Errors
///
/// Fails when the archive is malformed or something cannot be made; what was unpacked before stays.
pub fn apply_tar(
    reader: impl BufRead,
    root: &RootDir,
    options: &UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    let mut unpacker = Unpacker {
        root,
        options,
        parent: None,
        directories: BTreeMap::new(),
        done: Unpacked::default(),
    };
    let mut tar = TarReader::new(reader);
    while let Some(entry) = tar.next()? {
        unpacker.unpack(&entry, &mut tar)?;
    }
    unpacker.finish()
}

struct Unpacker<'a> {
    root: &'a RootDir,
    options: &'a UnpackOptions,
    /// The directory of the last member, since the next one is usually in the same.
    parent: Option<(PathBuf, Directory)>,
    /// Times are set last, for making files changes them. By path, so that an archive with the same
    /// directory over and over takes no more memory than its tree.
    directories: BTreeMap<PathBuf, Duration>,
    done: Unpacked,
}

impl Unpacker<'_> {
    fn unpack<R: BufRead>(
        &mut self,
        entry: &Entry,
        tar: &mut TarReader<R>,
    ) -> Result<(), UnpackError> {
        self.done.n_entries += 1;
        let path = clean(&entry.path);
        if path.as_os_str().is_empty() {
            return self.unpack_root(entry);
        }
        let path = self.below().join(path);
        let Some((parent_path, base)) = name::split(&path) else {
            return self.unpack_root(entry);
        };
        let fail = |source| UnpackError::entry(&path, source);
        let parent = self.take_parent(parent_path).map_err(fail)?;
        let overlay = self.options.whiteouts == Whiteouts::Overlay;
        let result = match name::whiteout(base) {
            Some(hidden) if overlay => whiteout::apply(&parent, &hidden, &path),
            _ => self.make(&parent, base, &path, entry, tar),
        };
        // Put back only what is surely still there: removing something may have removed it.
        if !matches!(result, Ok(Changed::Replaced)) {
            self.parent = Some((parent_path.to_owned(), parent));
        }
        result.map(|_changed| ())
    }

    fn unpack_root(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        if entry.kind != EntryKind::Directory {
            return Err(UnpackError::Malformed {
                path: PathBuf::from("/"),
                detail: "something that is no directory would replace the root",
            });
        }
        if self.options.live.is_some() {
            return Ok(());
        }
        let fail = |source| UnpackError::entry(Path::new("/"), source);
        let root = self.root.root().map_err(fail)?;
        let (uid, gid) = self.owner(entry);
        root.set_own(entry.mode, uid, gid).map_err(fail)?;
        attributes::set_own_xattrs(&root, &entry.xattrs).map_err(fail)?;
        self.directories.insert(PathBuf::from("."), entry.modified);
        Ok(())
    }

    fn make<R: BufRead>(
        &mut self,
        parent: &Directory,
        base: &OsStr,
        path: &Path,
        entry: &Entry,
        tar: &mut TarReader<R>,
    ) -> Result<Changed, UnpackError> {
        let fail = |source| UnpackError::entry(path, source);
        let mut changed = Changed::Added;
        let mut was_whiteout = false;
        if let Ok(existing) = parent.attributes(base) {
            let is_directory = existing.kind == NodeKind::Directory;
            if is_directory && entry.kind == EntryKind::Directory {
                return self.make_directory(parent, base, path, entry);
            }
            self.check_kinds(is_directory, entry, path)?;
            was_whiteout = is_whiteout(&existing);
            if self.options.live.is_none() {
                parent.remove(base).map_err(fail)?;
            } else if !is_directory && parent.is_mount_point(base).map_err(fail)? {
                self.rewrite(parent, base, path, entry, tar)?;
                return Ok(changed);
            } else {
                parent.remove_unless_mounted(base).map_err(fail)?;
            }
            changed = Changed::Replaced;
        }
        match &entry.kind {
            EntryKind::Directory => {
                parent.make_dir(base, 0o700).map_err(fail)?;
                if was_whiteout && self.options.whiteouts == Whiteouts::Overlay {
                    // The whiteout hid a directory below; its files must not show up again.
                    whiteout::make_opaque(parent, base).map_err(fail)?;
                }
                self.make_directory(parent, base, path, entry)?;
                return Ok(changed);
            }
            EntryKind::File { .. } => self.make_file(parent, base, path, entry, tar)?,
            EntryKind::HardLink => {
                self.make_hard_link(parent, base, path, entry)?;
                return Ok(changed);
            }
            EntryKind::Symlink => {
                let target = name::os(&entry.link);
                parent.symlink(base, target).map_err(fail)?;
                self.set_attributes(parent, base, entry).map_err(fail)?;
            }
            EntryKind::CharacterDevice => {
                self.make_node(parent, base, path, entry, NodeKind::CharacterDevice)?;
            }
            EntryKind::BlockDevice => {
                self.make_node(parent, base, path, entry, NodeKind::BlockDevice)?;
            }
            EntryKind::Fifo => self.make_node(parent, base, path, entry, NodeKind::Fifo)?,
            EntryKind::Unknown(letter) => {
                return Err(UnpackError::UnknownKind {
                    path: path.to_owned(),
                    letter: char::from(*letter),
                });
            }
        }
        Ok(changed)
    }

    fn make_directory(
        &mut self,
        parent: &Directory,
        base: &OsStr,
        path: &Path,
        entry: &Entry,
    ) -> Result<Changed, UnpackError> {
        let fail = |source| UnpackError::entry(path, source);
        let directory = parent.open_dir(base).map_err(fail)?;
        // Mode, owner and time of the kernel's own folders are the machine's, for all its containers.
        if self.options.live.is_some() && directory.is_kernels().map_err(fail)? {
            return Ok(Changed::Added);
        }
        let (uid, gid) = self.owner(entry);
        directory.set_own(entry.mode, uid, gid).map_err(fail)?;
        attributes::set_own_xattrs(&directory, &entry.xattrs).map_err(fail)?;
        self.directories.insert(path.to_owned(), entry.modified);
        Ok(Changed::Added)
    }

    fn make_file<R: BufRead>(
        &mut self,
        parent: &Directory,
        base: &OsStr,
        path: &Path,
        entry: &Entry,
        tar: &mut TarReader<R>,
    ) -> Result<(), UnpackError> {
        let fail = |source| UnpackError::entry(path, source);
        let mut file = parent.create_file(base, 0o600).map_err(fail)?;
        if let Err(error) = self.fill(&mut file, path, entry, tar) {
            // Half of a file would be taken for all of it, and might fill a disk.
            data::take_back(parent, base, &file);
            return Err(error);
        }
        let (uid, gid) = self.owner(entry);
        attributes::set_on_file(&file, entry, uid, gid).map_err(fail)?;
        if !entry.xattrs.is_empty() {
            attributes::set_xattrs(parent, base, &entry.xattrs).map_err(fail)?;
            // Setting an attribute leaves the time alone on the filesystems that matter.
        }
        Ok(())
    }

    /// Writes into a file that cannot be replaced, since something is mounted on its name.
    fn rewrite<R: BufRead>(
        &mut self,
        parent: &Directory,
        base: &OsStr,
        path: &Path,
        entry: &Entry,
        tar: &mut TarReader<R>,
    ) -> Result<(), UnpackError> {
        let fail = |source| UnpackError::entry(path, source);
        if !matches!(entry.kind, EntryKind::File { .. }) {
            return Err(fail(Errno::EBUSY.into()));
        }
        let mut file = parent.rewrite_file(base).map_err(fail)?;
        self.fill(&mut file, path, entry, tar)?;
        let (uid, gid) = self.owner(entry);
        attributes::set_on_file(&file, entry, uid, gid).map_err(fail)
    }

    fn fill<R: BufRead>(
        &mut self,
        file: &mut File,
        path: &Path,
        entry: &Entry,
        tar: &mut TarReader<R>,
    ) -> Result<(), UnpackError> {
        self.done.size = self.done.size.saturating_add(entry.size);
        data::write(file, entry, tar).map_err(|error| match error {
            TarError::Write(source) => UnpackError::entry(path, source),
            error => error.into(),
        })
    }

    /// Refuses to replace a directory by something else, or the other way round, where that is asked.
    fn check_kinds(
        &self,
        is_directory: bool,
        entry: &Entry,
        path: &Path,
    ) -> Result<(), UnpackError> {
        let Some(live) = self.options.live.as_ref().filter(|live| live.keep_kinds) else {
            return Ok(());
        };
        let (path, below) = (path.to_owned(), live.below.clone());
        match (is_directory, entry.kind == EntryKind::Directory) {
            (true, false) => Err(UnpackError::OverDirectory { path, below }),
            (false, true) => Err(UnpackError::OverOther { path, below }),
            _ => Ok(()),
        }
    }

    fn make_hard_link(
        &self,
        parent: &Directory,
        base: &OsStr,
        path: &Path,
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        let target = self.below().join(clean(&entry.link));
        let fail = |source| UnpackError::Link {
            path: path.to_owned(),
            target: target.clone(),
            source,
        };
        let (directory, original) = self.root.open_parent(&target).map_err(fail)?;
        parent.hard_link(base, &directory, &original).map_err(fail)
    }

    fn make_node(
        &self,
        parent: &Directory,
        base: &OsStr,
        path: &Path,
        entry: &Entry,
        kind: NodeKind,
    ) -> Result<(), UnpackError> {
        let fail = |source| UnpackError::entry(path, source);
        match parent.make_node(base, kind, 0o600, entry.device) {
            // Where the machine itself may not make devices, containers could not use them either.
            Err(error)
                if error.raw_os_error() == Some(Errno::EPERM as i32) && kind != NodeKind::Fifo =>
            {
                tracing::warn!(path = %path.display(), "a device node may not be made here");
                return Ok(());
            }
            result => result.map_err(fail)?,
        }
        self.set_attributes(parent, base, entry).map_err(fail)
    }

    fn set_attributes(
        &self,
        parent: &Directory,
        base: &OsStr,
        entry: &Entry,
    ) -> std::io::Result<()> {
        let (uid, gid) = self.owner(entry);
        parent.chown(base, uid, gid)?;
        if entry.kind != EntryKind::Symlink {
            parent.chmod(base, entry.mode)?;
        }
        attributes::set_xattrs(parent, base, &entry.xattrs)?;
        parent.set_modified(base, entry.modified)
    }

    /// Returns the directory to work in, making what is missing as root's.
    fn take_parent(&mut self, path: &Path) -> std::io::Result<Directory> {
        if let Some((cached, directory)) = self.parent.take()
            && cached == path
        {
            return Ok(directory);
        }
        let (uid, gid) = self.options.owner.unwrap_or((0, 0));
        let directory = self
            .root
            .create_dir_all_with(path, 0o755, &mut |made| made.set_own(0o755, uid, gid))?;
        if self.options.live.is_some() && directory.is_kernels()? {
            return Err(std::io::Error::other(KERNELS));
        }
        Ok(directory)
    }

    fn below(&self) -> &Path {
        self.options
            .live
            .as_ref()
            .map_or_else(|| Path::new(""), |live| live.below.as_path())
    }

    fn owner(&self, entry: &Entry) -> (u32, u32) {
        self.options.owner.unwrap_or((entry.uid, entry.gid))
    }

    fn finish(self) -> Result<Unpacked, UnpackError> {
        for (path, modified) in &self.directories {
            match self.root.open_dir(path) {
                Ok(directory) => directory
                    .set_own_modified(*modified)
                    .map_err(|source| UnpackError::entry(path, source))?,
                // A later member replaced it.
                Err(_gone) => {}
            }
        }
        Ok(self.done)
    }
}

/// What is said of a member that would change what `/proc`, `/sys` and their like show.
const KERNELS: &str = "these are no files but the kernel's own";

/// Whether making something removed something else.
enum Changed {
    Added,
    Replaced,
}
