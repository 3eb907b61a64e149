//! Turns the record of a container and what was made for its start into what the runtime is told.

use std::fs;
use std::io;
use std::net::IpAddr;

use berth_agent_network::Attachment;
use berth_agent_runtime::{Rootfs, StartRequest};
use berth_agent_snapshots::{LayerId, Prepared};

use crate::Engine;
use crate::container::Container;
use crate::container::record::ContainerRecord;
use crate::create::mount::Tmpfs;
use crate::create::rootfs::{UserLookupError, UserQuery};
use crate::create::user::ResolvedUser;
use crate::spec::{
    self, DeviceRequest, FileMounts, NetworkNamespace, ProcessInput, SecurityOptions, SpecInput,
};
use crate::start::error::StartError;
use crate::start::neighbours::Shared;
use crate::start::network_files::{self, FilesInput};
use crate::start::user_mounts::user_mounts;
use crate::start::{links, lock};
use crate::streams::log_driver;

/// What was made for a start.
pub(super) struct Parts {
    pub(super) prepared: Prepared,
    /// Nothing when the network is another container's.
    pub(super) attachment: Option<Attachment>,
    pub(super) shared: Shared,
}

impl Engine {
    pub(super) fn start_request(
        &self,
        container: &Container,
        record: &ContainerRecord,
        parts: Parts,
    ) -> Result<StartRequest, StartError> {
        let Parts {
            prepared,
            attachment,
            shared,
        } = parts;
        let bundle_dir = self.paths.container(&record.id);
        // A former run's end must not be taken for this one's.
        match fs::remove_file(bundle_dir.join("exit.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StartError::Files(error));
            }
            _ => {}
        }
        let linked = self.linked(record)?;
        let linked_env = links::variables(&record.name, &linked);
        let files = self.files(container, record, attachment.as_ref(), &shared, &linked)?;
        let security = SecurityOptions::new(&record.host)?;
        let mut devices = Vec::new();
        for text in &record.host.devices {
            devices.extend(DeviceRequest::look_up(text)?);
        }
        let folder = self.paths.host_mounts(record.id.as_str());
        self.volumes_for_start(record, &prepared)?;
        let mounts = user_mounts(record, &folder)?;
        // Checked when the container was created.
        let tmpfs: Vec<Tmpfs> = record
            .host
            .tmpfs
            .iter()
            .filter_map(|text| Tmpfs::parse(text).ok())
            .collect();
        let hostname = &record.config.hostname;
        let input = SpecInput {
            id: record.id.as_str(),
            process: ProcessInput {
                argv: record.argv(),
                env: &record.config.env,
                linked_env: &linked_env,
                working_dir: &record.config.working_dir,
                user: self.user_of(record, &prepared)?,
                hostname,
                tty: record.config.tty,
            },
            hostname: hostname.clone(),
            domainname: &record.config.domainname,
            host: &record.host,
            security: &security,
            devices: &devices,
            network: network(attachment.as_ref(), &shared),
            files: Some(files),
            mounts: &mounts,
            tmpfs: &tmpfs,
            unified_cgroups: self.unified_cgroups,
            has_cgroup_namespaces: self.kernel.cgroup_namespaces,
            neighbours: shared.pids,
            shared_memory: shared.memory,
        };
        let mut spec = spec::build(&input)?;
        if let Some(process) = spec.process_mut() {
            let asked = &record.host.resources.ulimits;
            self.config.defaults.limit(process, asked)?;
        }
        let external_runtime = self.external_runtime(&record.host);
        let external_runtime = external_runtime.map_err(StartError::Runtime)?;
        if external_runtime.is_some() {
            security.describe_filter(&mut spec)?;
        }
        Ok(StartRequest {
            id: record.id.as_str().to_owned(),
            run_dir: self.paths.container_run(record.id.as_str()),
            bundle_dir,
            spec,
            rootfs: self.rootfs(prepared),
            terminal_size: container.terminal_size(),
            open_stdin: record.config.open_stdin,
            stdin_once: record.config.stdin_once,
            seccomp: security.seccomp.clone(),
            external_runtime,
            ephemeral: record.host.auto_remove,
            log: log_driver::policy(&record.host.log)?,
            init: record.host.init.unwrap_or(false),
            neighbours: shared.running,
        })
    }

    /// Writes the network files, or finds those of the container whose network this one shares.
    fn files(
        &self,
        container: &Container,
        record: &ContainerRecord,
        attachment: Option<&Attachment>,
        shared: &Shared,
        linked: &[links::Linked],
    ) -> Result<FileMounts, StartError> {
        let folder = self.paths.container(&record.id);
        let (Some(network), None) = (attachment, &shared.network) else {
            let other = shared
                .network
                .as_ref()
                .map_or(&folder, |other| &other.folder);
            return Ok(network_files::paths(other));
        };
        let interface = network.interface.as_ref();
        // Docker's word for the machine is its address on the default network.
        let gateway = self
            .network
            .gateway()
            .or_else(|| interface.map(|interface| interface.gateway));
        let input = FilesInput {
            hostname: &record.config.hostname,
            domainname: &record.config.domainname,
            host: &record.host,
            network,
            linked,
            gateway: gateway.map(IpAddr::from),
        };
        let _one_at_a_time = lock(&container.network_files);
        network_files::write(&folder, &input).map_err(StartError::Files)
    }

    /// Returns the root filesystem with the places for mounts below everything.
    pub(crate) fn rootfs(&self, prepared: Prepared) -> Rootfs {
        let mut lower = prepared.lower;
        lower.push(self.paths.mount_points());
        Rootfs::Overlay {
            lower,
            upper: prepared.upper,
            work: prepared.work,
        }
    }

    fn user_of(
        &self,
        record: &ContainerRecord,
        prepared: &Prepared,
    ) -> Result<ResolvedUser, UserLookupError> {
        let query = UserQuery {
            user: record.config.user.clone(),
            groups: record.host.group_add.clone(),
        };
        let snapshots = self.snapshots.as_ref();
        // Also what was copied into it before its first start counts.
        let is_fresh = record.status.started_at.is_none() && !prepared.upper.join("etc").exists();
        if is_fresh {
            let layers: Vec<LayerId> = record
                .layers
                .iter()
                .filter_map(|layer| layer.parse().ok())
                .collect();
            return self.users.in_layers(snapshots, &layers, &query);
        }
        // What a former run wrote counts.
        let mounted =
            snapshots
                .mount_temporarily(prepared)
                .map_err(|source| UserLookupError::Snapshot {
                    user: query.user.clone(),
                    source,
                })?;
        Ok(crate::create::rootfs::in_root(mounted.root(), &query)?)
    }
}

fn network(attachment: Option<&Attachment>, shared: &Shared) -> NetworkNamespace {
    let own = attachment.and_then(|attachment| attachment.netns.clone());
    let others = shared.network.as_ref().and_then(|network| network.pid);
    match (own, others) {
        (Some(path), _) => NetworkNamespace::Path(path),
        (None, Some(pid)) => NetworkNamespace::Neighbour(pid),
        (None, None) => NetworkNamespace::Host,
    }
}
