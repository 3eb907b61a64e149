//! Help pages, versions, and command lines that make no sense.

use crate::support::Operator;

const VERSION: &str = concat!("0.16.2, build berth-", env!("CARGO_PKG_VERSION"));

const RM: &str = "Usage: docker-machine rm [OPTIONS] [arg...]\n\
    \n\
    Remove a machine\n\
    \n\
    Description:\n   Argument(s) are one or more machine names.\n\
    \n\
    Options:\n   \n   \
    --force, -f\tRemove local configuration even if machine cannot be removed, also implies an automatic yes (`-y`)\n   \
    -y\t\tAssumes automatic yes to proceed with remove, without prompting further user confirmation\n";

fn page(operator: &Operator) -> String {
    let store = operator.store();
    let store = store.display();
    let wide = format!("   --storage-path, -s \"{store}\"")
        .len()
        .next_multiple_of(8)
        - 1;
    let option = |text: &str, usage: &str| {
        let used = 2 + text.len();
        let tabs = (wide.next_multiple_of(8) - used).div_ceil(8);
        format!("  {text}{}{usage}\n", "\t".repeat(tabs))
    };
    let env = |name: &str, usage: &str, variable: &str| {
        option(&format!("{name} "), &format!("{usage} [${variable}]"))
    };
    let options = [
        option("--debug, -D", "Enable debug mode"),
        option(
            &format!("--storage-path, -s \"{store}\""),
            "Configures storage path [$MACHINE_STORAGE_PATH]",
        ),
        env(
            "--tls-ca-cert",
            "CA to verify remotes against",
            "MACHINE_TLS_CA_CERT",
        ),
        env(
            "--tls-ca-key",
            "Private key to generate certificates",
            "MACHINE_TLS_CA_KEY",
        ),
        env(
            "--tls-client-cert",
            "Client cert to use for TLS",
            "MACHINE_TLS_CLIENT_CERT",
        ),
        env(
            "--tls-client-key",
            "Private key used in client TLS auth",
            "MACHINE_TLS_CLIENT_KEY",
        ),
        env(
            "--github-api-token",
            "Token to use for requests to the Github API",
            "MACHINE_GITHUB_API_TOKEN",
        ),
        option(
            "--native-ssh",
            "Use the native (Go-based) SSH implementation. [$MACHINE_NATIVE_SSH]",
        ),
        env(
            "--bugsnag-api-token",
            "BugSnag API token for crash reporting",
            "MACHINE_BUGSNAG_API_TOKEN",
        ),
        option("--help, -h", "show help"),
        option("--version, -v", "print the version"),
    ];
    format!(
        "Usage: docker-machine [OPTIONS] COMMAND [arg...]\n\n\
         Create and manage machines running Docker.\n\n\
         Version: {VERSION}\n\n\
         Author:\n  The authors of berth\n\n\
         Options:\n{}  \nCommands:\n{COMMANDS}  \n\
         Run 'docker-machine COMMAND --help' for more information on a command.\n",
        options.concat()
    )
}

const COMMANDS: &str = "  active\t\tPrint which machine is active\n  \
    config\t\tPrint the connection config for machine\n  \
    create\t\tCreate a machine\n  \
    env\t\t\tDisplay the commands to set up the environment for the Docker client\n  \
    inspect\t\tInspect information about a machine\n  \
    ip\t\t\tGet the IP address of a machine\n  \
    kill\t\t\tKill a machine\n  \
    ls\t\t\tList machines\n  \
    provision\t\tRe-provision existing machines\n  \
    regenerate-certs\tRegenerate TLS Certificates for a machine\n  \
    restart\t\tRestart a machine\n  \
    rm\t\t\tRemove a machine\n  \
    ssh\t\t\tLog into or run a command on a machine with SSH.\n  \
    scp\t\t\tCopy files between machines\n  \
    mount\t\t\tMount or unmount a directory from a machine with SSHFS.\n  \
    start\t\t\tStart a machine\n  \
    status\t\tGet the status of a machine\n  \
    stop\t\t\tStop a machine\n  \
    upgrade\t\tUpgrade a machine to the latest version of Docker\n  \
    url\t\t\tGet the URL of a machine\n  \
    version\t\tShow the Docker Machine version or a machine docker version\n  \
    help\t\t\tShows a list of commands or help for one command\n";

#[test]
fn page_of_the_program_is_the_originals() {
    let operator = Operator::new();
    let page = page(&operator);
    for line in ["", "help", "h", "--help", "-h", "-h ls"] {
        operator.types(line).is(0, &page, "");
    }
}

#[test]
fn page_of_a_command_is_the_originals() {
    let operator = Operator::new();
    for line in ["rm --help", "help rm", "rm -h a b", "rm a -help"] {
        operator.types(line).is(0, RM, "");
    }
    operator.types("help ip").is(
        0,
        "Usage: docker-machine ip [arg...]\n\nGet the IP address of a machine\n\n\
         Description:\n   Argument(s) are one or more machine names.\n",
        "",
    );
    operator.types("version --help").is(
        0,
        "Usage: docker-machine version [arg...]\n\n\
         Show the Docker Machine version or a machine docker version\n",
        "",
    );
}

#[test]
fn page_of_create_has_the_drivers_flags_among_the_others() {
    let mut operator = Operator::new();
    operator.program = "/opt/bin/docker-machine".to_owned();
    let page = operator.types("create -d none --help").stdout;
    assert!(
        page.starts_with(
            "Usage: docker-machine create [OPTIONS] [arg...]\n\nCreate a machine\n\nDescription:\n   \
             Run '/opt/bin/docker-machine create --driver name --help' to include the create flags \
             for that driver in the help text.\n\nOptions:\n   \n   --driver, -d"
        ),
        "{page}"
    );
    // Lines of the original, with its tabs.
    for line in [
        "   --driver, -d \"virtualbox\"\t\t\t\t\t\t\t\t\t\tDriver to create machine with. [$MACHINE_DRIVER]",
        "   --engine-insecure-registry [--engine-insecure-registry option --engine-insecure-registry option]\tSpecify insecure registries to allow with the created engine",
        "   --engine-install-url \"https://get.docker.com\"\t\t\t\t\t\t\tCustom URL to use for engine installation [$MACHINE_DOCKER_INSTALL_URL]",
        "   --engine-label [--engine-label option --engine-label option]\t\t\t\t\t\tSpecify labels for the created engine",
        "   --engine-registry-mirror [--engine-registry-mirror option --engine-registry-mirror option]\t\tSpecify registry mirrors to use [$ENGINE_REGISTRY_MIRROR]",
        "   --engine-storage-driver \t\t\t\t\t\t\t\t\t\tSpecify a storage driver to use with the engine",
        "   --swarm\t\t\t\t\t\t\t\t\t\t\t\tConfigure Machine to join a Swarm cluster",
        "   --swarm-addr \t\t\t\t\t\t\t\t\t\t\taddr to advertise for Swarm (default: detect and use the machine IP)",
        "   --tls-san [--tls-san option --tls-san option]\t\t\t\t\t\t\tSupport extra SANs for TLS certs",
        "   --url \t\t\t\t\t\t\t\t\t\t\t\tURL of host when no driver is selected",
    ] {
        assert!(page.lines().any(|own| own == line), "{line}\n{page}");
    }
    let flags: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("   --"))
        .collect();
    assert!(flags.is_sorted(), "{flags:#?}");
    // `help` knows no driver, and sorts nothing.
    let page = operator.types("help create").stdout;
    let second = page.lines().filter(|line| line.starts_with("   --")).nth(1);
    assert!(
        second.unwrap().starts_with("   --engine-install-url"),
        "{page}"
    );
}

#[test]
fn versions_are_told() {
    let operator = Operator::new();
    let told = format!("docker-machine version {VERSION}\n");
    for line in ["version", "--version", "-v", "-v ls"] {
        operator.types(line).is(0, &told, "");
    }
}

#[test]
fn words_that_make_no_sense_are_told_with_help() {
    let operator = Operator::new();
    let wrong = format!("Incorrect Usage.\n\n{RM}");
    operator
        .types("rm --frob x")
        .is(0, &wrong, "flag provided but not defined: -frob\n");
    operator.types("--frob").is(
        0,
        &format!("Incorrect Usage.\n\n{}", page(&operator)),
        "flag provided but not defined: -frob\n",
    );
    let twice = "Cannot use two forms of the same flag: f force\n";
    operator
        .types("rm -f --force x")
        .is(0, &format!("{twice}\n{RM}"), twice);
    let twice = "Cannot use two forms of the same flag: s storage-path\n";
    operator.types("-s /x --storage-path /y ls").is(
        0,
        &format!("{twice}{}", page(&operator)),
        twice,
    );
    for line in ["frob", "help frob"] {
        operator.types(line).is(
            1,
            "",
            "docker-machine: 'frob' is not a docker-machine command. See 'docker-machine --help'.\n",
        );
    }
}

#[test]
fn name_of_the_program_is_the_end_of_what_was_typed() {
    let mut operator = Operator::new();
    for (program, name) in [
        ("/usr/local/bin/docker-machine", "docker-machine"),
        ("berth docker-machine", "docker-machine"),
        ("/opt/my tools/docker-machine", "docker-machine"),
    ] {
        operator.program = program.to_owned();
        operator.types("frob").is(
            1,
            "",
            &format!("{name}: 'frob' is not a {name} command. See '{program} --help'.\n"),
        );
    }
}

#[test]
fn debugging_counts_wherever_it_stands() {
    let mut operator = Operator::new();
    let version = format!("Docker Machine Version: {VERSION}\n");
    let said = operator.types("version x -D");
    assert!(said.stderr.starts_with(&version), "{said:?}");
    operator.set("MACHINE_DEBUG", "perhaps");
    operator.types("ls").is(
        1,
        "",
        "Error parsing boolean value from MACHINE_DEBUG: strconv.ParseBool: parsing \"perhaps\": invalid syntax\n",
    );
}

#[test]
fn global_options_of_gitlab_are_taken() {
    let mut operator = Operator::new();
    operator
        .types("--bugsnag-api-token=no-report ls -q")
        .is(0, "", "");
    let other = operator.store().join("other");
    operator.set("MACHINE_STORAGE_PATH", other.to_str().unwrap());
    operator
        .types("--native-ssh --github-api-token x --tls-ca-cert= ls -q")
        .is(0, "", "");
    assert!(other.join("machines").is_dir());
}
