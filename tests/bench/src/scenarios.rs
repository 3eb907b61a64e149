//! What is measured.

use anyhow::{Context as _, Result};

use crate::berth::Berth;
use crate::docker::Docker;
use crate::fixture::{N_LARGE, SMALL, large};
use crate::fleet;
use crate::measure::{Row, Unit, interleaved, median_ms, timed};
use crate::memory;
use crate::shell::output;

/// How often slow things are timed.
const SLOW_ROUNDS: usize = 3;

/// Measures everything.
///
/// # Errors
/// When any command fails.
pub(crate) fn run_all(rounds: usize, docker: &Docker, berth: &Berth) -> Result<Vec<Row>> {
    let mut rows = idle_memory(docker, berth)?;
    rows.push(program_start(rounds, docker, berth)?);
    rows.push(round_trip(rounds, docker, berth)?);
    rows.push(run_true(rounds, docker, berth)?);
    rows.push(ps(rounds, docker, berth)?);
    rows.push(pull(docker, berth)?);
    rows.push(supervisor(docker, berth)?);
    rows.push(binary_size(berth)?);
    rows.push(machine_create(berth)?);
    rows.extend(fleet::measure(rounds, berth)?);
    Ok(rows)
}

fn pair(
    what: &'static str,
    rounds: usize,
    docker: &Docker,
    berth: &Berth,
    words: &[&str],
) -> Result<Row> {
    let with = |mut command: std::process::Command| {
        command.args(words);
        command
    };
    let (berth, docker) = interleaved(
        rounds,
        || with(berth.command()),
        || with(docker.command()),
        || Ok(()),
    )?;
    Ok(Row {
        what,
        unit: Unit::Milliseconds,
        berth,
        docker: Some(docker),
    })
}

fn program_start(rounds: usize, docker: &Docker, berth: &Berth) -> Result<Row> {
    pair(
        "of these: starting the client (--version)",
        rounds,
        docker,
        berth,
        &["--version"],
    )
}

fn round_trip(rounds: usize, docker: &Docker, berth: &Berth) -> Result<Row> {
    pair(
        "of these: client, connection, one call",
        rounds,
        docker,
        berth,
        &["version"],
    )
}

fn run_true(rounds: usize, docker: &Docker, berth: &Berth) -> Result<Row> {
    pair(
        "run --rm IMAGE true",
        rounds,
        docker,
        berth,
        &["run", "--rm", SMALL, "true"],
    )
}

fn ps(rounds: usize, docker: &Docker, berth: &Berth) -> Result<Row> {
    pair("ps", rounds, docker, berth, &["ps"])
}

fn pull(docker: &Docker, berth: &Berth) -> Result<Row> {
    let mut times = (Vec::new(), Vec::new());
    for number in 0..N_LARGE {
        let reference = large(number);
        let pull = |mut command: std::process::Command| {
            nix::unistd::sync();
            timed(command.args(["pull", &reference]))
        };
        let (first, second) = (pull(berth.command())?, pull(docker.command())?);
        // The first is for the caches.
        if number > 0 {
            times.0.push(first);
            times.1.push(second);
        }
    }
    Ok(Row {
        what: "pull of a Debian with 3 layers",
        unit: Unit::Milliseconds,
        berth: median_ms(times.0),
        docker: Some(median_ms(times.1)),
    })
}

fn idle_memory(docker: &Docker, berth: &Berth) -> Result<Vec<Row>> {
    let pid = agent_pid(berth)?;
    let agent = memory::resident_in(&berth.ssh(&["cat", &format!("/proc/{pid}/status")])?)?;
    let containerd: f64 = memory::processes_named("containerd")
        .into_iter()
        .map(memory::resident)
        .sum::<Result<f64>>()?;
    let daemons = memory::resident(docker.pid()?)? + containerd;
    Ok(vec![Row {
        what: "resident memory of the idle daemon(s)",
        unit: Unit::Mebibytes,
        berth: agent,
        docker: Some(daemons),
    }])
}

/// The agent is the first of its program's processes on the machine.
fn agent_pid(berth: &Berth) -> Result<String> {
    berth.ssh(&["pgrep", "-o", "-f", "'berthd serve'"])
}

fn supervisor(docker: &Docker, berth: &Berth) -> Result<Row> {
    let start = |mut command: std::process::Command| {
        output(command.args(["run", "-d", "--name", "bench-idle", SMALL, "sleep", "600"]))
    };
    start(berth.command())?;
    start(docker.command())?;
    let pid = berth.ssh(&["pgrep", "-n", "-f", "'berthd supervise'"])?;
    let ours = memory::private_in(&berth.ssh(&["cat", &format!("/proc/{pid}/smaps_rollup")])?)?;
    let shim = memory::processes_named("containerd-shim")
        .into_iter()
        .next();
    let shim = shim.context("no containerd-shim runs")?;
    let rollup = std::fs::read_to_string(format!("/proc/{shim}/smaps_rollup"))?;
    let theirs = memory::private_in(&rollup)?;
    output(berth.command().args(["rm", "-f", "bench-idle"]))?;
    output(docker.command().args(["rm", "-f", "bench-idle"]))?;
    Ok(Row {
        what: "private memory of an idle container's keeper",
        unit: Unit::Mebibytes,
        berth: ours,
        docker: Some(theirs),
    })
}

fn binary_size(berth: &Berth) -> Result<Row> {
    let mebibytes = |path: &std::path::Path| -> Result<f64> {
        Ok(std::fs::metadata(path)?.len() as f64 / (1024.0 * 1024.0))
    };
    let docker: f64 = ["dockerd", "containerd", "containerd-shim-runc-v2", "runc"]
        .into_iter()
        .filter_map(|name| {
            ["/usr/bin", "/usr/sbin"]
                .iter()
                .find_map(|folder| mebibytes(&std::path::Path::new(folder).join(name)).ok())
        })
        .sum();
    Ok(Row {
        what: "size of the engine's program(s)",
        unit: Unit::Mebibytes,
        berth: mebibytes(&berth.programs().join("berthd"))?,
        docker: Some(docker),
    })
}

fn machine_create(berth: &Berth) -> Result<Row> {
    let mut times = Vec::new();
    for _ in 0..SLOW_ROUNDS {
        times.push(timed(&mut berth.machine(&["create", "bench-create"]))?);
        output(&mut berth.machine(&["rm", "-y", "bench-create"]))?;
    }
    Ok(Row {
        what: "machine create, sandbox, until the agent answers",
        unit: Unit::Milliseconds,
        berth: median_ms(times),
        docker: None,
    })
}
