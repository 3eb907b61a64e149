//! `--change` of `import` and `commit`: instructions of a Dockerfile applied to a configuration.

use std::path::PathBuf;

use berth_agent_images::ImageConfiguration;

use crate::dockerfile::{Instruction, SyntaxError, SyntaxProblem, parse_statements};
use crate::expand::{ExpandError, Expander};
use crate::scope::Scope;
use crate::settings::{SettingError, Words, apply};

/// What changes nothing but the configuration.
const ALLOWED: [&str; 11] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// A change that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// An instruction that would do more than change the configuration.
    #[error("{0} is not a valid change command")]
    NotAllowed(String),
    /// Text that is no instruction.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// An instruction with a value that it cannot have.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A word that cannot be expanded.
    #[error(transparent)]
    Expand(#[from] ExpandError),
}

/// Applies instructions, such as `CMD ["sh"]` or `ENV A=b`, in order.
///
/// # Errors
///
/// One of them is malformed or of a kind that does not belong here; nothing has changed then.
pub fn apply_changes(
    config: &mut ImageConfiguration,
    changes: &[String],
) -> Result<(), ChangeError> {
    if changes.is_empty() {
        return Ok(());
    }
    let statements = match parse_statements(&changes.join("\n")) {
        // Empty lines and comments change nothing.
        Err(SyntaxError {
            problem: SyntaxProblem::NoInstructions,
            ..
        }) => return Ok(()),
        statements => statements?,
    };
    let mut changed = config.clone();
    let mut has_cmd = false;
    for (keyword, instruction) in statements {
        if !ALLOWED.contains(&keyword.as_str()) {
            return Err(ChangeError::NotAllowed(keyword));
        }
        let instruction = instruction?;
        let variables = Scope::default().variables(&changed.config.env);
        let words = Words {
            expander: Expander::new('\\'),
            variables: &variables,
        };
        if let Instruction::Workdir(path) = &instruction {
            let path = PathBuf::from("/")
                .join(&changed.config.working_dir)
                .join(words.one(path)?);
            changed.config.working_dir = berth_context::clean(&path.to_string_lossy());
            continue;
        }
        apply(
            &instruction,
            &words,
            &mut changed.config,
            &mut changed.author,
        )?;
        match instruction {
            Instruction::Cmd(_) => has_cmd = true,
            Instruction::Entrypoint(_) if !has_cmd => changed.config.cmd = None,
            _ => {}
        }
    }
    *config = changed;
    Ok(())
}

#[cfg(test)]
mod tests {
    use berth_agent_images::ImageConfiguration;

    use super::{ChangeError, apply_changes};

    fn changed(changes: &[&str]) -> Result<ImageConfiguration, ChangeError> {
        let mut config = ImageConfiguration::default();
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        apply_changes(&mut config, &changes).map(|()| config)
    }

    #[test]
    fn instructions_change_the_configuration() {
        let changes = [
            "ENV A=1",
            "env B=${A}2",
            "WORKDIR srv",
            "WORKDIR ../opt",
            "CMD [\"sh\"]",
            "ENTRYPOINT run it",
            "EXPOSE 80",
            "",
        ];
        let config = changed(&changes).expect("fine").config;
        assert_eq!(config.env, ["A=1", "B=12"]);
        assert_eq!(config.working_dir, "/opt");
        assert_eq!(config.cmd.expect("set"), ["sh"]);
        assert_eq!(config.entrypoint.expect("set"), ["/bin/sh", "-c", "run it"]);
        assert!(config.exposed_ports.contains_key("80/tcp"));
    }

    #[test]
    fn instructions_that_do_more_are_refused_and_change_nothing() {
        for (change, text) in [
            ("RUN true", "RUN is not a valid change command"),
            ("COPY a b", "COPY is not a valid change command"),
            ("FROM x", "FROM is not a valid change command"),
        ] {
            let mut config = ImageConfiguration::default();
            let changes = ["USER me".to_owned(), change.to_owned()];
            let error = apply_changes(&mut config, &changes).expect_err(change);
            assert_eq!(error.to_string(), text);
            assert_eq!(config.config.user, "");
        }
        assert!(matches!(
            changed(&["USER a b\nNOPE x"]),
            Err(ChangeError::NotAllowed(_))
        ));
        assert!(matches!(changed(&["USER"]), Err(ChangeError::Syntax(_))));
    }
}
