//! `berth system prune`.

use crate::commands::{container, image, network, pruned::Pruned, volume};
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;

/// Remove all that is not in use
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// All images that no container uses, not only those without a name
    #[arg(long, short)]
    all: bool,

    /// Do not ask
    #[arg(long, short)]
    force: bool,

    /// Only what fits: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Volumes without a name, too
    #[arg(long)]
    volumes: bool,
}

/// Removes what is not in use and tells what.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    if args.volumes
        && args
            .filter
            .iter()
            .any(|filter| filter.starts_with("until="))
    {
        return Err(Failure::new(
            "ERROR: The \"until\" filter is not supported with \"--volumes\"",
        ));
    }
    if !args.force && !ui::confirm(&question(&args))? {
        return Err(Failure::new("system prune has been cancelled"));
    }
    let engine = global.engine().await?;
    let mut all = Pruned::default();
    all.add(container::prune::prune(&engine, args.filter.clone()).await?);
    all.add(network::prune::prune(&engine, args.filter.clone()).await?);
    if args.volumes {
        all.add(volume::prune::prune(&engine, args.filter.clone(), false).await?);
    }
    all.add(image::prune::prune(&engine, args.filter, args.all).await?);
    all.print()?;
    Ok(0)
}

fn question(args: &Args) -> String {
    let mut text = "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n".to_owned();
    if args.volumes {
        text.push_str("  - all anonymous volumes not used by at least one container\n");
    }
    text.push_str(if args.all {
        "  - all images without at least one container associated to them\n"
    } else {
        "  - all dangling images\n"
    });
    if !args.filter.is_empty() {
        text.push_str("\n  Items to be pruned will be filtered with:\n");
        for filter in &args.filter {
            text.push_str("  - ");
            text.push_str(filter);
            text.push('\n');
        }
    }
    text.push_str("\nAre you sure you want to continue? [y/N] ");
    text
}
