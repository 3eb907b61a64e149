//! Archives into containers.

use std::sync::Arc;

use berth_agent_engine::{ArchiveInput, ArchiveSender, Engine, PutOptions, archive_input};
use berth_proto::v1::{self, put_request};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};

use crate::status;

/// Unpacks what arrives.
pub(super) async fn put(
    engine: &Arc<Engine>,
    mut requests: Streaming<v1::PutRequest>,
) -> Result<(), Status> {
    let first = requests
        .message()
        .await?
        .and_then(|request| request.message);
    let Some(put_request::Message::Options(options)) = first else {
        return Err(status::invalid(
            "the first message of a copy must be its options",
        ));
    };
    let target = PutOptions {
        path: options.path,
        no_overwrite_dir_non_dir: options.no_overwrite_dir_non_dir,
        copy_owner: options.copy_owner,
    };
    let (sender, input) = archive_input();
    // Ends with this call: when the client goes away, the unpacking must not wait for more.
    let pump = AbortOnDropHandle::new(tokio::spawn(pass_on(requests, sender)));
    let result = engine.put_archive(&options.container, target, input).await;
    drop(pump);
    result.map_err(|e| status::of(&e))
}

async fn pass_on(mut requests: Streaming<v1::PutRequest>, sender: ArchiveSender) {
    loop {
        let piece = match requests.message().await {
            Ok(Some(request)) => match request.message {
                Some(put_request::Message::Chunk(bytes)) => ArchiveInput::Data(bytes.into()),
                Some(put_request::Message::Options(_)) | None => continue,
            },
            Ok(None) => ArchiveInput::End,
            Err(error) => {
                tracing::debug!(error = %error, "a copy was cut off");
                return;
            }
        };
        let is_end = matches!(piece, ArchiveInput::End);
        if sender.send(piece).await.is_err() || is_end {
            return;
        }
    }
}
