//! Where the files of a build come from, and sending them.

use std::fs;
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};

use berth_context::Ignore;
use berth_proto::v1::{BuildRequest, build_request};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::ui;
use crate::ui::progress::Upload;

/// Bytes in one message.
const CHUNK: usize = 256 * 1024;

/// Where a tar archive says that it is one, and what it says.
const TAR_MAGIC: (usize, &[u8]) = (257, b"ustar");

/// What the agent is sent.
#[derive(Debug)]
pub(super) struct Context {
    source: Source,
    /// The Dockerfile's path inside the context; empty for the usual one.
    pub(super) dockerfile: String,
    /// The Dockerfile itself, when it is not inside.
    pub(super) dockerfile_text: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Source {
    Folder(PathBuf, Ignore),
    /// A tar archive: what was read of it, the rest is on standard input.
    Archive(Vec<u8>),
    Nothing,
}

/// Finds the context and the Dockerfile that arguments mean.
pub(super) fn open(context: &str, file: Option<&Path>) -> Result<Context, Failure> {
    if context == "-" {
        return from_input(file);
    }
    if context.contains("://") || context.starts_with("git@") {
        return Err(Failure::new(format!("cannot build from {context}"))
            .hint("fetch it and build from the folder"));
    }
    let folder = fs::canonicalize(context).map_err(|error| {
        Failure::during(
            &format!("unable to prepare context: path {context:?}"),
            &error,
        )
    })?;
    if !folder.is_dir() {
        return Err(Failure::new(format!(
            "unable to prepare context: {context} is not a folder"
        ))
        .hint("the Dockerfile is named with -f, the folder comes last"));
    }
    let (dockerfile, dockerfile_text) = dockerfile(&folder, file)?;
    let inside = dockerfile_text
        .is_none()
        .then(|| PathBuf::from(&dockerfile));
    let ignore =
        Ignore::load(&folder, inside.as_deref()).map_err(|error| Failure::because(&error))?;
    Ok(Context {
        source: Source::Folder(folder, ignore),
        dockerfile,
        dockerfile_text,
    })
}

/// Says where the Dockerfile is in the folder, or reads it when it is elsewhere.
fn dockerfile(folder: &Path, file: Option<&Path>) -> Result<(String, Option<Vec<u8>>), Failure> {
    let Some(file) = file else {
        if folder.join("Dockerfile").exists() {
            return Ok((String::new(), None));
        }
        return Err(
            Failure::new(format!("there is no Dockerfile in {}", folder.display()))
                .hint("-f names another one"),
        );
    };
    if file == Path::new("-") {
        let mut text = Vec::new();
        io::stdin().lock().read_to_end(&mut text)?;
        return Ok((String::new(), Some(text)));
    }
    let failed = |error| {
        Failure::during(
            &format!("unable to prepare context: Dockerfile {}", file.display()),
            &error,
        )
    };
    let path = fs::canonicalize(file).map_err(failed)?;
    // The name as given, not where a link leads: the agent resolves links inside the context.
    let named = std::path::absolute(file).map_err(failed)?;
    match (path.strip_prefix(folder), named.strip_prefix(folder)) {
        (Ok(_), Ok(inside)) | (Ok(inside), Err(_)) => {
            Ok((berth_context::clean(&inside.to_string_lossy()), None))
        }
        (Err(_), _) => Ok((String::new(), Some(fs::read(&path).map_err(failed)?))),
    }
}

/// Standard input is an archive if it says so, else a Dockerfile.
fn from_input(file: Option<&Path>) -> Result<Context, Failure> {
    let (at, magic) = TAR_MAGIC;
    let mut head = Vec::new();
    let mut input = io::stdin().lock();
    input
        .by_ref()
        .take((at + magic.len()) as u64)
        .read_to_end(&mut head)?;
    if head.get(at..) == Some(magic) {
        let dockerfile = file
            .map(|file| file.to_string_lossy().into_owned())
            .unwrap_or_default();
        return Ok(Context {
            source: Source::Archive(head),
            dockerfile,
            dockerfile_text: None,
        });
    }
    if head.starts_with(&[0x1f, 0x8b]) || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Err(Failure::new("the archive on standard input is compressed")
            .hint("decompress it on the way: zcat context.tar.gz | berth build -"));
    }
    if file.is_some() {
        return Err(Failure::new(
            "ambiguous Dockerfile source: both standard input and -f",
        ));
    }
    input.read_to_end(&mut head)?;
    Ok(Context {
        source: Source::Nothing,
        dockerfile: String::new(),
        dockerfile_text: Some(head),
    })
}

/// Sends the files; ends early, without an error, when the agent listens no more.
pub(super) async fn send(
    context: Context,
    sender: mpsc::Sender<BuildRequest>,
    shown: bool,
) -> Result<(), Failure> {
    let upload = Upload::new("Sending build context", 0, shown);
    let packing = tokio::task::spawn_blocking(move || {
        let mut writer = BufWriter::with_capacity(
            CHUNK,
            Messages {
                sender,
                upload,
                gone: false,
            },
        );
        let result = write(context, &mut writer);
        let flushed = writer.flush();
        let messages = writer.get_ref();
        messages.upload.finish();
        match result {
            // The agent's answer says why.
            _ if messages.gone => Ok(()),
            Ok(()) => flushed.map_err(Failure::from),
            failed => failed,
        }
    });
    packing.await.map_err(|error| Failure::because(&error))?
}

fn write(context: Context, writer: &mut impl Write) -> Result<(), Failure> {
    match context.source {
        Source::Folder(folder, ignore) => {
            let inside = match (&context.dockerfile_text, context.dockerfile.as_str()) {
                (Some(_), _) => None,
                (None, "") => Some(Path::new("Dockerfile")),
                (None, path) => Some(Path::new(path)),
            };
            let packed = berth_context::pack(&folder, inside, &ignore, writer)
                .map_err(|error| Failure::because(&error))?;
            for path in &packed.skipped {
                ui::warn(&format!(
                    "{} is a socket or a device and is not sent",
                    path.display()
                ));
            }
        }
        Source::Archive(head) => {
            writer.write_all(&head)?;
            io::copy(&mut io::stdin().lock(), writer)?;
        }
        Source::Nothing => writer.write_all(&[0; 1024])?,
    }
    Ok(())
}

/// A writer that sends what it is given.
struct Messages {
    sender: mpsc::Sender<BuildRequest>,
    upload: Upload,
    /// The agent listens no more.
    gone: bool,
}

// === impl Messages ===

impl Write for Messages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let message = build_request::Message::Context(bytes.to_vec());
        if self
            .sender
            .blocking_send(BuildRequest {
                message: Some(message),
            })
            .is_err()
        {
            self.gone = true;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.upload.add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dockerfile_outside_the_folder_is_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(place.path()).unwrap();
        let inside = folder.join("inside");
        fs::create_dir_all(inside.join("sub")).unwrap();
        fs::write(folder.join("outside.df"), "FROM a").unwrap();
        fs::write(inside.join("sub/app.df"), "FROM b").unwrap();
        let found = dockerfile(&inside, Some(&folder.join("outside.df"))).unwrap();
        assert_eq!(found, (String::new(), Some(b"FROM a".to_vec())));
        let found = dockerfile(&inside, Some(&inside.join("sub/app.df"))).unwrap();
        assert_eq!(found, ("sub/app.df".to_owned(), None));
        dockerfile(&inside, None).unwrap_err();
        dockerfile(&inside, Some(Path::new("/no/such"))).unwrap_err();
    }
}
