//! The machines as `ls` and `active` see them.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_controller_fleet::{Fleet, LsRow, RowState};
use berth_provisioners_api::MachineState;
use serde_json::{Map, Value, json};

use crate::{machines, words};

/// One machine.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// `-`, `*` or `* (swarm)`; empty when nothing is known.
    pub(crate) active: &'static str,
    pub(crate) driver: String,
    pub(crate) state: &'static str,
    pub(crate) url: String,
    pub(crate) version: String,
    pub(crate) error: String,
    pub(crate) response: Duration,
    /// `HostOptions` of its record; nothing when that cannot be read.
    pub(crate) options: Option<Value>,
}

/// Asks these machines, all at the same time; rows come in the order of the names.
pub(crate) async fn ask(
    fleet: &Fleet,
    names: Vec<String>,
    limit: Duration,
    docker_host: Option<&str>,
) -> Vec<Row> {
    let rows = fleet.ls_of(names, limit).await;
    let rows = rows.into_iter();
    let host = docker_host.unwrap_or_default();
    rows.map(|row| finish(fleet, row, limit, host)).collect()
}

fn finish(fleet: &Fleet, row: LsRow, limit: Duration, docker_host: &str) -> Row {
    let mut record = match fleet.inspect(&row.name) {
        Ok(record) => record,
        Err(error) => return broken(row.name, &words::machine(&error)),
    };
    let mut shown = Row {
        active: "-",
        driver: row.driver,
        state: state(row.state),
        version: "Unknown".to_owned(),
        error: row.error.unwrap_or_default(),
        response: row.response_time,
        url: row.url,
        name: row.name,
        options: None,
    };
    match (row.agent_version, row.state) {
        (Some(version), _) => shown.version = format!("v{version}"),
        (None, _) if shown.response >= limit => return timed_out(shown, limit),
        (None, RowState::Known(MachineState::Running)) => {
            shown.error = words::no_version(&shown.error);
        }
        (None, _) => {}
    }
    if fleet.drivers().get(&shown.driver).is_none() {
        shown.error = words::driver_absent(&shown.driver);
        shown.driver = "not-found".to_owned();
    }
    if shown.error == machines::NOT_RUNNING {
        shown.error.clear();
    }
    shown.options = Some(record["HostOptions"].take());
    shown.active = activity(&shown, docker_host);
    shown
}

/// A machine whose record cannot be read.
fn broken(name: String, problem: &str) -> Row {
    Row {
        name,
        active: "",
        driver: "not found".to_owned(),
        state: MachineState::Error.as_str(),
        url: String::new(),
        version: String::new(),
        error: problem.replace('\n', ""),
        response: Duration::ZERO,
        options: None,
    }
}

/// A machine that did not answer in time: of it only the name and the driver are told.
fn timed_out(row: Row, limit: Duration) -> Row {
    Row {
        active: "",
        state: RowState::Timeout.as_str(),
        url: String::new(),
        version: String::new(),
        error: String::new(),
        response: limit,
        options: None,
        ..row
    }
}

fn state(state: RowState) -> &'static str {
    match state {
        RowState::Known(state) => machines::state_word(state),
        RowState::Creating => MachineState::Starting.as_str(),
        RowState::Timeout | RowState::Error => state.as_str(),
    }
}

fn activity(row: &Row, docker_host: &str) -> &'static str {
    let runs = row.state == MachineState::Running.as_str();
    if !runs || docker_host.is_empty() {
        return "-";
    }
    let swarm = row.swarm();
    if swarm["Master"] == true && swarm_url(&row.url, &swarm["Host"]) == docker_host {
        return "* (swarm)";
    }
    if row.url == docker_host { "*" } else { "-" }
}

/// The machine's address with the port that its swarm leader listens on.
fn swarm_url(url: &str, listens: &Value) -> String {
    let port = |url: &str| format!(":{}", url.rsplit(':').next().unwrap_or_default());
    url.replacen(&port(url), &port(listens.as_str().unwrap_or_default()), 1)
}

// === impl Row ===

impl Row {
    /// Says whether `DOCKER_HOST` means this machine.
    pub(crate) fn is_active(&self) -> bool {
        self.active.starts_with('*')
    }

    fn swarm(&self) -> &Value {
        static NOTHING: Value = Value::Null;
        let options = self.options.as_ref();
        options.map_or(&NOTHING, |options| &options["SwarmOptions"])
    }

    /// The fields that a format can show. `leaders` are names of swarm leaders by their discovery
    /// address.
    pub(crate) fn fields(&self, leaders: &BTreeMap<String, String>) -> Value {
        let swarm = self.swarm();
        let discovery = swarm["Discovery"].as_str().unwrap_or_default();
        let leader = leaders.get(discovery).filter(|_| !discovery.is_empty());
        let mut shown = leader.cloned().unwrap_or_default();
        if !discovery.is_empty() && swarm["Master"] == true {
            shown.push_str(" (master)");
        }
        let engine = self
            .options
            .as_ref()
            .map(|options| &options["EngineOptions"]);
        json!({
            "Name": self.name,
            "Active": self.active,
            "ActiveHost": self.active == "*",
            "ActiveSwarm": self.active == "* (swarm)",
            "DriverName": self.driver,
            "State": self.state,
            "URL": self.url,
            "SwarmOptions": swarm,
            "Swarm": shown,
            "EngineOptions": engine,
            "Error": self.error,
            "DockerVersion": self.version,
            "ResponseTime": duration(self.response),
        })
    }
}

/// Names of swarm leaders by their discovery address.
pub(crate) fn leaders<'a>(
    records: impl Iterator<Item = (&'a str, &'a Value)>,
) -> BTreeMap<String, String> {
    let swarms = records.map(|(name, options)| (name, &options["SwarmOptions"]));
    swarms
        .filter(|(_, swarm)| swarm["Master"] == true)
        .map(|(name, swarm)| {
            let discovery = swarm["Discovery"].as_str().unwrap_or_default();
            (discovery.to_owned(), name.to_owned())
        })
        .collect()
}

/// The headings of the fields.
pub(crate) fn headings() -> Value {
    let headings = [
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
    ];
    let map: Map<String, Value> = headings
        .into_iter()
        .map(|(field, heading)| (field.to_owned(), Value::from(heading)))
        .collect();
    Value::Object(map)
}

/// A time to the millisecond, as Go writes it.
fn duration(time: Duration) -> String {
    let millis = (time.as_micros() + 500) / 1000;
    match millis {
        0 => "0s".to_owned(),
        1..1000 => format!("{millis}ms"),
        _ => {
            let (minutes, rest) = (millis / 60_000, millis % 60_000);
            let seconds = format!("{}.{:03}", rest / 1000, rest % 1000);
            let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
            let (hours, minutes) = (minutes / 60, minutes % 60);
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, _) => format!("{minutes}m{seconds}s"),
                _ => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_does() {
        for (millis, shown) in [
            (0, "0s"),
            (7, "7ms"),
            (1500, "1.5s"),
            (10_000, "10s"),
            (61_030, "1m1.03s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), shown);
        }
    }

    fn row(host: &str, master: bool) -> Row {
        let mut row = broken("lead".to_owned(), "");
        row.state = "Running";
        row.url = "tcp://10.0.0.1:2376".to_owned();
        let discovery = if master { "token://x" } else { "" };
        row.options = Some(json!({"SwarmOptions": {
            "Master": master, "Host": "tcp://0.0.0.0:3376", "Discovery": discovery,
        }}));
        row.active = activity(&row, host);
        row
    }

    #[test]
    fn active_is_who_docker_host_means() {
        assert_eq!(row("tcp://10.0.0.1:2376", false).active, "*");
        assert_eq!(row("tcp://10.0.0.1:3376", true).active, "* (swarm)");
        assert_eq!(row("tcp://10.0.0.1:3376", false).active, "-");
        assert_eq!(row("", false).active, "-");
    }

    #[test]
    fn leader_of_a_swarm_is_marked() {
        let row = row("", true);
        let options = row.options.clone().unwrap();
        let leaders = leaders([("lead", &options)].into_iter());
        assert_eq!(row.fields(&leaders)["Swarm"], "lead (master)");
    }
}
