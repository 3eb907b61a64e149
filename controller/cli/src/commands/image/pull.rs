//! `berth pull`.

use super::transfer;
use crate::engine::Global;
use crate::failure::Outcome;
use crate::spec::image;
use crate::ui;
use crate::ui::layers::Place;

/// Pull an image from a registry
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(
    after_help = "Names and passwords of registries come from ~/.docker/config.json; `berth login`
stores them. A pull that is cut off goes on where it stopped."
)]
pub(crate) struct Args {
    /// Platform, such as linux/arm64
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,

    /// Print only the image's name
    #[arg(long, short)]
    quiet: bool,

    /// Name of the image
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    name: String,
}

/// Pulls an image and prints its full name.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    let place = if args.quiet {
        Place::Nowhere
    } else {
        Place::Output
    };
    if image::is_bare(&args.name) && !args.quiet {
        ui::line("Using default tag: latest")?;
    }
    let platform = args.platform.unwrap_or_default();
    let done = transfer::pull(&engine, &args.name, &platform, place).await?;
    ui::line(&done.reference)?;
    Ok(0)
}
