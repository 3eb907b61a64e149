//! Namespaces of a container: new ones, and those of others that it joins.

use std::fs::File;
use std::path::Path;

use nix::sched::{CloneFlags, setns, unshare};
use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Spec};

use crate::failure::{AtStep as _, Failure, step};

/// Which namespaces a specification asks for.
#[derive(Debug)]
pub(crate) struct Namespaces<'a> {
    list: &'a [LinuxNamespace],
}

impl<'a> Namespaces<'a> {
    pub(crate) fn of(spec: &'a Spec) -> Self {
        let list = spec
            .linux()
            .as_ref()
            .and_then(|linux| linux.namespaces().as_deref());
        Self {
            list: list.unwrap_or_default(),
        }
    }

    /// Refuses what this runtime cannot do yet, before anything is made.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        for kind in [LinuxNamespaceType::User, LinuxNamespaceType::Time] {
            if self.find(kind).is_some() {
                let message = format!("{kind} namespaces are not supported");
                return Err(Failure::new(step::NAMESPACES, message));
            }
        }
        match self.find(LinuxNamespaceType::Mount) {
            Some(namespace) if namespace.path().is_none() => Ok(()),
            _ => Err(Failure::new(
                step::NAMESPACES,
                "a container needs a mount namespace of its own",
            )),
        }
    }

    fn find(&self, kind: LinuxNamespaceType) -> Option<&'a LinuxNamespace> {
        self.list.iter().find(|namespace| namespace.typ() == kind)
    }

    /// Returns whether the container has its own processes only, so that they all end with its first.
    pub(crate) fn has_own_pids(&self) -> bool {
        self.find(LinuxNamespaceType::Pid)
            .is_some_and(|namespace| namespace.path().is_none())
    }

    pub(super) fn has_own_hostname(&self) -> bool {
        self.find(LinuxNamespaceType::Uts)
            .is_some_and(|namespace| namespace.path().is_none())
    }

    /// Lets the children of the calling process be born in the container's process id namespace. The first one is its
    /// process 1 if it is new, and further commands in the container need no second fork.
    pub(crate) fn prepare_children(&self) -> Result<(), Failure> {
        match self.find(LinuxNamespaceType::Pid) {
            Some(namespace) => enter(namespace),
            None => Ok(()),
        }
    }

    /// Enters all others, without that of cgroups, which takes the cgroup of its maker as its root.
    pub(super) fn enter(&self) -> Result<(), Failure> {
        let is_later = |kind| matches!(kind, LinuxNamespaceType::Pid | LinuxNamespaceType::Cgroup);
        let now = || {
            self.list
                .iter()
                .filter(|namespace| !is_later(namespace.typ()))
        };
        // Paths mean something only in the old mount namespace.
        for namespace in now().filter(|namespace| namespace.path().is_some()) {
            enter(namespace)?;
        }
        let fresh = now().filter(|namespace| namespace.path().is_none());
        let flags = fresh.fold(CloneFlags::empty(), |flags, namespace| {
            flags | flag(namespace.typ())
        });
        unshare(flags).at(step::NAMESPACES, || "making namespaces")
    }

    pub(super) fn enter_cgroup(&self) -> Result<(), Failure> {
        match self.find(LinuxNamespaceType::Cgroup) {
            Some(namespace) => enter(namespace),
            None => Ok(()),
        }
    }
}

fn enter(namespace: &LinuxNamespace) -> Result<(), Failure> {
    let kind = namespace.typ();
    let Some(path) = namespace.path() else {
        return unshare(flag(kind)).at(step::NAMESPACES, || format!("making {kind} namespace"));
    };
    let open = |path: &Path| File::open(path);
    let file = open(path).at(step::NAMESPACES, || path.display().to_string())?;
    setns(file, flag(kind)).at(step::NAMESPACES, || {
        format!("joining {kind} namespace {}", path.display())
    })
}

/// Returns the namespaces that a further command joins by way of the container's first process.
pub(super) fn all_but_pid() -> CloneFlags {
    CloneFlags::CLONE_NEWNS
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
