//! `berth machine create`.

use std::ffi::OsString;

use berth_controller_fleet::{CreateError, CreateRequest, Created, Fleet, MachineError};
use berth_controller_store::{EngineOptions, MachineName};
use berth_provisioners_api::{FlagKind, FlagSpec, FlagValue, FlagValues};
use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, FromArgMatches as _};
use futures::future::join_all;

use super::interrupt::{left_behind, unless_interrupted};
use super::lifecycle;
use super::sudo::SudoArgs;
use super::trouble::Trouble as _;
use crate::engine::{self, Global};
use crate::failure::{Failure, Outcome, chain};
use crate::ui::progress::MachineSteps;
use crate::{ui, usage};

/// Make machines
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Words {
    /// Read once the driver, and with it its flags, is known
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    words: Vec<OsString>,
}

/// The flags that every driver has.
#[derive(Debug, clap::Args)]
pub(super) struct Shared {
    /// Kind of machine
    #[arg(
        long,
        short,
        value_name = "DRIVER",
        env = "MACHINE_DRIVER",
        hide_env = true
    )]
    #[arg(default_value = DEFAULT_DRIVER)]
    driver: String,

    /// Registry that may be spoken to without TLS (repeatable)
    #[arg(long, value_name = "HOST[:PORT]")]
    engine_insecure_registry: Vec<String>,

    /// Mirror of the public registry (repeatable)
    #[arg(
        long,
        value_name = "URL",
        env = "ENGINE_REGISTRY_MIRROR",
        value_delimiter = ','
    )]
    engine_registry_mirror: Vec<String>,

    /// Label of the engine (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    engine_label: Vec<String>,

    /// Variable in the engine's environment (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    engine_env: Vec<String>,

    /// Option of the engine (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    engine_opt: Vec<String>,

    /// Storage driver of the engine
    #[arg(long, value_name = "NAME")]
    engine_storage_driver: Option<String>,

    /// Further name or address in the machine's certificate (repeatable)
    #[arg(long, value_name = "NAME")]
    tls_san: Vec<String>,

    /// Where docker-machine would install an engine from; kept on record only
    #[arg(
        long,
        value_name = "URL",
        env = "MACHINE_DOCKER_INSTALL_URL",
        hide = true
    )]
    engine_install_url: Option<String>,

    #[command(flatten)]
    sudo: SudoArgs,

    /// Names of the machines; several are made at the same time
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

/// The driver that needs nothing but this host.
const DEFAULT_DRIVER: &str = "sandbox";

/// Exit code when a driver says beforehand that it cannot succeed.
const PRE_CREATE_CHECK: u8 = 3;

/// Makes a machine, or goes on with one whose creation was cut off.
pub(super) async fn run(words: Words, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let driver = wanted_driver(&words.words);
    let flags = fleet
        .driver_flags(&driver)
        .map_err(|error| error.failure())?;
    refuse_clashes(&driver, &flags)?;
    let usage = |error: clap::Error| {
        let meant = usage::Meant::new(command(&flags), "berth machine create");
        usage::failure(&error, &meant, true)
    };
    let matches = command(&flags)
        .try_get_matches_from([OsString::from("create")].into_iter().chain(words.words))
        .map_err(usage)?;
    let shared = Shared::from_arg_matches(&matches).map_err(usage)?;
    let own = Global::from_arg_matches(&matches).map_err(usage)?;
    // The store may have been named behind the word "create".
    let fleet = match own.storage_path {
        Some(_) => own.fleet()?,
        None => fleet,
    };
    let fleet = shared.sudo.apply(fleet);
    create(&fleet, shared, values(&flags, &matches)?).await
}

async fn create(fleet: &Fleet, shared: Shared, flags: FlagValues) -> Outcome {
    let requests = requests(shared, &flags)?;
    let names: Vec<String> = requests
        .iter()
        .map(|request| request.name.clone())
        .collect();
    let steps = MachineSteps::of(&names);
    let made = join_all(requests.iter().map(|request| make(fleet, request, &steps)));
    let results = match unless_interrupted(made).await? {
        Ok(results) => results,
        Err(ending) => return Err(left_behind(fleet, &names, ending)),
    };
    if let [one] = names.as_slice() {
        results.into_iter().collect::<Result<(), Failure>>()?;
        ui::line(&format!(
            "Machine {one:?} is up. Use it: eval \"$(berth machine env {one})\""
        ))?;
        return Ok(0);
    }
    let n_up = results.iter().filter(|result| result.is_ok()).count();
    let code = lifecycle::told(results);
    ui::line(&format!("{n_up} of {} machines are up.", names.len()))?;
    Ok(code)
}

/// What to make of each name; each once, however often it was given.
fn requests(shared: Shared, flags: &FlagValues) -> Result<Vec<CreateRequest>, Failure> {
    let template = CreateRequest {
        driver: shared.driver,
        flags: flags.clone(),
        engine: EngineOptions {
            arbitrary_flags: shared.engine_opt,
            env: shared.engine_env,
            insecure_registries: shared.engine_insecure_registry,
            registry_mirrors: shared.engine_registry_mirror,
            labels: shared.engine_label,
            storage_driver: shared.engine_storage_driver.unwrap_or_default(),
            install_url: shared.engine_install_url.unwrap_or_default(),
        },
        certificate_names: shared.tls_san,
        ..CreateRequest::default()
    };
    let mut requests: Vec<CreateRequest> = Vec::new();
    for name in shared.names {
        // None is made when one cannot be.
        name.parse::<MachineName>()
            .map_err(|error| MachineError::from(error).failure())?;
        if requests.iter().all(|request| request.name != name) {
            requests.push(CreateRequest {
                name,
                ..template.clone()
            });
        }
    }
    Ok(requests)
}

async fn make(fleet: &Fleet, request: &CreateRequest, steps: &MachineSteps) -> Result<(), Failure> {
    let name = &request.name;
    match fleet.create(request, steps).await {
        Ok(Created::New) => steps.end(name, &format!("({name}) The machine is up"))?,
        Ok(Created::Resumed) => steps.end(
            name,
            &format!("The creation of {name:?} that was cut off is complete now."),
        )?,
        Err(error) => {
            // The failure itself is told when all have ended.
            let _ = steps.end(name, &format!("({name}) The machine could not be made"));
            return Err(failure(&error, name));
        }
    }
    Ok(())
}

/// Words the failure of a creation.
pub(super) fn failure(error: &CreateError, name: &str) -> Failure {
    match error {
        CreateError::PreCreateCheck(cause) => {
            let failure = Failure::new(format!("Error with pre-create check: {:?}", chain(cause)));
            let failure = failure.exit(PRE_CREATE_CHECK);
            match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        }
        CreateError::Exists(name) => {
            Failure::new(format!("Docker machine {name:?} already exists"))
                .hint(format!("berth machine rm {name} removes it"))
        }
        CreateError::Driver { .. } | CreateError::Provision(_) => error.failure().hint(format!(
            "berth machine resume {name} goes on from here; berth machine rm {name} takes it all \
             back"
        )),
        other => other.failure(),
    }
}

/// Finds the driver before anything else is understood: its flags decide how to read the rest.
fn wanted_driver(words: &[OsString]) -> String {
    let texts: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    for (at, text) in texts.iter().enumerate() {
        let value = match text.as_ref() {
            "--" => break,
            "-d" | "--driver" => texts.get(at + 1).map(ToString::to_string),
            text => text
                .strip_prefix("--driver=")
                .or_else(|| text.strip_prefix("-d="))
                .map(ToOwned::to_owned),
        };
        if let Some(value) = value {
            return value;
        }
    }
    engine::set("MACHINE_DRIVER").unwrap_or_else(|| DEFAULT_DRIVER.to_owned())
}

/// The command line of `create` with the flags of a driver.
pub(crate) fn command(flags: &[FlagSpec]) -> Command {
    let command = Command::new("create")
        .bin_name("berth machine create")
        .max_term_width(100)
        .after_help(
            "Examples:\n  berth machine create demo\n  berth machine create web1 web2 db\n  berth machine create -d generic \
             --generic-ip-address 192.0.2.7 --generic-ssh-key ~/.ssh/id_ed25519 far\n\n\
             `berth machine create --help -d DRIVER` shows the flags of that driver.\n\
             A creation that was cut off goes on when the command is given again, or with \
             `berth machine resume`.",
        );
    let command = Global::augment_args(Shared::augment_args(command));
    // After the options, whose documentation would take its place.
    command
        .about("Make machines")
        .next_help_heading("Driver options")
        .args(flags.iter().map(argument))
}

/// The command line of `create` with the flags of all drivers.
pub(crate) fn complete_command() -> Command {
    let drivers = engine::drivers();
    let flags: Vec<FlagSpec> = drivers
        .iter()
        .flat_map(|driver| driver.flags().unwrap_or_default())
        .collect();
    command(&flags)
}

/// Refuses the flags of a plugin that are ours already: nobody could tell them apart.
fn refuse_clashes(driver: &str, flags: &[FlagSpec]) -> Result<(), Failure> {
    let own = command(&[]);
    let is_own = |name: &str| {
        let mut arguments = own.get_arguments();
        name == "help" || arguments.any(|own| own.get_id() == name || own.get_long() == Some(name))
    };
    match flags.iter().find(|flag| is_own(&flag.name)) {
        None => Ok(()),
        Some(flag) => Err(Failure::new(format!(
            "driver {driver} has a flag --{}, which create has itself",
            flag.name
        ))
        .hint("another version of its plugin may have another name for it")),
    }
}

fn argument(flag: &FlagSpec) -> Arg {
    let name = flag.name.to_string();
    let mut help = flag.help.to_string();
    match &flag.default {
        FlagValue::Text(text) if !text.is_empty() => help.push_str(&format!(" [default: {text}]")),
        FlagValue::Number(number) => help.push_str(&format!(" [default: {number}]")),
        _ => {}
    }
    if flag.is_secret() {
        help.push_str(" (or where it is: env:NAME, file:PATH, cred:HELPER/KEY)");
    }
    if let Some(variable) = &flag.env {
        help.push_str(&format!(" [${variable}]"));
    }
    let arg = Arg::new(name.clone()).long(name).help(help);
    match flag.default.kind() {
        FlagKind::Switch => crate::switch::with_value(arg.action(ArgAction::SetTrue)),
        FlagKind::Text | FlagKind::Number => arg
            .action(ArgAction::Set)
            .value_name("VALUE")
            .allow_negative_numbers(true),
        FlagKind::List => arg.action(ArgAction::Append).value_name("VALUE"),
    }
}

/// A value for each flag: the operator's, the environment's, or the default.
fn values(flags: &[FlagSpec], matches: &ArgMatches) -> Result<FlagValues, Failure> {
    let mut values = FlagValues::defaults(flags);
    for flag in flags {
        let name = flag.name.as_ref();
        let given = matches.value_source(name) == Some(clap::parser::ValueSource::CommandLine);
        let environment = flag.env.as_deref().and_then(engine::set);
        let value = match (given, flag.default.kind(), environment) {
            (true, FlagKind::Switch, _) => FlagValue::Switch(matches.get_flag(name)),
            (true, FlagKind::List, _) => {
                let given = matches.get_many::<String>(name).unwrap_or_default();
                FlagValue::List(given.cloned().collect())
            }
            (true, _, _) => {
                let text = matches.get_one::<String>(name).map_or("", String::as_str);
                parse(flag, text)?
            }
            (false, _, Some(text)) => parse(flag, &text)?,
            (false, _, None) => continue,
        };
        values.set(name, value);
    }
    Ok(values)
}

fn parse(flag: &FlagSpec, text: &str) -> Result<FlagValue, Failure> {
    flag.parse(text).map_err(|error| Failure::because(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> Vec<FlagSpec> {
        vec![
            FlagSpec::text("x-address", "", "Address"),
            FlagSpec::number("x-port", 22, "Port").with_env("X_PORT_OF_NOBODY"),
            FlagSpec::switch("x-fast", "Fast"),
            FlagSpec::list("x-name", "Names"),
        ]
    }

    fn read(words: &[&str]) -> (Shared, FlagValues) {
        let flags = flags();
        let matches = command(&flags)
            .try_get_matches_from([&["create"], words].concat())
            .unwrap();
        (
            Shared::from_arg_matches(&matches).unwrap(),
            values(&flags, &matches).unwrap(),
        )
    }

    #[test]
    fn flags_of_the_driver_stand_beside_the_shared_ones() {
        let (shared, values) = read(&[
            "far",
            "-d",
            "x",
            "--x-address=10.0.0.1",
            "--x-port",
            "2222",
            "--x-fast",
            "--x-name",
            "a",
            "--x-name",
            "b,c",
            "--engine-label",
            "k=v",
        ]);
        assert_eq!(shared.names, ["far"]);
        assert_eq!(shared.driver, "x");
        assert_eq!(shared.engine_label, ["k=v"]);
        assert_eq!(values.text("x-address"), "10.0.0.1");
        assert_eq!(values.number("x-port"), 2222);
        assert!(values.switch("x-fast"));
        assert_eq!(values.list("x-name"), ["a", "b,c"]);
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let (shared, values) = read(&["near"]);
        assert_eq!(shared.driver, DEFAULT_DRIVER);
        assert_eq!(values.number("x-port"), 22);
        assert!(!values.switch("x-fast"));
    }

    #[test]
    fn help_lists_the_flags_of_the_driver() {
        let error = command(&flags())
            .try_get_matches_from(["create", "--help"])
            .unwrap_err();
        let help = error.render().to_string();
        assert!(
            help.contains("--x-port <VALUE>") && help.contains("[default: 22]"),
            "{help}"
        );
    }

    #[test]
    fn the_driver_is_found_wherever_it_stands() {
        let find = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            wanted_driver(&words)
        };
        assert_eq!(find(&["a", "--driver", "generic"]), "generic");
        assert_eq!(find(&["--driver=generic", "a"]), "generic");
        assert_eq!(find(&["-d", "generic", "--help"]), "generic");
        assert_eq!(find(&["a"]), DEFAULT_DRIVER);
    }
}
