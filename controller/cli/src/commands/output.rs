//! Archives that the agent sends, on their way to a file or to standard output.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::io::AsyncWriteExt as _;

use crate::failure::{Failure, Outcome};

/// Exit code of a program that SIGINT would have killed.
const INTERRUPTED: u8 = 130;

/// Where an archive goes.
#[derive(Debug)]
pub(super) enum Output {
    Standard,
    File { path: PathBuf, doing: &'static str },
}

// === impl Output ===

impl Output {
    /// Refuses what cannot be written to, in Docker's words; `doing` begins them.
    pub(super) fn choose(path: Option<PathBuf>, doing: &'static str) -> Result<Self, Failure> {
        match path.filter(|path| !path.as_os_str().is_empty()) {
            None if std::io::stdout().is_terminal() => Err(Failure::new(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            )),
            None => Ok(Self::Standard),
            Some(path) => match check(&path) {
                Ok(()) => Ok(Self::File { path, doing }),
                Err(fault) => Err(Failure::new(format!("{doing}: {fault}"))),
            },
        }
    }
}

/// Writes all chunks. A file has its name only when it is whole.
pub(super) async fn write(
    output: Output,
    chunks: BoxStream<'_, Result<Vec<u8>, Failure>>,
) -> Outcome {
    match output {
        Output::Standard => to_standard_output(chunks).await?,
        Output::File { path, doing } => tokio::select! {
            // Whichever is dropped leaves nothing.
            done = to_file(chunks, &path, doing) => done?,
            _interrupted = tokio::signal::ctrl_c() => return Ok(INTERRUPTED),
        },
    }
    Ok(0)
}

/// Not written by this thread: while a reader takes its time, the connection must be looked after.
async fn to_standard_output(
    mut chunks: BoxStream<'_, Result<Vec<u8>, Failure>>,
) -> Result<(), Failure> {
    let mut output = tokio::io::stdout();
    while let Some(chunk) = chunks.next().await {
        output.write_all(&chunk?).await?;
    }
    Ok(output.flush().await?)
}

async fn to_file(
    mut chunks: BoxStream<'_, Result<Vec<u8>, Failure>>,
    path: &Path,
    doing: &str,
) -> Result<(), Failure> {
    let failed =
        |error: &std::io::Error| Failure::during(&format!("{doing}: {}", path.display()), error);
    let mut file = tempfile::Builder::new()
        .prefix(".berth-save-")
        .tempfile_in(folder_of(path))
        .map_err(|error| failed(&error))?;
    while let Some(chunk) = chunks.next().await {
        file.write_all(&chunk?).map_err(|error| failed(&error))?;
    }
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}

fn check(path: &Path) -> Result<(), String> {
    let folder = folder_of(path);
    if !folder.exists() {
        return Err(format!(
            "invalid output path: directory \"{}\" does not exist",
            folder.display()
        ));
    }
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err("cannot write to a directory".to_owned()),
        Ok(found) if !found.is_file() => Err("cannot write to a device".to_owned()),
        _ => Ok(()),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}
