//! The terminal that the command runs on: raw mode, hidden typing, size. Every change is undone
//! when its guard is dropped, also while a panic unwinds.

use std::io::{self, IsTerminal as _};

use berth_proto::v1::TerminalSize;
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

/// Puts the terminal back when dropped.
#[derive(Debug)]
pub(crate) struct Changed {
    before: Termios,
}

// === impl Changed ===

impl Drop for Changed {
    fn drop(&mut self) {
        // There is nothing better to do with a terminal that has gone away.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Passes every key through unchanged from now on. `None` when standard input is no terminal.
pub(crate) fn raw() -> io::Result<Option<Changed>> {
    change(Termios::make_raw)
}

/// Gives keys one by one, shows none, and makes no signals of them. `None` when standard input is no
/// terminal.
pub(crate) fn unseen_keys() -> io::Result<Option<Changed>> {
    change(|modes| {
        let off = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
        modes.local_modes.remove(off);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    })
}

fn change(how: impl FnOnce(&mut Termios)) -> io::Result<Option<Changed>> {
    let input = io::stdin();
    if !input.is_terminal() {
        return Ok(None);
    }
    let before = termios::tcgetattr(&input)?;
    let mut after = before.clone();
    how(&mut after);
    let guard = Changed { before };
    termios::tcsetattr(&input, OptionalActions::Drain, &after)?;
    Ok(Some(guard))
}

/// Says whether a line that was written can be changed again.
pub(crate) fn moves_its_cursor() -> bool {
    std::env::var_os("TERM").is_some_and(|kind| !kind.is_empty() && kind != "dumb")
}

/// The size of the terminal; `None` without one, or when it does not know.
pub(crate) fn size() -> Option<TerminalSize> {
    let size = termios::tcgetwinsize(io::stdout())
        .or_else(|_error| termios::tcgetwinsize(io::stdin()))
        .ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then(|| TerminalSize {
        rows: size.ws_row.into(),
        columns: size.ws_col.into(),
    })
}
