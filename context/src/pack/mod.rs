//! Turns a directory into the tar stream that a build is sent.
//!
//! The stream depends on nothing but the tree: entries come in the order of their names, owners are
//! 0:0 without names, times are whole seconds. Symbolic links are sent as links and never followed.
//! Hard links are sent as separate files. Sockets and device nodes mean nothing on another machine
//! and stay behind; [`Packed::skipped`] names them.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use crate::Ignore;

/// Why a context cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file or directory cannot be read.
    #[error("reading {}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file became shorter between its header and its end.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The receiver takes no more.
    #[error("sending {}", path.display())]
    Send {
        /// What was being sent.
        path: PathBuf,
        /// What the writer said.
        #[source]
        source: io::Error,
    },
}

/// What was packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// How many entries the stream has.
    pub n_entries: u64,
    /// How many bytes of file content it has.
    pub content_bytes: u64,
    /// Sockets and device nodes that were left out, relative to the context.
    pub skipped: Vec<PathBuf>,
}

/// Writes the context to `writer` as one tar stream, with its end marker.
///
/// `dockerfile` is the Dockerfile's path inside the context, if it is there. It and `.dockerignore`
/// are always sent, as the agent needs them; it hides them from the instructions again when they
/// are ignored. The writer should be buffered.
///
/// # Errors
///
/// Something in the context cannot be read, or the writer fails. What was written so far is no
/// complete archive.
pub fn pack(
    context: &Path,
    dockerfile: Option<&Path>,
    ignore: &Ignore,
    writer: impl Write,
) -> Result<Packed, PackError> {
    let mut control_files = vec![PathBuf::from(".dockerignore")];
    if let Some(dockerfile) = dockerfile {
        control_files.push(PathBuf::from(crate::clean(&dockerfile.to_string_lossy())));
        let mut own = control_files[1].clone().into_os_string();
        own.push(".dockerignore");
        control_files.push(PathBuf::from(own));
    }
    let mut packer = Packer {
        context,
        control_files,
        ignore,
        archive: Builder::new(writer),
        pending: Vec::new(),
        packed: Packed::default(),
    };
    packer.directory(Path::new(""))?;
    let written = packer
        .archive
        .into_inner()
        .and_then(|mut writer| writer.flush());
    written.map_err(|source| PackError::Send {
        path: context.to_owned(),
        source,
    })?;
    Ok(packer.packed)
}

struct Packer<'a, W: Write> {
    context: &'a Path,
    control_files: Vec<PathBuf>,
    ignore: &'a Ignore,
    archive: Builder<W>,
    /// Ignored directories that the walk is in, outermost first. They are sent only once something
    /// below them is.
    pending: Vec<(PathBuf, Metadata)>,
    packed: Packed,
}

// === impl Packer ===

impl<W: Write> Packer<'_, W> {
    /// Packs what a directory holds; the directory itself has been seen to.
    fn directory(&mut self, relative: &Path) -> Result<(), PackError> {
        for name in self.names(relative)? {
            self.path(&relative.join(name))?;
        }
        Ok(())
    }

    fn names(&self, relative: &Path) -> Result<Vec<OsString>, PackError> {
        let path = self.context.join(relative);
        let entries: io::Result<Vec<OsString>> = fs::read_dir(&path).and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect()
        });
        let mut names = entries.map_err(|source| PackError::Read { path, source })?;
        names.sort();
        Ok(names)
    }

    fn path(&mut self, relative: &Path) -> Result<(), PackError> {
        let path = self.context.join(relative);
        let text = relative.to_string_lossy();
        let control = self.control_files.iter().any(|file| file == relative);
        let ignored = !control && self.ignore.matches(&text);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            // What has gone away since the directory was listed is not part of the context.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(PackError::Read { path, source }),
        };
        match (metadata.is_dir(), ignored) {
            (true, false) => {
                self.send_pending()?;
                self.send_directory(relative, &metadata)?;
                self.directory(relative)
            }
            (true, true) => {
                if !self.must_look_inside(relative, &text) {
                    return Ok(());
                }
                self.pending.push((relative.to_owned(), metadata));
                let depth = self.pending.len();
                self.directory(relative)?;
                if self.pending.len() == depth {
                    self.pending.pop();
                }
                Ok(())
            }
            (false, true) => Ok(()),
            (false, false) => {
                self.send_pending()?;
                self.send(relative, &path, &metadata)
            }
        }
    }

    fn must_look_inside(&self, relative: &Path, text: &str) -> bool {
        self.ignore.may_take_back_below(text)
            || self
                .control_files
                .iter()
                .any(|file| file.starts_with(relative))
    }

    /// Sends the ignored directories around something that is not ignored.
    fn send_pending(&mut self) -> Result<(), PackError> {
        for (relative, metadata) in std::mem::take(&mut self.pending) {
            self.send_directory(&relative, &metadata)?;
        }
        Ok(())
    }

    fn send_directory(&mut self, relative: &Path, metadata: &Metadata) -> Result<(), PackError> {
        let mut header = header(EntryType::Directory, metadata);
        self.append(relative, |archive| {
            archive.append_data(&mut header, relative, io::empty())
        })
    }

    fn send(&mut self, relative: &Path, path: &Path, metadata: &Metadata) -> Result<(), PackError> {
        let kind = metadata.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(|source| PackError::Read {
                path: path.to_owned(),
                source,
            })?;
            let mut header = header(EntryType::Symlink, metadata);
            self.append(relative, |archive| {
                archive.append_link(&mut header, relative, &target)
            })
        } else if kind.is_file() {
            self.send_file(relative, path)
        } else if kind.is_fifo() {
            let mut header = header(EntryType::Fifo, metadata);
            self.append(relative, |archive| {
                archive.append_data(&mut header, relative, io::empty())
            })
        } else {
            self.packed.skipped.push(relative.to_owned());
            Ok(())
        }
    }

    fn send_file(&mut self, relative: &Path, path: &Path) -> Result<(), PackError> {
        let read_error = |source| PackError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(read_error)?;
        let metadata = file.metadata().map_err(read_error)?;
        let mut header = header(EntryType::Regular, &metadata);
        header.set_size(metadata.len());
        // A file that grows is cut at the size in its header; one that shrinks would shift
        // everything behind it, so the reader notices and fails.
        let mut content = Content {
            file,
            remaining: metadata.len(),
            failure: None,
        };
        let sent = self
            .archive
            .append_data(&mut header, relative, &mut content);
        match (sent, content.failure) {
            (_, Some(Failure::Read(source))) => Err(read_error(source)),
            (_, Some(Failure::Short)) => Err(PackError::Changed {
                path: path.to_owned(),
            }),
            (Err(source), None) => Err(PackError::Send {
                path: relative.to_owned(),
                source,
            }),
            (Ok(()), None) => {
                self.packed.n_entries += 1;
                self.packed.content_bytes += metadata.len();
                Ok(())
            }
        }
    }

    fn append(
        &mut self,
        relative: &Path,
        append: impl FnOnce(&mut Builder<W>) -> io::Result<()>,
    ) -> Result<(), PackError> {
        append(&mut self.archive).map_err(|source| PackError::Send {
            path: relative.to_owned(),
            source,
        })?;
        self.packed.n_entries += 1;
        Ok(())
    }
}

fn header(kind: EntryType, metadata: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(metadata.mode() & 0o7777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    header
}

/// Gives exactly the announced number of bytes, and remembers on whose side a failure was.
struct Content {
    file: File,
    remaining: u64,
    failure: Option<Failure>,
}

enum Failure {
    Read(io::Error),
    Short,
}

// === impl Content ===

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        match self.file.read(&mut buffer[..wanted]) {
            Ok(0) => {
                self.failure = Some(Failure::Short);
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Ok(n) => {
                self.remaining -= n as u64;
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.failure = Some(Failure::Read(error));
                Err(io::ErrorKind::Other.into())
            }
        }
    }
}

#[cfg(test)]
mod tests;
