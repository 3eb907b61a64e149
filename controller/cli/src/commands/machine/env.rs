//! `berth machine env`.

use berth_controller_docker_machine::shell::{NoProxy, Shell};
use berth_controller_fleet::EnvFacts;

use super::names;
use super::trouble::Trouble as _;
use crate::engine::{self, Global};
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::ui::progress::MachineSteps;

/// Show the commands that point a shell's docker and berth at a machine
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(after_help = "Examples:
  eval \"$(berth machine env demo)\"
  eval \"$(berth machine env -u)\"")]
pub(crate) struct Args {
    /// Shell: bash, zsh, sh, fish, powershell, cmd, tcsh or emacs [default: by $SHELL]
    #[arg(long, value_name = "SHELL")]
    shell: Option<String>,

    /// Take the variables back
    #[arg(long, short)]
    unset: bool,

    /// Also keep the machine's address off the proxy
    #[arg(long)]
    no_proxy: bool,

    /// Machine; the one called "default" if none is named
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Prints a line a variable, and how to use them.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let Some(shell) = shell(args.shell.as_deref()) else {
        ui::line(
            "The default lines below are for a sh/bash shell, you can specify the shell you're \
             using, with the --shell flag.\n",
        )?;
        return Err(Failure::new("Error: Unknown shell"));
    };
    let proxy = args.no_proxy.then(|| NoProxy::find(engine::set));
    let command = typed(std::env::args());
    let text = if args.unset {
        if args.name.is_some() {
            return Err(Failure::new(
                "Error: Expected no machine name when the -u flag is present",
            ));
        }
        unset(shell, proxy.as_ref(), &command)
    } else {
        let facts = facts(args.name, global).await?;
        set(shell, &facts, proxy.as_ref(), &command)
    };
    ui::print(&text)?;
    Ok(0)
}

/// Asks for the facts, and whether the engine answers: a shell is not pointed at nothing.
async fn facts(name: Option<String>, global: &Global) -> Result<EnvFacts, Failure> {
    let fleet = global.fleet()?;
    let name = names::one(&fleet, global, name)?;
    let facts = fleet
        .env_facts(&name)
        .await
        .map_err(|error| error.failure())?;
    fleet
        .engine_version(&name, &MachineSteps::quiet())
        .await
        .map_err(|error| {
            let failure = error.failure();
            let said = failure.message().unwrap_or_default();
            let mut failure_told = Failure::new(format!("Error checking TLS connection: {said}"));
            for hint in failure.hints() {
                failure_told = failure_told.hint(hint.clone());
            }
            failure_told
        })?;
    Ok(facts)
}

/// The command as it was typed, for the hint.
fn typed(words: impl Iterator<Item = String>) -> String {
    let words = words.enumerate().map(|(at, word)| {
        if at == 0 && word.contains([' ', '\\']) {
            format!("\"{word}\"")
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The variables that are set and taken back.
const VARIABLES: [&str; 4] = [
    "DOCKER_TLS_VERIFY",
    "DOCKER_HOST",
    "DOCKER_CERT_PATH",
    "DOCKER_MACHINE_NAME",
];

fn set(shell: Shell, facts: &EnvFacts, proxy: Option<&NoProxy>, command: &str) -> String {
    let cert_path = facts.cert_path.to_string_lossy();
    let values = ["1", &facts.url, &cert_path, &facts.name];
    let mut variables: Vec<(&str, &str)> = VARIABLES.into_iter().zip(values).collect();
    let off_proxy = proxy.map(|proxy| (proxy.name, proxy.with(&facts.ip)));
    variables.extend(
        off_proxy
            .iter()
            .map(|(name, value)| (*name, value.as_str())),
    );
    shell.set(&variables, command)
}

fn unset(shell: Shell, proxy: Option<&NoProxy>, command: &str) -> String {
    let mut names = VARIABLES.to_vec();
    names.extend(proxy.map(|proxy| proxy.name));
    shell.unset(&names, command)
}

/// The shell that was named, or the one that `$SHELL` names.
fn shell(named: Option<&str>) -> Option<Shell> {
    match named {
        Some(name) => Some(Shell::of_any_name(name)),
        None => Shell::name_at(&engine::set("SHELL")?).map(Shell::of_any_name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_set_and_taken_back() {
        let facts = EnvFacts {
            name: "demo".to_owned(),
            url: "tcp://10.0.0.2:2376".to_owned(),
            cert_path: "/store/machines/demo".into(),
            ip: "10.0.0.2".to_owned(),
        };
        let proxy = NoProxy {
            name: "no_proxy",
            value: "a".to_owned(),
        };
        assert_eq!(
            set(Shell::Bash, &facts, Some(&proxy), "berth machine env demo"),
            "export DOCKER_TLS_VERIFY=\"1\"\nexport DOCKER_HOST=\"tcp://10.0.0.2:2376\"\n\
             export DOCKER_CERT_PATH=\"/store/machines/demo\"\nexport DOCKER_MACHINE_NAME=\"demo\"\n\
             export no_proxy=\"a,10.0.0.2\"\n\
             # Run this command to configure your shell: \n# eval $(berth machine env demo)\n",
        );
        assert_eq!(
            unset(Shell::Fish, Some(&proxy), "berth machine env -u"),
            "set -e DOCKER_TLS_VERIFY;\nset -e DOCKER_HOST;\nset -e DOCKER_CERT_PATH;\n\
             set -e DOCKER_MACHINE_NAME;\nset -e no_proxy;\n\
             # Run this command to configure your shell: \n# eval (berth machine env -u)\n",
        );
    }

    #[test]
    fn the_hint_repeats_what_was_typed() {
        let words = [
            "/opt/my tools/berth",
            "machine",
            "env",
            "--shell",
            "fish",
            "demo",
        ];
        let words = words.iter().map(|&word| word.to_owned());
        assert_eq!(
            typed(words),
            "\"/opt/my tools/berth\" machine env --shell fish demo"
        );
    }
}
