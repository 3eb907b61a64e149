//! From here into a container.

use std::io::{self, Read as _};

use berth_proto::v1::file_service_client::FileServiceClient;
use berth_proto::v1::{PutOptions, PutRequest, StatRequest, put_request};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use super::{DEVICE, FOLDER, LINK, Remote, say};
use crate::copy::{self, ArchiveWriter, CHUNK, Place, Side};
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui::progress::Upload;
use crate::ui::quote;

/// Messages that wait for the network.
const WAITING: usize = 3;

/// How to copy.
pub(super) struct Options {
    pub(super) follow_link: bool,
    pub(super) copy_owner: bool,
    pub(super) quiet: bool,
}

type Files = FileServiceClient<Channel>;

/// Copies a file, a folder or an archive on standard input.
pub(super) async fn copy(
    global: &Global,
    source: &str,
    target: &Remote<'_>,
    options: Options,
) -> Outcome {
    let is_input = source == "-";
    let local = if is_input {
        None
    } else {
        let path = copy::resolve(source)?;
        let found = copy::source(&path, options.follow_link);
        Some(found.map_err(|error| Failure::new(error.to_string()))?)
    };
    let mut files = global.engine().await?.files();
    let side = look(&mut files, target).await?;
    let place = match &local {
        None if !side.is_folder => {
            return Err(Failure::new(format!(
                "destination {} must be a directory",
                named(target)
            )));
        }
        None => Place {
            folder: side.path.clone(),
            name: None,
        },
        Some(local) => {
            copy::place(local.is_folder, &side).map_err(|error| Failure::new(error.to_string()))?
        }
    };
    let upload = Upload::new("Copying to container -", 0, !options.quiet);
    let progress = upload.clone();
    let (sender, requests) = mpsc::channel(WAITING);
    let request = PutOptions {
        container: target.container.to_owned(),
        path: place.folder,
        // As docker's client: a copy never replaces a folder by a file or the other way round.
        no_overwrite_dir_non_dir: true,
        copy_owner: options.copy_owner,
    };
    let first = PutRequest {
        message: Some(put_request::Message::Options(request)),
    };
    sender
        .send(first)
        .await
        .map_err(|error| Failure::because(&error))?;
    let writer = ArchiveWriter::new(sender.clone(), move |n| progress.add(n));
    let sending = tokio::task::spawn_blocking(move || match local {
        Some(local) => {
            let name = place.name.unwrap_or(local.name);
            copy::pack(&local.path, &name, writer).map_err(|error| {
                let is_closed = error.source.kind() == io::ErrorKind::BrokenPipe;
                (!is_closed).then(|| Failure::because(&error))
            })
        }
        None => send_input(sender).map_err(|error| {
            let is_closed = error.kind() == io::ErrorKind::BrokenPipe;
            (!is_closed).then(|| Failure::during("reading standard input", &error))
        }),
    });
    let answer = files.put(ReceiverStream::new(requests)).await;
    upload.finish();
    let waits_for_input = is_input && !sending.is_finished();
    let answer = match answer {
        // Nobody needs what it waits for any more.
        Err(status) if waits_for_input => return Err(status.into()),
        answer => answer,
    };
    let sent = sending.await.map_err(|error| Failure::because(&error))?;
    // The agent is told an end either way; what failed here is the reason for what it says then.
    if let Err(Some(failure)) = sent {
        return Err(failure);
    }
    answer?;
    if !options.quiet {
        let bytes = sent.unwrap_or(0);
        say(bytes, &format!("{}:{}", target.container, side.path));
    }
    Ok(0)
}

/// Finds out what is at the target; that it cannot be found out, the copy itself will tell.
async fn look(files: &mut Files, target: &Remote<'_>) -> Result<Side, Failure> {
    let mut side = Side {
        path: target.path.to_owned(),
        ..Side::default()
    };
    let Ok(mut found) = stat(files, target.container, target.path).await else {
        return Ok(side);
    };
    if found.mode & LINK != 0 {
        side.path.clone_from(&found.link_target);
        match stat(files, target.container, &side.path).await {
            Ok(behind) => found = behind,
            Err(_missing) => return Ok(side),
        }
    }
    if found.mode & DEVICE != 0 {
        return Err(Failure::new(format!(
            "destination {} must be a directory or a regular file: got a device",
            named(target)
        )));
    }
    side.exists = true;
    side.is_folder = found.mode & FOLDER != 0;
    Ok(side)
}

fn named(target: &Remote<'_>) -> String {
    quote::quoted(&format!("{}:{}", target.container, target.path))
}

async fn stat(
    files: &mut Files,
    container: &str,
    path: &str,
) -> Result<berth_proto::v1::PathStat, Status> {
    let request = StatRequest {
        container: container.to_owned(),
        path: path.to_owned(),
    };
    let answer = files.stat(request).await?.into_inner();
    Ok(answer.stat.unwrap_or_default())
}

/// Sends standard input as it is.
fn send_input(sender: mpsc::Sender<PutRequest>) -> io::Result<u64> {
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; CHUNK];
    let mut sent = 0;
    loop {
        // What is there: who writes slowly wants it to arrive nevertheless.
        let length = match input.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            length => length?,
        };
        if length == 0 {
            return Ok(sent);
        }
        sent += length as u64;
        let message = PutRequest {
            message: Some(put_request::Message::Chunk(buffer[..length].to_vec())),
        };
        sender
            .blocking_send(message)
            .map_err(|_closed| io::Error::from(io::ErrorKind::BrokenPipe))?;
    }
}
