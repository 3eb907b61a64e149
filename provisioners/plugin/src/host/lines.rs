//! What a plugin prints, line by line, whatever it prints.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::mpsc;

use crate::options::{Line, PluginOptions};

/// Longer lines come in pieces.
const MAX_LINE: usize = 64 << 10;
/// The lines that an error shows.
const N_LAST: usize = 5;
/// The characters of a line that an error shows.
const N_SHOWN: usize = 300;

/// A stream of lines.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: BufReader<R>,
}

/// Where the lines of one plugin go.
#[derive(Debug)]
pub(crate) struct Log {
    options: PluginOptions,
    driver: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    machine: String,
    last: VecDeque<String>,
    /// Who takes what the plugin says to people, instead of everybody's log.
    listener: Option<mpsc::Sender<String>>,
}

// === impl Lines ===

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input: BufReader::new(input),
        }
    }

    /// Returns the next line without its end; nothing at the end of all.
    pub(crate) async fn next(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        loop {
            let bytes = self.input.fill_buf().await?;
            if bytes.is_empty() && line.is_empty() {
                return Ok(None);
            }
            let room = MAX_LINE - line.len();
            let piece = &bytes[..bytes.len().min(room)];
            let end = piece.iter().position(|byte| *byte == b'\n');
            let n_taken = end.unwrap_or(piece.len());
            line.extend_from_slice(&piece[..n_taken]);
            let at_end = bytes.is_empty() || end.is_some() || line.len() == MAX_LINE;
            self.input.consume(n_taken + usize::from(end.is_some()));
            if at_end {
                let text = String::from_utf8_lossy(&line);
                return Ok(Some(text.trim_end_matches('\r').to_owned()));
            }
        }
    }
}

// === impl Log ===

impl Log {
    pub(crate) fn new(options: PluginOptions, driver: &str) -> Self {
        Self {
            options,
            driver: driver.to_owned(),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, lines are about this machine.
    pub(crate) fn set_machine(&self, name: &str) {
        name.clone_into(&mut self.state().machine);
    }

    /// From now on, what is said goes to `listener`, until that is dropped.
    pub(crate) fn listen(&self, listener: mpsc::Sender<String>) {
        self.state().listener = Some(listener);
    }

    /// Returns the last lines, for an error; empty when there are none.
    pub(crate) fn last(&self) -> String {
        let state = self.state();
        let lines: Vec<&str> = state.last.iter().map(String::as_str).collect();
        lines.join(" | ")
    }

    /// Reads until the plugin has closed its end.
    pub(crate) async fn drain(&self, mut lines: Lines<impl AsyncRead + Unpin>, debug: bool) {
        while let Ok(Some(line)) = lines.next().await {
            self.line(line, debug).await;
        }
    }

    /// Returns a line without what nobody shall see; before it is cut, or a part would stay.
    pub(crate) fn filtered(&self, text: String) -> String {
        self.options.filter(&text).unwrap_or(text)
    }

    async fn line(&self, text: String, debug: bool) {
        let text = self.filtered(text);
        let (machine, listener) = {
            let mut state = self.state();
            if state.last.len() == N_LAST {
                state.last.pop_front();
            }
            state.last.push_back(text.chars().take(N_SHOWN).collect());
            let listener = state.listener.clone().filter(|_| !debug);
            (state.machine.clone(), listener)
        };
        let text = match listener {
            Some(listener) => match listener.send(text).await {
                Ok(()) => return,
                Err(mpsc::error::SendError(text)) => text,
            },
            None => text,
        };
        self.options.log(&Line {
            driver: &self.driver,
            machine: &machine,
            text: &text,
            debug,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut lines = Lines::new(bytes);
            let mut all = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                all.push(line);
            }
            all
        })
    }

    #[test]
    fn secrets_are_taken_out_before_anything_is_kept_or_shown() {
        let shown = std::sync::Arc::new(Mutex::new(Vec::new()));
        let show = std::sync::Arc::clone(&shown);
        let options = PluginOptions::default()
            .with_filter(|text| {
                let found = text.contains("open sesame");
                found.then(|| text.replace("open sesame", "env:WORD"))
            })
            .with_log(move |line| show.lock().unwrap().push(line.text.to_owned()));
        let log = Log::new(options, "x");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        // The error's line would end in the middle of it.
        let line = format!("{}open sesame\n", "x".repeat(N_SHOWN - 4));
        runtime.block_on(log.drain(Lines::new(line.as_bytes()), true));
        let kept = log.last();
        assert!(kept.ends_with("xxenv:"), "{kept}");
        let shown = shown.lock().unwrap();
        assert!(shown[0].ends_with("xxenv:WORD"), "{shown:?}");
    }

    #[test]
    fn lines_end_where_they_end() {
        assert_eq!(lines(b"a\nb\r\n\n\xffc"), ["a", "b", "", "\u{fffd}c"]);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn endless_lines_come_in_pieces() {
        let mut bytes = vec![b'x'; MAX_LINE + 10];
        bytes.extend(b"\nlast");
        let lines = lines(&bytes);
        let lengths: Vec<usize> = lines.iter().map(String::len).collect();
        assert_eq!(lengths, [MAX_LINE, 10, 4]);
    }
}
