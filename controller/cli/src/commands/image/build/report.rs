//! What a build says, in the words of Docker's classic builder.

use std::io;

use berth_proto::v1::build_step::Status;
use berth_proto::v1::{BuildResponse, BuildStep, StreamKind, build_response};
use tonic::Streaming;

use crate::failure::Failure;
use crate::session::Writers;
use crate::ui;
use crate::ui::rows::short_id;

/// Shows a build until it has ended; returns the image's id.
///
/// A quiet build keeps what it says to itself unless it fails.
pub(super) async fn show(
    mut events: Streaming<BuildResponse>,
    quiet: bool,
) -> Result<String, Failure> {
    let mut writers = Writers::new();
    let mut kept = Vec::new();
    loop {
        let event = match events.message().await {
            Ok(Some(event)) => event,
            Ok(None) => {
                return Err(Failure::new("the agent ended the build without a result"));
            }
            Err(status) => {
                writers.write(StreamKind::Stderr, &kept).await?;
                return Err(status.into());
            }
        };
        match event.message {
            Some(build_response::Message::Step(step)) => {
                let text = words(&step);
                if quiet {
                    kept.extend_from_slice(text.as_bytes());
                } else {
                    writers.write(StreamKind::Stdout, text.as_bytes()).await?;
                }
            }
            Some(build_response::Message::Output(output)) if quiet => kept.extend(output.data),
            Some(build_response::Message::Output(output)) => {
                let errors = output.stream == 2;
                let stream = if errors {
                    StreamKind::Stderr
                } else {
                    StreamKind::Stdout
                };
                writers.write(stream, &output.data).await?;
            }
            Some(build_response::Message::Warning(warning)) => ui::warn(&warning),
            Some(build_response::Message::Done(done)) => return Ok(done.image_id),
            None => {}
        }
    }
}

fn words(step: &BuildStep) -> String {
    match step.status() {
        Status::Unspecified => String::new(),
        Status::Started => {
            format!(
                "Step {}/{} : {}\n",
                step.number, step.total, step.instruction
            )
        }
        Status::Cached => format!(" ---> Using cache\n{}", image(step)),
        Status::Finished => image(step),
    }
}

/// The image after a step; some steps make none.
fn image(step: &BuildStep) -> String {
    match short_id(&step.image_id) {
        "" => String::new(),
        id => format!(" ---> {id}\n"),
    }
}

/// Tells the result.
pub(super) fn finish(image_id: &str, tags: &[String], quiet: bool) -> io::Result<()> {
    if quiet {
        return ui::line(image_id);
    }
    ui::line(&format!("Successfully built {}", short_id(image_id)))?;
    for tag in tags {
        ui::line(&format!(
            "Successfully tagged {}",
            crate::spec::image::with_tag(tag)
        ))?;
    }
    Ok(())
}
