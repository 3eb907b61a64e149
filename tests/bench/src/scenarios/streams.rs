//! Output: written into the log, read back from it, and passed to an attached client.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::contestants::Contestant;
use crate::fixture::{TEXT, TEXT_MIB};
use crate::measure::{Line, Rounds, Row, Samples, Unit, in_turn};
use crate::scenarios::Bench;

/// How often the container writes its text.
const REPEATS: usize = 16;
const MEBIBYTES: usize = REPEATS * TEXT_MIB;

const LINES: [Line<'_>; 3] = [
    ("log: a container writes 128 MiB", Unit::MebibytesPerSecond),
    ("log: logs reads them", Unit::MebibytesPerSecond),
    (
        "attach: start -a passes 128 MiB on",
        Unit::MebibytesPerSecond,
    ),
];

/// Measures this part.
///
/// # Errors
/// None; lines say what failed.
pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let rounds = Rounds::cold(3);
    Ok(in_turn(bench.contestants, rounds, &LINES, flow))
}

fn flow(one: &dyn Contestant, _round: usize, samples: &mut Samples) -> Result<()> {
    let names = ["bench-log", "bench-attach"];
    one.remove(&names);
    let result = write_and_read(one, names[0], samples)
        .and_then(|()| pass_on(one, names[1]).map(|speed| samples.number(2, speed)));
    one.remove(&names);
    result
}

fn write_and_read(one: &dyn Contestant, name: &str, samples: &mut Samples) -> Result<()> {
    // The container takes the time itself: what counts is how long it was held up.
    let script = format!(
        "read a b </proc/uptime; i=0; while [ $i -lt {REPEATS} ]; do cat /text; i=$((i+1)); done; read c d </proc/uptime; echo took $a $c"
    );
    one.output(&["run", "-d", "--name", name, TEXT, "sh", "-c", &script])?;
    one.output(&["wait", name])?;
    let last = one.output(&["logs", "--tail", "1", name])?;
    let taken = seconds_between(&last).with_context(|| format!("the log ends with {last:?}"))?;
    samples.number(0, MEBIBYTES as f64 / taken);
    samples.number(1, speed(one.drained(&["logs", name])?)?);
    Ok(())
}

fn pass_on(one: &dyn Contestant, name: &str) -> Result<f64> {
    let script = format!("i=0; while [ $i -lt {REPEATS} ]; do cat /text; i=$((i+1)); done");
    one.output(&["create", "--name", name, TEXT, "sh", "-c", &script])?;
    speed(one.drained(&["start", "-a", name])?)
}

fn speed((bytes, taken): (u64, Duration)) -> Result<f64> {
    let mebibytes = bytes as f64 / (1024.0 * 1024.0);
    ensure!(
        mebibytes >= MEBIBYTES as f64,
        "only {mebibytes:.1} of {MEBIBYTES} MiB came"
    );
    Ok(mebibytes / taken.as_secs_f64())
}

/// Reads `took BEGIN END`, in seconds since the host's boot with hundredths.
fn seconds_between(line: &str) -> Option<f64> {
    let mut words = line.strip_prefix("took ")?.split(' ');
    let begin: f64 = words.next()?.parse().ok()?;
    let end: f64 = words.next()?.trim().parse().ok()?;
    // Less than the clock's step counts as one.
    Some((end - begin).max(0.01))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_containers_own_clock_is_read() {
        assert_eq!(seconds_between("took 10.00 12.50"), Some(2.5));
        assert_eq!(seconds_between("took 10.00 10.00\r"), Some(0.01));
        assert_eq!(seconds_between("2026-01-01 12:00"), None);
    }
}
