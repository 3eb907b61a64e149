//! `berth history`.

use berth_proto::v1::{HistoryRequest, HistoryStep};
use serde_json::Value;

use crate::engine::Global;
use crate::failure::Outcome;
use crate::ui::quote::ellipsis;
use crate::ui::rows::{self, Listing, short_id};
use crate::ui::{self, table};
use crate::units::{duration, moment, size};

/// Show the history of an image
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// json, table, or a template for each step
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Sizes and dates for people
    #[arg(long, short = 'H', action = clap::ArgAction::Set, num_args(0..=1), require_equals(true))]
    #[arg(
        default_value = "true",
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    #[arg(value_parser = crate::switch::go_bool)]
    human: bool,

    /// Do not shorten anything
    #[arg(long)]
    no_trunc: bool,

    /// Only ids
    #[arg(long, short)]
    quiet: bool,

    /// Name or id
    image: String,
}

const LISTING: Listing<'_> = Listing {
    headings: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
    default_columns: "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    layout: table::DOCKER,
};

const FOR_PROGRAMS: &str = "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

/// What stands for an image that is not here.
const MISSING: &str = "<missing>";

/// Shows the steps, the last one first.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let format = match args.format.as_deref().unwrap_or_default() {
        "" | "table" if args.quiet => "{{.ID}}",
        "" | "table" if !args.human => FOR_PROGRAMS,
        format => format,
    };
    let request = HistoryRequest {
        name: args.image.clone(),
    };
    let engine = global.engine().await?;
    let steps = engine.images().history(request).await?.into_inner().steps;
    let rows: Vec<Value> = steps
        .iter()
        .map(|step| row(step, !args.no_trunc, args.human))
        .collect();
    ui::print(&LISTING.format(format, &rows)?)?;
    Ok(0)
}

fn row(step: &HistoryStep, short: bool, human: bool) -> Value {
    let id = match step.image_id.as_str() {
        "" => MISSING,
        id if short => short_id(id),
        id => id,
    };
    let created = step.created_unix_seconds;
    let at = moment::rfc3339(created);
    let since = match created {
        _ if !human => at.clone(),
        ..=0 => "N/A".to_owned(),
        created => duration::ago(created),
    };
    let by = step.created_by.replace('\t', " ");
    rows::row([
        ("ID", id.to_owned()),
        ("CreatedSince", since),
        ("CreatedAt", at),
        ("CreatedBy", if short { ellipsis(&by, 45) } else { by }),
        (
            "Size",
            if human {
                size::decimal(step.size_bytes, 3)
            } else {
                step.size_bytes.to_string()
            },
        ),
        ("Comment", step.comment.clone()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_looks_like_dockers() {
        let step = HistoryStep {
            image_id: format!("sha256:{}", "ab".repeat(32)),
            created_by: "/bin/sh -c #(nop)\tCMD [\"a-very-long-command\" \"indeed\"]".to_owned(),
            size_bytes: 4_261_502,
            ..HistoryStep::default()
        };
        let rows = [
            row(&step, true, true),
            row(&HistoryStep::default(), true, true),
        ];
        assert_eq!(
            LISTING.format("", &rows).unwrap(),
            "IMAGE          CREATED   CREATED BY                                      SIZE      COMMENT\n\
             abababababab   N/A       /bin/sh -c #(nop) CMD [\"a-very-long-command\"…   4.26MB    \n\
             <missing>      N/A                                                       0B        \n"
        );
        let rows = [row(&step, false, false)];
        assert_eq!(
            LISTING
                .format("{{.Size}} {{.CreatedSince}}", &rows)
                .unwrap(),
            format!("4261502 {}\n", moment::rfc3339(0))
        );
    }
}
