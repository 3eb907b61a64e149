//! Many machines: made, listed and removed at the same time, and what a glance at one costs.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use berth_tests_support::FakeAgents;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::contestants::{Berth, Contestant as _};
use crate::measure::{Row, Unit, median_ms, milliseconds as ms};
use crate::memory::available as available_memory;
use crate::scenarios::Bench;
use crate::shell::{output, timed};

/// Machines that are made at the same time.
const N_MACHINES: usize = 50;
/// Agents that are asked at the same time; they are simulated on the loopback interface.
const N_AGENTS: usize = 1000;

/// Measures everything about many machines.
///
/// # Errors
/// When any command fails, or a machine is missing or left.
pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let (rounds, berth) = (bench.arguments.rounds, bench.berth);
    let mut rows = fifty(berth)?;
    rows.push(thousand(berth)?);
    for (what, words) in [
        ("processor time of machine ls -q", ["ls", "-q"].as_slice()),
        ("processor time of machine inspect", &["inspect"]),
        ("processor time of machine url", &["url"]),
        ("processor time of machine env", &["env", "--shell", "sh"]),
    ] {
        rows.push(processor_time(what, rounds, berth, words)?);
    }
    Ok(rows)
}

fn row(what: &str, unit: Unit, value: f64) -> Row {
    Row::of_berth(what, unit, value)
}

/// As many processes as machines, all started at once.
fn fifty(berth: &Berth) -> Result<Vec<Row>> {
    let free = available_memory()?;
    let created = all_at_once(berth, &["create"])?;
    let memory = (free - available_memory()?) / N_MACHINES as f64;
    let mut list = berth.machine(&["ls", "--format", "{{.State}} {{.DockerVersion}}"]);
    let begin = Instant::now();
    let rows = output(&mut list)?;
    let listed = begin.elapsed();
    let n_good = rows
        .lines()
        .filter(|row| row.starts_with("Running v"))
        .count();
    // And the one that the bench works with.
    ensure!(
        n_good == N_MACHINES + 1,
        "{n_good} machines answer:\n{rows}"
    );
    let removed = all_at_once(berth, &["rm", "-y"])?;
    Ok(vec![
        row(
            "50 × machine create at once, all answering",
            Unit::Milliseconds,
            ms(created),
        ),
        row("memory of each of them", Unit::Mebibytes, memory),
        row("machine ls of them", Unit::Milliseconds, ms(listed)),
        row("50 × machine rm at once", Unit::Milliseconds, ms(removed)),
    ])
}

fn all_at_once(berth: &Berth, verb: &[&str]) -> Result<Duration> {
    let begin = Instant::now();
    let started = (0..N_MACHINES).map(|number| {
        let name = format!("bench-many{number}");
        let mut command = berth.machine(&[verb, &[&name]].concat());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))
    });
    let started = started.collect::<Result<Vec<Child>>>()?;
    let mut problems = Vec::new();
    for child in started {
        let ended = child.wait_with_output()?;
        if !ended.status.success() {
            problems.push(String::from_utf8_lossy(&ended.stderr).trim().to_owned());
        }
    }
    let taken = begin.elapsed();
    if !problems.is_empty() {
        bail!("machine {verb:?} failed: {}", problems.join("\n"));
    }
    Ok(taken)
}

fn thousand(berth: &Berth) -> Result<Row> {
    let store = berth.folder().join("agents");
    // What an earlier run has left would not be served any more.
    let _ = std::fs::remove_dir_all(&store);
    let agents = FakeAgents::start(&store, N_AGENTS);
    let list = || {
        let mut list = berth.command();
        list.env("MACHINE_STORAGE_PATH", &store);
        list.args(["machine", "ls"]);
        list
    };
    let rows = output(&mut list())?;
    ensure!(agents.served() == N_AGENTS, "{} answered", agents.served());
    let n_good = rows.lines().filter(|row| row.contains(" Running ")).count();
    ensure!(n_good == N_AGENTS, "{n_good} are listed as running");
    let times = (0..3).map(|_| timed(&mut list())).collect::<Result<_>>()?;
    drop(agents);
    std::fs::remove_dir_all(&store)?;
    Ok(row(
        "machine ls of 1,000 agents (simulated)",
        Unit::Milliseconds,
        median_ms(times),
    ))
}

/// What a command takes of the processors, which is not how long it takes.
fn processor_time(what: &str, rounds: usize, berth: &Berth, words: &[&str]) -> Result<Row> {
    let mut times = Vec::new();
    for _ in 0..=rounds {
        let before = spent()?;
        let mut command: Command = berth.machine(words);
        if words != ["ls", "-q"] {
            command.arg(berth.machine_name());
        }
        output(&mut command)?;
        times.push(spent()? - before);
    }
    Ok(row(what, Unit::Milliseconds, median_ms(times)))
}

/// Returns what all ended children have taken of the processors.
fn spent() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(microseconds)?))
}
