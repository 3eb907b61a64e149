//! Everything that people see: the only room that prints.

mod board;
pub(crate) mod layers;
pub(crate) mod progress;
pub(crate) mod rows;
mod secret;
pub(crate) mod terminal;
pub(crate) mod visible;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

pub(crate) use berth_controller_template::{json, quote, table};

pub(crate) use secret::ask_secret;

use crate::failure::Failure;

/// Prints a line on standard output; what would steer a terminal is written out.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(visible::visible(text).as_bytes())?;
    output.write_all(b"\n")
}

/// Prints text on standard output as it is.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// Prints bytes on standard output as they are.
pub(crate) fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(bytes)?;
    output.flush()
}

/// Prints bytes on standard output as they are, while the program goes on: an agent whose questions stay
/// unanswered because the reader of the output takes its time would hang up.
pub(crate) async fn pass_on(bytes: Vec<u8>) -> io::Result<()> {
    let printing = tokio::task::spawn_blocking(move || print_bytes(&bytes));
    printing.await.unwrap_or_else(|error| Err(error.into()))
}

/// Prints a line as [`line`] does, while the program goes on as in [`pass_on`].
pub(crate) async fn line_on(text: &str) -> io::Result<()> {
    let mut text = visible::visible(text).into_owned();
    text.push('\n');
    pass_on(text.into_bytes()).await
}

/// Prints a line on standard error; what would steer a terminal is written out. Best effort: there
/// is no one left to tell.
pub(crate) fn note(text: &str) {
    let mut output = io::stderr().lock();
    let _ = writeln!(output, "{}", visible::visible(text));
}

/// Prints a warning that does not stop the command.
pub(crate) fn warn(text: &str) {
    note(&format!("WARNING: {text}"));
}

/// Tells a failure and its next steps on standard error.
pub(crate) fn tell(program: &str, failure: &Failure) {
    let Some(message) = failure.message() else {
        return;
    };
    let mut text = format!("{program}: {message}");
    for hint in failure.hints() {
        text.push_str("\n  hint: ");
        text.push_str(hint);
    }
    note(&text);
}

/// Says whether standard output is a terminal that can show progress.
pub(crate) fn output_is_terminal() -> bool {
    io::stdout().is_terminal() && terminal::moves_its_cursor()
}

/// Says whether standard error is a terminal that can show progress.
pub(crate) fn errors_are_terminal() -> bool {
    io::stderr().is_terminal() && terminal::moves_its_cursor()
}

/// Says whether someone types.
pub(crate) fn input_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Asks a yes/no question; anything but `y` or `yes`, and the end of the input, is no.
pub(crate) fn confirm(question: &str) -> io::Result<bool> {
    print(question)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Reads a line from standard input after a prompt on standard error.
pub(crate) fn ask(prompt: &str) -> io::Result<String> {
    let mut output = io::stderr().lock();
    output.write_all(prompt.as_bytes())?;
    output.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}
