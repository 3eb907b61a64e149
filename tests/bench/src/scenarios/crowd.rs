//! Many containers: how fast they come, what they cost, and what lists of them cost.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::contestants::Contestant;
use crate::fixture::SMALL;
use crate::measure::{Line, Rounds, Row, Samples, Unit, in_turn};
use crate::memory;
use crate::scenarios::Bench;
use crate::shell;

/// Clients at once, and the share of all containers that they start, in twentieths.
const CLIENTS: [(usize, usize); 3] = [(1, 2), (4, 5), (16, 13)];
const TWENTIETHS: usize = 20;

const LINES: [Line<'_>; 7] = [
    ("run -d by 1 client, containers", Unit::PerSecond),
    ("run -d by 4 clients, containers", Unit::PerSecond),
    ("run -d by 16 clients, containers", Unit::PerSecond),
    (
        "memory of daemons and keepers, all running",
        Unit::Mebibytes,
    ),
    ("of it for each container", Unit::Mebibytes),
    ("the host's memory for each container", Unit::Mebibytes),
    ("ps, all running", Unit::Milliseconds),
];
const STATS: Line<'_> = ("stats --no-stream, all running", Unit::Milliseconds);
const REMOVE: Line<'_> = ("rm -f of all of them", Unit::Milliseconds);

/// Measures this part. One contestant's containers at a time: they would not all fit beside each
/// other on a small host.
///
/// # Errors
/// None; lines say what failed.
pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let n = bench.arguments.containers;
    let lines = [LINES.as_slice(), &[STATS, REMOVE]].concat();
    let mut rows = in_turn(
        bench.contestants,
        Rounds::cold(1),
        &lines,
        |one, _round, samples| {
            let names: Vec<String> = (0..n).map(|number| format!("bench-many{number}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let measured = gather(one, &names, samples);
            let begin = Instant::now();
            let removed = one.output(&[&["rm", "-f"], names.as_slice()].concat());
            let taken = begin.elapsed();
            if removed.is_ok() {
                samples.time(lines.len() - 1, taken);
            }
            measured.and_then(|()| removed.map(drop))
        },
    );
    for row in &mut rows {
        row.what = format!("{n} containers: {}", row.what);
    }
    Ok(rows)
}

fn gather(one: &dyn Contestant, names: &[&str], samples: &mut Samples) -> Result<()> {
    let (before, free) = (one.memory_of_keepers()?, memory::available()?);
    let mut rest = names;
    for (line, (n_clients, share)) in CLIENTS.into_iter().enumerate() {
        let is_last = line + 1 == CLIENTS.len();
        let count = if is_last {
            rest.len()
        } else {
            (names.len() * share / TWENTIETHS).clamp(1, rest.len())
        };
        let (now, later) = rest.split_at(count);
        rest = later;
        samples.number(line, start_all(one, n_clients, now)?);
    }
    let n = names.len() as f64;
    let after = one.memory_of_keepers()?;
    samples.number(3, after);
    samples.number(4, (after - before) / n);
    samples.number(5, (free - memory::available()?) / n);
    for _ in 0..5 {
        samples.time(6, one.timed(&["ps"])?);
    }
    let listed = one.output(&["ps", "-q"])?.lines().count();
    ensure!(listed >= names.len(), "only {listed} containers are listed");
    for _ in 0..3 {
        samples.time(7, one.timed(&["stats", "--no-stream"])?);
    }
    let listed = one.output(&["stats", "--no-stream"])?.lines().count();
    ensure!(listed > names.len(), "stats has only {listed} lines");
    Ok(())
}

/// Starts containers by so many clients at once and returns how many came a second.
fn start_all(one: &dyn Contestant, n_clients: usize, names: &[&str]) -> Result<f64> {
    if names.is_empty() {
        return Ok(0.0);
    }
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..n_clients)
            .map(|client| {
                let own = names.iter().skip(client).step_by(n_clients);
                scope.spawn(move || {
                    one.inside(|| own.copied().try_for_each(|name| start(one, name)))
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| {
            client
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
    .with_context(|| format!("with {n_clients} clients"))?;
    Ok(names.len() as f64 / begin.elapsed().as_secs_f64())
}

fn start(one: &dyn Contestant, name: &str) -> Result<()> {
    let words = [
        "run",
        "-d",
        "--stop-signal",
        "KILL",
        "--name",
        name,
        SMALL,
        "sleep",
        "6000",
    ];
    shell::timed(one.command().args(words)).map(drop)
}
