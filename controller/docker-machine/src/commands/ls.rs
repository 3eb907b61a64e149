//! `ls`: the machines.

use std::time::Duration;

use berth_controller_fleet::Fleet;
use berth_controller_template::table::{MACHINE, align};
use berth_controller_template::{Dialect, Missing, Options, Template};
use serde_json::Value;

use super::filters::Filters;
use crate::app::{Order, Outcome};
use crate::rows::{self, Row};
use crate::words;
use crate::world::Failure;

const DEFAULT_FORMAT: &str = "table {{ .Name }}\\t{{ .Active }}\\t{{ .DriverName}}\\t{{ .State }}\\t{{ .URL }}\\t{{ .Swarm }}\\t{{ .DockerVersion }}\\t{{ .Error}}";

/// How long machines have to answer.
pub(super) fn limit(order: &Order<'_>) -> Duration {
    let seconds = order.options.number("timeout");
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Says whether the records alone are enough.
pub(super) fn needs_nobody(order: &Order<'_>) -> bool {
    let states = || order.options.list("filter");
    let by_state = |filter: &String| filter.to_lowercase().starts_with("state=");
    order.options.switch("quiet") && !states().iter().any(by_state)
}

/// Prints names, without asking anybody anything.
pub(super) fn names(order: &Order<'_>) -> Outcome {
    let filters = Filters::parse(&order.options.list("filter"))?;
    let fleet = order.fleet()?;
    let names: Vec<String> = if filters.is_empty() {
        recorded(&fleet)?
    } else {
        let records = records(&fleet, all(&fleet)?);
        let chosen = chosen(&filters, &records);
        chosen.map(|(name, _)| name.clone()).collect()
    };
    let text: String = names.iter().map(|name| format!("{name}\n")).collect();
    order.world().print(&text)
}

/// Prints the machines in a table or by a template.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    let filters = Filters::parse(&order.options.list("filter"))?;
    let fleet = order.fleet()?;
    let format = Format::parse(order.options.text("format"));
    let records = records(&fleet, all(&fleet)?);
    let chosen: Vec<String> = chosen(&filters, &records)
        .map(|(name, _)| name.clone())
        .collect();
    // Machines in trouble are always shown: what they would be is not known.
    let broken = records.iter().filter(|(_, record)| record.is_none());
    let broken: Vec<String> = broken.map(|(name, _)| name.clone()).collect();
    let quiet = order.options.switch("quiet");
    let names = if quiet {
        chosen
    } else {
        [chosen, broken].concat()
    };
    let host = order.world().env("DOCKER_HOST");
    let mut rows = rows::ask(&fleet, names, limit(order), host.as_deref()).await;
    if filters.ask_for_states() {
        rows.retain(|row| row.options.is_none() || filters.state_fits(row.state));
    }
    if quiet {
        let text: String = rows.iter().map(|row| format!("{}\n", row.name)).collect();
        return order.world().print(&text);
    }
    rows.sort_by(|a, b| berth_controller_fleet::natural(&a.name, &b.name));
    let format = format?;
    let (text, problem) = format.apply(&rows);
    order.world().print(&text)?;
    problem.map_or(Ok(()), |problem| Err(Failure::new(problem)))
}

/// The names of machines that have a record. It is not read: with a thousand machines that would
/// take longer than everything else together.
fn recorded(fleet: &Fleet) -> Result<Vec<String>, Failure> {
    let machines = fleet.store().root().join("machines");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&machines)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path().join("config.json");
        let recorded = std::fs::metadata(path).is_ok_and(|record| record.len() > 0);
        if recorded && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn all(fleet: &Fleet) -> Result<Vec<String>, Failure> {
    let names = fleet.names();
    names.map_err(|error| Failure::new(words::chain(&error)))
}

/// The records of machines; nothing where there is none that can be read.
fn records(fleet: &Fleet, names: Vec<String>) -> Vec<(String, Option<Value>)> {
    let names = names.into_iter();
    names
        .map(|name| {
            let record = fleet.inspect(&name).ok();
            (name, record)
        })
        .collect()
}

/// The machines whose records fit.
fn chosen<'a>(
    filters: &'a Filters,
    records: &'a [(String, Option<Value>)],
) -> impl Iterator<Item = &'a (String, Option<Value>)> {
    let readable = records
        .iter()
        .filter_map(|(name, record)| Some((name.as_str(), record.as_ref()?)));
    let leaders = rows::leaders(readable.map(|(name, record)| (name, &record["HostOptions"])));
    records.iter().filter(move |(name, record)| {
        let record = record.as_ref();
        record.is_some_and(|record| filters.fit(name, record, &leaders))
    })
}

/// How the machines are shown.
struct Format {
    source: String,
    template: Template,
    table: bool,
}

// === impl Format ===

impl Format {
    fn parse(format: &str) -> Result<Self, Failure> {
        let format = if format.is_empty() {
            DEFAULT_FORMAT
        } else {
            format
        };
        let (format, table) = match format.strip_prefix("table") {
            Some(columns) => (columns, true),
            None => (format, false),
        };
        let format = format.trim_matches(' ');
        let source = format.replace("\\t", "\t").replace("\\n", "\n") + "\n";
        let template = Template::parse_as(Dialect::Go, &source)
            .map_err(|error| Failure::new(error.in_go()))?;
        Ok(Self {
            source,
            template,
            table,
        })
    }

    /// Returns the text as far as it goes, and what stopped it.
    fn apply(&self, rows: &[Row]) -> (String, Option<String>) {
        let options = |missing| Options {
            missing,
            heading: false,
            escape_html: true,
        };
        let mut text = String::new();
        let mut problem = None;
        let mut add = |data: &Value, missing| match self.template.render(
            &self.source,
            data,
            options(missing),
        ) {
            Ok(line) if problem.is_none() => text.push_str(&line),
            Ok(_) => {}
            Err(error) => {
                problem.get_or_insert_with(|| error.in_go());
            }
        };
        if self.table {
            add(&rows::headings(), Missing::NoValue);
        }
        let options = rows
            .iter()
            .filter_map(|row| Some((row.name.as_str(), row.options.as_ref()?)));
        let leaders = rows::leaders(options);
        for row in rows {
            add(&row.fields(&leaders), Missing::Error);
        }
        if self.table {
            text = align(&text, MACHINE);
        }
        (text, problem)
    }
}
