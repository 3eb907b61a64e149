//! The mounts of a specification, each made as a descriptor and attached to a place that was found safely.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use berth_agent_sys::mount::{
    FilesystemContext, Propagation, attach, attribute, clone_mount, clone_mount_at, set_attributes,
};
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::statfs::PROC_SUPER_MAGIC;
use nix::unistd::symlinkat;
use oci_spec::runtime::Mount;

use super::copy_up;
use super::root::{Kind, Root, filesystem_of, is_directory, open_host};
use crate::cgroup::VisibleHierarchy;
use crate::failure::{AtStep as _, Failure, step};

const PROCFS: &str = "/proc";

/// Files of procfs that only tell of the machine, and that others show in a container's measure.
const REPLACEABLE: [&str; 8] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "slabinfo",
    "stat",
    "swaps",
    "uptime",
];

/// Options of a mount, sorted by who takes them.
#[derive(Debug, Default, PartialEq)]
struct Options {
    set: u64,
    clear: u64,
    /// The same for the mounts below a bound directory.
    set_below: u64,
    clear_below: u64,
    propagation: Option<(Propagation, bool)>,
    /// A bind mount; with all mounts below it if true.
    bind: Option<bool>,
    /// Whether a new tmpfs begins with what is in its place.
    copy_up: bool,
    /// What the filesystem takes.
    data: Vec<(String, Option<String>)>,
}

impl Options {
    fn parse(words: &[String]) -> Self {
        let mut options = Self::default();
        for word in words {
            options.add(word);
        }
        options
    }

    fn add(&mut self, word: &str) {
        match word {
            "defaults" | "" | "newinstance" => {}
            "tmpcopyup" => self.copy_up = true,
            // Both in any order mean the tree.
            "bind" => self.bind = self.bind.or(Some(false)),
            "rbind" => self.bind = Some(true),
            _ => {
                if let Some(propagation) = propagation(word) {
                    self.propagation = Some(propagation);
                } else if let Some((set, clear)) = attributes(word) {
                    // A later word prevails over an earlier one.
                    self.set = self.set & !clear | set;
                    self.clear = self.clear & !set | clear;
                } else if let Some((set, clear)) = word.strip_prefix('r').and_then(attributes) {
                    self.set_below = self.set_below & !clear | set;
                    self.clear_below = self.clear_below & !set | clear;
                } else {
                    self.data.push(match word.split_once('=') {
                        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                        None => (word.to_owned(), None),
                    });
                }
            }
        }
    }

    /// Returns whether this is a bind mount, and then whether with all mounts below its source.
    fn bind_of(&self, mount: &Mount) -> Option<bool> {
        let by_type = (mount.typ().as_deref() == Some("bind")).then_some(true);
        self.bind.or(by_type)
    }

    /// Bits of the access time are one number to the kernel, and setting it wants all of them cleared.
    fn kernel_attributes(set: u64, clear: u64) -> (u64, u64) {
        let time = (set | clear) & attribute::ATIME_MASK != 0;
        (
            set,
            if time {
                clear & !attribute::ATIME_MASK | attribute::ATIME_MASK
            } else {
                clear
            },
        )
    }
}

pub(super) fn propagation(word: &str) -> Option<(Propagation, bool)> {
    Some(match word {
        "private" => (Propagation::Private, false),
        "rprivate" => (Propagation::Private, true),
        "slave" => (Propagation::Slave, false),
        "rslave" => (Propagation::Slave, true),
        "shared" => (Propagation::Shared, false),
        "rshared" => (Propagation::Shared, true),
        "unbindable" => (Propagation::Unbindable, false),
        "runbindable" => (Propagation::Unbindable, true),
        _ => return None,
    })
}

fn attributes(word: &str) -> Option<(u64, u64)> {
    Some(match word {
        "ro" => (attribute::RDONLY, 0),
        "rw" => (0, attribute::RDONLY),
        "nosuid" => (attribute::NOSUID, 0),
        "suid" => (0, attribute::NOSUID),
        "nodev" => (attribute::NODEV, 0),
        "dev" => (0, attribute::NODEV),
        "noexec" => (attribute::NOEXEC, 0),
        "exec" => (0, attribute::NOEXEC),
        "noatime" => (attribute::NOATIME, 0),
        "strictatime" => (attribute::STRICTATIME, 0),
        "relatime" | "atime" | "nostrictatime" => (0, attribute::ATIME_MASK),
        "nodiratime" => (attribute::NODIRATIME, 0),
        "diratime" => (0, attribute::NODIRATIME),
        "nosymfollow" => (attribute::NOSYMFOLLOW, 0),
        "symfollow" => (0, attribute::NOSYMFOLLOW),
        _ => return None,
    })
}

/// Clones the sources of bind mounts that stay connected with the machine's mounts: to be called while this mount
/// namespace is still a peer of the machine's.
pub(super) fn clone_connected(mounts: &[Mount]) -> Result<Vec<Option<OwnedFd>>, Failure> {
    let clone = |mount: &Mount| {
        let options = Options::parse(mount.options().as_deref().unwrap_or_default());
        let is_connected = matches!(
            options.propagation,
            Some((Propagation::Shared | Propagation::Slave, _))
        );
        match options.bind_of(mount).filter(|_| is_connected) {
            Some(recursive) => open_source(mount)
                .and_then(|(source, what)| {
                    clone_mount_at(&source, recursive).at(step::MOUNTS, || what)
                })
                .map(Some),
            None => Ok(None),
        }
    };
    mounts.iter().map(clone).collect()
}

/// Makes one mount of a specification.
///
/// `connected` is what [`clone_connected`] made of its source. `cgroups` gives the container's groups when they are asked for, and waits until they exist. `processes` is the
/// namespace whose processes procfs shows, if those are not the caller's.
pub(super) fn mount_one(
    root: &Root,
    mount: &Mount,
    connected: Option<OwnedFd>,
    processes: Option<BorrowedFd<'_>>,
    cgroups: &dyn Fn() -> Result<Vec<VisibleHierarchy>, Failure>,
) -> Result<(), Failure> {
    let options = Options::parse(mount.options().as_deref().unwrap_or_default());
    let kind = mount.typ().as_deref().unwrap_or("none");
    match (options.bind_of(mount), kind) {
        (Some(recursive), _) => bind(root, mount, &options, recursive, connected),
        (None, "cgroup" | "cgroup2") => mount_cgroups(root, mount, &options, &cgroups()?),
        (None, _) => mount_filesystem(root, mount, kind, &options, processes),
    }
}

fn name(mount: &Mount) -> String {
    mount.destination().display().to_string()
}

/// Opens the source of a bind mount; returns also what to call the mount.
fn open_source(mount: &Mount) -> Result<(OwnedFd, String), Failure> {
    let Some(source) = mount
        .source()
        .as_ref()
        .filter(|source| source.is_absolute())
    else {
        return Err(Failure::new(
            step::MOUNTS,
            format!("{}: a bind mount needs an absolute source", name(mount)),
        ));
    };
    let what = format!("{} at {}", source.display(), name(mount));
    let opened = open_host(source).at(step::MOUNTS, || &what)?;
    Ok((opened, what))
}

fn bind(
    root: &Root,
    mount: &Mount,
    options: &Options,
    recursive: bool,
    connected: Option<OwnedFd>,
) -> Result<(), Failure> {
    let (tree, what) = match connected {
        Some(tree) => (tree, name(mount)),
        None => {
            let (opened, what) = open_source(mount)?;
            let tree = clone_mount_at(&opened, recursive).at(step::MOUNTS, || &what)?;
            // A mount that shows other mounts of the machine must not pass ours back to them.
            set_attributes(tree.as_fd(), 0, 0, Some(Propagation::Private), recursive)
                .at(step::MOUNTS, || &what)?;
            (tree, what)
        }
    };
    let kind = if is_directory(&tree).at(step::MOUNTS, || &what)? {
        Kind::Directory
    } else {
        Kind::File
    };
    restrict(&tree, options, recursive).at(step::MOUNTS, || &what)?;
    let target = root
        .ensure(mount.destination(), kind)
        .at(step::MOUNTS, || &what)?;
    // A procfs of another's choice is one all the same.
    let brings_procfs = mount.destination() == Path::new(PROCFS)
        && filesystem_of(&tree).at(step::MOUNTS, || &what)? == PROC_SUPER_MAGIC;
    if !brings_procfs {
        refuse_procfs(&target, mount.destination())?;
    }
    attach(&tree, &target).at(step::MOUNTS, || &what)
}

/// Refuses a place that is a file of procfs, to which a link of the image may lead: what the runtime, or others of the
/// container, believe to tell the kernel there would go to a file that the image has chosen (CVE-2019-16884,
/// CVE-2019-19921). Some may be replaced by who asks for it by name.
fn refuse_procfs(target: &OwnedFd, destination: &Path) -> Result<(), Failure> {
    let what = || destination.display().to_string();
    let is_allowed = REPLACEABLE
        .iter()
        .any(|name| destination == Path::new(PROCFS).join(name));
    let kind = filesystem_of(target).at(step::MOUNTS, what)?;
    if is_allowed || kind != PROC_SUPER_MAGIC {
        return Ok(());
    }
    let message = format!("{}: cannot be mounted because it is inside /proc", what());
    Err(Failure::new(step::MOUNTS, message))
}

fn restrict(tree: &OwnedFd, options: &Options, recursive: bool) -> io::Result<()> {
    let (set, clear) = Options::kernel_attributes(options.set_below, options.clear_below);
    if set | clear != 0 {
        set_attributes(tree.as_fd(), set, clear, None, true)?;
    }
    let (set, clear) = Options::kernel_attributes(options.set, options.clear);
    if set | clear != 0 {
        set_attributes(tree.as_fd(), set, clear, None, false)?;
    }
    match options.propagation {
        // What is below must not pass mounts to the machine either.
        Some((Propagation::Slave, _)) => {
            set_attributes(tree.as_fd(), 0, 0, Some(Propagation::Slave), recursive)
        }
        Some((propagation, below)) => {
            set_attributes(tree.as_fd(), 0, 0, Some(propagation), below && recursive)
        }
        None => Ok(()),
    }
}

fn mount_filesystem(
    root: &Root,
    mount: &Mount,
    kind: &str,
    options: &Options,
    processes: Option<BorrowedFd<'_>>,
) -> Result<(), Failure> {
    let what = || format!("{kind} at {}", name(mount));
    let target = place(root, mount.destination(), kind)?;
    let context = FilesystemContext::open(kind).at(step::MOUNTS, what)?;
    let explain = |e: io::Error| {
        let said = context.messages();
        let what = if said.is_empty() {
            what()
        } else {
            format!("{} ({said})", what())
        };
        Failure::from_io(step::MOUNTS, what, &e)
    };
    if let Some(source) = mount.source() {
        let source = CString::new(source.as_os_str().as_bytes()).at(step::MOUNTS, what)?;
        context.set("source", &source).map_err(explain)?;
    }
    for (key, value) in &options.data {
        let set = match value {
            Some(value) => CString::new(value.as_str())
                .map_err(io::Error::from)
                .and_then(|v| context.set(key, &v)),
            None => context.set_flag(key),
        };
        set.map_err(explain)?;
    }
    if let (Some(namespace), "proc") = (processes, kind) {
        context.set_file("pidns", namespace).map_err(|e| {
            Failure::from_io(
                step::MOUNTS,
                format!("{}: sharing processes needs Linux 6.17", what()),
                &e,
            )
        })?;
    }
    if !options.copy_up || kind != "tmpfs" {
        let made = context.mount(options.set).map_err(explain)?;
        return attach(&made, &target).at(step::MOUNTS, what);
    }
    let made = context
        .mount(options.set & !attribute::RDONLY)
        .map_err(explain)?;
    copy_up::copy(&target, &made).at(step::MOUNTS, || format!("copying to {}", what()))?;
    set_attributes(made.as_fd(), options.set, 0, None, false).at(step::MOUNTS, what)?;
    attach(&made, &target).at(step::MOUNTS, what)
}

/// Finds or makes the place of a filesystem. Those that tell about processes and the kernel go to real directories
/// only: the image must not choose where they appear by a link.
fn place(root: &Root, destination: &Path, kind: &str) -> Result<OwnedFd, Failure> {
    let what = || destination.display().to_string();
    let target = root
        .ensure(destination, Kind::Directory)
        .at(step::MOUNTS, what)?;
    if matches!(kind, "proc" | "sysfs") {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        return root
            .find(destination, flags, ResolveFlag::RESOLVE_NO_SYMLINKS)
            .at(step::MOUNTS, what);
    }
    refuse_procfs(&target, destination)?;
    Ok(target)
}

/// Shows the container its own groups: each hierarchy of version 1 in a directory of its own, or that of version 2.
fn mount_cgroups(
    root: &Root,
    mount: &Mount,
    options: &Options,
    hierarchies: &[VisibleHierarchy],
) -> Result<(), Failure> {
    let what = || format!("cgroups at {}", name(mount));
    if let [VisibleHierarchy { name, directory }] = hierarchies
        && name.is_empty()
    {
        return bind_group(root, directory, mount.destination(), options);
    }
    let target = root
        .ensure(mount.destination(), Kind::Directory)
        .at(step::MOUNTS, what)?;
    let context = FilesystemContext::open("tmpfs").at(step::MOUNTS, what)?;
    context.set("mode", c"755").at(step::MOUNTS, what)?;
    let writable = options.set & !attribute::RDONLY;
    let made = context.mount(writable).at(step::MOUNTS, what)?;
    attach(&made, &target).at(step::MOUNTS, what)?;
    for VisibleHierarchy { name, directory } in hierarchies {
        bind_group(root, directory, &mount.destination().join(name), options)?;
        for alias in name.split(',').filter(|alias| alias != name) {
            // Programs look for each controller under its own name.
            let _exists = symlinkat(name.as_str(), &made, alias);
        }
    }
    set_attributes(made.as_fd(), options.set, 0, None, false).at(step::MOUNTS, what)
}

fn bind_group(
    root: &Root,
    directory: &Path,
    destination: &Path,
    options: &Options,
) -> Result<(), Failure> {
    let what = || {
        format!(
            "cgroup {} at {}",
            directory.display(),
            destination.display()
        )
    };
    let tree = clone_mount(directory, false).at(step::MOUNTS, what)?;
    let private = Some(Propagation::Private);
    set_attributes(tree.as_fd(), options.set, 0, private, false).at(step::MOUNTS, what)?;
    let target = root
        .ensure(destination, Kind::Directory)
        .at(step::MOUNTS, what)?;
    attach(&tree, &target).at(step::MOUNTS, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Options {
        Options::parse(&words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_go_to_the_mount_or_to_the_filesystem() {
        let options = parse(&["nosuid", "noexec", "mode=755", "size=64k", "inode64"]);
        assert_eq!(options.set, attribute::NOSUID | attribute::NOEXEC);
        let data = [
            ("mode", Some("755")),
            ("size", Some("64k")),
            ("inode64", None),
        ];
        let data = data.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        assert_eq!(options.data, data);
    }

    #[test]
    fn a_later_word_prevails() {
        let options = parse(&["ro", "rw"]);
        assert_eq!((options.set, options.clear), (0, attribute::RDONLY));
    }

    #[test]
    fn recursive_words_are_told_from_those_that_begin_with_the_letter() {
        let options = parse(&["rro", "relatime", "rslave", "rbind"]);
        assert_eq!(options.set_below, attribute::RDONLY);
        assert_eq!(options.clear, attribute::ATIME_MASK);
        assert_eq!(options.propagation, Some((Propagation::Slave, true)));
        assert_eq!(options.bind, Some(true));
    }
}
