//! `berth machine certs`.

use berth_controller_fleet::{CertificateKind, CertificateRow};
use serde_json::{Value, json};

use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui::rows::Listing;
use crate::ui::{self, table};

/// List all certificates, with the days that they are still good
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(
    after_help = "Certificates are renewed by themselves when a machine is contacted and less than
30 days are left; nothing restarts and no stream is interrupted.

Examples:
  berth machine certs web1
  berth machine certs --format '{{.Name}} {{.DaysLeft}}'"
)]
pub(crate) struct Args {
    /// json, table, or a template for each certificate
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,

    /// As JSON, one object a line
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Only these machines
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

const LISTING: Listing<'_> = Listing {
    headings: &[
        ("Kind", "KIND"),
        ("Name", "NAME"),
        ("Subject", "SUBJECT"),
        ("Names", "NAMES"),
        ("Serial", "SERIAL"),
        ("Fingerprint", "FINGERPRINT"),
        ("ShortFingerprint", "FINGERPRINT"),
        ("Expires", "EXPIRES"),
        ("DaysLeft", "DAYS LEFT"),
        ("Status", "STATUS"),
        ("Pending", "PENDING"),
    ],
    default_columns: "{{.Kind}}\t{{.Name}}\t{{.ShortFingerprint}}\t{{.Expires}}\t{{.DaysLeft}}\t{{.Status}}\t{{.Names}}",
    layout: table::DOCKER,
};

/// Digits of a fingerprint that tell certificates apart, and that `revoke-client` takes.
const SHORT: usize = 16;

/// Lists certificates.
pub(super) fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    for name in &args.names {
        if !fleet.exists(name) {
            let absent = berth_controller_fleet::MachineError::Absent(name.clone());
            return Err(absent.failure());
        }
    }
    let mut rows = fleet.certificates().map_err(|error| {
        let failure = Failure::because(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })?;
    rows.retain(|row| {
        let is_named = row.kind == CertificateKind::Server && args.names.contains(&row.name);
        args.names.is_empty() || is_named
    });
    let rows: Vec<Value> = rows.iter().map(shown).collect();
    let format = if args.json {
        "json"
    } else {
        args.format.as_deref().unwrap_or_default()
    };
    ui::print(&LISTING.format(format, &rows)?)?;
    Ok(0)
}

fn shown(row: &CertificateRow) -> Value {
    let pending = if row.pending == 0 {
        String::new()
    } else {
        format!(" ({} to be told)", row.pending)
    };
    let date = row.not_after.date();
    json!({
        "Kind": row.kind.as_str(),
        "Name": row.name,
        "Subject": row.subject,
        "Names": row.names.join(","),
        "Serial": row.serial,
        "Fingerprint": row.fingerprint,
        "ShortFingerprint": row.fingerprint.get(..SHORT).unwrap_or(&row.fingerprint),
        "Expires": date.to_string(),
        "DaysLeft": row.days_left,
        "Status": format!("{}{pending}", row.status.as_str()),
        "Pending": row.pending,
    })
}
