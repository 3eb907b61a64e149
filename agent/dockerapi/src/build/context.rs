//! Where a build's files come from: the call's body, or an address.

use std::io;
use std::pin::Pin;

use berth_agent_build::BuildOptions;
use berth_agent_images::{Compression, fetch};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;

use crate::call::Call;
use crate::error::ApiError;
use crate::streams::plain::{Plain, plain, reading};
use crate::streams::transfer::Failure;

/// Bytes by which an archive is told from a Dockerfile.
const BEGINNING: usize = 512;
/// Largest Dockerfile that is fetched from an address.
const LARGEST_DOCKERFILE: u64 = 4 * 1024 * 1024;

/// Returns the context of a build; what is at an address may also be a Dockerfile alone.
pub(super) async fn context(
    call: Call,
    remote: &str,
    options: &mut BuildOptions,
) -> Result<Plain, Failure> {
    if remote.is_empty() || remote == "client-session" {
        let (_parts, body) = call.into_reader();
        return Ok(plain(Box::pin(body)).await?);
    }
    let is_git = remote.starts_with("git://")
        || remote.starts_with("git@")
        || remote.starts_with("github.com/")
        || remote
            .split('#')
            .next()
            .is_some_and(|url| url.ends_with(".git"));
    if is_git {
        let sentence = "git repositories as build contexts are not supported by berth";
        return Err(ApiError::not_implemented(sentence).into());
    }
    let body = fetch(remote).await?;
    let mut body = Box::pin(StreamReader::new(Box::pin(body)));
    let beginning = beginning(&mut body).await.map_err(reading)?;
    let is_archive = Compression::detect(&beginning) != Compression::None || is_tar(&beginning);
    let whole = io::Cursor::new(beginning).chain(body);
    if is_archive {
        return Ok(plain(Box::pin(whole)).await?);
    }
    let mut text = String::new();
    let mut limited = whole.take(LARGEST_DOCKERFILE);
    limited.read_to_string(&mut text).await.map_err(reading)?;
    options.dockerfile_text = Some(text);
    // An archive of nothing.
    Ok(Box::pin(io::Cursor::new(vec![0; 1024])))
}

/// Whether it begins like an archive.
fn is_tar(beginning: &[u8]) -> bool {
    beginning.get(257..262) == Some(b"ustar")
}

async fn beginning(body: &mut Pin<Box<impl AsyncRead>>) -> io::Result<Vec<u8>> {
    let mut beginning = Vec::with_capacity(BEGINNING);
    while beginning.len() < BEGINNING {
        let left = (BEGINNING - beginning.len()) as u64;
        if body.as_mut().take(left).read_to_end(&mut beginning).await? == 0 {
            break;
        }
    }
    Ok(beginning)
}
