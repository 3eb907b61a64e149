//! The context of a build on this machine: received, unpacked into a private directory, and removed.

use std::fs::{self, DirBuilder};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_agent_images::{ErrorKind, UnpackError, UnpackOptions, Whiteouts, apply_tar};
use berth_agent_sys::root_dir::{NodeKind, RootDir};
use berth_context::Ignore;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::copy::is_disk_full;

/// Larger Dockerfiles than this were not written by anybody.
const DOCKERFILE_LIMIT: u64 = 16 << 20;

const STREAM_BUFFER: usize = 256 * 1024;

/// Why a context cannot be received.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The directory for it cannot be made.
    #[error("making a directory in {}", path.display())]
    Directory {
        /// Where.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The stream cannot be unpacked.
    #[error("receiving the build context")]
    Unpack(#[source] UnpackError),
    /// There is no Dockerfile in it.
    #[error("failed to read dockerfile: open {path}")]
    Dockerfile {
        /// Its path in the context.
        path: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The Dockerfile is a directory, a device or something else that has no text.
    #[error("failed to read dockerfile: {path} is no file")]
    DockerfileKind {
        /// Its path in the context.
        path: String,
    },
    /// Receiving was interrupted by a fault of the agent.
    #[error("receiving the build context was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// A context that has arrived.
#[derive(Debug)]
pub(crate) struct Context {
    root: Arc<RootDir>,
    ignore: Ignore,
    directory: Option<TempDir>,
}

// === impl Context ===

impl Context {
    /// Receives a tar stream into a new directory below `scratch`.
    pub(crate) async fn receive(
        scratch: &Path,
        stream: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<Self, ContextError> {
        let scratch = scratch.to_owned();
        let handle = Handle::current();
        let stream = Blocking { stream, handle };
        spawn_blocking(move || Self::unpack(&scratch, stream))
            .await
            .map_err(ContextError::Interrupted)?
    }

    fn unpack(scratch: &Path, stream: impl Read) -> Result<Self, ContextError> {
        let failed = |source| ContextError::Directory {
            path: scratch.to_owned(),
            source,
        };
        let directory = tempfile::Builder::new()
            .prefix("context-")
            .tempdir_in(scratch);
        let directory = directory.map_err(failed)?;
        let root = RootDir::open(directory.path()).map_err(failed)?;
        // Whoever built the archive does not own anything in an image.
        let options = UnpackOptions {
            whiteouts: Whiteouts::Ignored,
            owner: Some((0, 0)),
            ..UnpackOptions::default()
        };
        let stream = BufReader::with_capacity(STREAM_BUFFER, stream);
        apply_tar(stream, &root, &options).map_err(ContextError::Unpack)?;
        Ok(Self {
            root: Arc::new(root),
            ignore: Ignore::default(),
            directory: Some(directory),
        })
    }

    pub(crate) fn root(&self) -> &Arc<RootDir> {
        &self.root
    }

    /// Whether `.dockerignore` takes a path out of the context.
    pub(crate) fn ignores(&self, path: &str) -> bool {
        self.ignore
            .matches(berth_context::clean(path).trim_start_matches('/'))
    }

    /// Reads the Dockerfile; a link to one inside of the context will do.
    pub(crate) fn dockerfile(&self, path: &str) -> Result<String, ContextError> {
        let inside = PathBuf::from(berth_context::clean(&format!("/{path}")));
        let failed = |source| ContextError::Dockerfile {
            path: path.to_owned(),
            source,
        };
        if self.root.metadata(&inside).map_err(failed)?.kind != NodeKind::File {
            return Err(ContextError::DockerfileKind {
                path: path.to_owned(),
            });
        }
        let file = self.root.open_file(&inside).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(DOCKERFILE_LIMIT)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Obeys the ignore file in the context as far as the sender could not: it had to send the
    /// Dockerfile and the ignore files themselves. Returns a warning when that file is not usable.
    pub(crate) fn hide_control_files(&mut self, dockerfile: &str) -> Option<String> {
        let dockerfile = berth_context::clean(&format!("/{dockerfile}"));
        let dockerfile = dockerfile.trim_start_matches('/').to_owned();
        let own = format!("{dockerfile}.dockerignore");
        let text = [&own, ".dockerignore"]
            .into_iter()
            .find_map(|path| self.dockerfile(path).ok());
        let text = text?;
        match Ignore::parse(&text) {
            Ok(ignore) => self.ignore = ignore,
            Err(error) => return Some(format!(".dockerignore: {error}: {}", error.source)),
        }
        for path in [dockerfile.as_str(), own.as_str(), ".dockerignore"] {
            if self.ignore.matches(path)
                && let Ok((parent, name)) = self.root.open_parent(Path::new(path))
            {
                // What is not there need not be hidden, and a directory is no control file.
                drop(parent.unlink(&name));
            }
        }
        None
    }

    /// Removes it, off the threads that others need.
    pub(crate) async fn remove(mut self) {
        if let Some(directory) = self.directory.take() {
            // A failure is logged there; the next start of the agent removes what is left.
            drop(spawn_blocking(move || remove_directory(directory)).await);
        }
    }
}

fn remove_directory(directory: TempDir) {
    let path = directory.path().to_owned();
    if let Err(error) = directory.close() {
        tracing::warn!(path = %path.display(), %error, "a build context could not be removed");
    }
}

/// Makes the directory for contexts and removes those that a killed agent left.
pub(crate) fn prepare_scratch(scratch: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(scratch)?;
    for entry in fs::read_dir(scratch)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Reads an asynchronous stream from a thread that may block.
struct Blocking<R> {
    stream: R,
    handle: Handle,
}

impl<R: AsyncRead + Unpin> Read for Blocking<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.handle.block_on(self.stream.read(buffer))
    }
}

// === impl ContextError ===

impl ContextError {
    /// Whether the disk is full.
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            Self::Directory { source, .. } => is_disk_full(source),
            Self::Unpack(error) => error.kind() == ErrorKind::DiskFull,
            _ => false,
        }
    }
}
