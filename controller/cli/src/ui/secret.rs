//! Reads what must not be shown.

use std::io::{self, Read as _};

use rustix::process::{Signal, getpid, kill_process};

use super::{ask, note, terminal};

/// What a key does to the line.
enum Edited {
    Going,
    Done,
    Interrupted,
}

/// A line that is being typed.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
}

/// Reads a line that is not shown while it is typed.
///
/// Keys are taken one by one, so that ctrl-C finds the terminal as it was before it ends the program:
/// left to the terminal, the signal would leave it without echo.
pub(crate) fn ask_secret(prompt: &str) -> io::Result<String> {
    let Some(unseen) = terminal::unseen_keys()? else {
        return ask(prompt);
    };
    prompt_only(prompt)?;
    let mut line = Line::default();
    let mut keys = io::stdin().lock().bytes();
    let end = loop {
        let Some(key) = keys.next().transpose()? else {
            break Edited::Done;
        };
        match line.take(key) {
            Edited::Going => {}
            end => break end,
        }
    };
    drop(unseen);
    note("");
    if matches!(end, Edited::Interrupted) {
        kill_process(getpid(), Signal::INT)?;
        return Err(io::ErrorKind::Interrupted.into());
    }
    String::from_utf8(line.bytes).map_err(|_bytes| io::ErrorKind::InvalidData.into())
}

fn prompt_only(prompt: &str) -> io::Result<()> {
    use std::io::Write as _;
    let mut output = io::stderr().lock();
    output.write_all(prompt.as_bytes())?;
    output.flush()
}

// === impl Line ===

impl Line {
    fn take(&mut self, key: u8) -> Edited {
        const CTRL_C: u8 = 0x03;
        const CTRL_D: u8 = 0x04;
        const CTRL_U: u8 = 0x15;
        const BACKSPACE: u8 = 0x08;
        const DELETE: u8 = 0x7f;
        match key {
            CTRL_C => return Edited::Interrupted,
            b'\r' | b'\n' => return Edited::Done,
            CTRL_D if self.bytes.is_empty() => return Edited::Done,
            CTRL_D => {}
            CTRL_U => self.bytes.clear(),
            BACKSPACE | DELETE => self.remove_last(),
            byte => self.bytes.push(byte),
        }
        Edited::Going
    }

    /// Removes a whole character.
    fn remove_last(&mut self) {
        while let Some(byte) = self.bytes.pop() {
            let is_continuation = byte & 0xc0 == 0x80;
            if !is_continuation {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_by_characters() {
        let mut line = Line::default();
        for key in "x\u{15}aé\u{7f}b\u{4}".bytes() {
            assert!(matches!(line.take(key), Edited::Going));
        }
        assert_eq!(line.bytes, b"ab");
        assert!(matches!(line.take(b'\r'), Edited::Done));
        assert!(matches!(line.take(3), Edited::Interrupted));
    }
}
