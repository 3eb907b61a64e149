//! `berth system df`.

mod verbose;

use berth_proto::v1::{ContainerState, DiskUsageRequest, DiskUsageResponse};
use serde_json::Value;

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui::rows::{self, Listing};
use crate::ui::{self, table};
use crate::units::size;

/// Show how much room images, containers and volumes take
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// json, table, or a template for each kind
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Show each image, container and volume
    #[arg(long, short)]
    verbose: bool,
}

const LISTING: Listing<'_> = Listing {
    headings: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
    default_columns: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    layout: table::DOCKER,
};

/// What one kind of things takes.
struct Sum {
    kind: &'static str,
    n_all: usize,
    n_active: usize,
    size: u64,
    reclaimable: u64,
}

/// Shows what everything takes.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let format = args.format.unwrap_or_default();
    let engine = global.engine().await?;
    let usage = engine.system().disk_usage(DiskUsageRequest {}).await?;
    let usage = usage.into_inner();
    let text = if args.verbose {
        verbose::show(&usage, &format)?
    } else {
        summary(&usage, &format)?
    };
    ui::print(&text)?;
    Ok(0)
}

fn summary(usage: &DiskUsageResponse, format: &str) -> Result<String, Failure> {
    let rows: Vec<Value> = sums(usage).iter().map(row).collect();
    LISTING.format(format, &rows)
}

fn sums(usage: &DiskUsageResponse) -> [Sum; 4] {
    let shared = |image: &berth_proto::v1::Image| image.shared_size_bytes.unwrap_or_default();
    let used = usage.images.iter().filter(|image| image.containers > 0);
    let needed: u64 = used
        .clone()
        .map(|image| image.size_bytes.saturating_sub(shared(image)))
        .sum();
    let is_active = |state: ContainerState| {
        matches!(
            state,
            ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
        )
    };
    let (active, idle): (Vec<_>, Vec<_>) = usage
        .containers
        .iter()
        .partition(|container| is_active(container.state()));
    let (linked, free): (Vec<_>, Vec<_>) = usage
        .volumes
        .iter()
        .partition(|volume| volume.containers > 0);
    [
        Sum {
            kind: "Images",
            n_all: usage.images.len(),
            n_active: used.count(),
            size: usage.layers_size_bytes,
            reclaimable: usage.layers_size_bytes.saturating_sub(needed),
        },
        Sum {
            kind: "Containers",
            n_all: usage.containers.len(),
            n_active: active.len(),
            size: usage.containers.iter().map(|c| c.size_rw_bytes).sum(),
            reclaimable: idle.iter().map(|c| c.size_rw_bytes).sum(),
        },
        Sum {
            kind: "Local Volumes",
            n_all: usage.volumes.len(),
            n_active: linked.len(),
            size: usage.volumes.iter().map(|v| v.size_bytes).sum(),
            reclaimable: free.iter().map(|v| v.size_bytes).sum(),
        },
        // Steps of builds are kept as images.
        Sum {
            kind: "Build Cache",
            n_all: 0,
            n_active: 0,
            size: 0,
            reclaimable: 0,
        },
    ]
}

fn row(sum: &Sum) -> Value {
    let mut reclaimable = size::decimal(sum.reclaimable, 4);
    if let Some(percent) = (sum.reclaimable * 100).checked_div(sum.size) {
        reclaimable.push_str(&format!(" ({percent}%)"));
    }
    rows::row([
        ("Type", sum.kind.to_owned()),
        ("TotalCount", sum.n_all.to_string()),
        ("Active", sum.n_active.to_string()),
        ("Size", size::decimal(sum.size, 4)),
        ("Reclaimable", reclaimable),
    ])
}

#[cfg(test)]
pub(super) fn example() -> DiskUsageResponse {
    use berth_proto::v1::{ContainerSummary, Image, Volume, VolumeUsage};
    let image = |tag: &str, containers| Image {
        id: format!("sha256:{}", "ab".repeat(32)),
        repo_tags: vec![tag.to_owned()],
        size_bytes: 4_000_000,
        shared_size_bytes: Some(1_000_000),
        containers,
        ..Image::default()
    };
    let mut web = ContainerSummary {
        id: "cd".repeat(32),
        names: vec!["/web".to_owned()],
        image: "one:1".to_owned(),
        command: "sleep 9".to_owned(),
        status: "Exited (0) 2 hours ago".to_owned(),
        size_rw_bytes: 500,
        size_root_fs_bytes: 4_000_500,
        ..ContainerSummary::default()
    };
    web.set_state(ContainerState::Exited);
    DiskUsageResponse {
        layers_size_bytes: 7_000_000,
        images: vec![image("one:1", 1), image("two:1", 0)],
        containers: vec![web],
        volumes: vec![VolumeUsage {
            volume: Some(Volume {
                name: "data".to_owned(),
                ..Volume::default()
            }),
            size_bytes: 1000,
            containers: 1,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_looks_like_dockers() {
        assert_eq!(
            summary(&example(), "").unwrap(),
            "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n\
             Images          2         1         7MB       4MB (57%)\n\
             Containers      1         0         500B      500B (100%)\n\
             Local Volumes   1         1         1kB       0B (0%)\n\
             Build Cache     0         0         0B        0B\n"
        );
        assert_eq!(
            summary(&DiskUsageResponse::default(), "{{.Type}}:{{.Size}}").unwrap(),
            "Images:0B\nContainers:0B\nLocal Volumes:0B\nBuild Cache:0B\n"
        );
    }
}
