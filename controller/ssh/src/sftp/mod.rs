//! Files on a host: the SFTP protocol, version 3, as OpenSSH speaks it.
//!
//! Paths are bytes, as they are on the host. Requests may be made at the same time: each waits for
//! its own answer.

mod wire;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::{ExecError, Session};
use wire::{Answer, Packet};
pub use wire::{Attributes, Kind};

/// Most bytes of one packet; hosts that send more are not speaking this protocol.
const MAX_PACKET: u32 = 256 * 1024;
/// Bytes that are read or written by one request: what every server takes.
pub(crate) const CHUNK: usize = 32 * 1024;

/// Packets that wait to be sent.
const QUEUE: usize = 16;
/// More names than any directory has.
const MAX_NAMES: usize = 10_000_000;

/// A file operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SftpError {
    /// The host says that there is no such file.
    #[error("no such file or directory")]
    Absent,
    /// The host does not allow it.
    #[error("permission denied")]
    Denied,
    /// The host cannot do it; it seldom says why.
    #[error("the host could not do it ({0})")]
    Failed(String),
    /// The connection ended.
    #[error("connection to the host was lost")]
    Lost,
    /// What the host sent is not SFTP.
    #[error("the host sent nonsense: {0}")]
    Nonsense(&'static str),
    /// The host has no SFTP server.
    #[error("the host serves no files by SFTP")]
    Unserved(#[source] ExecError),
}

/// A file that is open on the host.
#[derive(Clone, Debug)]
pub struct Handle(Bytes);

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// To read it.
    Read,
    /// To write it anew; it must not be there.
    New,
    /// To write it from its start; it may be there.
    Overwrite,
}

/// A host's files.
pub struct Sftp {
    packets: mpsc::Sender<Vec<u8>>,
    waiting: Arc<Mutex<Option<Waiting>>>,
    next: AtomicU32,
    replaces: bool,
    tasks: [JoinHandle<()>; 2],
}

type Waiting = HashMap<u32, oneshot::Sender<Answer>>;

impl fmt::Debug for Sftp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sftp").finish_non_exhaustive()
    }
}

impl Drop for Sftp {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Session {
    /// Opens the host's files.
    ///
    /// # Errors
    ///
    /// When the host has no SFTP server.
    pub async fn sftp(&self) -> Result<Sftp, SftpError> {
        let unserved = |error: russh::Error| SftpError::Unserved(error.into());
        let mut channel = self.handle.channel_open_session().await.map_err(unserved)?;
        channel
            .request_subsystem(true, "sftp")
            .await
            .map_err(unserved)?;
        loop {
            match channel.wait().await {
                Some(russh::ChannelMsg::Success) => break,
                Some(russh::ChannelMsg::WindowAdjusted { .. }) => {}
                _ => {
                    return Err(SftpError::Unserved(ExecError::Refused {
                        what: "start the subsystem sftp".to_owned(),
                    }));
                }
            }
        }
        let (mut reader, mut writer) = tokio::io::split(channel.into_stream());
        let hello = Packet::hello().finish();
        writer
            .write_all(&hello)
            .await
            .map_err(|_lost| SftpError::Lost)?;
        writer.flush().await.map_err(|_lost| SftpError::Lost)?;
        let packet = read_packet(&mut reader)
            .await
            .map_err(|_lost| SftpError::Lost)?;
        let extensions = wire::version(packet)?;
        let replaces = extensions
            .iter()
            .any(|name| name == "posix-rename@openssh.com");
        let waiting = Arc::new(Mutex::new(Some(Waiting::new())));
        let (packets, queue) = mpsc::channel(QUEUE);
        let reading = tokio::spawn(read_answers(reader, Arc::clone(&waiting)));
        let writing = tokio::spawn(write_packets(writer, queue));
        Ok(Sftp {
            packets,
            waiting,
            next: AtomicU32::new(1),
            replaces,
            tasks: [reading, writing],
        })
    }
}

/// Writes packets whole, whatever becomes of those who asked.
async fn write_packets(mut writer: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(packet) = queue.recv().await {
        let written = async {
            writer.write_all(&packet).await?;
            writer.flush().await
        };
        if written.await.is_err() {
            return;
        }
    }
}

/// Hands answers to whoever waits for them, until the connection ends.
async fn read_answers(mut reader: impl AsyncRead + Unpin, waiting: Arc<Mutex<Option<Waiting>>>) {
    while let Ok(packet) = read_packet(&mut reader).await {
        let Some(answer) = Answer::parse(packet) else {
            break;
        };
        let asker = {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.as_mut().and_then(|all| all.remove(&answer.id))
        };
        // Nobody may be waiting any more, or the host answers what nobody asked.
        if let Some(asker) = asker {
            let _ = asker.send(answer);
        }
    }
    // Whoever still waits learns that no answer will come.
    *waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

async fn read_packet(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let length = reader.read_u32().await?;
    if length == 0 || length > MAX_PACKET {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut packet = vec![0; length as usize];
    reader.read_exact(&mut packet).await?;
    Ok(packet.into())
}

impl Sftp {
    async fn ask(&self, packet: Packet) -> Result<Answer, SftpError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.as_mut().ok_or(SftpError::Lost)?.insert(id, sender);
        }
        let packet = packet.with_id(id);
        self.packets
            .send(packet)
            .await
            .map_err(|_lost| SftpError::Lost)?;
        receiver.await.map_err(|_lost| SftpError::Lost)
    }

    async fn done(&self, packet: Packet) -> Result<(), SftpError> {
        self.ask(packet).await?.status()
    }

    /// Opens a file; one that is made gets `mode`, less what the host's mask takes away.
    ///
    /// # Errors
    ///
    /// When the host refuses.
    pub async fn open(&self, path: &[u8], how: Open, mode: u32) -> Result<Handle, SftpError> {
        let flags = match how {
            Open::Read => 0x01,
            Open::New => 0x02 | 0x08 | 0x20,
            Open::Overwrite => 0x02 | 0x08 | 0x10,
        };
        let attributes = if how == Open::Read {
            Attributes::default()
        } else {
            Attributes::of_mode(mode)
        };
        let packet = Packet::new(wire::OPEN)
            .bytes(path)
            .number(flags)
            .attributes(&attributes);
        self.ask(packet).await?.handle().map(Handle)
    }

    /// Closes a file or directory; a failure to write may only show here.
    ///
    /// # Errors
    ///
    /// When the host says so.
    pub async fn close(&self, handle: Handle) -> Result<(), SftpError> {
        self.done(Packet::new(wire::CLOSE).bytes(&handle.0)).await
    }

    /// Reads up to `length` bytes at `offset`; empty at the end of the file.
    ///
    /// # Errors
    ///
    /// When the host cannot.
    pub async fn read(
        &self,
        handle: &Handle,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, SftpError> {
        let packet = Packet::new(wire::READ)
            .bytes(&handle.0)
            .long(offset)
            .number(u32::try_from(length).unwrap_or(u32::MAX));
        let data = self.ask(packet).await?.data()?;
        if data.len() > length {
            return Err(SftpError::Nonsense("more bytes than were asked for"));
        }
        Ok(data)
    }

    /// Writes at `offset`.
    ///
    /// # Errors
    ///
    /// When the host cannot.
    pub async fn write(&self, handle: &Handle, offset: u64, data: &[u8]) -> Result<(), SftpError> {
        let packet = Packet::new(wire::WRITE)
            .bytes(&handle.0)
            .long(offset)
            .bytes(data);
        self.done(packet).await
    }

    /// Returns what a path is, following links.
    ///
    /// # Errors
    ///
    /// When there is nothing or the host does not tell.
    pub async fn stat(&self, path: &[u8]) -> Result<Attributes, SftpError> {
        let answer = self.ask(Packet::new(wire::STAT).bytes(path)).await?;
        answer.attributes()
    }

    /// Changes what is known of a path.
    ///
    /// # Errors
    ///
    /// When the host refuses.
    pub async fn set(&self, path: &[u8], attributes: &Attributes) -> Result<(), SftpError> {
        let packet = Packet::new(wire::SETSTAT).bytes(path);
        self.done(packet.attributes(attributes)).await
    }

    /// Returns the names in a directory, without `.` and `..`.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or holds a name that leads elsewhere.
    pub async fn list(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, SftpError> {
        let packet = Packet::new(wire::OPENDIR).bytes(path);
        let handle = self.ask(packet).await?.handle()?;
        let mut names = Vec::new();
        let failure = loop {
            let packet = Packet::new(wire::READDIR).bytes(&handle);
            match self.ask(packet).await?.names() {
                Ok(Some(_)) if names.len() > MAX_NAMES => {
                    break Some(SftpError::Nonsense("a directory without an end"));
                }
                Ok(Some(some)) => names.extend(some),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        self.close(Handle(handle)).await?;
        if let Some(error) = failure {
            return Err(error);
        }
        names.retain(|name| name != b"." && name != b"..");
        // A name is one step down, whatever the host would like it to be.
        if names
            .iter()
            .any(|name| name.is_empty() || name.contains(&b'/') || name.contains(&0))
        {
            return Err(SftpError::Nonsense(
                "a name in a directory that leads out of it",
            ));
        }
        names.sort();
        Ok(names)
    }

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// When the host refuses.
    pub async fn mkdir(&self, path: &[u8], mode: u32) -> Result<(), SftpError> {
        let packet = Packet::new(wire::MKDIR).bytes(path);
        self.done(packet.attributes(&Attributes::of_mode(mode)))
            .await
    }

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// When the host refuses.
    pub async fn remove(&self, path: &[u8]) -> Result<(), SftpError> {
        self.done(Packet::new(wire::REMOVE).bytes(path)).await
    }

    /// Gives a file another name, in the place of what has it; [`SftpError::Failed`] where the host
    /// cannot do that in one step.
    ///
    /// # Errors
    ///
    /// When the host refuses.
    pub async fn replace(&self, from: &[u8], to: &[u8]) -> Result<(), SftpError> {
        let packet = if self.replaces {
            Packet::new(wire::EXTENDED).bytes(b"posix-rename@openssh.com")
        } else {
            Packet::new(wire::RENAME)
        };
        self.done(packet.bytes(from).bytes(to)).await
    }

    /// Returns a path without links, `.` and `..`; a relative one starts at the user's home.
    ///
    /// # Errors
    ///
    /// When there is no such path.
    pub async fn real_path(&self, path: &[u8]) -> Result<Vec<u8>, SftpError> {
        let answer = self.ask(Packet::new(wire::REALPATH).bytes(path)).await?;
        let names = answer.names()?;
        let mut names = names.into_iter().flatten();
        names.next().ok_or(SftpError::Nonsense("no path"))
    }
}
