//! Timing: contestants in turn, what they gave, and the lines of the report.

use std::time::Duration;

use anyhow::Result;

use crate::contestants::Contestant;

/// Unit of a line of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Milliseconds; fewer are better.
    Milliseconds,
    /// Mebibytes, 1,048,576 bytes; fewer are better.
    Mebibytes,
    /// Mebibytes a second; more are better.
    MebibytesPerSecond,
    /// Things a second; more are better.
    PerSecond,
}

/// What one contestant gave on one line.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// The median.
    Value(f64),
    /// Why there is none.
    Failed(String),
    /// It has no counterpart of what is measured.
    Absent,
}

/// One line of the report: its outcomes are in the order of the contestants, berth's first.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) outcomes: Vec<Outcome>,
}

/// A line that is going to be measured.
pub(crate) type Line<'a> = (&'a str, Unit);

/// What one contestant gave so far: samples for each line.
#[derive(Debug)]
pub(crate) struct Samples {
    lines: Vec<Vec<f64>>,
    problem: Option<String>,
    is_warming_up: bool,
}

/// How a measurement is repeated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    /// Rounds that count.
    pub(crate) counted: usize,
    /// Rounds before them that do not, for caches.
    pub(crate) warm_up: usize,
}

// === impl Unit ===

impl Unit {
    /// Returns the unit's sign.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Mebibytes => "MiB",
            Self::MebibytesPerSecond => "MiB/s",
            Self::PerSecond => "/s",
        }
    }

    /// Says whether a greater number is the better one.
    pub(crate) fn more_is_better(self) -> bool {
        matches!(self, Self::MebibytesPerSecond | Self::PerSecond)
    }

    /// Returns how many times better `ours` is than `theirs`.
    pub(crate) fn ratio(self, ours: f64, theirs: f64) -> f64 {
        if self.more_is_better() {
            ours / theirs
        } else {
            theirs / ours
        }
    }
}

// === impl Row ===

impl Row {
    /// Returns a line on which only berth has a number.
    pub(crate) fn of_berth(what: &str, unit: Unit, value: f64) -> Self {
        Self {
            what: what.to_owned(),
            unit,
            outcomes: vec![Outcome::Value(value)],
        }
    }

    /// Returns a line from what each contestant gave at once.
    pub(crate) fn of(what: &str, unit: Unit, results: Vec<Result<f64>>) -> Self {
        let outcomes = results
            .into_iter()
            .map(|result| match result {
                Ok(value) => Outcome::Value(value),
                Err(error) => Outcome::Failed(format!("{error:#}")),
            })
            .collect();
        Self {
            what: what.to_owned(),
            unit,
            outcomes,
        }
    }
}

// === impl Rounds ===

impl Rounds {
    /// Returns rounds after one for the caches.
    pub(crate) fn warm(counted: usize) -> Self {
        Self {
            counted,
            warm_up: 1,
        }
    }

    /// Returns rounds that all count.
    pub(crate) fn cold(counted: usize) -> Self {
        Self {
            counted,
            warm_up: 0,
        }
    }
}

// === impl Samples ===

impl Samples {
    fn new(n_lines: usize) -> Self {
        Self {
            lines: vec![Vec::new(); n_lines],
            problem: None,
            is_warming_up: false,
        }
    }

    /// Notes a time on a line.
    pub(crate) fn time(&mut self, line: usize, time: Duration) {
        self.number(line, milliseconds(time));
    }

    /// Notes a number on a line.
    pub(crate) fn number(&mut self, line: usize, value: f64) {
        if let (false, Some(samples)) = (self.is_warming_up, self.lines.get_mut(line)) {
            samples.push(value);
        }
    }

    fn outcome(&self, line: usize) -> Outcome {
        let samples = self.lines.get(line).cloned().unwrap_or_default();
        match (samples.is_empty(), &self.problem) {
            (false, _) => Outcome::Value(median(samples)),
            (true, Some(problem)) => Outcome::Failed(problem.clone()),
            (true, None) => Outcome::Absent,
        }
    }
}

/// Lets the contestants do `once` in turn, round after round, and returns the lines with medians.
///
/// A contestant that fails does not take part any more; the lines on which it has given nothing say
/// why. `once` notes what it measured under the line's position.
pub(crate) fn in_turn(
    contestants: &[&dyn Contestant],
    rounds: Rounds,
    lines: &[Line<'_>],
    once: impl Fn(&dyn Contestant, usize, &mut Samples) -> Result<()>,
) -> Vec<Row> {
    let mut all: Vec<Samples> = contestants
        .iter()
        .map(|_contestant| Samples::new(lines.len()))
        .collect();
    for round in 0..rounds.warm_up + rounds.counted {
        for (contestant, samples) in contestants.iter().zip(&mut all) {
            if samples.problem.is_some() {
                continue;
            }
            samples.is_warming_up = round < rounds.warm_up;
            if let Err(error) = once(*contestant, round, samples) {
                samples.problem = Some(format!("{error:#}"));
            }
        }
    }
    let row = |(position, (what, unit)): (usize, &Line<'_>)| Row {
        what: (*what).to_owned(),
        unit: *unit,
        outcomes: all
            .iter()
            .map(|samples| samples.outcome(position))
            .collect(),
    };
    lines.iter().enumerate().map(row).collect()
}

/// Returns the milliseconds of a time.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Returns the middle one; nothing gives 0.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Returns the median in milliseconds.
pub(crate) fn median_ms(times: Vec<Duration>) -> f64 {
    median(times.into_iter().map(milliseconds).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_says_how_many_times_better_we_are() {
        assert_eq!(Unit::Milliseconds.ratio(10.0, 50.0), 5.0);
        assert_eq!(Unit::MebibytesPerSecond.ratio(50.0, 10.0), 5.0);
    }

    #[test]
    fn a_median_does_not_mind_an_outlier() {
        assert_eq!(median(vec![3.0, 1000.0, 1.0]), 3.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
