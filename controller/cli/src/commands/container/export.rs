//! `berth export`.

use std::fs::FileType;
use std::io::Write as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use berth_proto::v1::{ExportRequest, ExportResponse};
use tonic::Streaming;

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;

/// Exit code of a program that SIGINT would have killed.
const INTERRUPTED: u8 = 130;

/// Export a container's filesystem as a tar archive
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Write to a file, instead of STDOUT
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Name or id
    container: String,
}

/// Writes the archive to standard output or a file.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let output = args.output.filter(|path| !path.as_os_str().is_empty());
    match &output {
        None if std::io::IsTerminal::is_terminal(&std::io::stdout()) => {
            return Err(Failure::new(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            ));
        }
        None => {}
        Some(path) => check(path)
            .map_err(|text| Failure::new(format!("failed to export container: {text}")))?,
    }
    let request = ExportRequest {
        container: args.container,
    };
    let mut files = global.engine().await?.files();
    let answers = files.export(request).await?.into_inner();
    match output {
        None => to_output(answers).await?,
        Some(path) => {
            tokio::select! {
                // Whichever is dropped leaves nothing: the file has its name only when it is whole.
                done = to_file(answers, &path) => done?,
                _interrupted = tokio::signal::ctrl_c() => return Ok(INTERRUPTED),
            }
        }
    }
    Ok(0)
}

/// Refuses what cannot be written to, in Docker's words.
fn check(path: &Path) -> Result<(), String> {
    let folder = folder_of(path);
    if !folder.exists() {
        return Err(format!(
            "invalid output path: stat {}: no such file or directory",
            folder.display()
        ));
    }
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            Err(format!("cannot write to {}", kind(found.file_type())))
        }
        _ => Ok(()),
    }
}

fn kind(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe (FIFO)"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() {
        "a character device file"
    } else {
        "a block device file"
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

async fn to_output(mut answers: Streaming<ExportResponse>) -> Result<(), Failure> {
    while let Some(answer) = answers.message().await? {
        ui::pass_on(answer.chunk).await?;
    }
    Ok(())
}

/// Writes beside the file and renames at the end, so that nobody takes a part for the whole.
async fn to_file(mut answers: Streaming<ExportResponse>, path: &Path) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| {
        Failure::during(
            &format!("failed to export container: {}", path.display()),
            error,
        )
    };
    let mut file = tempfile::Builder::new()
        .prefix(".berth-export-")
        .tempfile_in(folder_of(path))
        .map_err(|error| failed(&error))?;
    while let Some(answer) = answers.message().await? {
        file.write_all(&answer.chunk)
            .map_err(|error| failed(&error))?;
    }
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}
