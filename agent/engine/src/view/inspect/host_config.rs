//! `HostConfig`: what was asked for on this machine, with the defaults that were decided on.

use serde_json::{Map, Value, json};

use super::{add, limits, mounts, nullable, push};
use crate::Engine;
use crate::container::record::ContainerRecord;
use crate::spec;
use crate::view::info::OWN_RUNTIME;

impl Engine {
    pub(super) fn host_config(&self, record: &ContainerRecord) -> Value {
        let mut value = self.asked(record);
        if let (Value::Object(all), Value::Object(limits)) =
            (&mut value, limits::limits(&record.host))
        {
            all.extend(limits);
        }
        let host = &record.host;
        let annotations = &host.annotations;
        add(
            &mut value,
            "Annotations",
            !annotations.is_empty(),
            json!(annotations),
        );
        add(
            &mut value,
            "StorageOpt",
            !host.storage_opt.is_empty(),
            json!(host.storage_opt),
        );
        add(
            &mut value,
            "Tmpfs",
            !host.tmpfs.is_empty(),
            tmpfs(&host.tmpfs),
        );
        add(
            &mut value,
            "Sysctls",
            !host.sysctls.is_empty(),
            json!(host.sysctls),
        );
        let long: Value = host.mounts.iter().map(mounts::long).collect();
        add(&mut value, "Mounts", !host.mounts.is_empty(), long);
        add(&mut value, "Init", host.init.is_some(), json!(host.init));
        value
    }

    fn asked(&self, record: &ContainerRecord) -> Value {
        let host = &record.host;
        let runtime = match (host.runtime.as_str(), self.config.default_runtime.as_str()) {
            ("", "") => OWN_RUNTIME,
            ("", default) => default,
            (own, _) => own,
        };
        let paths = |own: &Option<Vec<String>>, usual: Vec<String>| match own {
            _ if host.privileged => Value::Null,
            Some(own) => json!(own),
            None => json!(usual),
        };
        json!({
            "Binds": nullable(&host.binds),
            "ContainerIDFile": host.container_id_file,
            "LogConfig": {
                "Type": or(&host.log.driver, "json-file"),
                "Config": host.log.options,
            },
            "NetworkMode": or(&host.network_mode, "default"),
            "PortBindings": port_bindings(record),
            "RestartPolicy": {
                "Name": or(&host.restart_policy.name, "no"),
                "MaximumRetryCount": host.restart_policy.maximum_retry_count,
            },
            "AutoRemove": host.auto_remove,
            "VolumeDriver": host.volume_driver,
            "VolumesFrom": nullable(&host.volumes_from),
            "ConsoleSize": record.config.terminal_size.map_or([0, 0], |s| [s.rows, s.columns]),
            "CapAdd": nullable(&host.cap_add),
            "CapDrop": nullable(&host.cap_drop),
            "CgroupnsMode": host.cgroupns_mode,
            "Dns": host.dns,
            "DnsOptions": host.dns_options,
            "DnsSearch": host.dns_search,
            "ExtraHosts": nullable(&host.extra_hosts),
            "GroupAdd": nullable(&host.group_add),
            "IpcMode": or(&host.ipc_mode, "private"),
            "Cgroup": "",
            "Links": nullable(&self.links(record)),
            "OomScoreAdj": host.oom_score_adj,
            "PidMode": host.pid_mode,
            "Privileged": host.privileged,
            "PublishAllPorts": host.publish_all_ports,
            "ReadonlyRootfs": host.read_only_rootfs,
            "SecurityOpt": nullable(&host.security_opt),
            "UTSMode": host.uts_mode,
            "UsernsMode": host.userns_mode,
            "ShmSize": host.shm_size(),
            "Runtime": runtime,
            "Isolation": host.isolation,
            "MaskedPaths": paths(&host.masked_paths, spec::masked_paths()),
            "ReadonlyPaths": paths(&host.readonly_paths, spec::read_only_paths()),
        })
    }

    /// Returns the links by the names that the other containers have now.
    fn links(&self, record: &ContainerRecord) -> Vec<String> {
        let text = |link: &crate::create::links::LinkRecord| {
            let other = self.containers.find(link.container.as_str()).ok()?;
            Some(format!("/{}:/{}/{}", other.name(), record.name, link.alias))
        };
        record.links.iter().filter_map(text).collect()
    }
}

fn or<'a>(own: &'a str, default: &'a str) -> &'a str {
    if own.is_empty() { default } else { own }
}

fn port_bindings(record: &ContainerRecord) -> Value {
    let mut bindings: Map<String, Value> = Map::new();
    for binding in &record.host.port_bindings {
        let host_port = match (binding.host_port, binding.host_port_last) {
            (0, _) => String::new(),
            (first, 0) => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        let entry = json!({ "HostIp": binding.host_ip, "HostPort": host_port });
        let protocol = or(&binding.protocol, "tcp");
        push(
            &mut bindings,
            format!("{}/{protocol}", binding.container_port),
            entry,
        );
    }
    Value::Object(bindings)
}

fn tmpfs(list: &[String]) -> Value {
    let entry = |text: &String| {
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        (target.to_owned(), json!(options))
    };
    Value::Object(list.iter().map(entry).collect())
}
