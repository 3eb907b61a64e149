//! `berth volume ls`.

use std::collections::BTreeMap;

use berth_proto::v1::{ListVolumesRequest, Volume};
use serde_json::Value;

use crate::engine::Global;
use crate::failure::Outcome;
use crate::settings;
use crate::ui::rows::{self, Listing};
use crate::ui::{self, table};

/// List volumes
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Only those that fit: dangling=true, driver=NAME, label=KEY[=VALUE], name=TEXT
    #[arg(long, short, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// json, table, or a template for each volume
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Only names
    #[arg(long, short)]
    quiet: bool,
}

const LISTING: Listing<'_> = Listing {
    headings: &[
        ("Name", "VOLUME NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Availability", "AVAILABILITY"),
        ("Group", "GROUP"),
        ("Status", "STATUS"),
    ],
    default_columns: "{{.Driver}}\t{{.Name}}",
    layout: table::DOCKER,
};

/// Lists volumes.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let wanted = settings::format(args.format.as_deref(), "volumesFormat", args.quiet);
    let format = match wanted.as_str() {
        "" | "table" if args.quiet => "{{.Name}}",
        format => format,
    };
    let request = ListVolumesRequest {
        filters: args.filter.clone(),
    };
    let engine = global.engine().await?;
    let mut volumes = engine.volumes().list(request).await?.into_inner().volumes;
    volumes.sort_by(|a, b| berth_controller_fleet::natural(&a.name, &b.name));
    let rows: Vec<Value> = volumes.iter().map(row).collect();
    ui::print(&LISTING.format(format, &rows)?)?;
    Ok(0)
}

fn row(volume: &Volume) -> Value {
    let unknown = || "N/A".to_owned();
    let labels: BTreeMap<&String, &String> = volume.labels.iter().collect();
    let shown: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mut row = rows::row([
        ("Name", volume.name.clone()),
        ("Driver", volume.driver.clone()),
        ("Scope", volume.scope.clone()),
        ("Mountpoint", volume.mountpoint.clone()),
        ("Labels", shown.join(",")),
        ("Links", unknown()),
        ("Size", unknown()),
        ("Availability", unknown()),
        ("Group", unknown()),
        ("Status", unknown()),
    ]);
    rows::hide_labels(&mut row, labels);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_looks_like_dockers() {
        let volume = Volume {
            name: "data".to_owned(),
            driver: "local".to_owned(),
            labels: [("a".to_owned(), "1".to_owned())].into(),
            ..Volume::default()
        };
        let rows = [row(&volume)];
        assert_eq!(
            LISTING.format("", &rows).unwrap(),
            "DRIVER    VOLUME NAME\nlocal     data\n"
        );
        assert_eq!(
            LISTING
                .format("{{.Label \"a\"}} {{.Labels}}", &rows)
                .unwrap(),
            "1 a=1\n"
        );
    }
}
