//! From the words to an exit code: global options, then the command.

use std::path::{Path, PathBuf};

use berth_controller_fleet::Fleet;
use berth_provisioners_api::Registry;

use crate::args::{Flag, Parsed, parse, parse_bool, permuted};
use crate::catalogue::{Command, commands};
use crate::world::{Failure, World};
use crate::{commands as verbs, help, machines, words};

/// What every command needs to know.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// The name that messages begin with.
    pub(crate) name: String,
    /// What was typed to call the program.
    pub(crate) program: String,
    /// Everything that was typed after it.
    pub(crate) words: Vec<String>,
    pub(crate) drivers: Registry,
    pub(crate) world: &'a World,
}

/// One call of one command.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) global: &'a Parsed,
    pub(crate) command: &'a Command,
    pub(crate) options: Parsed,
}

/// What a command returns.
pub(crate) type Outcome = Result<(), Failure>;

/// What the program calls itself: the last part of how it was called.
pub(crate) fn base_name(program: &str) -> String {
    let last = program.rsplit(' ').next().unwrap_or(program);
    let name = Path::new(program).file_name();
    // `berth docker-machine` is two words, `/opt/my tools/docker-machine` is one.
    match name.and_then(|name| name.to_str()) {
        Some(name) if !name.contains(' ') => name.to_owned(),
        _ => last.to_owned(),
    }
}

/// Does what the words say.
pub(crate) fn run(context: Context<'_>) -> u8 {
    match begin(&context) {
        Ok(()) => 0,
        Err(failure) => {
            if let Some(message) = &failure.message {
                context.world.error(message);
            }
            failure.code
        }
    }
}

fn begin(context: &Context<'_>) -> Outcome {
    debugging(context)?;
    let flags = global_flags(context)?;
    let env = |name: &str| context.world.env(name);
    let (global, result) = parse(&flags, &context.words, &env);
    let page = || help::of_program(context, &flags);
    if let Err(problem) = global.two_forms(&flags) {
        context.world.print(&format!("{problem}\n{}", page()))?;
        return Err(Failure::new(problem).code(0));
    }
    if let Err(problem) = result {
        context
            .world
            .print(&format!("Incorrect Usage.\n\n{}", page()))?;
        return Err(Failure::new(problem).code(0));
    }
    let Some(name) = global.args.first().filter(|_| !global.switch("help")) else {
        return if global.switch("version") && !global.switch("help") {
            verbs::version::of_program(context)
        } else {
            context.world.print(&page())
        };
    };
    if global.switch("version") {
        return verbs::version::of_program(context);
    }
    let all = commands(context);
    let wanted = if name == "h" { "help" } else { name.as_str() };
    let Some(command) = all.iter().find(|command| command.name == wanted) else {
        return Err(unknown(context, name));
    };
    command_line(context, &global, command)
}

/// Reads the command's own words, and does it.
fn command_line(context: &Context<'_>, global: &Parsed, command: &Command) -> Outcome {
    let words = &global.args[1..];
    if command.name == "create" {
        return verbs::create::run(context, global, command);
    }
    if command.raw {
        let options = Parsed::unread(words);
        return verbs::run(Order {
            context,
            global,
            command,
            options,
        });
    }
    match options(context, command, words)? {
        Some(options) => verbs::run(Order {
            context,
            global,
            command,
            options,
        }),
        None => Ok(()),
    }
}

/// Reads a command's words; `None` when only help was wanted, which was printed then.
pub(crate) fn options(
    context: &Context<'_>,
    command: &Command,
    words: &[String],
) -> Result<Option<Parsed>, Failure> {
    let world = context.world;
    let mut flags = command.flags.clone();
    flags.push(help_flag());
    let env = |name: &str| world.env(name);
    let (parsed, result) = parse(&flags, &permuted(words), &env);
    let page = || help::of_command(command);
    if let Err(problem) = result {
        world.print(&format!("Incorrect Usage.\n\n{}", page()))?;
        return Err(Failure::new(problem).code(0));
    }
    if let Err(problem) = parsed.two_forms(&flags) {
        world.print(&format!("{problem}\n\n{}", page()))?;
        return Err(Failure::new(problem).code(0));
    }
    if parsed.switch("help") {
        world.print(&page())?;
        return Ok(None);
    }
    Ok(Some(parsed))
}

/// What is said of a command that does not exist.
pub(crate) fn unknown(context: &Context<'_>, word: &str) -> Failure {
    let (name, program) = (&context.name, &context.program);
    Failure::new(format!(
        "{name}: '{word}' is not a {name} command. See '{program} --help'."
    ))
}

/// `--debug` counts wherever it stands, even among the words of a remote command.
fn debugging(context: &Context<'_>) -> Outcome {
    let mut debug = context
        .words
        .iter()
        .any(|word| matches!(word.as_str(), "-D" | "--debug" | "-debug"));
    if let Some(text) = context.world.env("MACHINE_DEBUG") {
        debug = parse_bool(&text).map_err(|problem| {
            Failure::new(format!(
                "Error parsing boolean value from MACHINE_DEBUG: {problem}"
            ))
        })?;
    }
    if debug {
        context.world.tell_more();
        let filter = tracing_subscriber::EnvFilter::new("berth=debug,info");
        // Somebody who calls this twice in one process has had their subscriber.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .try_init();
    }
    let version = help::version(context);
    context
        .world
        .debug(&format!("Docker Machine Version: {version}"));
    Ok(())
}

/// Prints the page of the whole program.
pub(crate) fn program_page(context: &Context<'_>) -> Outcome {
    let flags = global_flags(context)?;
    context.world.print(&help::of_program(context, &flags))
}

fn help_flag() -> Flag {
    Flag::switch("help, h", "show help")
}

fn global_flags(context: &Context<'_>) -> Result<Vec<Flag>, Failure> {
    let store = default_store(context.world)?;
    let text = |name: &str, env: &str, usage: &str| Flag::text(name, "", usage).with_env(env);
    Ok(vec![
        Flag::switch("debug, D", "Enable debug mode"),
        Flag::text(
            "storage-path, s",
            &store.to_string_lossy(),
            "Configures storage path",
        )
        .with_env("MACHINE_STORAGE_PATH"),
        text(
            "tls-ca-cert",
            "MACHINE_TLS_CA_CERT",
            "CA to verify remotes against",
        ),
        text(
            "tls-ca-key",
            "MACHINE_TLS_CA_KEY",
            "Private key to generate certificates",
        ),
        text(
            "tls-client-cert",
            "MACHINE_TLS_CLIENT_CERT",
            "Client cert to use for TLS",
        ),
        text(
            "tls-client-key",
            "MACHINE_TLS_CLIENT_KEY",
            "Private key used in client TLS auth",
        ),
        text(
            "github-api-token",
            "MACHINE_GITHUB_API_TOKEN",
            "Token to use for requests to the Github API",
        ),
        Flag::switch(
            "native-ssh",
            "Use the native (Go-based) SSH implementation.",
        )
        .with_env("MACHINE_NATIVE_SSH"),
        text(
            "bugsnag-api-token",
            "MACHINE_BUGSNAG_API_TOKEN",
            "BugSnag API token for crash reporting",
        ),
        help_flag(),
        Flag::switch("version, v", "print the version"),
    ])
}

fn default_store(world: &World) -> Result<PathBuf, Failure> {
    if let Some(path) = world.env("MACHINE_STORAGE_PATH") {
        return Ok(path.into());
    }
    let home = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    let home = world.env(home).map(PathBuf::from);
    home.or_else(std::env::home_dir)
        .map(|home| home.join(".docker").join("machine"))
        .ok_or_else(|| {
            Failure::new(
                "Error: there is no home directory to keep machines in; set HOME or \
                 MACHINE_STORAGE_PATH",
            )
        })
}

/// Opens the machines of the store that the global options name, with the certificates that they
/// name.
pub(crate) fn fleet(context: &Context<'_>, global: &Parsed) -> Result<Fleet, Failure> {
    let path = PathBuf::from(global.text("storage-path"));
    let fleet = Fleet::open(&path, context.drivers.clone())
        .map_err(|error| Failure::new(words::chain(&error)))?;
    let mut certs = fleet.store().certs();
    for (flag, file) in [
        ("tls-ca-cert", &mut certs.ca),
        ("tls-ca-key", &mut certs.ca_key),
        ("tls-client-cert", &mut certs.cert),
        ("tls-client-key", &mut certs.key),
    ] {
        let named = global.text(flag);
        if !named.is_empty() {
            // It is put on record, and read again from anywhere.
            *file = std::path::absolute(named)?;
        }
    }
    Ok(fleet.with_certs(certs))
}

/// Takes the certificates that the machines were made with, where these are others than usual.
fn with_certs_on_record(fleet: Fleet, machines: &[String]) -> Fleet {
    let paths = |name: &String| {
        let record = fleet.inspect(name).ok()?;
        let auth = &record["HostOptions"]["AuthOptions"];
        let mut certs = fleet.store().certs();
        for (key, file) in [
            ("CaCertPath", &mut certs.ca),
            ("CaPrivateKeyPath", &mut certs.ca_key),
            ("ClientCertPath", &mut certs.cert),
            ("ClientKeyPath", &mut certs.key),
        ] {
            let named = auth[key].as_str().map(PathBuf::from);
            // What has gone since is of no use to anybody.
            if let Some(named) = named.filter(|path| path.is_absolute() && path.is_file()) {
                *file = named;
            }
        }
        Some(certs)
    };
    let default = [machines::DEFAULT.to_owned()];
    let machines = if machines.is_empty() {
        &default
    } else {
        machines
    };
    // Other words, such as those of a remote command, are no machines and say nothing.
    let mut all = machines.iter().filter_map(paths);
    match all.next() {
        Some(certs) if all.all(|other| other == certs) => fleet.with_certs(certs),
        _ => fleet,
    }
}

// === impl Order ===

impl Order<'_> {
    pub(crate) fn world(&self) -> &World {
        self.context.world
    }

    pub(crate) fn args(&self) -> &[String] {
        &self.options.args
    }

    /// The machines.
    pub(crate) fn fleet(&self) -> Result<Fleet, Failure> {
        let fleet = fleet(self.context, self.global)?;
        Ok(with_certs_on_record(fleet, self.args()))
    }

    /// Prints the command's help page, and fails.
    pub(crate) fn wrong(&self, message: &str) -> Failure {
        match self.world().print(&help::of_command(self.command)) {
            Ok(()) => Failure::new(message),
            Err(failure) => failure,
        }
    }

    /// The command as it was typed, for the hint of `env`.
    pub(crate) fn typed(&self) -> String {
        let program = &self.context.program;
        let mut line = if program.contains([' ', '\\']) && !program.ends_with(" docker-machine") {
            format!("\"{program}\"")
        } else {
            program.clone()
        };
        for word in &self.context.words {
            line.push(' ');
            line.push_str(word);
        }
        line
    }
}
