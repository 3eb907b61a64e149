//! The streams of a further command: the agent gets one end, the command the other.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use crate::failure::{AtStep as _, Failure, step};
use crate::init::Stdio;
use crate::protocol::{ExecMessage, ExecStream};

/// The agent's ends of a command's streams.
pub(in crate::supervise) type AgentEnds = Vec<(ExecStream, OwnedFd)>;

/// Makes the streams of a command: the agent's ends, and the command's, which for a terminal it opens itself.
pub(in crate::supervise) fn open_streams(
    message: &ExecMessage,
) -> Result<(AgentEnds, Option<Stdio>), Failure> {
    if message.process.terminal() == Some(true) {
        return Ok((Vec::new(), None));
    }
    make_pipes(message)
        .map(|(streams, stdio)| (streams, Some(stdio)))
        .at(step::STREAMS, || "pipes")
}

fn make_pipes(message: &ExecMessage) -> io::Result<(AgentEnds, Stdio)> {
    let null = |options: &mut std::fs::OpenOptions| options.open("/dev/null").map(OwnedFd::from);
    let mut streams = Vec::new();
    let mut output = |kind| -> io::Result<OwnedFd> {
        if !message.attach {
            return null(File::options().write(true));
        }
        let (reader, writer) = io::pipe()?;
        streams.push((kind, reader.into()));
        Ok(writer.into())
    };
    let stdout = output(ExecStream::Stdout)?;
    let stderr = output(ExecStream::Stderr)?;
    let stdin = if message.attach && message.stdin {
        let (reader, writer) = io::pipe()?;
        streams.push((ExecStream::Stdin, writer.into()));
        reader.into()
    } else {
        null(File::options().read(true))?
    };
    Ok((
        streams,
        Stdio::Files {
            stdin,
            stdout,
            stderr,
        },
    ))
}
