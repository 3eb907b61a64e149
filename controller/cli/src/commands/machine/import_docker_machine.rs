//! `berth machine import-docker-machine`.

use std::path::{Path, PathBuf};

use berth_controller_fleet::{Conversion, Fleet};

use super::sudo::SudoArgs;
use super::trouble::Trouble as _;
use crate::engine::{self, Global};
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::ui::progress::MachineSteps;

/// Take over machines of docker-machine, and replace their Docker by berthd if wanted
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  berth machine import-docker-machine --all
  berth machine import-docker-machine /mnt/old/.docker/machine web db
  berth machine import-docker-machine --convert web

Without --convert a machine keeps its Docker: env, config, url, ip, ssh and ls work with it, and the
docker command does the rest. The other store stays as it is. A store that is this one already needs
no copying; a machine whose disks are in its folder can only be used in its own store
(--storage-path).

With --convert, Docker's daemon on the host is stopped for good and berthd put in its place. Docker's
containers are stopped; they, their images and volumes stay on the host's disk, where berthd does not
see them, and `systemctl enable --now docker` on the host brings them back.")]
pub(crate) struct Args {
    /// All machines of the store
    #[arg(long)]
    all: bool,

    /// Replace the machines' Docker by berthd
    #[arg(long)]
    convert: bool,

    /// Do not ask before Docker is stopped
    #[arg(long, short)]
    yes: bool,

    #[command(flatten)]
    sudo: SudoArgs,

    /// Store of docker-machine (with a slash in its name) [default: ~/.docker/machine], and machines
    #[arg(value_name = "PATH|NAME")]
    words: Vec<String>,
}

/// Takes the machines over, one after the other; each that fails is told.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = args.sudo.apply(global.fleet()?);
    let (path, mut names) = sorted(args.words);
    let source = match path {
        Some(path) => path,
        None => usual()?,
    };
    if args.all {
        names = fleet
            .docker_machines(&source)
            .map_err(|error| error.failure())?;
        if names.is_empty() {
            return Err(Failure::new(format!(
                "there is no machine in {}",
                source.display()
            )));
        }
    } else if names.is_empty() {
        return Err(Failure::new("no machine was named")
            .hint("name machines, or take all of the store with --all")
            .exit(64));
    }
    let steps = MachineSteps::told();
    let mut results = Vec::new();
    for name in &names {
        results.push(one(&fleet, &source, name, (args.convert, args.yes), &steps).await);
    }
    Ok(super::lifecycle::told(results))
}

async fn one(
    fleet: &Fleet,
    source: &Path,
    name: &str,
    (convert, yes): (bool, bool),
    steps: &MachineSteps,
) -> Result<(), Failure> {
    // A machine that was taken over before only needs to be converted.
    let here = fleet.is_docker(name).unwrap_or(false);
    if !(convert && here) {
        let taken = fleet
            .take_docker_machine(source, name, steps)
            .map_err(|error| error.failure())?;
        let how = if taken.in_place {
            "in place"
        } else {
            "as a copy"
        };
        ui::line(&format!(
            "Machine {name:?} is taken over, {how}, with its Docker."
        ))?;
        if !taken.has_driver {
            ui::warn(&format!(
                "there is no driver {:?} here; put docker-machine-driver-{} into a folder of PATH \
                 to start, stop or remove {name:?}",
                taken.driver, taken.driver
            ));
        }
    }
    if !convert {
        return Ok(());
    }
    let plan = fleet
        .conversion(name, steps)
        .await
        .map_err(|error| error.failure())?;
    if !yes && !agreed(name, &plan)? {
        ui::line(&format!("Machine {name:?} keeps its Docker."))?;
        return Ok(());
    }
    fleet
        .convert(name, steps)
        .await
        .map_err(|error| error.failure())?;
    ui::line(&format!(
        "Machine {name:?} runs berthd now. Use it: eval \"$(berth machine env {name})\""
    ))?;
    Ok(())
}

/// Says what happens, and asks.
fn agreed(name: &str, plan: &Conversion) -> Result<bool, Failure> {
    let containers = match plan.containers.len() {
        0 if plan.runs => "No container of it runs that could be seen.".to_owned(),
        0 => "It does not run at the moment.".to_owned(),
        count => format!(
            "{count} running containers will be stopped: {}.",
            plan.containers.join(", ")
        ),
    };
    ui::line(&format!(
        "About to stop Docker on {name} for good. {containers}"
    ))?;
    ui::line(
        "Containers, images and volumes of Docker stay on the host's disk; berthd does not see them.",
    )?;
    Ok(ui::confirm("Are you sure? (y/n): ")?)
}

/// Tells the store from the machines: no machine has a slash in its name.
fn sorted(words: Vec<String>) -> (Option<PathBuf>, Vec<String>) {
    let mut words = words;
    let is_path = |word: &String| word.contains('/') || word == "." || word == "..";
    let path = words
        .first()
        .is_some_and(is_path)
        .then(|| PathBuf::from(words.remove(0)));
    (path, words)
}

/// Where docker-machine keeps its machines.
fn usual() -> Result<PathBuf, Failure> {
    if let Some(path) = engine::set("MACHINE_STORAGE_PATH") {
        return Ok(PathBuf::from(path));
    }
    std::env::home_dir()
        .filter(|home| !home.as_os_str().is_empty())
        .map(|home| home.join(".docker/machine"))
        .ok_or_else(|| Failure::new("there is no home folder").hint("name the store"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_and_machines_are_told_apart() {
        let words = |words: &[&str]| sorted(words.iter().map(|&word| word.to_owned()).collect());
        assert_eq!(
            words(&["a", "b"]),
            (None, vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(
            words(&["./a", "b"]),
            (Some("./a".into()), vec!["b".to_owned()])
        );
        assert_eq!(words(&["."]), (Some(".".into()), Vec::new()));
        assert_eq!(words(&[]), (None, Vec::new()));
    }
}
