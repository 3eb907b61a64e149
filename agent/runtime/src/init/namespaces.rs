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

    /// Opens the process id namespace of another container that this one shares; the processes there must not see how
    /// this container is made.
    pub(super) fn open_shared_pids(&self) -> Result<Option<File>, Failure> {
        let namespace = self.find(LinuxNamespaceType::Pid);
        let Some(path) = namespace.and_then(|namespace| namespace.path().as_ref()) else {
            return Ok(None);
        };
        let file = File::open(path).at(step::NAMESPACES, || path.display().to_string())?;
        Ok(Some(file))
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
        let is_made = |namespace: &LinuxNamespace| {
            namespace.typ() == LinuxNamespaceType::Pid && namespace.path().is_none()
        };
        let now = || {
            self.list
                .iter()
                .filter(|namespace| namespace.typ() != LinuxNamespaceType::Cgroup)
                .filter(|namespace| !is_made(namespace))
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
