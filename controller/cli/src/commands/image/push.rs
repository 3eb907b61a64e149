//! `berth push`.

use berth_proto::v1::{PushRequest, push_response};

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::registry_auth;
use crate::spec::image;
use crate::ui;
use crate::ui::layers::{Layers, Place};

/// Push an image to a registry
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Print only the image's name
    #[arg(long, short)]
    quiet: bool,

    /// Name of the image, which says where it goes
    #[arg(value_name = "NAME[:TAG]")]
    name: String,
}

/// Pushes an image.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    let reference = image::with_tag(&args.name);
    if image::is_bare(&args.name) && !args.quiet {
        ui::line("Using default tag: latest")?;
    }
    let auth = registry_auth::for_image(&reference)?;
    let request = PushRequest {
        reference: reference.clone(),
        auth,
    };
    let mut events = engine.images().push(request).await?.into_inner();
    let mut layers = Layers::at(if args.quiet {
        Place::Nowhere
    } else {
        Place::Output
    });
    let mut done = None;
    while let Some(event) = events.message().await? {
        match event.event {
            Some(push_response::Event::Status(line)) => layers.line(&line)?,
            Some(push_response::Event::Layer(progress)) => layers.layer(&progress)?,
            Some(push_response::Event::Done(end)) => done = Some(end),
            None => {}
        }
    }
    layers.finish();
    let done = done.ok_or_else(|| {
        Failure::new("the agent ended the push without a result")
            .hint("push again: what is there is kept")
    })?;
    if args.quiet {
        ui::line(&reference)?;
    } else {
        ui::line(&format!(
            "{}: digest: {} size: {}",
            done.tag, done.digest, done.size_bytes
        ))?;
    }
    Ok(0)
}
