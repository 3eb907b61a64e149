//! Namespaces of a container: new ones, and those of others that it joins.

use std::fs::{self, File};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;

use berth_agent_sys::namespace;
use nix::sched::{CloneFlags, setns, unshare};
use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Spec};

use crate::failure::{AtStep as _, Failure, step};

/// A namespace that a specification asks for.
#[derive(Debug)]
struct Namespace {
    kind: LinuxNamespaceType,
    /// That of others, with its path for people; a new one otherwise.
    joined: Option<(File, String)>,
    /// It is joined, and is the machine's own.
    is_machines: bool,
}

/// The namespaces that a specification asks for. Those of others are open from before anything of the container exists:
/// their paths are looked up once, in the machine's own view.
#[derive(Debug)]
pub(crate) struct Namespaces {
    list: Vec<Namespace>,
}

impl Namespaces {
    /// Opens the namespaces that have a path; refuses what this runtime cannot do, before anything is made.
    pub(crate) fn open(spec: &Spec) -> Result<Self, Failure> {
        let linux = spec.linux().as_ref();
        let asked = linux.and_then(|linux| linux.namespaces().as_deref());
        let mut list: Vec<Namespace> = Vec::new();
        for namespace in asked.unwrap_or_default() {
            let kind = namespace.typ();
            if list.iter().any(|other| other.kind == kind) {
                return refuse(format!("{kind} namespace is asked for twice"));
            }
            let joined = open(namespace)?;
            let is_machines = match &joined {
                Some((file, _)) => is_own(file, kind)?,
                None => false,
            };
            list.push(Namespace {
                kind,
                joined,
                is_machines,
            });
        }
        let namespaces = Self { list };
        for kind in [LinuxNamespaceType::User, LinuxNamespaceType::Time] {
            if namespaces.find(kind).is_some() {
                return refuse(format!("{kind} namespaces are not supported"));
            }
        }
        match namespaces.find(LinuxNamespaceType::Mount) {
            Some(Namespace { joined: None, .. }) => Ok(namespaces),
            _ => refuse("a container needs a mount namespace of its own".to_owned()),
        }
    }

    fn find(&self, kind: LinuxNamespaceType) -> Option<&Namespace> {
        self.list.iter().find(|namespace| namespace.kind == kind)
    }

    /// Returns whether the container has another namespace than the machine's, its own or one that it joins.
    pub(super) fn has(&self, kind: LinuxNamespaceType) -> bool {
        self.find(kind)
            .is_some_and(|namespace| !namespace.is_machines)
    }

    fn has_own(&self, kind: LinuxNamespaceType) -> bool {
        self.find(kind)
            .is_some_and(|namespace| namespace.joined.is_none())
    }

    /// Returns the descriptors of the namespaces that are joined.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let joined = self.list.iter().filter_map(|n| n.joined.as_ref());
        joined.map(|(file, _)| file.as_fd())
    }

    /// Returns whether the container has its own processes only, so that they all end with its first.
    pub(crate) fn has_own_pids(&self) -> bool {
        self.has_own(LinuxNamespaceType::Pid)
    }

    pub(super) fn has_own_hostname(&self) -> bool {
        self.has_own(LinuxNamespaceType::Uts)
    }

    /// Returns the process id namespace of another container that this one shares; the processes there must not see how
    /// this container is made.
    pub(super) fn shared_pids(&self) -> Option<BorrowedFd<'_>> {
        let namespace = self.find(LinuxNamespaceType::Pid)?;
        namespace.joined.as_ref().map(|(file, _)| file.as_fd())
    }

    /// Runs `fork` so that its child is process 1 of the container's process id namespace if that is new. Later
    /// children of this process are born outside of it, where nobody in the container sees them.
    pub(crate) fn with_first_child<T>(
        &self,
        fork: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if !self.has_own_pids() {
            return fork();
        }
        let what = || "/proc/self/ns/pid";
        let own = File::open(what()).at(step::NAMESPACES, what)?;
        unshare(CloneFlags::CLONE_NEWPID).at(step::NAMESPACES, || "making pid namespace")?;
        let forked = fork();
        setns(own, CloneFlags::CLONE_NEWPID).at(step::NAMESPACES, what)?;
        forked
    }

    /// Enters all others, without that of cgroups, which takes the cgroup of its maker as its root. Processes that the
    /// caller forks afterwards are in that of processes, if it is another container's.
    pub(super) fn enter(&self) -> Result<(), Failure> {
        let mut fresh = CloneFlags::empty();
        for namespace in &self.list {
            match namespace.kind {
                LinuxNamespaceType::Cgroup => {}
                kind if namespace.joined.is_none() => fresh |= flag(kind),
                _ => namespace.join()?,
            }
        }
        fresh.remove(CloneFlags::CLONE_NEWPID);
        unshare(fresh).at(step::NAMESPACES, || "making namespaces")
    }

    pub(super) fn enter_cgroup(&self) -> Result<(), Failure> {
        match self.find(LinuxNamespaceType::Cgroup) {
            Some(namespace) if namespace.joined.is_some() => namespace.join(),
            Some(_) => unshare(CloneFlags::CLONE_NEWCGROUP)
                .at(step::NAMESPACES, || "making cgroup namespace"),
            None => Ok(()),
        }
    }
}

impl Namespace {
    fn join(&self) -> Result<(), Failure> {
        let Some((file, path)) = &self.joined else {
            return Ok(());
        };
        let kind = self.kind;
        setns(file, flag(kind)).at(step::NAMESPACES, || {
            format!("joining {kind} namespace {path}")
        })
    }
}

fn refuse<T>(message: String) -> Result<T, Failure> {
    Err(Failure::new(step::NAMESPACES, message))
}

/// Opens a namespace by its path, and makes sure that it is one of its kind.
fn open(namespace: &LinuxNamespace) -> Result<Option<(File, String)>, Failure> {
    let Some(path) = namespace
        .path()
        .as_ref()
        .filter(|path| !path.as_os_str().is_empty())
    else {
        return Ok(None);
    };
    let (kind, name) = (namespace.typ(), path.display().to_string());
    let file = File::open(path).at(step::NAMESPACES, || &name)?;
    match namespace::kind(&file) {
        Ok(found) if found == flag(kind).bits() => Ok(Some((file, name))),
        _ => refuse(format!("{name} is no {kind} namespace")),
    }
}

/// Returns whether a namespace is the one of this process, which is the machine's as long as nothing was entered.
fn is_own(file: &File, kind: LinuxNamespaceType) -> Result<bool, Failure> {
    let name = match kind {
        LinuxNamespaceType::Mount => "mnt",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Network => "net",
        LinuxNamespaceType::Time => "time",
    };
    let path = format!("/proc/self/ns/{name}");
    let what = || &path;
    let own = fs::metadata(&path).at(step::NAMESPACES, what)?;
    let other = file.metadata().at(step::NAMESPACES, what)?;
    Ok((own.dev(), own.ino()) == (other.dev(), other.ino()))
}

/// Returns the namespaces that a further command joins by way of the container's first process; into that of processes
/// only those come that are forked afterwards.
pub(super) fn of_container() -> CloneFlags {
    CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWCGROUP
}

fn flag(kind: LinuxNamespaceType) -> CloneFlags {
    match kind {
        LinuxNamespaceType::Mount => CloneFlags::CLONE_NEWNS,
        LinuxNamespaceType::Cgroup => CloneFlags::CLONE_NEWCGROUP,
        LinuxNamespaceType::Uts => CloneFlags::CLONE_NEWUTS,
        LinuxNamespaceType::Ipc => CloneFlags::CLONE_NEWIPC,
        LinuxNamespaceType::User => CloneFlags::CLONE_NEWUSER,
        LinuxNamespaceType::Pid => CloneFlags::CLONE_NEWPID,
        LinuxNamespaceType::Network => CloneFlags::CLONE_NEWNET,
        // The crate has no name for it; it is refused before.
        LinuxNamespaceType::Time => CloneFlags::empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn opened(list: &serde_json::Value) -> Result<Namespaces, Failure> {
        let spec =
            json!({"ociVersion": "1.0.2", "root": {"path": "x"}, "linux": {"namespaces": list}});
        Namespaces::open(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn a_namespace_of_another_kind_is_refused_before_anything_is_made() {
        let own = opened(&json!([{"type": "mount"}, {"type": "ipc", "path": "/proc/self/ns/ipc"}]));
        let own = own.unwrap();
        assert_eq!(own.fds().count(), 1);
        // It is the machine's, whatever the specification calls it: its parameters are not the container's.
        assert!(!own.has(LinuxNamespaceType::Ipc));
        let new = opened(&json!([{"type": "mount"}, {"type": "ipc"}])).unwrap();
        assert!(new.has(LinuxNamespaceType::Ipc));
        let mixed = [
            json!([{"type": "mount"}, {"type": "ipc", "path": "/proc/self/ns/net"}]),
            json!([{"type": "mount"}, {"type": "ipc", "path": "/dev/null"}]),
            json!([{"type": "mount"}, {"type": "mount"}]),
            json!([{"type": "mount", "path": "/proc/self/ns/mnt"}]),
            json!([{"type": "ipc"}]),
        ];
        for list in mixed {
            assert_eq!(opened(&list).unwrap_err().step, step::NAMESPACES, "{list}");
        }
    }
}
