//! `berth network ls`.

use std::collections::BTreeMap;

use berth_proto::v1::{ListNetworksRequest, Network};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::engine::Global;
use crate::failure::Outcome;
use crate::settings;
use crate::ui::rows::{self, Listing};
use crate::ui::{self, table};

/// List networks
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Only those that fit: dangling=BOOL, driver=NAME, id=ID, label=KEY[=VALUE], name=TEXT,
    /// scope=local, type=custom|builtin
    #[arg(long, short, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// json, table, or a template for each network
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Whole ids
    #[arg(long)]
    no_trunc: bool,

    /// Only ids
    #[arg(long, short)]
    quiet: bool,
}

const LISTING: Listing<'_> = Listing {
    headings: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ],
    default_columns: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    layout: table::DOCKER,
};

/// Lists networks.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let wanted = settings::format(args.format.as_deref(), "networksFormat", args.quiet);
    let format = match wanted.as_str() {
        "" | "table" if args.quiet => "{{.ID}}",
        format => format,
    };
    let request = ListNetworksRequest {
        filters: args.filter.clone(),
    };
    let engine = global.engine().await?;
    let mut networks = engine.networks().list(request).await?.into_inner().networks;
    networks.sort_by(|a, b| berth_controller_fleet::natural(&a.name, &b.name));
    let rows: Vec<Value> = networks
        .iter()
        .map(|network| row(network, args.no_trunc))
        .collect();
    ui::print(&LISTING.format(format, &rows)?)?;
    Ok(0)
}

fn row(network: &Network, whole: bool) -> Value {
    let id = network
        .id
        .get(..12)
        .filter(|_| !whole)
        .unwrap_or(&network.id);
    let labels: BTreeMap<&String, &String> = network.labels.iter().collect();
    let shown: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let created = network.created.unwrap_or_default();
    let created = Timestamp::new(created.seconds, created.nanos).unwrap_or_default();
    let created = created.to_zoned(TimeZone::UTC);
    let mut row = rows::row([
        ("ID", id.to_owned()),
        ("Name", network.name.clone()),
        ("Driver", network.driver.clone()),
        ("Scope", network.scope.clone()),
        ("IPv4", network.enable_ipv4.to_string()),
        ("IPv6", network.enable_ipv6.to_string()),
        ("Internal", network.internal.to_string()),
        ("Labels", shown.join(",")),
        (
            "CreatedAt",
            created.strftime("%Y-%m-%d %H:%M:%S%.f %z %Z").to_string(),
        ),
    ]);
    rows::hide_labels(&mut row, labels);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_looks_like_dockers() {
        let network = Network {
            id: "0123456789abcdef".repeat(4),
            name: "backend".to_owned(),
            driver: "bridge".to_owned(),
            scope: "local".to_owned(),
            enable_ipv4: true,
            labels: [("a".to_owned(), "1".to_owned())].into(),
            ..Network::default()
        };
        let rows = [row(&network, false)];
        assert_eq!(
            LISTING.format("", &rows).unwrap(),
            "NETWORK ID     NAME      DRIVER    SCOPE\n0123456789ab   backend   bridge    local\n"
        );
        assert_eq!(
            LISTING
                .format("{{.Label \"a\"}} {{.IPv4}} {{.IPv6}} {{.Internal}}", &rows)
                .unwrap(),
            "1 true false false\n"
        );
        let whole = [row(&network, true)];
        assert_eq!(LISTING.format("{{.ID}}", &whole).unwrap().trim().len(), 64);
    }
}
