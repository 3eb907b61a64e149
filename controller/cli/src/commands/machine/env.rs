//! `berth machine env`.

use std::path::Path;

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
    let proxy = args.no_proxy.then(NoProxy::here);
    let command = typed(std::env::args());
    let text = if args.unset {
        if args.name.is_some() {
            return Err(Failure::new(
                "Error: Expected no machine name when the -u flag is present",
            ));
        }
        shell.unset(proxy.as_ref(), &command)
    } else {
        let facts = facts(args.name, global).await?;
        shell.set(&facts, proxy.as_ref(), &command)
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
        .agent(&name, &MachineSteps::quiet())
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

/// Shells with a language of their own; all others speak like bash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shell {
    Bash,
    Fish,
    Power,
    Cmd,
    Tcsh,
    Emacs,
}

fn shell(named: Option<&str>) -> Option<Shell> {
    let path = engine::set("SHELL");
    let name = match named {
        Some(name) => name,
        None => Path::new(path.as_deref()?).file_name()?.to_str()?,
    };
    Some(match name {
        "fish" => Shell::Fish,
        "powershell" | "pwsh" => Shell::Power,
        "cmd" => Shell::Cmd,
        "tcsh" | "csh" => Shell::Tcsh,
        "emacs" => Shell::Emacs,
        _ => Shell::Bash,
    })
}

/// The variable that keeps addresses off the proxy, and what is in it.
#[derive(Debug)]
struct NoProxy {
    name: &'static str,
    value: String,
}

// === impl NoProxy ===

impl NoProxy {
    fn here() -> Self {
        match engine::set("no_proxy") {
            Some(value) => Self {
                name: "no_proxy",
                value,
            },
            None => Self {
                name: "NO_PROXY",
                value: engine::set("NO_PROXY").unwrap_or_default(),
            },
        }
    }

    fn with(&self, address: &str) -> String {
        let known = self.value.split(',').any(|known| known.trim() == address);
        match (self.value.is_empty(), known) {
            (true, _) => address.to_owned(),
            (false, true) => self.value.clone(),
            (false, false) => format!("{},{address}", self.value),
        }
    }
}

// === impl Shell ===

impl Shell {
    fn set(self, facts: &EnvFacts, proxy: Option<&NoProxy>, command: &str) -> String {
        let cert_path = facts.cert_path.to_string_lossy();
        let mut text = String::new();
        for (name, value) in [
            ("DOCKER_TLS_VERIFY", "1"),
            ("DOCKER_HOST", &facts.url),
            ("DOCKER_CERT_PATH", &cert_path),
            ("DOCKER_MACHINE_NAME", &facts.name),
        ] {
            text.push_str(&self.set_line(name, value));
        }
        if let Some(proxy) = proxy {
            text.push_str(&self.set_line(proxy.name, &proxy.with(&facts.ip)));
        }
        text + &self.hint(command)
    }

    fn unset(self, proxy: Option<&NoProxy>, command: &str) -> String {
        let names = [
            "DOCKER_TLS_VERIFY",
            "DOCKER_HOST",
            "DOCKER_CERT_PATH",
            "DOCKER_MACHINE_NAME",
        ];
        let names = names.into_iter().chain(proxy.map(|proxy| proxy.name));
        let lines: String = names.map(|name| self.unset_line(name)).collect();
        lines + &self.hint(command)
    }

    fn set_line(self, name: &str, value: &str) -> String {
        let value = self.escaped(value);
        match self {
            Self::Bash => format!("export {name}=\"{value}\"\n"),
            Self::Fish => format!("set -gx {name} \"{value}\";\n"),
            Self::Power => format!("$Env:{name} = \"{value}\"\n"),
            Self::Cmd => format!("SET {name}={value}\n"),
            Self::Tcsh => format!("setenv {name} \"{value}\";\n"),
            Self::Emacs => format!("(setenv \"{name}\" \"{value}\")\n"),
        }
    }

    fn unset_line(self, name: &str) -> String {
        match self {
            Self::Bash => format!("unset {name}\n"),
            Self::Fish => format!("set -e {name};\n"),
            Self::Power => format!("Remove-Item Env:\\\\{name}\n"),
            Self::Cmd => format!("SET {name}=\n"),
            Self::Tcsh => format!("unsetenv {name};\n"),
            Self::Emacs => format!("(setenv \"{name}\" nil)\n"),
        }
    }

    /// A path may hold anything; it must not become a command.
    fn escaped(self, value: &str) -> String {
        let mut text = String::with_capacity(value.len());
        for c in value.chars() {
            match (self, c) {
                (Self::Bash, '\\' | '"' | '$' | '`')
                | (Self::Fish, '\\' | '"' | '$')
                | (Self::Emacs, '\\' | '"')
                | (Self::Tcsh, '!') => text.extend(['\\', c]),
                (Self::Power, '`' | '"' | '$') => text.extend(['`', c]),
                (Self::Cmd, '^' | '&' | '|' | '<' | '>') => text.extend(['^', c]),
                // Nothing takes these away from tcsh inside of its quotes.
                (Self::Tcsh, '"' | '$' | '`') => text.extend(['"', '\\', c, '"']),
                // For these two the line is over, whatever it has been in.
                (Self::Cmd | Self::Tcsh, '\n' | '\r') => text.push(' '),
                (_, c) => text.push(c),
            }
        }
        text
    }

    fn hint(self, command: &str) -> String {
        // What stands on a line of its own is no comment any more.
        let command = command.replace(['\n', '\r'], " ");
        let (comment, how) = match self {
            Self::Bash => ("#", format!("eval $({command})")),
            Self::Fish => ("#", format!("eval ({command})")),
            Self::Power => ("#", format!("& {command} | Invoke-Expression")),
            Self::Cmd => (
                "REM",
                format!("\t@FOR /f \"tokens=*\" %i IN ('{command}') DO @%i"),
            ),
            Self::Tcsh => (":", format!("eval `{command}`")),
            Self::Emacs => (
                ";;",
                format!(
                    "(with-temp-buffer (shell-command \"{command}\" (current-buffer)) (eval-buffer))"
                ),
            ),
        };
        format!("{comment} Run this command to configure your shell: \n{comment} {how}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> EnvFacts {
        EnvFacts {
            name: "demo".to_owned(),
            url: "tcp://10.0.0.2:2376".to_owned(),
            cert_path: "/store/machines/demo".into(),
            ip: "10.0.0.2".to_owned(),
        }
    }

    const COMMAND: &str = "berth machine env demo";

    #[track_caller]
    fn sets(name: &str, expected: &str) {
        assert_eq!(
            shell(Some(name)).unwrap().set(&facts(), None, COMMAND),
            expected
        );
    }

    #[track_caller]
    fn unsets(name: &str, expected: &str) {
        let text = shell(Some(name))
            .unwrap()
            .unset(None, "berth machine env -u");
        let first: String = text.lines().take(2).collect::<Vec<_>>().join("\n");
        assert_eq!(first, expected);
    }

    #[test]
    fn each_shell_has_its_own_language() {
        sets(
            "bash",
            "export DOCKER_TLS_VERIFY=\"1\"\nexport DOCKER_HOST=\"tcp://10.0.0.2:2376\"\n\
             export DOCKER_CERT_PATH=\"/store/machines/demo\"\nexport DOCKER_MACHINE_NAME=\"demo\"\n\
             # Run this command to configure your shell: \n# eval $(berth machine env demo)\n",
        );
        sets(
            "fish",
            "set -gx DOCKER_TLS_VERIFY \"1\";\nset -gx DOCKER_HOST \"tcp://10.0.0.2:2376\";\n\
             set -gx DOCKER_CERT_PATH \"/store/machines/demo\";\nset -gx DOCKER_MACHINE_NAME \"demo\";\n\
             # Run this command to configure your shell: \n# eval (berth machine env demo)\n",
        );
        sets(
            "powershell",
            "$Env:DOCKER_TLS_VERIFY = \"1\"\n$Env:DOCKER_HOST = \"tcp://10.0.0.2:2376\"\n\
             $Env:DOCKER_CERT_PATH = \"/store/machines/demo\"\n$Env:DOCKER_MACHINE_NAME = \"demo\"\n\
             # Run this command to configure your shell: \n# & berth machine env demo | Invoke-Expression\n",
        );
        sets(
            "cmd",
            "SET DOCKER_TLS_VERIFY=1\nSET DOCKER_HOST=tcp://10.0.0.2:2376\n\
             SET DOCKER_CERT_PATH=/store/machines/demo\nSET DOCKER_MACHINE_NAME=demo\n\
             REM Run this command to configure your shell: \n\
             REM \t@FOR /f \"tokens=*\" %i IN ('berth machine env demo') DO @%i\n",
        );
        sets(
            "tcsh",
            "setenv DOCKER_TLS_VERIFY \"1\";\nsetenv DOCKER_HOST \"tcp://10.0.0.2:2376\";\n\
             setenv DOCKER_CERT_PATH \"/store/machines/demo\";\nsetenv DOCKER_MACHINE_NAME \"demo\";\n\
             : Run this command to configure your shell: \n: eval `berth machine env demo`\n",
        );
        sets(
            "emacs",
            "(setenv \"DOCKER_TLS_VERIFY\" \"1\")\n(setenv \"DOCKER_HOST\" \"tcp://10.0.0.2:2376\")\n\
             (setenv \"DOCKER_CERT_PATH\" \"/store/machines/demo\")\n(setenv \"DOCKER_MACHINE_NAME\" \"demo\")\n\
             ;; Run this command to configure your shell: \n\
             ;; (with-temp-buffer (shell-command \"berth machine env demo\" (current-buffer)) (eval-buffer))\n",
        );
    }

    #[test]
    fn variables_are_taken_back() {
        unsets("zsh", "unset DOCKER_TLS_VERIFY\nunset DOCKER_HOST");
        unsets("fish", "set -e DOCKER_TLS_VERIFY;\nset -e DOCKER_HOST;");
        unsets(
            "powershell",
            "Remove-Item Env:\\\\DOCKER_TLS_VERIFY\nRemove-Item Env:\\\\DOCKER_HOST",
        );
        unsets("cmd", "SET DOCKER_TLS_VERIFY=\nSET DOCKER_HOST=");
        unsets("tcsh", "unsetenv DOCKER_TLS_VERIFY;\nunsetenv DOCKER_HOST;");
        unsets(
            "emacs",
            "(setenv \"DOCKER_TLS_VERIFY\" nil)\n(setenv \"DOCKER_HOST\" nil)",
        );
    }

    #[test]
    fn the_proxy_is_told_once() {
        let proxy = |value: &str| NoProxy {
            name: "no_proxy",
            value: value.to_owned(),
        };
        assert_eq!(proxy("").with("10.0.0.2"), "10.0.0.2");
        assert_eq!(proxy("a,10.0.0.2").with("10.0.0.2"), "a,10.0.0.2");
        assert_eq!(proxy("110.0.0.22").with("10.0.0.2"), "110.0.0.22,10.0.0.2");
        let text = Shell::Bash.unset(Some(&proxy("x")), COMMAND);
        assert!(text.contains("\nunset no_proxy\n"));
    }

    #[test]
    fn a_path_does_not_become_a_command() {
        assert_eq!(
            Shell::Bash.set_line("A", "$(x)`\"\\"),
            "export A=\"\\$(x)\\`\\\"\\\\\"\n"
        );
        assert_eq!(Shell::Power.set_line("A", "$x"), "$Env:A = \"`$x\"\n");
        assert_eq!(Shell::Cmd.set_line("A", "a&b\nc"), "SET A=a^&b c\n");
        assert_eq!(
            Shell::Tcsh.set_line("A", "`x`!"),
            "setenv A \"\"\\`\"x\"\\`\"\\!\";\n"
        );
        assert_eq!(Shell::Bash.hint("a\nb").lines().count(), 2);
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
