//! What a forked process does inside a container's namespaces until it executes the container's command.
//!
//! The order matters: everything that needs paths of the machine comes before the change of root, everything that
//! needs privileges before the change of user.

mod copy_up;
mod devices;
mod exec;
mod executable;
mod first;
pub(crate) mod gate;
mod labels;
mod mounts;
mod namespaces;
mod process;
mod rights;
mod root;
mod shield;
mod sync;
mod terminal;

use std::cell::Cell;
use std::convert::Infallible;
use std::os::fd::AsFd as _;
use std::path::Path;

use berth_agent_sys::mount::{attribute, set_attributes};
use berth_agent_sys::process::Copied;
use nix::unistd::sethostname;
use oci_spec::runtime::{LinuxPersonalityDomain, Process, Spec};

pub(crate) use self::exec::{Joining, run_exec};
pub(crate) use self::namespaces::Namespaces;
pub(crate) use self::process::{Created, Stdio, resource};
pub(crate) use self::root::mount_root;
pub(crate) use self::sync::{ChildEnd, ParentEnd, ToParent, channel};
use crate::cgroup::Cgroup;
use crate::failure::{AtStep as _, Failure, step};
use crate::protocol::StartMessage;

/// The making of a container's first process.
#[derive(Debug)]
pub(crate) struct Init<'a> {
    pub(crate) message: &'a StartMessage,
    pub(crate) process: &'a Process,
    pub(crate) seccomp: &'a [u8],
    pub(crate) cgroup: &'a Cgroup,
    /// None when the container gets a terminal.
    pub(crate) stdio: Option<&'a Stdio>,
    pub(crate) sync: &'a ChildEnd,
    pub(crate) namespaces: &'a Namespaces,
    /// What differs for a container that is created first and started later.
    pub(crate) created: Option<&'a Created<'a>>,
}

/// Becomes the first process of a container, or makes it if others are in its process id namespace already; to be called
/// in a forked process. Returns its exit code if that failed.
pub(crate) fn run_init(init: &Init<'_>, copied: Copied) -> i32 {
    process::report(init.sync, init.created, start(init, copied));
    1
}

fn start(init: &Init<'_>, copied: Copied) -> Result<Infallible, Failure> {
    let Init {
        message,
        process,
        seccomp,
        cgroup,
        stdio,
        sync,
        namespaces,
        created,
    } = *init;
    let spec = &message.spec;
    // The umask of the agent must not change the modes of what is made here.
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    process::set_oom_score(process, sync)?;
    sync.reached(step::NAMESPACES);
    let shared_pids = namespaces.shared_pids();
    namespaces.enter()?;
    sync.reached(step::ROOT);
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    let connected = mounts::clone_connected(mounts)?;
    let place = mount_root(&message.rootfs, &message.run_dir)?;
    let root = root::Root::open(&place).at(step::ROOT, || place.display().to_string())?;

    let is_joined = Cell::new(false);
    let join = || {
        if !is_joined.replace(true) {
            sync.wait_for_word(step::CGROUP)?;
            namespaces.enter_cgroup()?;
        }
        Ok(())
    };
    let cgroups = || join().map(|()| cgroup.visible());
    for (mount, connected) in mounts.iter().zip(connected) {
        sync.reached(step::MOUNTS);
        mounts::mount_one(&root, mount, connected, shared_pids, &cgroups)?;
    }
    sync.reached(step::DEVICES);
    devices::make(&root, spec)?;
    let terminal;
    let stdio = match stdio {
        Some(stdio) => stdio,
        None => {
            let peer = terminal::open(&root, message.terminal_size, sync)?;
            terminal::show_as_console(&root, &peer)?;
            terminal = Stdio::Terminal(peer);
            &terminal
        }
    };
    shield::set_parameters(spec, namespaces)?;
    join()?;
    make_directory(&root, process.cwd())?;
    if spec
        .root()
        .as_ref()
        .is_some_and(|root| root.readonly() == Some(true))
    {
        set_attributes(root.fd().as_fd(), attribute::RDONLY, 0, None, false)
            .at(step::ROOT, || "making it read-only")?;
    }
    sync.reached(step::SHIELD);
    shield::raise(&root, spec)?;
    if let Some(created) = created {
        created.run_creation_hooks(sync)?;
    }
    sync.reached(step::PIVOT);
    if created.is_some_and(|created| created.no_pivot) {
        root.move_to_top()?;
    } else {
        root.pivot()?;
    }
    share_root(spec)?;
    set_personality(spec)?;
    name_host(spec, namespaces)?;
    let birth = process::Birth {
        process,
        program: seccomp,
        stdio,
        sync,
        has_init: message.init,
        created,
    };
    if shared_pids.is_some() {
        process::beget_command(copied, birth)
    } else {
        process::become_command(copied, birth)
    }
}

/// Makes the working directory while the root is still writable.
fn make_directory(root: &root::Root, path: &Path) -> Result<(), Failure> {
    let what = || path.display().to_string();
    match root.ensure(path, root::Kind::Directory) {
        // Entering it tells better why it cannot be used.
        Err(nix::errno::Errno::ENOTDIR | nix::errno::Errno::ELOOP | nix::errno::Errno::EROFS) => {
            Ok(())
        }
        other => other.map(drop).at(step::DIRECTORY, what),
    }
}

/// Connects the container's root with its peers as the specification wants it; it is private otherwise.
fn share_root(spec: &Spec) -> Result<(), Failure> {
    let word = spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.rootfs_propagation().as_deref());
    let what = || "propagation of the root";
    // What is mounted below has a word of its own each.
    let (propagation, _) = match word.filter(|word| !word.is_empty()) {
        // As it was mounted.
        None | Some("private" | "rprivate") => return Ok(()),
        Some(word) => mounts::propagation(word)
            .ok_or_else(|| Failure::new(step::ROOT, format!("rootfsPropagation {word} is none")))?,
    };
    let root = root::Root::open(Path::new("/")).at(step::ROOT, what)?;
    set_attributes(root.fd(), 0, 0, Some(propagation), false).at(step::ROOT, what)
}

fn set_personality(spec: &Spec) -> Result<(), Failure> {
    let linux = spec.linux().as_ref();
    let Some(personality) = linux.and_then(|linux| linux.personality().as_ref()) else {
        return Ok(());
    };
    let persona = match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    };
    berth_agent_sys::process::set_personality(persona).at(step::EXECUTE, || "personality")
}

fn name_host(spec: &Spec, namespaces: &Namespaces) -> Result<(), Failure> {
    if !namespaces.has_own_hostname() {
        return Ok(());
    }
    if let Some(name) = spec.hostname() {
        sethostname(name).at(step::HOSTNAME, || name)?;
    }
    if let Some(name) = spec.domainname() {
        berth_agent_sys::process::set_domain_name(name).at(step::HOSTNAME, || name)?;
    }
    Ok(())
}
