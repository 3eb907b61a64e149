//! `berth commit`.

use berth_proto::v1::CommitRequest;
use clap::ArgAction;

use crate::engine::Global;
use crate::failure::Outcome;
use crate::ui;

/// Create a new image from a container's changes
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(after_help = "Example:\n  berth commit -m 'with curl' -c 'CMD [\"sh\"]' web mine:2")]
pub(crate) struct Args {
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(long, short, value_name = "TEXT")]
    author: Option<String>,

    /// Apply Dockerfile instruction to the created image
    #[arg(long, short, value_name = "INSTRUCTION")]
    change: Vec<String>,

    /// Commit message
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,

    /// Pause container during commit
    #[arg(long, short, action = ArgAction::Set, value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "true", default_missing_value = "true")]
    #[arg(value_parser = crate::switch::go_bool)]
    pause: bool,

    /// Name or id
    container: String,

    /// Name of the image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    reference: Option<String>,
}

/// Makes an image and prints its id.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let request = CommitRequest {
        container: args.container,
        reference: args.reference.unwrap_or_default(),
        author: args.author.unwrap_or_default(),
        message: args.message.unwrap_or_default(),
        changes: args.change,
        pause: args.pause,
    };
    let mut files = global.engine().await?.files();
    let answer = files.commit(request).await?.into_inner();
    ui::line(&answer.image_id)?;
    Ok(0)
}
