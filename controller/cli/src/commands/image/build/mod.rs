//! `berth build`.

mod context;
mod report;

use std::fs;
use std::path::PathBuf;

use berth_proto::v1::{BuildOptions, BuildRequest, build_request};

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::registry_auth;
use crate::session;
use crate::spec;

/// Build an image from a Dockerfile
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(after_help = "Examples:
  berth build -t app .                       the Dockerfile here, with this folder
  berth build -t app -f docker/app.df .      another Dockerfile
  berth build -t app - < Dockerfile          no folder at all

What .dockerignore lists is not sent.")]
pub(crate) struct Args {
    /// Name of the image (repeatable)
    #[arg(long, short, value_name = "NAME[:TAG]")]
    tag: Vec<String>,

    /// Dockerfile [default: Dockerfile in the folder]; - for standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Value of an ARG: NAME=VALUE, or NAME to take its value from here
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,

    /// Stage to stop at
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,

    /// Do every step again
    #[arg(long)]
    no_cache: bool,

    /// Set a label
    #[arg(long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,

    /// Pull base images even if they are there
    #[arg(long)]
    pull: bool,

    /// Platform of the image, such as linux/arm64
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,

    /// Network of RUN: bridge, host or none
    #[arg(long, value_name = "NETWORK")]
    network: Option<String>,

    /// Print only the image's id
    #[arg(long, short)]
    quiet: bool,

    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,

    /// Remove containers of steps; berth always does
    #[arg(long, hide = true)]
    rm: bool,

    /// Remove containers of failed steps; berth always does
    #[arg(long, hide = true)]
    force_rm: bool,

    /// Folder to build from; - for a Dockerfile or a tar archive on standard input
    #[arg(value_name = "FOLDER|-")]
    context: String,
}

/// Builds an image.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let context = context::open(&args.context, args.file.as_deref())?;
    let options = BuildOptions {
        tags: args.tag.clone(),
        dockerfile: context.dockerfile.clone(),
        dockerfile_text: context.dockerfile_text.clone(),
        build_args: build_args(&args.build_arg),
        target: args.target.clone().unwrap_or_default(),
        no_cache: args.no_cache,
        labels: spec::env::labels(&[], &args.label)
            .map_err(|error| Failure::because(&error))?
            .into_iter()
            .collect(),
        pull: args.pull,
        platform: args.platform.clone().unwrap_or_default(),
        network_mode: args.network.clone().unwrap_or_default(),
        registry_auths: registry_auth::all()?,
    };
    if let Some(path) = &args.iidfile {
        // A stale id must not be taken for the result of a build that failed.
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let engine = global.engine().await?;
    let (sender, requests) = session::queue();
    let first = BuildRequest {
        message: Some(build_request::Message::Options(options)),
    };
    // The queue is empty and its other end is in our hands.
    let _ = sender.try_send(first);
    let sending = context::send(context, sender, !args.quiet);
    let events = async {
        let events = engine.builds().build(requests).await?.into_inner();
        report::show(events, args.quiet).await
    };
    // Both at once: the agent tells while the context is still on its way. When the context breaks
    // off, the agent's complaint is only the consequence.
    let (sent, built) = tokio::join!(sending, events);
    let image_id = match (sent, built) {
        (Err(failure), _) | (Ok(()), Err(failure)) => return Err(failure),
        (Ok(()), Ok(image_id)) => image_id,
    };
    report::finish(&image_id, &args.tag, args.quiet)?;
    if let Some(path) = &args.iidfile {
        fs::write(path, &image_id)
            .map_err(|error| Failure::during(&format!("writing {}", path.display()), &error))?;
    }
    Ok(0)
}

/// Values for ARG; a bare name without a value here is left out.
fn build_args(flags: &[String]) -> std::collections::HashMap<String, String> {
    let value = |flag: &String| match flag.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => std::env::var(flag).ok().map(|value| (flag.clone(), value)),
    };
    flags.iter().filter_map(value).collect()
}
