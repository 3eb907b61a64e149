//! `berth stats`.

use berth_proto::v1::{ContainerStats, StatsRequest};
use serde_json::Value;

use crate::engine::Global;
use crate::failure::Outcome;
use crate::ui::rows::{self, Listing, short_id};
use crate::ui::{self, table};
use crate::units::size;

/// Show what containers use, again and again
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(after_help = "Examples:
  berth stats
  berth stats --no-stream --format 'table {{.Name}}\\t{{.CPUPerc}}' web db")]
pub(crate) struct Args {
    /// Also those that do not run
    #[arg(long, short)]
    all: bool,

    /// json, table, or a template for each container
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Show it once
    #[arg(long)]
    no_stream: bool,

    /// Do not shorten anything
    #[arg(long)]
    no_trunc: bool,

    /// Names or ids [default: all that run]
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

const LISTING: Listing<'_> = Listing {
    headings: &[
        ("Container", "CONTAINER"),
        ("Name", "NAME"),
        ("ID", "CONTAINER ID"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
    default_columns: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
    layout: table::DOCKER,
};

/// What clears a terminal from its first line on.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Shows a table for each round; on a terminal, in the place of the one before.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    let request = StatsRequest {
        containers: args.containers.clone(),
        no_stream: args.no_stream,
        all: args.all,
        one_shot: false,
    };
    let mut rounds = engine.containers().stats(request).await?.into_inner();
    let replaces = !args.no_stream && ui::output_is_terminal();
    let format = args.format.as_deref().unwrap_or_default();
    while let Some(round) = rounds.message().await? {
        let rows: Vec<Value> = round
            .containers
            .iter()
            .map(|stats| row(stats, &args))
            .collect();
        let text = LISTING.format(format, &rows)?;
        if replaces {
            ui::pass_on(format!("{CLEAR}{text}").into_bytes()).await?;
        } else {
            ui::pass_on(text.into_bytes()).await?;
        }
    }
    Ok(0)
}

fn row(stats: &ContainerStats, args: &Args) -> Value {
    let id = if args.no_trunc {
        &stats.id
    } else {
        short_id(&stats.id)
    };
    let is_meant = |name: &&String| **name == stats.name || stats.id.starts_with(name.as_str());
    let container = args.containers.iter().find(is_meant);
    let used = used(stats);
    let limit = stats.memory.as_ref().map_or(0, |memory| memory.limit_bytes);
    let sum = |number: fn(&berth_proto::v1::InterfaceStats) -> u64| {
        stats.interfaces.iter().map(number).sum::<u64>()
    };
    let both =
        |one: u64, other: u64| format!("{} / {}", size::decimal(one, 3), size::decimal(other, 3));
    let read = stats.block_io.iter().map(|device| device.read_bytes).sum();
    let written = stats.block_io.iter().map(|device| device.write_bytes).sum();
    rows::row([
        ("Container", container.unwrap_or(&stats.id).clone()),
        ("Name", stats.name.clone()),
        ("ID", id.to_owned()),
        ("CPUPerc", percent(cpu_share(stats))),
        (
            "MemUsage",
            format!("{} / {}", size::binary(used), size::binary(limit)),
        ),
        ("MemPerc", percent(share(used, limit))),
        ("NetIO", both(sum(|i| i.rx_bytes), sum(|i| i.tx_bytes))),
        ("BlockIO", both(read, written)),
        ("PIDs", stats.pids.to_string()),
    ])
}

/// Memory without the caches that the kernel would give up first.
fn used(stats: &ContainerStats) -> u64 {
    let Some(memory) = &stats.memory else {
        return 0;
    };
    let cache = ["total_inactive_file", "inactive_file"]
        .iter()
        .find_map(|name| memory.details.get(*name));
    match cache {
        Some(cache) if *cache < memory.usage_bytes => memory.usage_bytes - cache,
        _ => memory.usage_bytes,
    }
}

/// The share of one processor's time since the sample before, so that two processors are 200 %.
fn cpu_share(stats: &ContainerStats) -> f64 {
    let (Some(now), Some(before)) = (&stats.cpu, &stats.previous_cpu) else {
        return 0.0;
    };
    let used = now.usage_nanos.saturating_sub(before.usage_nanos);
    let had = now.system_nanos.saturating_sub(before.system_nanos);
    share(used, had) * f64::from(now.online_cpus)
}

/// Returns a part in percent; two digits are shown, a float has fifteen.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64 * 100.0
}

fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

#[cfg(test)]
mod tests {
    use berth_proto::v1::{BlockIo, CpuStats, InterfaceStats, MemoryStats};

    use super::*;

    fn cpu(usage_nanos: u64, system_nanos: u64) -> Option<CpuStats> {
        Some(CpuStats {
            usage_nanos,
            system_nanos,
            online_cpus: 2,
            ..CpuStats::default()
        })
    }

    #[test]
    fn columns_are_dockers() {
        let stats = ContainerStats {
            id: "0123456789abcdef".repeat(4),
            name: "web".to_owned(),
            cpu: cpu(1_500, 20_000),
            previous_cpu: cpu(500, 16_000),
            memory: Some(MemoryStats {
                usage_bytes: 3 << 20,
                limit_bytes: 64 << 20,
                details: [("total_inactive_file".to_owned(), 1 << 20)].into(),
                ..MemoryStats::default()
            }),
            block_io: vec![BlockIo {
                read_bytes: 4096,
                ..BlockIo::default()
            }],
            interfaces: vec![InterfaceStats {
                rx_bytes: 1_260,
                tx_bytes: 90,
                ..InterfaceStats::default()
            }],
            pids: 7,
            running: true,
            ..ContainerStats::default()
        };
        let args = Args {
            all: false,
            format: None,
            no_stream: true,
            no_trunc: false,
            containers: vec!["web".to_owned()],
        };
        let row = row(&stats, &args);
        for (field, text) in [
            ("Container", "web"),
            ("Name", "web"),
            ("ID", "0123456789ab"),
            ("CPUPerc", "50.00%"),
            ("MemUsage", "2MiB / 64MiB"),
            ("MemPerc", "3.12%"),
            ("NetIO", "1.26kB / 90B"),
            ("BlockIO", "4.1kB / 0B"),
            ("PIDs", "7"),
        ] {
            assert_eq!(row[field], text, "{field}");
        }
    }
}
