//! Output of processes as the API sends it: bare where there is a terminal, else in frames of a
//! stream's number, three zeros, a length, and the bytes.

use berth_agent_engine::Stream;
use http::header::HeaderValue;

use crate::version::ApiVersion;

/// Bytes without frames; and with frames, to older clients.
const RAW: HeaderValue = HeaderValue::from_static("application/vnd.docker.raw-stream");
/// Bytes in frames.
const MULTIPLEXED: HeaderValue =
    HeaderValue::from_static("application/vnd.docker.multiplexed-stream");

/// How output is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// As it is.
    Bare,
    /// In frames.
    Framed,
}

impl Framing {
    /// Output of a process with or without a terminal.
    pub(crate) fn of(has_tty: bool) -> Self {
        if has_tty { Self::Bare } else { Self::Framed }
    }

    /// Returns the type that a client of this version is told.
    pub(crate) fn media_type(self, version: ApiVersion) -> HeaderValue {
        match self {
            Self::Framed if version.since(42) => MULTIPLEXED,
            Self::Framed | Self::Bare => RAW,
        }
    }

    /// Appends output.
    pub(crate) fn write(self, stream: Stream, data: &[u8], out: &mut Vec<u8>) {
        if self == Self::Framed {
            let number = match stream {
                Stream::Stdout => 1,
                Stream::Stderr => 2,
            };
            out.extend_from_slice(&[number, 0, 0, 0]);
            // Pieces are far smaller than that.
            let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
        }
        out.extend_from_slice(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::{MAX_VERSION, MIN_VERSION};

    #[test]
    fn frames_have_a_number_and_a_length() {
        let mut out = Vec::new();
        Framing::of(false).write(Stream::Stderr, b"ab", &mut out);
        assert_eq!(out, [2, 0, 0, 0, 0, 0, 0, 2, b'a', b'b']);
        let mut out = Vec::new();
        Framing::of(true).write(Stream::Stdout, b"ab", &mut out);
        assert_eq!(out, b"ab");
    }

    #[test]
    fn older_clients_are_told_of_raw_streams_only() {
        assert_eq!(Framing::Framed.media_type(MAX_VERSION), MULTIPLEXED);
        assert_eq!(Framing::Framed.media_type(MIN_VERSION), RAW);
        assert_eq!(Framing::Bare.media_type(MAX_VERSION), RAW);
    }
}
