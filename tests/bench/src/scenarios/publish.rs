//! From `run -d -p` to the first answer on the published port.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::contestants::Contestant;
use crate::fixture::SMALL;
use crate::measure::{Rounds, Row, Unit, in_turn};
use crate::scenarios::Bench;
use crate::shell;

/// Any port that nobody has; each contestant has its own network.
const PORT: &str = "8642";
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two tries, far below what is measured.
const PAUSE: Duration = Duration::from_micros(200);

/// Measures this part.
///
/// # Errors
/// None; lines say what failed.
pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let rounds = Rounds::warm(bench.arguments.rounds.min(10));
    let line = [("run -d -p until the port answers", Unit::Milliseconds)];
    Ok(in_turn(
        bench.contestants,
        rounds,
        &line,
        |one, _round, samples| {
            let name = "bench-port";
            one.remove(&[name]);
            let taken = until_it_answers(one, name);
            one.remove(&[name]);
            samples.time(0, taken?);
            Ok(())
        },
    ))
}

fn until_it_answers(one: &dyn Contestant, name: &str) -> Result<Duration> {
    let publish = format!("{PORT}:80");
    let words = [
        "run",
        "-d",
        "--stop-signal",
        "KILL",
        "--name",
        name,
        "-p",
        &publish,
        SMALL,
        "httpd",
        "-f",
        "-p",
        "80",
    ];
    one.inside(|| {
        let begin = Instant::now();
        shell::timed(one.command().args(words))?;
        let address = format!("{}:{PORT}", one.address());
        while !answers(&address) {
            if begin.elapsed() > PATIENCE {
                bail!("{address} does not answer");
            }
            std::thread::sleep(PAUSE);
        }
        Ok(begin.elapsed())
    })
}

/// A proxy may take a connection that it cannot pass on, so only an answer counts.
fn answers(address: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /answer HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.ends_with("here\n"))
}
