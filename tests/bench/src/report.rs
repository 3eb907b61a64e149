//! The report: a table for people, JSON for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::measure::{Outcome, Row, Unit};

/// Width of the column of names.
const NAME_WIDTH: usize = 58;

/// Returns the table, with the reasons of missing numbers below it.
pub(crate) fn table(names: &[&str], rows: &[Row]) -> String {
    let mut text = format!("{:<NAME_WIDTH$}", "");
    for (position, name) in names.iter().enumerate() {
        // Writing to a string cannot fail, here and below.
        let _ = write!(text, " {name:>14}");
        if position > 0 {
            let _ = write!(text, " {:>7}", "ratio");
        }
    }
    text.push('\n');
    let mut reasons = Vec::new();
    for row in rows {
        line(&mut text, names, row, &mut reasons);
    }
    for reason in reasons {
        let _ = writeln!(text, "{reason}");
    }
    text
}

fn line(text: &mut String, names: &[&str], row: &Row, reasons: &mut Vec<String>) {
    let _ = write!(text, "{:<NAME_WIDTH$}", row.what);
    let ours = number(row.outcomes.first());
    for (position, name) in names.iter().enumerate() {
        let outcome = row.outcomes.get(position);
        let shown = match (number(outcome), outcome) {
            (Some(value), _) => show(row.unit, value),
            (None, Some(Outcome::Failed(reason))) => {
                reasons.push(format!("{name}, {}: {reason}", row.what));
                "failed".to_owned()
            }
            (None, _) => "-".to_owned(),
        };
        let _ = write!(text, " {shown:>14}");
        if position > 0 {
            let ratio = match (ours, number(outcome)) {
                (Some(ours), Some(theirs)) => format!("{:.1}x", row.unit.ratio(ours, theirs)),
                _ => "-".to_owned(),
            };
            let _ = write!(text, " {ratio:>7}");
        }
    }
    text.push('\n');
}

/// Returns the report as JSON: for each line the numbers by contestant, and how many times better
/// berth is than each other.
pub(crate) fn json(names: &[&str], rows: &[Row]) -> Value {
    let lines = rows.iter().map(|row| {
        let (mut values, mut ratios, mut failures) = (Map::new(), Map::new(), Map::new());
        let ours = number(row.outcomes.first());
        for (position, (name, outcome)) in names.iter().zip(&row.outcomes).enumerate() {
            match outcome {
                Outcome::Value(value) => drop(values.insert((*name).to_owned(), json!(value))),
                Outcome::Failed(why) => drop(failures.insert((*name).to_owned(), json!(why))),
                Outcome::Absent => {}
            }
            if let (true, Some(ours), Some(theirs)) = (position > 0, ours, number(Some(outcome))) {
                let ratio = row.unit.ratio(ours, theirs);
                ratios.insert((*name).to_owned(), json!(ratio));
            }
        }
        json!({
            "what": row.what,
            "unit": row.unit.sign(),
            "values": values,
            "ratios": ratios,
            "failures": failures,
        })
    });
    json!({ "lines": lines.collect::<Vec<_>>() })
}

fn number(outcome: Option<&Outcome>) -> Option<f64> {
    match outcome {
        Some(Outcome::Value(value)) => Some(*value),
        _ => None,
    }
}

fn show(unit: Unit, value: f64) -> String {
    let digits = if value < 10.0 { 2 } else { 1 };
    format!("{value:.digits$} {}", unit.sign())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            what: "start".to_owned(),
            unit: Unit::Milliseconds,
            outcomes: vec![
                Outcome::Value(8.0),
                Outcome::Value(320.0),
                Outcome::Failed("no such command".to_owned()),
            ],
        }
    }

    #[test]
    fn a_number_that_is_missing_is_explained() {
        let text = table(&["berth", "docker", "podman"], &[row()]);
        assert!(text.contains("40.0x"), "{text}");
        assert!(text.ends_with("podman, start: no such command\n"), "{text}");
    }

    #[test]
    fn programs_get_the_same() {
        let value = json(&["berth", "docker", "podman"], &[row()]);
        let line = &value["lines"][0];
        assert_eq!(line["ratios"], json!({"docker": 40.0}));
        assert_eq!(line["failures"]["podman"], "no such command");
    }
}
