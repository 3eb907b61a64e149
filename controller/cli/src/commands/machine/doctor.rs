//! `berth machine doctor`.

use berth_controller_fleet::{Diagnosis, Health};

use super::names;
use super::sudo::SudoArgs;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;

/// Explain why a machine cannot be reached, and what to do about it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Looks at each thing on the way to the agent: names, ports, the host's key, the
login, clocks, the disk, control groups, the kernel, the agent's service and last words,
certificates. Changes nothing. The exit code is 1 when something does not work."
)]
pub(crate) struct Args {
    /// How to tell it
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    format: Format,

    #[command(flatten)]
    sudo: SudoArgs,

    /// Machine; the one called "default" if none is named
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// How a diagnosis is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Tells how everything is.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = args.sudo.apply(global.fleet()?);
    let name = names::one(&fleet, global, args.name)?;
    let diagnosis = fleet.diagnose(&name).await;
    let diagnosis = diagnosis.map_err(|error| error.failure())?;
    let text = match args.format {
        Format::Json => json(&diagnosis)?,
        Format::Text => text(&diagnosis),
    };
    ui::line(&text)?;
    Ok(u8::from(diagnosis.health() == Health::Fail))
}

fn json(diagnosis: &Diagnosis) -> Result<String, Failure> {
    let mut value = serde_json::to_value(diagnosis).map_err(|error| Failure::because(&error))?;
    value["health"] =
        serde_json::to_value(diagnosis.health()).map_err(|error| Failure::because(&error))?;
    Ok(format!("{value:#}"))
}

fn text(diagnosis: &Diagnosis) -> String {
    let width = diagnosis.checks.iter().map(|check| check.name.len()).max();
    let width = width.unwrap_or(0);
    let mut lines = Vec::new();
    for check in &diagnosis.checks {
        let word = match check.health {
            Health::Ok => "ok  ",
            Health::Warn => "warn",
            Health::Fail => "FAIL",
        };
        let indent = " ".repeat(width + 6);
        let said = check.said.replace('\n', &format!("\n{indent}  "));
        lines.push(format!("{word}  {:width$}  {said}", check.name));
        if let Some(todo) = &check.todo {
            lines.push(format!("{indent}  -> {todo}"));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use berth_controller_fleet::Check;

    use super::*;

    fn diagnosis() -> Diagnosis {
        let check = |name, health, said: &str, todo: Option<&str>| Check {
            name,
            health,
            said: said.to_owned(),
            todo: todo.map(str::to_owned),
        };
        Diagnosis {
            machine: "m".to_owned(),
            checks: vec![
                check("dns", Health::Ok, "1.2.3.4 is an address", None),
                check("ssh-port", Health::Fail, "closed\nreally", Some("open it")),
            ],
        }
    }

    #[test]
    fn what_is_wrong_comes_with_what_to_do() {
        assert_eq!(
            text(&diagnosis()),
            "ok    dns       1.2.3.4 is an address\n\
             FAIL  ssh-port  closed\n                really\n                -> open it"
        );
    }

    #[test]
    fn programs_get_the_same_as_json() {
        let text = json(&diagnosis()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["health"], "fail");
        assert_eq!(value["checks"][1]["name"], "ssh-port");
        assert_eq!(value["checks"][1]["health"], "fail");
        assert_eq!(value["checks"][1]["todo"], "open it");
    }
}
