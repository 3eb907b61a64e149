//! The commands and what their help pages say.

use crate::app::Context;
use crate::args::Flag;

/// One command.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// One line.
    pub(crate) usage: &'static str,
    /// More lines; may be empty.
    pub(crate) description: String,
    pub(crate) flags: Vec<Flag>,
    /// Its words are not read as flags.
    pub(crate) raw: bool,
}

const ONE: &str = "Argument is a machine name.";
const SOME: &str = "Argument(s) are one or more machine names.";

/// How long machines have to answer `ls` and `active`, in seconds.
const PATIENCE: i64 = 10;

/// Every command, in the order of the help page.
pub(crate) fn commands(context: &Context<'_>) -> Vec<Command> {
    let mut commands = vec![
        command(
            "active",
            "Print which machine is active",
            "",
            active_flags(),
        ),
        command(
            "config",
            "Print the connection config for machine",
            ONE,
            vec![swarm()],
        ),
        create(context),
        command(
            "env",
            "Display the commands to set up the environment for the Docker client",
            ONE,
            env_flags(),
        ),
        command(
            "inspect",
            "Inspect information about a machine",
            ONE,
            inspect_flags(),
        ),
        command("ip", "Get the IP address of a machine", SOME, vec![]),
        command("kill", "Kill a machine", SOME, vec![]),
        command("ls", "List machines", "", ls_flags()),
        command("provision", "Re-provision existing machines", "", vec![]),
        command(
            "regenerate-certs",
            "Regenerate TLS Certificates for a machine",
            SOME,
            regenerate_flags(),
        ),
        command("restart", "Restart a machine", SOME, vec![]),
        command("rm", "Remove a machine", SOME, rm_flags()),
    ];
    commands.extend([
        Command {
            raw: true,
            ..command(
                "ssh",
                "Log into or run a command on a machine with SSH.",
                "Arguments are [machine-name] [command]",
                vec![],
            )
        },
        command(
            "scp",
            "Copy files between machines",
            "Arguments are [[user@]machine:][path] [[user@]machine:][path].",
            scp_flags(),
        ),
        command(
            "mount",
            "Mount or unmount a directory from a machine with SSHFS.",
            "Arguments are [machine:][path] [mountpoint]",
            vec![Flag::switch("unmount, u", "Unmount instead of mount")],
        ),
        command("start", "Start a machine", SOME, vec![]),
        command("status", "Get the status of a machine", ONE, vec![]),
        command("stop", "Stop a machine", SOME, vec![]),
        command(
            "upgrade",
            "Upgrade a machine to the latest version of Docker",
            SOME,
            vec![],
        ),
        command("url", "Get the URL of a machine", ONE, vec![]),
        command(
            "version",
            "Show the Docker Machine version or a machine docker version",
            "",
            vec![],
        ),
        command(
            "help",
            "Shows a list of commands or help for one command",
            "",
            vec![],
        ),
    ]);
    commands
}

fn command(
    name: &'static str,
    usage: &'static str,
    description: &str,
    flags: Vec<Flag>,
) -> Command {
    Command {
        name,
        usage,
        description: description.to_owned(),
        flags,
        raw: false,
    }
}

fn create(context: &Context<'_>) -> Command {
    let description = format!(
        "Run '{} create --driver name --help' to include the create flags for that driver in the \
         help text.",
        context.program
    );
    command("create", "Create a machine", &description, create_flags())
}

fn swarm() -> Flag {
    Flag::switch(
        "swarm",
        "Display the Swarm config instead of the Docker daemon",
    )
}

fn timeout() -> Flag {
    let usage = format!("Timeout in seconds, default to {PATIENCE}s");
    Flag::number("timeout, t", PATIENCE, &usage)
}

fn active_flags() -> Vec<Flag> {
    vec![timeout()]
}

fn env_flags() -> Vec<Flag> {
    vec![
        swarm(),
        Flag::text(
            "shell",
            "",
            "Force environment to be configured for a specified shell: [fish, cmd, powershell, \
             tcsh, emacs], default is auto-detect",
        ),
        Flag::switch("unset, u", "Unset variables instead of setting them"),
        Flag::switch(
            "no-proxy",
            "Add machine IP to NO_PROXY environment variable",
        ),
    ]
}

fn inspect_flags() -> Vec<Flag> {
    vec![Flag::text(
        "format, f",
        "",
        "Format the output using the given go template.",
    )]
}

fn ls_flags() -> Vec<Flag> {
    vec![
        Flag::switch("quiet, q", "Enable quiet mode"),
        Flag::list("filter", "Filter output based on conditions provided"),
        timeout(),
        Flag::text("format, f", "", "Pretty-print machines using a Go template"),
    ]
}

fn regenerate_flags() -> Vec<Flag> {
    vec![
        Flag::switch("force, f", "Force rebuild and do not prompt"),
        Flag::switch(
            "client-certs",
            "Also regenerate client certificates and CA.",
        ),
    ]
}

fn rm_flags() -> Vec<Flag> {
    vec![
        Flag::switch(
            "force, f",
            "Remove local configuration even if machine cannot be removed, also implies an \
             automatic yes (`-y`)",
        ),
        Flag::switch(
            "y",
            "Assumes automatic yes to proceed with remove, without prompting further user \
             confirmation",
        ),
    ]
}

fn scp_flags() -> Vec<Flag> {
    vec![
        Flag::switch(
            "recursive, r",
            "Copy files recursively (required to copy directories)",
        ),
        Flag::switch(
            "delta, d",
            "Reduce amount of data sent over network by sending only the differences (uses rsync)",
        ),
        Flag::switch(
            "quiet, q",
            "Disables the progress meter as well as warning and diagnostic messages from ssh",
        ),
    ]
}

/// The flags of `create` that every driver has.
fn create_flags() -> Vec<Flag> {
    let engine = [
        Flag::text("driver, d", "virtualbox", "Driver to create machine with.")
            .with_env("MACHINE_DRIVER"),
        Flag::text(
            "engine-install-url",
            "https://get.docker.com",
            "Custom URL to use for engine installation",
        )
        .with_env("MACHINE_DOCKER_INSTALL_URL"),
        Flag::list(
            "engine-opt",
            "Specify arbitrary flags to include with the created engine in the form flag=value",
        ),
        Flag::list(
            "engine-insecure-registry",
            "Specify insecure registries to allow with the created engine",
        ),
        Flag::list("engine-registry-mirror", "Specify registry mirrors to use")
            .with_env("ENGINE_REGISTRY_MIRROR"),
        Flag::list("engine-label", "Specify labels for the created engine"),
        Flag::text(
            "engine-storage-driver",
            "",
            "Specify a storage driver to use with the engine",
        ),
        Flag::list(
            "engine-env",
            "Specify environment variables to set in the engine",
        ),
    ];
    let tls = Flag::list("tls-san", "Support extra SANs for TLS certs");
    engine
        .into_iter()
        .chain(swarm_flags())
        .chain([tls])
        .collect()
}

fn swarm_flags() -> Vec<Flag> {
    vec![
        Flag::switch("swarm", "Configure Machine to join a Swarm cluster"),
        Flag::text(
            "swarm-image",
            "swarm:latest",
            "Specify Docker image to use for Swarm",
        )
        .with_env("MACHINE_SWARM_IMAGE"),
        Flag::switch("swarm-master", "Configure Machine to be a Swarm master"),
        Flag::text("swarm-discovery", "", "Discovery service to use with Swarm"),
        Flag::text(
            "swarm-strategy",
            "spread",
            "Define a default scheduling strategy for Swarm",
        ),
        Flag::list("swarm-opt", "Define arbitrary flags for Swarm master"),
        Flag::list("swarm-join-opt", "Define arbitrary flags for Swarm join"),
        Flag::text(
            "swarm-host",
            "tcp://0.0.0.0:3376",
            "ip/socket to listen on for Swarm master",
        ),
        Flag::text(
            "swarm-addr",
            "",
            "addr to advertise for Swarm (default: detect and use the machine IP)",
        ),
        Flag::switch("swarm-experimental", "Enable Swarm experimental features"),
    ]
}
