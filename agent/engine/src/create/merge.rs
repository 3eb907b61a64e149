//! Merges what the caller asks with what the image says, as Docker does.

use berth_agent_images::ContainerDefaults;

use crate::container::record::MergedConfig;
use crate::create::{env, health};
use crate::options::ContainerOptions;

/// Neither the caller nor the image says what to run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no command specified")]
pub struct NoCommand;

/// Returns the merged configuration. The host name is left as the caller gave it.
pub(crate) fn merge(
    options: &ContainerOptions,
    image: &ContainerDefaults,
) -> Result<MergedConfig, NoCommand> {
    let (entrypoint, command) = entrypoint_and_command(options, image);
    if entrypoint.is_empty() && command.is_empty() {
        return Err(NoCommand);
    }
    let mut labels = image.labels.clone();
    labels.extend(options.labels.clone());
    let mut exposed_ports: Vec<String> = image
        .exposed_ports
        .keys()
        .chain(&options.exposed_ports)
        .map(|p| with_protocol(p))
        .collect();
    exposed_ports.sort();
    exposed_ports.dedup();
    Ok(MergedConfig {
        hostname: options.hostname.clone(),
        user: or(&options.user, &image.user),
        env: env::merge(&image.env, &options.env),
        command,
        entrypoint,
        working_dir: or(&options.working_dir, &image.working_dir),
        labels,
        tty: options.tty,
        terminal_size: options.terminal_size,
        open_stdin: options.open_stdin,
        stdin_once: options.stdin_once,
        stop_signal: or(
            &options.stop_signal,
            image.stop_signal.as_deref().unwrap_or_default(),
        ),
        stop_timeout_seconds: options.stop_timeout_seconds.or(image.stop_timeout),
        exposed_ports,
        volumes: declared_volumes(options, image),
        domainname: options.domainname.clone(),
        attach_stdin: options.attach_stdin,
        attach_stdout: options.attach_stdout,
        attach_stderr: options.attach_stderr,
        mac_address: options.mac_address.clone(),
        network_disabled: options.network_disabled,
        shell: if options.shell.is_empty() {
            image.shell.clone().unwrap_or_default()
        } else {
            options.shell.clone()
        },
        healthcheck: health::merge(options.healthcheck.as_ref(), image.healthcheck.as_ref()),
        networks: options.networks.clone(),
        networks_are_complete: true,
    })
}

fn declared_volumes(options: &ContainerOptions, image: &ContainerDefaults) -> Vec<String> {
    let mut volumes: Vec<String> = image
        .volumes
        .keys()
        .chain(&options.volumes)
        .cloned()
        .collect();
    volumes.sort();
    volumes.dedup();
    volumes
}

/// The image's command goes with the image's entrypoint only.
fn entrypoint_and_command(
    options: &ContainerOptions,
    image: &ContainerDefaults,
) -> (Vec<String>, Vec<String>) {
    if options.entrypoint.is_empty() {
        let entrypoint = image.entrypoint.clone().unwrap_or_default();
        let command = if options.command.is_empty() {
            image.cmd.clone().unwrap_or_default()
        } else {
            options.command.clone()
        };
        return (entrypoint, command);
    }
    let is_reset = options.entrypoint == [""];
    let entrypoint = if is_reset {
        Vec::new()
    } else {
        options.entrypoint.clone()
    };
    (entrypoint, options.command.clone())
}

fn or(own: &str, images: &str) -> String {
    if own.is_empty() { images } else { own }.to_owned()
}

/// Returns `80` as `80/tcp`.
pub(crate) fn with_protocol(port: &str) -> String {
    if port.contains('/') {
        port.to_ascii_lowercase()
    } else {
        format!("{port}/tcp")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn image() -> ContainerDefaults {
        let empty = || serde_json::json!({});
        ContainerDefaults {
            entrypoint: Some(words("/entry -e")),
            cmd: Some(words("serve")),
            env: words("PATH=/bin A=1"),
            user: "app".to_owned(),
            exposed_ports: words("80 53/udp")
                .into_iter()
                .map(|port| (port, empty()))
                .collect(),
            ..ContainerDefaults::default()
        }
    }

    fn argv(entrypoint: &str, command: &str) -> Vec<String> {
        let options = ContainerOptions {
            entrypoint: if entrypoint == "none" {
                vec![String::new()]
            } else {
                words(entrypoint)
            },
            command: words(command),
            ..ContainerOptions::default()
        };
        match merge(&options, &image()) {
            Ok(merged) => merged
                .entrypoint
                .into_iter()
                .chain(merged.command)
                .collect(),
            Err(NoCommand) => words("no command"),
        }
    }

    #[test]
    fn entrypoint_and_command_merge_as_dockers() {
        assert_eq!(argv("", ""), words("/entry -e serve"));
        assert_eq!(argv("", "sh"), words("/entry -e sh"));
        assert_eq!(argv("/own", ""), words("/own"));
        assert_eq!(argv("/own", "x"), words("/own x"));
        assert_eq!(argv("none", "x"), words("x"));
        assert_eq!(argv("none", ""), words("no command"));
    }

    #[test]
    fn the_callers_environment_comes_first_and_ports_have_protocols() {
        let options = ContainerOptions {
            env: words("B=2 A=3"),
            ..ContainerOptions::default()
        };
        let merged = merge(&options, &image()).expect("merged");
        assert_eq!(merged.env, words("B=2 A=3 PATH=/bin"));
        assert_eq!(merged.exposed_ports, words("53/udp 80/tcp"));
        assert_eq!(merged.user, "app");
    }
}
