//! Archives that leave the machine.

use std::io;

use berth_agent_engine::{ArchiveChunks, Classified as _};
use bytes::Bytes;
use futures::{Stream, stream};

use crate::error::broken;

/// Returns an archive as chunks of a body; a failure in the middle cuts the connection off, so that
/// nobody takes a part for the whole.
pub(crate) fn chunks(archive: ArchiveChunks) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(Some(archive), |archive| async move {
        let mut archive = archive?;
        match archive.next().await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(archive))),
            Ok(None) => None,
            Err(error) => {
                let sentence = error.sentence();
                tracing::warn!(error = sentence, "archive cut off");
                Some((Err(broken(sentence)), None))
            }
        }
    })
}
