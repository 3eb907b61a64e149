//! The bytes of one file, many pieces under way at a time.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::side::{Opened, Side, blocking};
use super::{CopyProgress, SideError};
use crate::sftp::{CHUNK, SftpError};

/// Pieces that are read, and that are written, at the same time: with 32 KiB each, enough for a
/// fast line with a long way.
const PIECES: usize = 64;

/// Where a failure was.
pub(super) enum Failed {
    Reading(SideError),
    Writing(SideError),
}

/// Copies all bytes; `size` is what the file was said to have. Returns how many there were.
pub(super) async fn pump(
    from: (&Side<'_>, &Opened),
    to: (&Side<'_>, &Opened),
    size: u64,
    progress: &dyn CopyProgress,
) -> Result<u64, Failed> {
    let chunk = CHUNK as u64;
    let offsets = (0..size.div_ceil(chunk)).map(|index| index * chunk);
    let reads = stream::iter(offsets).map(|offset| async move {
        let data = read(from.0, from.1, offset).await;
        data.map(|data| (offset, data)).map_err(Failed::Reading)
    });
    let mut end = 0;
    let mut ended = false;
    {
        let (end, ended) = (&mut end, &mut ended);
        reads
            .buffered(PIECES)
            // A piece that is not full is the last: the file has become shorter.
            .try_take_while(|(_, data)| {
                let goes_on = !*ended && !data.is_empty();
                *ended |= data.len() < CHUNK;
                *end += if goes_on { data.len() as u64 } else { 0 };
                std::future::ready(Ok(goes_on))
            })
            .try_for_each_concurrent(PIECES, |(offset, data)| async move {
                let length = data.len() as u64;
                write(to.0, to.1, offset, data).await.map_err(Failed::Writing)?;
                progress.bytes(length);
                Ok(())
            })
            .await?;
    }
    // What was said to be empty may not be (/proc), and a file may have grown.
    if !ended || end == size {
        loop {
            let data = read(from.0, from.1, end).await.map_err(Failed::Reading)?;
            if data.is_empty() {
                break;
            }
            let length = data.len() as u64;
            write(to.0, to.1, end, data)
                .await
                .map_err(Failed::Writing)?;
            progress.bytes(length);
            end += length;
        }
    }
    Ok(end)
}

/// Reads one piece, which is only shorter at the end of the file.
async fn read(side: &Side<'_>, file: &Opened, offset: u64) -> Result<Bytes, SideError> {
    match (file, side.files()) {
        (Opened::Remote(handle), Some(files)) => {
            let first = files.read(handle, offset, CHUNK).await?;
            if first.len() == CHUNK || first.is_empty() {
                return Ok(first);
            }
            let mut all = first.to_vec();
            while all.len() < CHUNK {
                let at = offset + all.len() as u64;
                let more = files.read(handle, at, CHUNK - all.len()).await?;
                if more.is_empty() {
                    break;
                }
                all.extend_from_slice(&more);
            }
            Ok(all.into())
        }
        (Opened::Local(file), _) => {
            let file = Arc::clone(file);
            blocking(move || {
                let mut piece = vec![0; CHUNK];
                let mut n_read = 0;
                while n_read < CHUNK {
                    match file.read_at(&mut piece[n_read..], offset + n_read as u64)? {
                        0 => break,
                        n => n_read += n,
                    }
                }
                piece.truncate(n_read);
                Ok(piece.into())
            })
            .await
        }
        (Opened::Remote(_), None) => Err(SftpError::Lost.into()),
    }
}

async fn write(side: &Side<'_>, file: &Opened, offset: u64, data: Bytes) -> Result<(), SideError> {
    match (file, side.files()) {
        (Opened::Remote(handle), Some(files)) => Ok(files.write(handle, offset, &data).await?),
        (Opened::Local(file), _) => {
            let file = Arc::clone(file);
            blocking(move || file.write_all_at(&data, offset)).await
        }
        (Opened::Remote(_), None) => Err(SftpError::Lost.into()),
    }
}
