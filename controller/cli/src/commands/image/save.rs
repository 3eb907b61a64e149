//! `berth save`.

use std::path::PathBuf;

use berth_proto::v1::SaveRequest;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::commands::output::{self, Output};
use crate::engine::Global;
use crate::failure::{Failure, Outcome};

/// Save images to a tar archive
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(after_help = "Examples:
  berth save -o images.tar busybox:1 app
  berth save app | ssh host docker load")]
pub(crate) struct Args {
    /// Write to a file, instead of STDOUT
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Names or ids; a name without a tag means all tags of its repository
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Writes the archive to standard output or a file.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let output = Output::choose(args.output, "failed to save image")?;
    let request = SaveRequest { names: args.images };
    let mut images = global.engine().await?.images();
    let answers = images.save(request).await?.into_inner();
    let chunks = answers.map_ok(|answer| answer.chunk).map_err(Failure::from);
    output::write(output, chunks.boxed()).await
}
