//! `berth ps`.

use berth_proto::v1::{ContainerSummary, ListRequest, PublishedPort};
use serde_json::Value;

use crate::engine::Global;
use crate::failure::Outcome;
use crate::settings;
use crate::ui::quote::{ellipsis, quoted};
use crate::ui::rows::{self, Listing, short_id};
use crate::ui::{self, table};
use crate::units::{duration, moment, size};

/// List containers
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(after_help = "Examples:
  berth ps -a --filter status=exited
  berth ps --format 'table {{.Names}}\\t{{.Status}}'
  berth ps --format json")]
pub(crate) struct Args {
    /// Also those that do not run
    #[arg(long, short)]
    all: bool,

    /// Only those that fit, such as name=web, status=exited, label=key=value
    #[arg(long, short, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// json, table, or a template for each container
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// The newest so many, running or not
    #[arg(
        long,
        short = 'n',
        value_name = "NUMBER",
        allow_negative_numbers = true
    )]
    #[arg(default_value_t = -1, hide_default_value = true)]
    last: i64,

    /// The newest one, running or not
    #[arg(long, short)]
    latest: bool,

    /// Do not shorten anything
    #[arg(long)]
    no_trunc: bool,

    /// Only ids
    #[arg(long, short)]
    quiet: bool,

    /// Show sizes
    #[arg(long, short)]
    size: bool,
}

pub(in crate::commands) const LISTING: Listing<'_> = Listing {
    headings: &[
        ("ID", "CONTAINER ID"),
        ("Names", "NAMES"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Ports", "PORTS"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
    ],
    default_columns: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
    layout: table::DOCKER,
};

const WITH_SIZE: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";

/// Lists containers.
pub(in crate::commands) async fn run(args: Args, global: &Global) -> Outcome {
    let wanted = settings::format(args.format.as_deref(), "psFormat", args.quiet);
    let format = match wanted.as_str() {
        _ if args.quiet => "{{.ID}}",
        "" | "table" if args.size => WITH_SIZE,
        format => format,
    };
    let limit = if args.latest { 1 } else { args.last };
    let request = ListRequest {
        all: args.all || limit > 0,
        filters: args.filter.clone(),
        limit: u32::try_from(limit.max(0)).unwrap_or(u32::MAX),
        size: args.size || format.contains(".Size"),
    };
    let engine = global.engine().await?;
    let response = engine.containers().list(request).await?.into_inner();
    let rows: Vec<Value> = response
        .containers
        .iter()
        .map(|container| row(container, !args.no_trunc))
        .collect();
    ui::print(&LISTING.format(format, &rows)?)?;
    Ok(0)
}

pub(in crate::commands) fn row(container: &ContainerSummary, short: bool) -> Value {
    let created = container.created.unwrap_or_default().seconds;
    let id = if short {
        short_id(&container.id)
    } else {
        &container.id
    };
    let command = if short {
        ellipsis(&container.command, 20)
    } else {
        container.command.clone()
    };
    let mount = |name: &String| {
        if short {
            ellipsis(name, 15)
        } else {
            name.clone()
        }
    };
    let names: Vec<&str> = container
        .names
        .iter()
        .map(|name| name.trim_start_matches('/'))
        .collect();
    let mut labels: Vec<String> = container
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    labels.sort();
    let mut row = rows::row([
        ("ID", id.to_owned()),
        ("Names", names.join(",")),
        ("Image", image(container, short)),
        ("Command", quoted(&command)),
        ("CreatedAt", moment::local(created)),
        ("RunningFor", duration::ago(created)),
        ("Ports", ports(&container.ports)),
        ("State", state(container).to_owned()),
        ("Status", container.status.clone()),
        ("Size", size_column(container)),
        ("Labels", labels.join(",")),
        (
            "Mounts",
            container
                .mounts
                .iter()
                .map(mount)
                .collect::<Vec<_>>()
                .join(","),
        ),
        ("LocalVolumes", local_volumes(container).to_string()),
        ("Networks", container.networks.join(",")),
    ]);
    rows::hide_labels(&mut row, container.labels.iter().collect());
    row
}

fn image(container: &ContainerSummary, short: bool) -> String {
    if container.image.is_empty() {
        return "<no image>".to_owned();
    }
    if !short {
        return container.image.clone();
    }
    if short_id(&container.image) == short_id(&container.image_id) {
        return short_id(&container.image).to_owned();
    }
    let name = container
        .image
        .split_once('@')
        .map_or(container.image.as_str(), |(name, _)| name);
    name.to_owned()
}

fn state(container: &ContainerSummary) -> &'static str {
    use berth_proto::v1::ContainerState as State;
    match container.state() {
        State::Unspecified => "",
        State::Created => "created",
        State::Running => "running",
        State::Paused => "paused",
        State::Restarting => "restarting",
        State::Exited => "exited",
        State::Dead => "dead",
        State::Removing => "removing",
    }
}

fn size_column(container: &ContainerSummary) -> String {
    let written = size::decimal(container.size_rw_bytes, 3);
    match container.size_root_fs_bytes {
        0 => written,
        root => format!("{written} (virtual {})", size::decimal(root, 3)),
    }
}

/// A path is no volume.
fn local_volumes(container: &ContainerSummary) -> usize {
    container
        .mounts
        .iter()
        .filter(|mount| !mount.starts_with('/'))
        .count()
}

/// One run of neighbouring ports.
struct Run {
    key: (String, String),
    first: u32,
    last: u32,
}

/// Shows ports, neighbours joined: "0.0.0.0:80-81->80-81/tcp, 53/udp".
fn ports(ports: &[PublishedPort]) -> String {
    let mut sorted: Vec<&PublishedPort> = ports.iter().collect();
    sorted.sort_by(|a, b| {
        let key = |port: &PublishedPort| {
            (
                port.container_port,
                port.host_ip.clone(),
                port.host_port,
                port.protocol.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    let mut shown = Vec::new();
    let mut runs: Vec<Run> = Vec::new();
    let mut moved = Vec::new();
    for port in sorted {
        let host_ip = if port.host_port == 0 {
            ""
        } else {
            any(&port.host_ip)
        };
        if !host_ip.is_empty() && port.host_port != port.container_port {
            let host = joined(host_ip, &port.host_port.to_string());
            moved.push(format!("{host}->{}/{}", port.container_port, port.protocol));
            continue;
        }
        let key = (host_ip.to_owned(), port.protocol.clone());
        match runs.iter_mut().find(|run| run.key == key) {
            Some(run) if run.last + 1 == port.container_port => run.last = port.container_port,
            Some(run) => {
                shown.push(run.show());
                (run.first, run.last) = (port.container_port, port.container_port);
            }
            None => runs.push(Run {
                key,
                first: port.container_port,
                last: port.container_port,
            }),
        }
    }
    shown.extend(runs.iter().map(Run::show));
    shown.extend(moved);
    shown.join(", ")
}

/// No address means every one.
fn any(host_ip: &str) -> &str {
    if host_ip.is_empty() {
        "0.0.0.0"
    } else {
        host_ip
    }
}

fn joined(host: &str, port: &str) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

// === impl Run ===

impl Run {
    fn show(&self) -> String {
        let (host_ip, protocol) = &self.key;
        let mut ports = self.first.to_string();
        if self.first != self.last {
            ports = format!("{ports}-{}", self.last);
        }
        if !host_ip.is_empty() {
            ports = format!("{}->{ports}", joined(host_ip, &ports));
        }
        format!("{ports}/{protocol}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use berth_proto::v1::ContainerState;

    use super::*;

    fn port(host_ip: &str, host: u32, container: u32, protocol: &str) -> PublishedPort {
        PublishedPort {
            host_ip: host_ip.to_owned(),
            host_port: host,
            container_port: container,
            protocol: protocol.to_owned(),
        }
    }

    #[test]
    fn neighbouring_ports_are_joined() {
        let list = [
            port("0.0.0.0", 81, 81, "tcp"),
            port("0.0.0.0", 80, 80, "tcp"),
            port("::", 80, 80, "tcp"),
            port("0.0.0.0", 8443, 443, "tcp"),
            port("", 0, 53, "udp"),
        ];
        assert_eq!(
            ports(&list),
            "53/udp, 0.0.0.0:80-81->80-81/tcp, [::]:80->80/tcp, 0.0.0.0:8443->443/tcp"
        );
        assert_eq!(
            ports(&[port("", 0, 1, "tcp"), port("", 0, 3, "tcp")]),
            "1/tcp, 3/tcp"
        );
    }

    #[test]
    fn a_row_looks_like_dockers() {
        let container = ContainerSummary {
            id: "0123456789abcdef".repeat(4),
            names: vec!["/web".to_owned()],
            image: "busybox@sha256:00".to_owned(),
            command: "sh -c 'sleep 600 && echo done'".to_owned(),
            state: ContainerState::Running.into(),
            status: "Up 2 minutes".to_owned(),
            labels: HashMap::from([
                ("b".to_owned(), "2".to_owned()),
                ("a".to_owned(), "1".to_owned()),
            ]),
            mounts: vec!["data".to_owned(), "/srv".to_owned()],
            size_rw_bytes: 2,
            size_root_fs_bytes: 4_200_000,
            ..ContainerSummary::default()
        };
        let rows = [row(&container, true)];
        let show = |format: &str| LISTING.format(format, &rows).unwrap();
        assert_eq!(
            show("{{.ID}} {{.Image}} {{.Command}} {{.Status}} {{.Names}}"),
            "0123456789ab busybox \"sh -c 'sleep 600 &&…\" Up 2 minutes web\n"
        );
        assert_eq!(
            show("{{.Label \"a\"}} {{.Labels}} {{.LocalVolumes}}"),
            "1 a=1,b=2 1\n"
        );
        assert_eq!(show("{{.Size}}"), "2B (virtual 4.2MB)\n");
        assert!(!show("json").contains("\"Label\""));
    }
}
