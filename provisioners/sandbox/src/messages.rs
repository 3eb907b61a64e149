//! What the init tells the monitor while it boots, and the monitor whoever started it: lines.

use std::io::{self, BufRead as _, BufReader, Read, Write};

use berth_provisioners_api::DriverError;

use crate::failure::chain;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// The monitor is where it is found and can be killed; it does nothing until told.
    Found,
    /// The monitor may go on.
    Go,
    /// The namespaces exist; the cable can be plugged in.
    Unplugged,
    /// The cable is plugged in.
    Plugged,
    /// The init is about to give its place to another one, which needs a console.
    ConsoleWanted,
    /// The console is the terminal with this number.
    Console(u32),
    /// The other init is started: the pipe closes, or tells of a failure.
    HandedOver,
    /// The machine is up and takes SSH connections.
    Ready,
    /// It will not come up; why.
    Failed(String),
}

/// Reads messages from a pipe.
#[derive(Debug)]
pub(crate) struct Receiver<R>(BufReader<R>);

impl<R: Read> Receiver<R> {
    /// Returns a receiver that reads from `pipe`.
    pub(crate) fn new(pipe: R) -> Self {
        Self(BufReader::new(pipe))
    }

    /// Returns the next message, or nothing when the other side has gone.
    pub(crate) fn receive(&mut self) -> io::Result<Option<Message>> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match Message::parse(line.trim_end_matches('\n')) {
            Some(message) => Ok(Some(message)),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("unknown message {line:?}"),
            )),
        }
    }

    /// Returns what is read from.
    pub(crate) fn pipe(&self) -> &R {
        self.0.get_ref()
    }
}

impl Message {
    /// Returns the message that tells of a failure.
    pub(crate) fn failure(error: &DriverError) -> Self {
        Self::Failed(chain(error))
    }

    /// Writes the message to a pipe.
    pub(crate) fn send(&self, mut pipe: impl Write) -> io::Result<()> {
        let line = match self {
            Self::Found => "found\n".to_owned(),
            Self::Go => "go\n".to_owned(),
            Self::Unplugged => "unplugged\n".to_owned(),
            Self::Plugged => "plugged\n".to_owned(),
            Self::ConsoleWanted => "console\n".to_owned(),
            Self::Console(number) => format!("console {number}\n"),
            Self::HandedOver => "over\n".to_owned(),
            Self::Ready => "ready\n".to_owned(),
            Self::Failed(why) => format!("failed {}\n", why.replace('\n', " | ")),
        };
        pipe.write_all(line.as_bytes())?;
        pipe.flush()
    }

    fn parse(line: &str) -> Option<Self> {
        match line {
            "found" => Some(Self::Found),
            "go" => Some(Self::Go),
            "unplugged" => Some(Self::Unplugged),
            "plugged" => Some(Self::Plugged),
            "console" => Some(Self::ConsoleWanted),
            "over" => Some(Self::HandedOver),
            "ready" => Some(Self::Ready),
            _ => match line.split_once(' ')? {
                ("console", number) => Some(Self::Console(number.parse().ok()?)),
                ("failed", why) => Some(Self::Failed(why.to_owned())),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in() {
        let messages = [
            Message::Found,
            Message::Go,
            Message::Unplugged,
            Message::Plugged,
            Message::ConsoleWanted,
            Message::Console(7),
            Message::HandedOver,
            Message::Ready,
            Message::Failed("no disk | full".to_owned()),
        ];
        let mut pipe = Vec::new();
        for message in &messages {
            message.send(&mut pipe).unwrap();
        }
        let mut receiver = Receiver::new(pipe.as_slice());
        for message in messages {
            assert_eq!(receiver.receive().unwrap(), Some(message));
        }
        assert_eq!(receiver.receive().unwrap(), None);
    }

    #[test]
    fn a_failure_of_several_lines_stays_one_message() {
        let mut pipe = Vec::new();
        Message::Failed("a\nb".to_owned()).send(&mut pipe).unwrap();
        assert_eq!(pipe, b"failed a | b\n");
    }

    #[test]
    fn nonsense_is_an_error() {
        Receiver::new(b"nonsense\n".as_slice())
            .receive()
            .unwrap_err();
    }
}
