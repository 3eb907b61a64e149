//! `berth cp`.

mod from;
mod to;

use clap::ArgAction;

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::units::size;

/// Copy files/folders between a container and the local filesystem
///
/// `-` as the source reads a tar archive from standard input and unpacks it into a folder of the
/// container; `-` as the destination writes a tar archive to standard output.
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(
    override_usage = "berth cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n       berth cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH"
)]
#[command(
    after_help = "Example:\n  berth cp web:/var/log/nginx/. logs    what is in the folder, into logs"
)]
pub(crate) struct Args {
    /// Archive mode (copy all uid/gid information)
    #[arg(long, short)]
    archive: bool,

    /// Always follow symlinks in SRC_PATH
    #[arg(long, short = 'L')]
    follow_link: bool,

    /// Tell nothing; the default where standard output is no terminal
    #[arg(long, short, action = ArgAction::Set, value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = crate::switch::go_bool)]
    quiet: Option<bool>,

    /// What to copy
    #[arg(value_name = "SRC", hide = true)]
    source: String,

    /// Where to
    #[arg(value_name = "DEST", hide = true)]
    destination: String,
}

/// A path of a container.
#[derive(Debug)]
struct Remote<'a> {
    container: &'a str,
    path: &'a str,
}

/// Bits of Go's `os.FileMode`, as the agent sends it.
const FOLDER: u32 = 1 << 31;
const LINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;

/// Copies in one of the two directions.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    for (word, text) in [("source", &args.source), ("destination", &args.destination)] {
        if text.is_empty() {
            return Err(Failure::new(format!("{word} can not be empty")));
        }
    }
    let quiet = args.quiet.unwrap_or_else(|| !ui::output_is_terminal());
    match (remote(&args.source), remote(&args.destination)) {
        (Some(_), Some(_)) => Err(Failure::new("copying between containers is not supported")
            .hint("pipe one into the other: berth cp A:/x - | berth cp - B:/y")),
        (None, None) => Err(Failure::new("must specify at least one container source")),
        (Some(source), None) => {
            from::copy(global, &source, &args.destination, args.follow_link, quiet).await
        }
        (None, Some(target)) => {
            let options = to::Options {
                follow_link: args.follow_link,
                copy_owner: args.archive,
                quiet,
            };
            to::copy(global, &args.source, &target, options).await
        }
    }
}

/// Reads `container:path`. A path here with a colon in it begins with `/` or `.`.
fn remote(text: &str) -> Option<Remote<'_>> {
    if text.starts_with('/') {
        return None;
    }
    let (container, path) = text.split_once(':')?;
    let is_container = !container.starts_with('.') && !container.is_empty();
    is_container.then_some(Remote { container, path })
}

fn say(bytes: u64, target: &str) {
    let size = size::decimal(bytes, 3);
    ui::note(&format!("Successfully copied {size} to {target}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_from_files_with_a_colon() {
        for (text, expected) in [
            ("web:/a:b", Some(("web", "/a:b"))),
            ("web:", Some(("web", ""))),
            ("./a:b", None),
            ("../a:b", None),
            (".a:b", None),
            ("/a:b", None),
            ("a", None),
            ("-", None),
        ] {
            let found = remote(text).map(|remote| (remote.container, remote.path));
            assert_eq!(found, expected, "{text}");
        }
    }
}
