//! `berth machine ls`.

use std::time::Duration;

use berth_controller_fleet::{LsRow, RecordFacts, RowState};
use berth_provisioners_api::MachineState;
use regex::Regex;
use serde_json::{Value, json};

use crate::engine::{self, Global};
use crate::failure::{Failure, Outcome};
use crate::ui::rows::Listing;
use crate::ui::visible::one_line;
use crate::ui::{self, table};

/// List machines
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(after_help = "Examples:
  berth machine ls --filter state=Running --filter name=^web
  berth machine ls --format 'table {{.Name}}\\t{{.URL}}'")]
pub(crate) struct Args {
    /// Only names
    #[arg(long, short)]
    quiet: bool,

    /// Only those that fit: driver=, state=, name= (regular expression), label=
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Seconds that each machine has to answer
    #[arg(long, short, value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,

    /// json, table, or a template for each machine
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,
}

const LISTING: Listing<'_> = Listing {
    headings: &[
        ("Name", "NAME"),
        ("Active", "ACTIVE"),
        ("ActiveHost", "ACTIVE_HOST"),
        ("ActiveSwarm", "ACTIVE_SWARM"),
        ("DriverName", "DRIVER"),
        ("State", "STATE"),
        ("URL", "URL"),
        ("SwarmOptions", "SWARM_OPTIONS"),
        ("Swarm", "SWARM"),
        ("EngineOptions", "ENGINE_OPTIONS"),
        ("Error", "ERRORS"),
        ("DockerVersion", "DOCKER"),
        ("ResponseTime", "RESPONSE"),
    ],
    default_columns: "{{.Name}}\t{{.Active}}\t{{.DriverName}}\t{{.State}}\t{{.URL}}\t{{.Swarm}}\t{{.DockerVersion}}\t{{.Error}}",
    layout: table::MACHINE,
};

/// Lists machines.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let filters = Filters::parse(&args.filter)?;
    let fleet = global.fleet()?;
    let mut names = fleet.names().map_err(|error| Failure::because(&error))?;
    names.retain(|name| filters.fit_record(name, || fleet.record_facts(name).ok()));
    names.sort_by(|a, b| berth_controller_fleet::natural(a, b));
    // What is on record needs nobody's answer.
    if args.quiet && filters.states.is_empty() {
        ui::print(
            &names
                .iter()
                .map(|name| format!("{name}\n"))
                .collect::<String>(),
        )?;
        return Ok(0);
    }
    let mut rows = fleet.ls_of(names, Duration::from_secs(args.timeout)).await;
    rows.retain(|row| filters.fit_state(row));
    if args.quiet {
        for row in &rows {
            ui::line(&row.name)?;
        }
        return Ok(0);
    }
    let host = engine::set("DOCKER_HOST").unwrap_or_default();
    let rows: Vec<Value> = rows.iter().map(|row| shown(row, &host)).collect();
    ui::print(&LISTING.format(args.format.as_deref().unwrap_or_default(), &rows)?)?;
    Ok(0)
}

/// Says whether `DOCKER_HOST` means this machine.
pub(super) fn is_active(row: &LsRow, docker_host: &str) -> bool {
    row.state == RowState::Known(MachineState::Running)
        && !docker_host.is_empty()
        && row.url == docker_host
}

fn shown(row: &LsRow, docker_host: &str) -> Value {
    let active = is_active(row, docker_host);
    let mark = match row.state {
        RowState::Timeout | RowState::Error => "",
        _ if active => "*",
        _ => "-",
    };
    let version = match (&row.agent_version, row.state) {
        (Some(version), _) => format!("v{version}"),
        (None, RowState::Timeout) => String::new(),
        (None, _) => "Unknown".to_owned(),
    };
    let driver = match (row.driver.as_str(), row.state) {
        ("", RowState::Error) => "not found",
        (driver, _) => driver,
    };
    json!({
        "Name": row.name,
        "Active": mark,
        "ActiveHost": active,
        "ActiveSwarm": false,
        "DriverName": driver,
        "State": row.state.as_str(),
        "URL": row.url,
        "SwarmOptions": null,
        "Swarm": "",
        "EngineOptions": { "Labels": row.labels },
        "Error": one_line(row.error.as_deref().unwrap_or_default()),
        "DockerVersion": version,
        "ResponseTime": format!("{:?}", row.response_time),
    })
}

/// What rows must fit: one of the values of each key.
#[derive(Debug, Default)]
struct Filters {
    drivers: Vec<String>,
    states: Vec<String>,
    names: Vec<Regex>,
    labels: Vec<String>,
    swarms: Vec<String>,
}

// === impl Filters ===

impl Filters {
    fn parse(texts: &[String]) -> Result<Self, Failure> {
        let mut filters = Self::default();
        for text in texts {
            let Some((key, value)) = text.split_once('=') else {
                return Err(Failure::new("Unsupported filter syntax")
                    .hint("write KEY=VALUE, such as state=Running"));
            };
            let value = value.to_owned();
            match key.to_lowercase().as_str() {
                "driver" => filters.drivers.push(value),
                "state" => filters.states.push(value),
                "label" => filters.labels.push(value),
                "swarm" => filters.swarms.push(value),
                "name" => {
                    let pattern = Regex::new(&value).map_err(|error| Failure::because(&error))?;
                    filters.names.push(pattern);
                }
                other => {
                    return Err(Failure::new(format!("Unsupported filter key '{other}'"))
                        .hint("keys are driver, state, name and label"));
                }
            }
        }
        Ok(filters)
    }

    /// Says whether a machine fits by its name and what is on record of it. One whose record cannot
    /// be read fits: what it would be is not known.
    fn fit_record(&self, name: &str, record: impl FnOnce() -> Option<RecordFacts>) -> bool {
        if !self.names.is_empty() && !self.names.iter().any(|pattern| pattern.is_match(name)) {
            return false;
        }
        if self.drivers.is_empty() && self.labels.is_empty() && self.swarms.is_empty() {
            return true;
        }
        let Some(facts) = record() else {
            return true;
        };
        let label = |wanted: &String| {
            let mut labels = facts.labels.iter();
            labels.any(|label| label.eq_ignore_ascii_case(wanted))
        };
        among(&self.drivers, &facts.driver)
            && among(&self.swarms, "")
            && (self.labels.is_empty() || self.labels.iter().any(label))
    }

    /// Says whether a machine fits by what it does; one in trouble always does.
    fn fit_state(&self, row: &LsRow) -> bool {
        row.state == RowState::Error || among(&self.states, row.state.as_str())
    }
}

/// Says whether a value is one of those wanted, if any are.
fn among(wanted: &[String], value: &str) -> bool {
    let mut all = wanted.iter();
    wanted.is_empty() || all.any(|wanted| wanted.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, state: RowState) -> LsRow {
        LsRow {
            name: name.to_owned(),
            driver: "sandbox".to_owned(),
            state,
            url: "tcp://10.0.0.2:2376".to_owned(),
            agent_version: Some("0.1.0".to_owned()),
            labels: vec!["role=web".to_owned()],
            error: None,
            response_time: Duration::from_millis(3),
        }
    }

    const RUNNING: RowState = RowState::Known(MachineState::Running);

    #[test]
    fn the_table_is_docker_machines() {
        let broken = LsRow {
            driver: String::new(),
            url: String::new(),
            agent_version: None,
            error: Some("record\ncannot be read".to_owned()),
            ..row("broken", RowState::Error)
        };
        let rows = [
            row("demo", RUNNING),
            row("other", RowState::Known(MachineState::Stopped)),
            broken,
        ];
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| shown(row, "tcp://10.0.0.2:2376"))
            .collect();
        assert_eq!(
            LISTING.format("", &rows).unwrap(),
            "NAME     ACTIVE   DRIVER      STATE     URL                   SWARM   DOCKER    ERRORS\n\
             demo     *        sandbox     Running   tcp://10.0.0.2:2376           v0.1.0    \n\
             other    -        sandbox     Stopped   tcp://10.0.0.2:2376           v0.1.0    \n\
             broken            not found   Error                                   Unknown   record cannot be read\n"
        );
        assert_eq!(
            LISTING
                .format("{{.Name}} {{.ActiveHost}}", &rows[..1])
                .unwrap(),
            "demo true\n"
        );
        LISTING.format("{{.Nope}}", &rows).unwrap_err();
    }

    #[test]
    fn filters_of_one_key_are_alternatives() {
        let fit = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            let filters = Filters::parse(&texts).unwrap();
            let row = row("demo1", RUNNING);
            let facts = RecordFacts {
                driver: row.driver.clone(),
                labels: row.labels.clone(),
            };
            filters.fit_record(&row.name, || Some(facts)) && filters.fit_state(&row)
        };
        assert!(fit(&["state=stopped", "STATE=running", "name=mo\\d$"]));
        assert!(!fit(&["state=running", "driver=generic"]));
        assert!(fit(&["label=ROLE=web"]));
        assert!(!fit(&["label=nothing"]));
        let filters = Filters::parse(&["driver=generic".to_owned()]).unwrap();
        assert!(filters.fit_record("unreadable", || None));
        let refused = |text: &str| {
            let failure = Filters::parse(&[text.to_owned()]).unwrap_err();
            failure.message().unwrap_or_default().to_owned()
        };
        assert_eq!(refused("bad"), "Unsupported filter syntax");
        assert_eq!(refused("foo=1"), "Unsupported filter key 'foo'");
    }
}
