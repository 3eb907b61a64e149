//! `berth import`.

use std::path::Path;

use berth_proto::v1::{ImportOptions, ImportRequest, import_request};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::session;
use crate::ui;
use crate::ui::progress::Upload;

/// Import the contents from a tarball to create a filesystem image
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(after_help = "Example:\n  tar -C rootfs -c . | berth import -c 'CMD [\"sh\"]' - mine:1")]
pub(crate) struct Args {
    /// Apply a Dockerfile instruction, such as 'CMD [\"sh\"]'
    #[arg(long, short, value_name = "INSTRUCTION")]
    change: Vec<String>,

    /// Comment in the image's history
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,

    /// Platform of the image, such as linux/arm64
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,

    /// Tar archive (plain, gzip, bzip2, xz or zstd) here or on the web, or - for standard input
    #[arg(value_name = "FILE|URL|-")]
    file: String,

    /// Name of the image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    reference: Option<String>,
}

/// Bytes in one message.
const CHUNK: usize = 256 * 1024;

/// Imports an archive and prints the image's id.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    // The agent fetches what is on the web; that way it need not come here first.
    let is_web = args.file.starts_with("http://") || args.file.starts_with("https://");
    let (archive, length) = if is_web {
        let nothing: Box<dyn AsyncRead + Unpin> = Box::new(tokio::io::empty());
        (nothing, 0)
    } else {
        open(&args.file).await?
    };
    let options = ImportOptions {
        reference: args.reference.unwrap_or_default(),
        comment: args.message.unwrap_or_default(),
        changes: args.change,
        platform: args.platform.unwrap_or_default(),
        url: if is_web { args.file } else { String::new() },
    };
    let engine = global.engine().await?;
    let (sender, requests) = session::queue();
    let title = if is_web { "Fetching" } else { "Sending" };
    let upload = Upload::new(title, length, true);
    let mut images = engine.images();
    let sending = send(sender, options, archive, &upload);
    // Both at once: the answer comes only after the archive, unless the agent refuses it earlier.
    let (answer, sent) = tokio::join!(images.import(requests), sending);
    upload.finish();
    let image_id = match (answer, sent) {
        (Ok(answer), Ok(())) => answer.into_inner().image_id,
        (_, Err(failure)) => return Err(failure),
        (Err(status), Ok(())) => return Err(status.into()),
    };
    ui::line(&image_id)?;
    Ok(0)
}

async fn open(file: &str) -> Result<(Box<dyn AsyncRead + Unpin>, u64), Failure> {
    if file == "-" {
        return Ok((Box::new(tokio::io::stdin()), 0));
    }
    let failed = |error| Failure::during(&format!("open {file}"), &error);
    let archive = tokio::fs::File::open(Path::new(file))
        .await
        .map_err(failed)?;
    let length = archive.metadata().await.map_err(failed)?.len();
    Ok((Box::new(archive), length))
}

/// Sends the archive. An agent that stops listening has a reason, which its answer tells.
async fn send(
    sender: mpsc::Sender<ImportRequest>,
    options: ImportOptions,
    mut archive: Box<dyn AsyncRead + Unpin>,
    upload: &Upload,
) -> Result<(), Failure> {
    let first = ImportRequest {
        message: Some(import_request::Message::Options(options)),
    };
    if sender.send(first).await.is_err() {
        return Ok(());
    }
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = archive.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let chunk = import_request::Message::Chunk(buffer[..length].to_vec());
        if sender
            .send(ImportRequest {
                message: Some(chunk),
            })
            .await
            .is_err()
        {
            return Ok(());
        }
        upload.add(length);
    }
}
