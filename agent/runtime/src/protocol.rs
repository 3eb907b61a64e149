//! What the agent and a supervisor say to each other.
//!
//! Both directions carry frames: the lengths of two parts (u32 each, little-endian), JSON, and bytes that are not
//! JSON (a seccomp program). A connection carries one request; what follows depends on it. Supervisors outlive the
//! agent that started them, so messages may gain optional fields but never lose or change one.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use oci_spec::runtime::{Process, Spec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::exit::{ExitRecord, from_nanos, to_nanos};
use crate::failure::Failure;
use crate::log::LogPolicy;
use crate::request::{AttachOptions, Rootfs, TerminalSize};

/// Name of the socket in a container's run directory.
pub(crate) const SOCKET: &str = "supervisor.sock";

/// Name of the file in a container's run directory that tells what to clean up after a killed supervisor.
pub(crate) const STATE: &str = "state.json";

/// Name of the exit record in a bundle directory.
pub(crate) const EXIT_RECORD: &str = "exit.json";

/// The longest part of a frame; a length beyond this is no length.
const MAX_PART: usize = 16 << 20;

/// The order to start a container; the frame's bytes are the seccomp program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StartMessage {
    pub(crate) id: String,
    pub(crate) bundle_dir: PathBuf,
    pub(crate) run_dir: PathBuf,
    pub(crate) spec: Spec,
    pub(crate) rootfs: Rootfs,
    pub(crate) terminal_size: Option<TerminalSize>,
    pub(crate) open_stdin: bool,
    pub(crate) stdin_once: bool,
    pub(crate) external_runtime: Option<PathBuf>,
    pub(crate) ephemeral: bool,
    #[serde(default)]
    pub(crate) log: LogPolicy,
    #[serde(default)]
    pub(crate) init: bool,
    /// Where the supervisor's executable is, for an external runtime that is to show it as the container's init.
    #[serde(default)]
    pub(crate) executable: Option<PathBuf>,
}

/// A request to a running supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Answered by [`Reply::Started`] and, when it ends, [`Reply::Exited`].
    Watch,
    /// Answered by [`Reply::Attached`] and log records until the end; what the client sends is standard input.
    Attach(AttachOptions),
    Signal {
        number: i32,
    },
    Resize(TerminalSize),
    Freeze {
        frozen: bool,
    },
    /// Answered by [`Reply::ExecStarted`] with descriptors, and [`Reply::ExecExited`] when it ends.
    Exec(Box<ExecMessage>),
    SignalExec {
        pid: i32,
        number: i32,
    },
}

/// A further command; the frame's bytes are the seccomp program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExecMessage {
    pub(crate) process: Process,
    pub(crate) terminal_size: Option<TerminalSize>,
    pub(crate) attach: bool,
    pub(crate) stdin: bool,
}

/// What a supervisor answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Started(Started),
    Failed(Failure),
    /// Another supervisor has this container.
    Busy,
    Done,
    Refused(String),
    /// Log records follow, from this offset on.
    Attached {
        offset: u64,
    },
    Exited(ExitRecord),
    ExecStarted {
        pid: i32,
        warnings: Vec<String>,
        /// What the descriptors are that come with this message, in their order.
        streams: Vec<ExecStream>,
    },
    ExecExited {
        code: i32,
    },
}

/// The container runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) pid: i32,
    #[serde(serialize_with = "to_nanos", deserialize_with = "from_nanos")]
    pub(crate) started_at: SystemTime,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    /// Where in the log the output of this run begins.
    #[serde(default)]
    pub(crate) log_start: u64,
    /// Whether the container is paused; nothing from a supervisor of an agent that did not ask yet.
    #[serde(default)]
    pub(crate) frozen: Option<bool>,
}

/// The agent's end of a stream of a further command.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExecStream {
    Stdin,
    Stdout,
    Stderr,
    Terminal,
}

/// What a killed supervisor leaves to clean up.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunState {
    pub(crate) pid: i32,
    pub(crate) cgroup: PathBuf,
}

/// Returns a frame.
pub(crate) fn frame(message: &impl Serialize, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 8];
    serde_json::to_writer(&mut frame, message)?;
    let length = |n: usize| u32::try_from(n).map_err(io::Error::other);
    let (json, extra) = (length(frame.len() - 8)?, length(bytes.len())?);
    for (slot, byte) in frame
        .iter_mut()
        .zip(json.to_le_bytes().into_iter().chain(extra.to_le_bytes()))
    {
        *slot = byte;
    }
    frame.extend_from_slice(bytes);
    Ok(frame)
}

/// Collects the bytes of a connection until they are a frame.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next frame if it is complete.
    ///
    /// Fails for bytes that are no frame of this kind of message.
    pub(crate) fn take<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Vec<u8>)>> {
        let Some(([j0, j1, j2, j3, b0, b1, b2, b3], rest)) = self.buffer.split_first_chunk::<8>()
        else {
            return Ok(None);
        };
        let length = |bytes| usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
        let (json, bytes) = (length([*j0, *j1, *j2, *j3]), length([*b0, *b1, *b2, *b3]));
        if json > MAX_PART || bytes > MAX_PART {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let Some((json_part, rest)) = rest.split_at_checked(json) else {
            return Ok(None);
        };
        let Some((bytes_part, rest)) = rest.split_at_checked(bytes) else {
            return Ok(None);
        };
        let taken = (serde_json::from_slice(json_part)?, bytes_part.to_vec());
        self.buffer = rest.to_vec();
        Ok(Some(taken))
    }

    /// Gives back what came after the last frame.
    pub(crate) fn into_rest(self) -> Vec<u8> {
        self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_they_came_in() {
        let mut bytes = frame(&Request::Signal { number: 15 }, b"extra").unwrap();
        bytes.extend(frame(&Request::Watch, b"").unwrap());
        bytes.extend(b"rest");
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for byte in bytes {
            frames.push(&[byte]);
            while let Some((request, extra)) = frames.take::<Request>().unwrap() {
                found.push((format!("{request:?}"), extra));
            }
        }
        assert_eq!(
            found,
            [
                ("Signal { number: 15 }".into(), b"extra".to_vec()),
                ("Watch".into(), Vec::new())
            ]
        );
        assert_eq!(frames.into_rest(), b"rest");
    }

    #[test]
    fn an_absurd_length_is_refused_before_it_is_waited_for() {
        let mut frames = Frames::default();
        frames.push(&[0xff; 8]);
        assert_eq!(
            frames.take::<Request>().unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
