//! One container's life, step by step, and as a whole.

use anyhow::Result;

use crate::contestants::Contestant;
use crate::fixture::SMALL;
use crate::measure::{Line, Rounds, Row, Samples, Unit, in_turn};
use crate::scenarios::Bench;

const LINES: [Line<'_>; 5] = [
    ("create", Unit::Milliseconds),
    ("start of a created container", Unit::Milliseconds),
    ("exec", Unit::Milliseconds),
    ("stop (the container ends at once)", Unit::Milliseconds),
    ("rm", Unit::Milliseconds),
];

/// Measures this part.
///
/// # Errors
/// None; lines say what failed.
pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let rounds = Rounds::warm(bench.arguments.rounds);
    let line = [("run --rm IMAGE true", Unit::Milliseconds)];
    let mut rows = in_turn(bench.contestants, rounds, &line, |one, _round, samples| {
        samples.time(0, one.timed(&["run", "--rm", SMALL, "true"])?);
        Ok(())
    });
    rows.extend(in_turn(bench.contestants, rounds, &LINES, live));
    Ok(rows)
}

fn live(one: &dyn Contestant, _round: usize, samples: &mut Samples) -> Result<()> {
    let name = "bench-life";
    one.remove(&[name]);
    // The first process of a container gets no signal that it does not ask for, but this one.
    let create = [
        "create",
        "--name",
        name,
        "--stop-signal",
        "KILL",
        SMALL,
        "sleep",
        "600",
    ];
    samples.time(0, one.timed(&create)?);
    samples.time(1, one.timed(&["start", name])?);
    samples.time(2, one.timed(&["exec", name, "true"])?);
    samples.time(3, one.timed(&["stop", name])?);
    samples.time(4, one.timed(&["rm", name])?);
    Ok(())
}
