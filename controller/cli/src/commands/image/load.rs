//! `berth load`.

use std::path::PathBuf;

use berth_proto::v1::{LoadRequest, LoadedImage};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::session;
use crate::ui;
use crate::ui::progress::Upload;

/// Load images from a tar archive
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(
    after_help = "Takes archives of `docker save`, `podman save`, `skopeo` and of this program:
Docker's and OCI layouts, plain or compressed with gzip, bzip2, xz or zstd."
)]
pub(crate) struct Args {
    /// Read from a file, instead of STDIN
    #[arg(long, short, value_name = "FILE")]
    input: Option<PathBuf>,

    /// Do not show how it goes
    #[arg(long, short)]
    quiet: bool,
}

/// Bytes in one message.
const CHUNK: usize = 256 * 1024;

/// Loads an archive and prints what was in it.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let (archive, length) = open(args.input).await?;
    let engine = global.engine().await?;
    let (sender, requests) = session::queue();
    let upload = Upload::new("Sending", length, !args.quiet);
    let mut images = engine.images();
    let loading = images.load(requests);
    tokio::pin!(loading);
    // Both at once, but an answer that comes before the archive's end ends the sending.
    let answer = tokio::select! {
        biased;
        answer = &mut loading => answer,
        sent = send(sender, archive, &upload) => match sent {
            Ok(()) => loading.await,
            Err(failure) => return Err(failure),
        },
    };
    upload.finish();
    for image in &answer?.into_inner().images {
        tell(image)?;
    }
    Ok(0)
}

fn tell(image: &LoadedImage) -> std::io::Result<()> {
    if image.names.is_empty() {
        return ui::line(&format!("Loaded image ID: {}", image.id));
    }
    for name in &image.names {
        if !name.replaced_image_id.is_empty() {
            ui::line(&format!(
                "The image {} already exists, renaming the old one with ID {} to empty string",
                name.name, name.replaced_image_id
            ))?;
        }
        ui::line(&format!("Loaded image: {}", name.name))?;
    }
    Ok(())
}

async fn open(input: Option<PathBuf>) -> Result<(Box<dyn AsyncRead + Unpin>, u64), Failure> {
    let Some(path) = input.filter(|path| !path.as_os_str().is_empty()) else {
        if ui::input_is_terminal() {
            return Err(Failure::new(
                "requested load from stdin, but stdin is empty",
            ));
        }
        return Ok((Box::new(tokio::io::stdin()), 0));
    };
    let failed = |error| Failure::during(&format!("open {}", path.display()), &error);
    let archive = tokio::fs::File::open(&path).await.map_err(failed)?;
    let length = archive.metadata().await.map_err(failed)?.len();
    Ok((Box::new(archive), length))
}

/// Sends the archive. An agent that stops listening has a reason, which its answer tells.
async fn send(
    sender: mpsc::Sender<LoadRequest>,
    mut archive: Box<dyn AsyncRead + Unpin>,
    upload: &Upload,
) -> Result<(), Failure> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = archive.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let chunk = buffer[..length].to_vec();
        if sender.send(LoadRequest { chunk }).await.is_err() {
            return Ok(());
        }
        upload.add(length);
    }
}
