//! Turns the flags of `run` and `create` into what the agent takes.

use std::path::Path;

use berth_proto::v1::{ContainerConfig, CreateRequest, HostConfig};

use super::options::{ContainerOptions, NetworkOptions, Stream};
use crate::failure::{ENGINE_ERROR, Failure};
use crate::spec;
use crate::ui::terminal;

/// Which streams the container is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attached {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
}

impl Attached {
    /// The streams that flags ask for; without `-a`: all output, and the input with `-i`.
    pub(super) fn new(options: &ContainerOptions) -> Self {
        let named = |stream| options.attach.contains(&stream);
        if options.attach.is_empty() {
            return Self {
                stdin: options.interactive,
                stdout: true,
                stderr: true,
            };
        }
        Self {
            stdin: named(Stream::Stdin),
            stdout: named(Stream::Stdout),
            stderr: named(Stream::Stderr),
        }
    }
}

/// Makes the request. `attached` is `None` for a container that nobody is attached to.
pub(super) fn request(
    options: &ContainerOptions,
    image: &str,
    command: &[String],
    attached: Option<Attached>,
) -> Result<CreateRequest, Failure> {
    let refused = |problem: String| Failure::new(problem).exit(ENGINE_ERROR);
    let here = |name: &str| std::env::var_os(name);
    let env = spec::env::variables(&options.env_file, &options.env, &here);
    let labels = spec::env::labels(&options.label_file, &options.label);
    let mut exposed_ports = Vec::new();
    for ports in &options.network.expose {
        exposed_ports.extend(spec::ports::expose(ports).map_err(refused)?);
    }
    let stdin = attached.is_some_and(|attached| attached.stdin);
    let config = ContainerConfig {
        image: image.to_owned(),
        command: command.to_vec(),
        entrypoint: options.entrypoint.iter().cloned().collect(),
        env: env.map_err(|error| refused(error.to_string()))?,
        working_dir: options.workdir.clone().unwrap_or_default(),
        user: options.user.clone().unwrap_or_default(),
        hostname: options.hostname.clone().unwrap_or_default(),
        labels: labels
            .map_err(|error| refused(error.to_string()))?
            .into_iter()
            .collect(),
        tty: options.tty,
        open_stdin: options.interactive,
        stdin_once: options.interactive && stdin,
        stop_signal: options.stop_signal.clone().unwrap_or_default(),
        stop_timeout_seconds: options.stop_timeout,
        exposed_ports,
        console_size: if options.tty { terminal::size() } else { None },
        host: Some(host(options)?),
        ..ContainerConfig::default()
    };
    Ok(CreateRequest {
        name: options.name.clone().unwrap_or_default(),
        config: Some(config),
        platform: String::new(),
    })
}

fn host(options: &ContainerOptions) -> Result<HostConfig, Failure> {
    let refused = |problem: String| Failure::new(problem).exit(ENGINE_ERROR);
    let NetworkOptions {
        network,
        publish,
        publish_all,
        dns,
        add_host,
        ..
    } = &options.network;
    let mut port_bindings = Vec::new();
    for ports in publish {
        port_bindings.extend(spec::ports::publish(ports).map_err(refused)?);
    }
    let security_opt: Result<Vec<String>, String> = options
        .security
        .security_opt
        .iter()
        .cloned()
        .map(spec::security::resolve)
        .collect();
    let mut host = HostConfig {
        binds: options
            .storage
            .volume
            .iter()
            .map(|volume| absolute(volume))
            .collect(),
        port_bindings,
        network_mode: network.clone().unwrap_or_default(),
        auto_remove: options.rm,
        privileged: options.security.privileged,
        cap_add: options.security.cap_add.clone(),
        cap_drop: options.security.cap_drop.clone(),
        security_opt: security_opt.map_err(refused)?,
        read_only_rootfs: options.storage.read_only,
        runtime: options.security.runtime.clone().unwrap_or_default(),
        init: options.security.init.then_some(true),
        dns: dns.clone(),
        extra_hosts: add_host.iter().map(|line| host_line(line)).collect(),
        devices: options.security.device.clone(),
        tmpfs: options.storage.tmpfs.clone(),
        publish_all_ports: *publish_all,
        shm_size_bytes: options.storage.shm_size.unwrap_or(0),
        ..HostConfig::default()
    };
    options.limits.apply(&mut host)?;
    Ok(host)
}

/// Makes a source that starts with a dot absolute; as with Docker, the machine must have the same
/// path.
fn absolute(volume: &str) -> String {
    match volume.split_once(':') {
        Some((source, rest)) if source.starts_with('.') => match std::path::absolute(source) {
            Ok(path) => format!("{}:{rest}", tidy(&path)),
            Err(_) => volume.to_owned(),
        },
        _ => volume.to_owned(),
    }
}

fn tidy(path: &Path) -> String {
    let mut parts: Vec<&std::ffi::OsStr> = Vec::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => drop(parts.pop()),
            std::path::Component::Normal(part) => parts.push(part),
            _ => {}
        }
    }
    let parts: Vec<_> = parts.iter().map(|part| part.to_string_lossy()).collect();
    format!("/{}", parts.join("/"))
}

/// `--add-host` takes an equals sign too, and brackets around addresses of version 6.
fn host_line(line: &str) -> String {
    let Some((name, address)) = line.split_once(['=', ':']) else {
        return line.to_owned();
    };
    format!(
        "{name}:{}",
        address.trim_start_matches('[').trim_end_matches(']')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_start_with_a_dot_become_absolute() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute("./a:/b:ro"), format!("{}/a:/b:ro", here.display()));
        assert_eq!(
            absolute("..:/b"),
            format!("{}:/b", here.parent().unwrap().display())
        );
        assert_eq!(absolute("data:/b"), "data:/b");
        assert_eq!(absolute("/only"), "/only");
    }

    #[test]
    fn host_lines_are_written_one_way() {
        assert_eq!(host_line("db=[::1]"), "db:::1");
        assert_eq!(host_line("db:10.0.0.1"), "db:10.0.0.1");
    }

    #[test]
    fn attaching_to_one_stream_leaves_the_others() {
        let mut options = ContainerOptions {
            interactive: true,
            ..ContainerOptions::default()
        };
        let all = Attached {
            stdin: true,
            stdout: true,
            stderr: true,
        };
        assert_eq!(Attached::new(&options), all);
        options.attach = vec![Stream::Stderr];
        let only = Attached {
            stdin: false,
            stdout: false,
            stderr: true,
        };
        assert_eq!(Attached::new(&options), only);
    }
}
