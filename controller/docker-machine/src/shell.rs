//! The languages of shells: the lines that set and take back variables.
//!
//! Values are escaped, so that a path with a strange name does not become a command.

use std::path::Path;

/// Shells with a language of their own; all others speak like bash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// bash, zsh, sh and everything else.
    Bash,
    /// fish.
    Fish,
    /// PowerShell.
    Power,
    /// cmd.exe.
    Cmd,
    /// tcsh and csh.
    Tcsh,
    /// Emacs Lisp.
    Emacs,
}

/// The variable that keeps addresses off the proxy, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoProxy {
    /// `no_proxy` or `NO_PROXY`.
    pub name: &'static str,
    /// Its value now.
    pub value: String,
}

// === impl NoProxy ===

impl NoProxy {
    /// Finds the variable with `env`, which returns variables that are set to something.
    pub fn find(env: impl Fn(&str) -> Option<String>) -> Self {
        match env("no_proxy") {
            Some(value) => Self {
                name: "no_proxy",
                value,
            },
            None => Self {
                name: "NO_PROXY",
                value: env("NO_PROXY").unwrap_or_default(),
            },
        }
    }

    /// Returns the value with one more address, unless it is there already.
    #[must_use]
    pub fn with(&self, address: &str) -> String {
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
    /// Returns the shell of a name such as `fish`, of the names that docker-machine knows.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "fish" => Self::Fish,
            "powershell" => Self::Power,
            "cmd" => Self::Cmd,
            "tcsh" => Self::Tcsh,
            "emacs" => Self::Emacs,
            _ => Self::Bash,
        }
    }

    /// Returns the shell of any name that it has.
    #[must_use]
    pub fn of_any_name(name: &str) -> Self {
        match name {
            "pwsh" => Self::Power,
            "csh" => Self::Tcsh,
            name => Self::named(name),
        }
    }

    /// Returns the name of the shell at `path`, such as the one in `$SHELL`.
    #[must_use]
    pub fn name_at(path: &str) -> Option<&str> {
        Path::new(path).file_name()?.to_str()
    }

    /// Returns the lines that set `variables`, and how to use them: `command` is what was typed.
    #[must_use]
    pub fn set(self, variables: &[(&str, &str)], command: &str) -> String {
        let lines = variables.iter();
        let lines: String = lines
            .map(|(name, value)| self.set_line(name, value))
            .collect();
        lines + &self.hint(command)
    }

    /// Returns the lines that take `variables` back, and how to use them.
    #[must_use]
    pub fn unset(self, variables: &[&str], command: &str) -> String {
        let lines: String = variables.iter().map(|name| self.unset_line(name)).collect();
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

    const COMMAND: &str = "docker-machine env demo";

    fn first_line(text: &str) -> &str {
        text.lines().next().unwrap_or_default()
    }

    #[test]
    fn each_shell_has_its_own_language() {
        for (name, set, unset, hint) in [
            ("zsh", "export K=\"v\"", "unset K", "# eval $(C)"),
            ("fish", "set -gx K \"v\";", "set -e K;", "# eval (C)"),
            (
                "powershell",
                "$Env:K = \"v\"",
                "Remove-Item Env:\\\\K",
                "# & C | Invoke-Expression",
            ),
            (
                "cmd",
                "SET K=v",
                "SET K=",
                "REM \t@FOR /f \"tokens=*\" %i IN ('C') DO @%i",
            ),
            ("tcsh", "setenv K \"v\";", "unsetenv K;", ": eval `C`"),
            (
                "emacs",
                "(setenv \"K\" \"v\")",
                "(setenv \"K\" nil)",
                ";; (with-temp-buffer (shell-command \"C\" (current-buffer)) (eval-buffer))",
            ),
        ] {
            let shell = Shell::named(name);
            let comment = hint.split(' ').next().unwrap_or_default();
            let told = format!("{comment} Run this command to configure your shell: \n{hint}\n");
            assert_eq!(shell.set(&[("K", "v")], "C"), format!("{set}\n{told}"));
            assert_eq!(shell.unset(&["K"], "C"), format!("{unset}\n{told}"));
        }
    }

    #[test]
    fn docker_machine_takes_names_that_it_does_not_know_for_bash() {
        for name in ["pwsh", "csh", "ksh"] {
            assert_eq!(Shell::named(name), Shell::Bash, "{name}");
        }
        assert_eq!(Shell::of_any_name("pwsh"), Shell::Power);
        assert_eq!(Shell::of_any_name("csh"), Shell::Tcsh);
        assert_eq!(Shell::of_any_name("fish"), Shell::Fish);
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
        let text = Shell::Bash.unset(&[proxy("x").name], COMMAND);
        assert_eq!(first_line(&text), "unset no_proxy");
    }

    #[test]
    fn a_path_does_not_become_a_command() {
        let set =
            |shell: Shell, value: &str| first_line(&shell.set(&[("A", value)], COMMAND)).to_owned();
        assert_eq!(
            set(Shell::Bash, "$(x)`\"\\"),
            "export A=\"\\$(x)\\`\\\"\\\\\""
        );
        assert_eq!(set(Shell::Power, "$x"), "$Env:A = \"`$x\"");
        assert_eq!(set(Shell::Cmd, "a&b\nc"), "SET A=a^&b c");
        assert_eq!(set(Shell::Tcsh, "`x`!"), "setenv A \"\"\\`\"x\"\\`\"\\!\";");
        assert_eq!(Shell::Bash.hint("a\nb").lines().count(), 2);
    }

    #[test]
    fn shell_is_known_by_the_end_of_its_path() {
        let at = |path| Shell::name_at(path).map(Shell::named);
        assert_eq!(at("/usr/bin/fish"), Some(Shell::Fish));
        assert_eq!(at("/bin/dash"), Some(Shell::Bash));
        assert_eq!(at("/"), None);
    }
}
