//! Instructions that change nothing but the image's configuration.

use std::collections::BTreeMap;

use berth_agent_images::ContainerDefaults;
use serde_json::{Value, json};

use crate::dockerfile::{CommandLine, Healthcheck, Instruction, Pair};
use crate::expand::{ExpandError, Expander, Variables};
use crate::scope::set_env;

/// The shell of images that name none.
pub(crate) const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// A value that an instruction cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// `EXPOSE` of something that is no port.
    #[error("invalid containerPort: {0}")]
    Port(String),
    /// `EXPOSE` with a protocol that is not known.
    #[error("invalid proto: {0}")]
    Protocol(String),
    /// `STOPSIGNAL` of something that is no signal.
    #[error("invalid signal: {0}")]
    Signal(String),
    /// A name or value that cannot be expanded.
    #[error(transparent)]
    Expand(#[from] ExpandError),
}

/// Words of instructions with their variables put in.
pub(crate) struct Words<'a> {
    pub(crate) expander: Expander,
    pub(crate) variables: &'a Variables,
}

// === impl Words ===

impl Words<'_> {
    pub(crate) fn one(&self, word: &str) -> Result<String, ExpandError> {
        Ok(self.expander.expand(word, self.variables)?.text)
    }

    pub(crate) fn all(&self, words: &[String]) -> Result<Vec<String>, ExpandError> {
        words.iter().map(|word| self.one(word)).collect()
    }

    fn pairs(&self, pairs: &[Pair]) -> Result<Vec<(String, String)>, ExpandError> {
        // All see the values from before the instruction, not those of its earlier pairs.
        pairs
            .iter()
            .map(|pair| Ok((self.one(&pair.name)?, self.one(&pair.value)?)))
            .collect()
    }
}

/// The words in front of a command in shell form.
pub(crate) fn shell(config: &ContainerDefaults) -> Vec<String> {
    match &config.shell {
        Some(shell) if !shell.is_empty() => shell.clone(),
        _ => DEFAULT_SHELL.map(str::to_owned).to_vec(),
    }
}

/// A command as the process will see it.
pub(crate) fn argv(command: &CommandLine, config: &ContainerDefaults) -> Vec<String> {
    match command {
        CommandLine::Exec(words) => words.clone(),
        CommandLine::Shell(None) => Vec::new(),
        CommandLine::Shell(Some(text)) => [shell(config), vec![text.clone()]].concat(),
    }
}

/// Applies an instruction. Returns what the history says of it, or `None` for an instruction that
/// does more than this.
pub(crate) fn apply(
    instruction: &Instruction,
    words: &Words<'_>,
    config: &mut ContainerDefaults,
    author: &mut Option<String>,
) -> Result<Option<String>, SettingError> {
    let said = match instruction {
        Instruction::Env(pairs) => {
            let pairs = words.pairs(pairs)?;
            for (name, value) in &pairs {
                set_env(&mut config.env, name, value);
            }
            format!("ENV {}", joined(&pairs))
        }
        Instruction::Label(pairs) => {
            let pairs = words.pairs(pairs)?;
            let said = format!("LABEL {}", joined(&pairs));
            config.labels.extend(pairs);
            said
        }
        Instruction::Maintainer(name) => {
            *author = Some(name.clone());
            format!("MAINTAINER {name}")
        }
        Instruction::Cmd(command) => {
            config.cmd = Some(argv(command, config));
            format!("CMD {}", json!(config.cmd))
        }
        Instruction::Entrypoint(command) => {
            config.entrypoint = Some(argv(command, config)).filter(|words| !words.is_empty());
            format!(
                "ENTRYPOINT {}",
                json!(config.entrypoint.clone().unwrap_or_default())
            )
        }
        Instruction::Expose(ports) => {
            let ports = expose(&words.all(ports)?)?;
            let said = format!("EXPOSE map[{}]", ports.join(":{} ") + ":{}");
            config
                .exposed_ports
                .extend(ports.into_iter().map(|port| (port, json!({}))));
            said
        }
        Instruction::Volume(paths) => {
            let paths = words.all(paths)?;
            let said = format!("VOLUME [{}]", paths.join(" "));
            config
                .volumes
                .extend(paths.into_iter().map(|path| (path, json!({}))));
            said
        }
        Instruction::User(user) => {
            config.user = words.one(user)?;
            format!("USER {}", config.user)
        }
        Instruction::StopSignal(signal) => {
            let signal = words.one(signal)?;
            check_signal(&signal)?;
            config.stop_signal = Some(signal.clone());
            format!("STOPSIGNAL {signal}")
        }
        Instruction::Shell(shell) => {
            config.shell = Some(shell.clone());
            format!("SHELL {}", json!(shell))
        }
        Instruction::Healthcheck(health) => {
            config.healthcheck = Some(health_value(health));
            format!("HEALTHCHECK {}", json!(health.test))
        }
        Instruction::Onbuild(expression) => {
            config
                .on_build
                .get_or_insert_default()
                .push(expression.clone());
            format!("ONBUILD {expression}")
        }
        Instruction::Add(_)
        | Instruction::Arg(_)
        | Instruction::Copy(_)
        | Instruction::Run(_)
        | Instruction::Workdir(_) => return Ok(None),
    };
    Ok(Some(said))
}

/// The labels given from outside, as the instruction that they amount to.
pub(crate) fn labels(labels: &BTreeMap<String, String>) -> Option<Instruction> {
    let pair = |(name, value): (&String, &String)| {
        // What comes from outside is a value, not a word to expand.
        let literal = |text: &str| format!("'{}'", text.replace('\'', "'\"'\"'"));
        Pair {
            name: literal(name),
            value: literal(value),
            without_equals_sign: false,
        }
    };
    (!labels.is_empty()).then(|| Instruction::Label(labels.iter().map(pair).collect()))
}

fn joined(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join(" ")
}

fn health_value(health: &Healthcheck) -> Value {
    let mut value = json!({"Test": health.test});
    let times = [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    ];
    for (name, time) in times {
        if !time.is_zero() {
            value[name] = json!(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        }
    }
    if health.retries > 0 {
        value["Retries"] = json!(health.retries);
    }
    value
}

/// Reads `port[-port][/protocol]`; a host port in front is for `run` and says nothing here.
fn expose(words: &[String]) -> Result<Vec<String>, SettingError> {
    let mut ports = Vec::new();
    for word in words.iter().flat_map(|word| word.split_whitespace()) {
        let (numbers, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
        let protocol = protocol.to_ascii_lowercase();
        if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
            return Err(SettingError::Protocol(protocol));
        }
        let invalid = || SettingError::Port(numbers.to_owned());
        let container = numbers
            .rsplit_once(':')
            .map_or(numbers, |(_, container)| container);
        let (first, last) = container.split_once('-').unwrap_or((container, container));
        let first: u16 = first.parse().ok().ok_or_else(invalid)?;
        let last: u16 = last.parse().ok().ok_or_else(invalid)?;
        if first == 0 || last < first {
            return Err(invalid());
        }
        ports.extend((first..=last).map(|port| format!("{port}/{protocol}")));
    }
    Ok(ports)
}

/// Numbers, and names with or without `SIG`; which of them exist is the machine's to say.
fn check_signal(signal: &str) -> Result<(), SettingError> {
    let plausible = match signal.parse::<u32>() {
        Ok(number) => (1..=64).contains(&number),
        Err(_) => {
            let name = signal.to_ascii_uppercase();
            let name = name.strip_prefix("SIG").unwrap_or(&name);
            let (base, offset) = name.split_at(name.find(['+', '-']).unwrap_or(name.len()));
            SIGNALS.contains(&base)
                && (offset.is_empty()
                    || (base.starts_with("RTM") && offset[1..].parse::<u32>().is_ok()))
        }
    };
    if plausible {
        Ok(())
    } else {
        Err(SettingError::Signal(signal.to_owned()))
    }
}

const SIGNALS: [&str; 38] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "RTMAX", "RTMIN", "SEGV", "STKFLT", "STOP", "SYS",
    "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU",
    "XFSZ", "EMT", "LOST",
];

#[cfg(test)]
mod tests {
    use berth_agent_images::ContainerDefaults;
    use serde_json::json;

    use super::{SettingError, Words, apply, labels};
    use crate::dockerfile::{Dockerfile, Instruction};
    use crate::expand::{Expander, Variables};

    fn instruction(line: &str) -> Instruction {
        let mut file = Dockerfile::parse(&format!("FROM a\n{line}\n")).expect("fine");
        file.stages[0].statements.remove(0).instruction
    }

    fn applied(lines: &[&str]) -> Result<ContainerDefaults, SettingError> {
        let mut config = ContainerDefaults::default();
        for line in lines {
            let variables: Variables = config
                .env
                .iter()
                .filter_map(|line| line.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let words = Words {
                expander: Expander::new('\\'),
                variables: &variables,
            };
            apply(&instruction(line), &words, &mut config, &mut None)?;
        }
        Ok(config)
    }

    #[test]
    fn pairs_of_one_instruction_do_not_see_each_other() {
        let config = applied(&["ENV a=hello", "ENV a=bye b=$a", "ENV c=$a"]).expect("fine");
        assert_eq!(config.env, ["a=bye", "b=hello", "c=bye"]);
    }

    #[test]
    fn shell_forms_go_through_the_shell_that_was_set() {
        let config = applied(&[
            "CMD echo $HOME",
            "SHELL [\"/bin/bash\", \"-ec\"]",
            "ENTRYPOINT exec top",
        ])
        .expect("fine");
        assert_eq!(config.cmd.expect("set"), ["/bin/sh", "-c", "echo $HOME"]);
        assert_eq!(
            config.entrypoint.expect("set"),
            ["/bin/bash", "-ec", "exec top"]
        );
    }

    #[test]
    fn ports_may_be_ranges_and_variables() {
        let config = applied(&[
            "ENV p=\"90 91/udp\"",
            "EXPOSE 80 7000-7001/TCP $p 80${x:-1}",
        ])
        .expect("fine");
        let ports: Vec<&String> = config.exposed_ports.keys().collect();
        assert_eq!(
            ports,
            [
                "7000/tcp", "7001/tcp", "80/tcp", "801/tcp", "90/tcp", "91/udp"
            ]
        );
        assert!(matches!(applied(&["EXPOSE x"]), Err(SettingError::Port(_))));
        assert!(matches!(
            applied(&["EXPOSE 80/foo"]),
            Err(SettingError::Protocol(_))
        ));
    }

    #[test]
    fn health_checks_are_kept_in_nanoseconds() {
        let config = applied(&["HEALTHCHECK --interval=2s --retries=3 CMD [\"ok\"]"]).expect("ok");
        assert_eq!(
            config.healthcheck,
            Some(json!({"Test": ["CMD", "ok"], "Interval": 2_000_000_000_u64, "Retries": 3}))
        );
    }

    #[test]
    fn labels_from_outside_are_taken_as_they_are() {
        let given = [("a".to_owned(), "it's $x \\ \"q\"".to_owned())].into();
        let variables = Variables::new();
        let words = Words {
            expander: Expander::new('\\'),
            variables: &variables,
        };
        let mut config = ContainerDefaults::default();
        let instruction = labels(&given).expect("some");
        apply(&instruction, &words, &mut config, &mut None).expect("fine");
        assert_eq!(config.labels, given);
    }

    #[test]
    fn signals_are_names_or_numbers() {
        for good in ["SIGTERM", "term", "9", "SIGRTMIN+3"] {
            applied(&[&format!("STOPSIGNAL {good}")]).expect(good);
        }
        for bad in ["0", "65", "SIGFOO", "TERM+1"] {
            applied(&[&format!("STOPSIGNAL {bad}")]).expect_err(bad);
        }
    }
}
