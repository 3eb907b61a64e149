//! `create`: read twice, because the driver's flags are only known once the driver is.

use berth_controller_fleet::{CreateRequest, Fleet};
use berth_controller_store::{EngineOptions, SwarmOptions};
use berth_provisioners_api::{FlagSpec, FlagValue, FlagValues};

use super::block_on;
use crate::app::{self, Context, Outcome};
use crate::args::{Flag, Parsed};
use crate::catalogue::Command;
use crate::progress::{Doing, Lines};
use crate::world::Failure;
use crate::{help, words};

/// The driver when none is named.
const DEFAULT_DRIVER: &str = "virtualbox";

/// Makes a machine.
pub(crate) fn run(context: &Context<'_>, global: &Parsed, command: &Command) -> Outcome {
    let fleet = app::fleet(context, global)?;
    let wanted = wanted_driver(context);
    let driver = wanted.clone().unwrap_or_else(|| DEFAULT_DRIVER.to_owned());
    let specs = match specs(&fleet, &driver) {
        // In the original this driver is always there: that it is not is only told when all else
        // is right.
        Err(failure) if wanted.is_none() => Err(failure),
        found => Ok(found?),
    };
    let mut command = command.clone();
    let known = specs.as_deref().unwrap_or_default();
    command.flags.extend(known.iter().map(Flag::of_driver));
    command.flags.sort_by_key(Flag::line);
    // Mistakes in the words of this one command are failures.
    let options = app::options(context, &command, &global.args[1..]);
    let options = options.map_err(|failure| failure.code(1))?;
    let Some(options) = options else {
        return Ok(());
    };
    if let [_, extra @ ..] = options.args.as_slice()
        && !extra.is_empty()
    {
        let extra = extra.join(" ");
        return Err(Failure::new(format!(
            "Invalid command line. Found extra arguments [{extra}]"
        )));
    }
    let Some(name) = options.args.first().filter(|name| !name.is_empty()) else {
        context.world.print(&help::of_command(&command))?;
        return Err(Failure::new("Error: No machine name specified"));
    };
    check(name, &options)?;
    // The flags may name another driver than the words seemed to.
    let named = options.text("driver");
    let specs = if named == driver {
        specs?
    } else {
        self::specs(&fleet, named)?
    };
    let request = request(name, named, &specs, &options);
    block_on(make(context, &fleet, &request))?
}

fn specs(fleet: &Fleet, driver: &str) -> Result<Vec<FlagSpec>, Failure> {
    let Some(found) = fleet.drivers().get(driver) else {
        let known: Vec<&str> = fleet.drivers().names().collect();
        let text = words::driver_unknown(driver);
        let known = known.join(", ");
        return Err(Failure::new(format!(
            "{text}\nName one with --driver; part of this program are: {known}"
        )));
    };
    let flags = found.flags();
    flags.map_err(|error| Failure::new(words::chain(&error)))
}

/// Checks what the original checks before it looks at the driver.
fn check(name: &str, options: &Parsed) -> Outcome {
    let first = name.bytes().next();
    let first = first.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let all = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    if !first || !all {
        return Err(Failure::new(
            "Error creating machine: Invalid hostname specified. Allowed hostname chars are: \
             0-9a-zA-Z . -",
        ));
    }
    let discovery = options.text("swarm-discovery");
    if !discovery.is_empty() && !discovery.contains("://") {
        return Err(Failure::new(format!(
            "Error parsing swarm discovery: Swarm Discovery URL was in the wrong format: \
             {discovery}"
        )));
    }
    Ok(())
}

async fn make(context: &Context<'_>, fleet: &Fleet, request: &CreateRequest) -> Outcome {
    let world = context.world;
    let name = &request.name;
    if fleet.exists(name) && fleet.unfinished(name).is_ok_and(|left| left.is_none()) {
        return Err(Failure::new(words::exists(name)));
    }
    if request.swarm.agent || request.swarm.master {
        world.info(
            "WARNING: Classic swarm is gone. Its options are kept on record and have no other \
             effect.",
        );
    }
    announce_certificates(context, fleet);
    fleet.ensure_authority().map_err(|error| {
        let why = words::chain(&error);
        Failure::new(format!(
            "Error creating machine: Error generating certificates: {why}"
        ))
    })?;
    let lines = Lines::new(world, Doing::Creating);
    let made = fleet.create(request, &lines).await;
    made.map_err(|error| words::create(&error))?;
    if lines.engine_was_asked() {
        world.info("Docker is up and running!");
    }
    world.info(&format!(
        "To see how to connect your Docker Client to the Docker Engine running on this virtual \
         machine, run: {} env {name}",
        context.program
    ));
    Ok(())
}

/// The first machine of a store comes with an authority, which the original announces.
fn announce_certificates(context: &Context<'_>, fleet: &Fleet) {
    let paths = fleet.store().certs();
    for (what, path) in [("CA", &paths.ca), ("client certificate", &paths.cert)] {
        if !path.exists() {
            let path = path.display();
            context.world.info(&format!("Creating {what}: {path}"));
        }
    }
}

/// Finds the driver before anything else is understood, wherever among the words it stands.
fn wanted_driver(context: &Context<'_>) -> Option<String> {
    let words = &context.words;
    let named = words.iter().enumerate().find_map(|(at, word)| {
        if matches!(word.as_str(), "-d" | "--driver" | "-driver") {
            return words.get(at + 1).cloned();
        }
        let (flag, value) = word.split_once('=')?;
        matches!(flag, "-d" | "--driver" | "-driver").then(|| value.to_owned())
    });
    named
        .filter(|name| !name.is_empty())
        .or_else(|| context.world.env("MACHINE_DRIVER"))
}

fn request(name: &str, driver: &str, specs: &[FlagSpec], options: &Parsed) -> CreateRequest {
    let mut flags = FlagValues::defaults(specs);
    for spec in specs {
        match options.value(&spec.name) {
            // A list that nobody gave has what the driver has by default.
            Some(FlagValue::List(list)) if list.is_empty() => {}
            Some(value) => flags.set(spec.name.to_string(), value.clone()),
            None => {}
        }
    }
    CreateRequest {
        name: name.to_owned(),
        driver: driver.to_owned(),
        flags,
        engine: EngineOptions {
            arbitrary_flags: options.list("engine-opt"),
            env: options.list("engine-env"),
            insecure_registries: options.list("engine-insecure-registry"),
            registry_mirrors: options.list("engine-registry-mirror"),
            labels: options.list("engine-label"),
            storage_driver: options.text("engine-storage-driver").to_owned(),
            install_url: options.text("engine-install-url").to_owned(),
        },
        swarm: SwarmOptions {
            agent: options.switch("swarm"),
            master: options.switch("swarm-master"),
            discovery: options.text("swarm-discovery").to_owned(),
            address: options.text("swarm-addr").to_owned(),
            host: options.text("swarm-host").to_owned(),
            image: options.text("swarm-image").to_owned(),
            strategy: options.text("swarm-strategy").to_owned(),
            flags: options.list("swarm-opt"),
            join_flags: options.list("swarm-join-opt"),
            experimental: options.switch("swarm-experimental"),
        },
        certificate_names: options.list("tls-san"),
    }
}
