//! Out of a container.

use std::io;

use berth_proto::v1::{GetRequest, GetResponse, PathStat, get_response};
use tokio::sync::mpsc;
use tonic::Streaming;

use super::{FOLDER, Remote, say};
use crate::copy::{self, Members};
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::ui::progress::Upload;

/// Copies to a path here, or as an archive to standard output.
pub(super) async fn copy(
    global: &Global,
    source: &Remote<'_>,
    destination: &str,
    follow_link: bool,
    quiet: bool,
) -> Outcome {
    let is_output = destination == "-";
    let target = if is_output {
        String::new()
    } else {
        let target = copy::resolve(destination)?;
        copy::check_output(&target).map_err(|error| Failure::new(error.to_string()))?;
        target
    };
    let request = GetRequest {
        container: source.container.to_owned(),
        path: source.path.to_owned(),
        follow_link,
        // Whoever reads standard output may not know of holes.
        sparse: !is_output,
    };
    let mut files = global.engine().await?.files();
    let mut answers = files.get(request).await?.into_inner();
    let first = answers.message().await?.and_then(|answer| answer.message);
    let Some(get_response::Message::Stat(stat)) = first else {
        return Err(Failure::new("the agent does not say what it sends"));
    };
    if is_output {
        while let Some(chunk) = next(&mut answers).await? {
            ui::pass_on(chunk).await?;
        }
        return Ok(0);
    }
    let side = copy::target(&target).map_err(|error| Failure::new(error.to_string()))?;
    let is_folder = stat.mode & FOLDER != 0;
    let place = copy::place(is_folder, &side).map_err(|error| Failure::new(error.to_string()))?;
    let members = Members {
        name: place.name.or_else(|| asked_name(source, &stat)),
        base: stat.name,
    };
    let bytes = receive(answers, place.folder, members, !quiet).await?;
    if !quiet {
        say(bytes, &target);
    }
    Ok(0)
}

/// Returns the name that was asked for, when the archive has that of what a link leads to.
fn asked_name(source: &Remote<'_>, stat: &PathStat) -> Option<String> {
    let asked = copy::base(source.path);
    let is_name = !matches!(asked, "." | "/") && !matches!(stat.name.as_str(), "." | "/");
    (is_name && asked != stat.name).then(|| asked.to_owned())
}

/// Unpacks what comes, and returns how many bytes that were.
async fn receive(
    mut answers: Streaming<GetResponse>,
    folder: String,
    members: Members,
    shown: bool,
) -> Result<u64, Failure> {
    let upload = Upload::new("Copying from container -", 0, shown);
    let (sender, reader) = copy::incoming();
    let unpacking = tokio::task::spawn_blocking(move || copy::unpack(reader, &folder, &members));
    let (received, unpacked) = tokio::join!(pass_on(&mut answers, sender, &upload), unpacking);
    upload.finish();
    let unpacked = unpacked.map_err(|error| Failure::because(&error))?;
    let bytes = received?;
    let left_out = unpacked.map_err(|error| Failure::because(&error))?;
    for path in left_out {
        ui::warn(&format!(
            "{} is a device, which is not copied",
            path.display()
        ));
    }
    Ok(bytes)
}

/// Passes chunks on until the end. Files that take no more have a reason, which they tell.
async fn pass_on(
    answers: &mut Streaming<GetResponse>,
    sender: mpsc::Sender<io::Result<Vec<u8>>>,
    upload: &Upload,
) -> Result<u64, Failure> {
    let mut bytes = 0;
    loop {
        let chunk = match next(answers).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok(bytes),
            Err(failure) => {
                let cut = io::Error::new(io::ErrorKind::ConnectionAborted, "cut off");
                // A reader that is gone has what it wanted.
                let _ = sender.send(Err(cut)).await;
                return Err(failure);
            }
        };
        bytes += chunk.len() as u64;
        upload.add(chunk.len());
        if sender.send(Ok(chunk)).await.is_err() {
            return Ok(bytes);
        }
    }
}

async fn next(answers: &mut Streaming<GetResponse>) -> Result<Option<Vec<u8>>, Failure> {
    while let Some(answer) = answers.message().await? {
        if let Some(get_response::Message::Chunk(chunk)) = answer.message {
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}
