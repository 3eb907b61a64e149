//! What the processes of the made-up commands do.

use tokio::sync::{broadcast, mpsc};

/// What reaches a process.
#[derive(Debug)]
pub(super) enum Input {
    Bytes(Vec<u8>),
    Closed,
    Resize(u32, u32),
}

/// What a process does.
#[derive(Debug)]
pub(super) enum Act {
    Out(Vec<u8>),
    Err(Vec<u8>),
    Exit(i32),
    Detach,
}

/// Runs a command to its end.
///
/// `exit CODE`, `say OUT ERR`, `cat`, `sizes N` (prints N sizes), `signal` (prints the first signal
/// and exits with 42), `vanish` (the stream just ends).
pub(super) async fn run(
    command: &[String],
    mut input: mpsc::Receiver<Input>,
    mut signals: broadcast::Receiver<String>,
    output: &mpsc::Sender<Act>,
) {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let code = match words.as_slice() {
        ["exit", code] => code.parse().unwrap(),
        ["say", out, err] => {
            let _ = output.send(Act::Out(out.as_bytes().to_vec())).await;
            let _ = output.send(Act::Err(err.as_bytes().to_vec())).await;
            0
        }
        ["cat"] => loop {
            match input.recv().await {
                Some(Input::Bytes(bytes)) if bytes.ends_with(&[0x10, 0x11]) => {
                    let _ = output.send(Act::Detach).await;
                    return;
                }
                Some(Input::Bytes(bytes)) => {
                    let _ = output.send(Act::Out(bytes)).await;
                }
                Some(Input::Resize(..)) => {}
                Some(Input::Closed) | None => break 0,
            }
        },
        ["sizes", count] => {
            for _ in 0..count.parse::<u32>().unwrap() {
                let size = loop {
                    match input.recv().await {
                        Some(Input::Resize(rows, columns)) => break format!("{rows}x{columns};"),
                        Some(_) => {}
                        None => return,
                    }
                };
                let _ = output.send(Act::Out(size.into_bytes())).await;
            }
            0
        }
        ["signal"] => {
            let _ = output.send(Act::Out(b"ready\n".to_vec())).await;
            let signal = signals.recv().await.unwrap_or_default();
            let _ = output.send(Act::Out(signal.into_bytes())).await;
            42
        }
        ["vanish"] => return,
        _ => 0,
    };
    let _ = output.send(Act::Exit(code)).await;
}
