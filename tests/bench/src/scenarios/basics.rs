//! What every command pays: the program, the connection, the daemon's memory; and pulling.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::contestants::{Berth, Contestant};
use crate::fixture::{N_LARGE, SMALL, large};
use crate::measure::{Outcome, Rounds, Row, Unit, in_turn, median_ms};
use crate::scenarios::Bench;
use crate::shell::{output, timed};

/// How often slow things are timed.
const SLOW_ROUNDS: usize = 3;

/// Measures this part.
///
/// # Errors
/// When berth's own machine or programs are not there.
pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (what, words) in [
        ("starting the client (--version)", ["--version"].as_slice()),
        ("client, connection, one call (version)", &["version"]),
        ("ps of none", &["ps"]),
    ] {
        rows.extend(command(bench, what, words));
    }
    rows.extend(pull(bench));
    rows.push(keeper(bench));
    rows.push(program_size(bench)?);
    rows.push(machine_create(bench.berth)?);
    Ok(rows)
}

/// Measures the daemons before anybody has worked.
pub(crate) fn idle_memory(contestants: &[&dyn Contestant]) -> Row {
    let (what, unit) = ("memory of the idle daemon(s)", Unit::Mebibytes);
    let mut row = Row::of(
        what,
        unit,
        contestants
            .iter()
            .map(|contestant| contestant.memory_of_keepers())
            .collect(),
    );
    // podman has none.
    for outcome in &mut row.outcomes {
        if matches!(outcome, Outcome::Value(value) if *value == 0.0) {
            *outcome = Outcome::Absent;
        }
    }
    row
}

fn command(bench: &Bench<'_>, what: &str, words: &[&str]) -> Vec<Row> {
    let rounds = Rounds::warm(bench.arguments.rounds);
    let line = [(what, Unit::Milliseconds)];
    in_turn(bench.contestants, rounds, &line, |one, _round, samples| {
        samples.time(0, one.timed(words)?);
        Ok(())
    })
}

fn pull(bench: &Bench<'_>) -> Vec<Row> {
    let rounds = Rounds::warm(N_LARGE - 1);
    let line = [("pull of a Debian with 3 layers", Unit::Milliseconds)];
    in_turn(bench.contestants, rounds, &line, |one, round, samples| {
        nix::unistd::sync();
        samples.time(0, one.timed(&["pull", &large(round)])?);
        Ok(())
    })
}

fn keeper(bench: &Bench<'_>) -> Row {
    let measured = |one: &&dyn Contestant| {
        one.output(&["run", "-d", "--name", "bench-idle", SMALL, "sleep", "600"])?;
        let memory = one.memory_of_one_keeper();
        one.output(&["kill", "bench-idle"])?;
        one.remove(&["bench-idle"]);
        memory
    };
    let what = "private memory of an idle container's keeper";
    let results = bench.contestants.iter().map(measured).collect();
    Row::of(what, Unit::Mebibytes, results)
}

fn program_size(bench: &Bench<'_>) -> Result<Row> {
    let mebibytes = |path: &Path| -> Result<f64> {
        let size = std::fs::metadata(path).with_context(|| path.display().to_string())?;
        Ok(size.len() as f64 / (1024.0 * 1024.0))
    };
    let installed = |names: &[&str]| -> f64 {
        names
            .iter()
            .filter_map(|name| {
                ["/usr/bin", "/usr/sbin", "/usr/lib/podman"]
                    .iter()
                    .find_map(|folder| mebibytes(&Path::new(folder).join(name)).ok())
            })
            .sum()
    };
    let docker = [
        "dockerd",
        "docker-proxy",
        "containerd",
        "containerd-shim-runc-v2",
        "runc",
    ];
    let podman = ["podman", "conmon", "netavark", "aardvark-dns", "runc"];
    let results = vec![
        mebibytes(&bench.berth.programs().join("berthd")),
        Ok(installed(&docker)),
        Ok(installed(&podman)),
    ];
    Ok(Row::of(
        "size of the engine's program(s)",
        Unit::Mebibytes,
        results,
    ))
}

fn machine_create(berth: &Berth) -> Result<Row> {
    let mut times = Vec::new();
    for _ in 0..SLOW_ROUNDS {
        times.push(timed(&mut berth.machine(&["create", "bench-create"]))?);
        output(&mut berth.machine(&["rm", "-y", "bench-create"]))?;
    }
    Ok(Row::of_berth(
        "machine create, sandbox, until the agent answers",
        Unit::Milliseconds,
        median_ms(times),
    ))
}
