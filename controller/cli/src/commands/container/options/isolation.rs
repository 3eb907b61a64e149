//! Flags about rights and about what is shared with the machine or with other containers.

use std::collections::HashMap;

use berth_proto::v1::{DeviceRequest, HostConfig, PathList};

use crate::failure::Failure;
use crate::spec::{device, gpus, map, namespaces, security, sysctl};

/// Flags about rights and namespaces.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Rights and isolation")]
pub(crate) struct IsolationOptions {
    /// All capabilities and devices, no seccomp filter
    #[arg(long)]
    privileged: bool,

    /// Add a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,

    /// Drop a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,

    /// no-new-privileges, seccomp=unconfined, seccomp=FILE, systempaths=unconfined, apparmor=…
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,

    /// Give access to a device of the machine
    #[arg(long, value_name = "PATH[:PATH[:rwm]]")]
    device: Vec<String>,

    /// Graphics processors
    #[arg(long, value_name = "REQUEST", value_parser = gpus::parse, hide = true)]
    gpus: Vec<DeviceRequest>,

    /// Kernel parameter of the container's namespaces: NAME=VALUE
    #[arg(long, value_name = "PARAMETER", value_parser = sysctl::parse)]
    sysctl: Vec<String>,

    /// Processes that it sees: host or container:NAME
    #[arg(long, value_name = "MODE")]
    pid: Option<String>,

    /// Shared memory: none, private, shareable, host or container:NAME
    #[arg(long, value_name = "MODE")]
    ipc: Option<String>,

    /// Host name: host for the machine's
    #[arg(long, value_name = "MODE")]
    uts: Option<String>,

    /// Users: host for the machine's
    #[arg(long, value_name = "MODE")]
    userns: Option<String>,

    /// Control groups that it sees: host or private
    #[arg(long, value_name = "MODE")]
    cgroupns: Option<String>,

    /// OCI runtime on the machine instead of berth's own
    #[arg(long, value_name = "PATH")]
    runtime: Option<String>,

    /// Isolation technology of other systems
    #[arg(long, value_name = "NAME", hide = true)]
    isolation: Option<String>,
}

// === impl IsolationOptions ===

impl IsolationOptions {
    /// Puts what the flags say where the agent looks for it.
    pub(crate) fn apply(&self, host: &mut HostConfig) -> Result<(), Failure> {
        let text = |flag: &Option<String>| flag.clone().unwrap_or_default();
        host.pid_mode = namespaces::pid(text(&self.pid)).map_err(Failure::new)?;
        host.uts_mode = namespaces::uts(text(&self.uts)).map_err(Failure::new)?;
        host.userns_mode = namespaces::users(text(&self.userns)).map_err(Failure::new)?;
        host.cgroupns_mode = namespaces::cgroup(text(&self.cgroupns)).map_err(Failure::new)?;
        host.ipc_mode = text(&self.ipc);
        host.privileged = self.privileged;
        host.cap_add.clone_from(&self.cap_add);
        host.cap_drop.clone_from(&self.cap_drop);
        for device in &self.device {
            host.devices
                .push(device::parse(device).map_err(Failure::new)?);
        }
        host.device_requests.clone_from(&self.gpus);
        let sysctls: HashMap<String, String> = map::pairs(&self.sysctl).collect();
        host.sysctls = sysctls;
        host.runtime = text(&self.runtime);
        host.isolation = text(&self.isolation);
        for option in &self.security_opt {
            // Docker's client says what this means, not its engine.
            if option == "systempaths=unconfined" {
                host.masked_paths = Some(PathList::default());
                host.readonly_paths = Some(PathList::default());
                continue;
            }
            let resolved = security::resolve(option.clone()).map_err(Failure::new)?;
            host.security_opt.push(resolved);
        }
        Ok(())
    }
}
