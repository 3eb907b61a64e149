//! Pulling images, for `pull` itself and for commands that miss one.

use berth_proto::v1::{PullDone, PullRequest, pull_response};

use crate::engine::Engine;
use crate::failure::Failure;
use crate::registry_auth;
use crate::spec::image;
use crate::ui::layers::{Layers, Place};

/// When `run` and `create` pull an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::commands) enum PullPolicy {
    Always,
    #[default]
    Missing,
    Never,
}

// === impl PullPolicy ===

impl std::str::FromStr for PullPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "always" => Ok(Self::Always),
            "missing" | "" => Ok(Self::Missing),
            "never" => Ok(Self::Never),
            other => Err(format!(
                "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
            )),
        }
    }
}

/// Pulls an image and shows how it goes at `place`.
pub(in crate::commands) async fn pull(
    engine: &Engine,
    name: &str,
    platform: &str,
    place: Place,
) -> Result<PullDone, Failure> {
    let reference = image::with_tag(name);
    let request = PullRequest {
        auth: registry_auth::for_image(&reference)?,
        reference,
        platform: platform.to_owned(),
    };
    let mut events = engine.images().pull(request).await?.into_inner();
    let mut layers = Layers::at(place);
    let mut done = None;
    while let Some(event) = events.message().await? {
        match event.event {
            Some(pull_response::Event::Status(line)) => layers.line(&line)?,
            Some(pull_response::Event::Layer(progress)) => layers.layer(&progress)?,
            Some(pull_response::Event::Done(end)) => done = Some(end),
            None => {}
        }
    }
    layers.finish();
    let done = done.ok_or_else(|| {
        Failure::new("the agent ended the pull without a result")
            .hint("pull again: what is there is kept")
    })?;
    layers.line(&format!("Digest: {}", done.digest))?;
    let familiar = image::familiar(&done.reference);
    layers.line(&if done.newer {
        format!("Status: Downloaded newer image for {familiar}")
    } else {
        format!("Status: Image is up to date for {familiar}")
    })?;
    Ok(done)
}
