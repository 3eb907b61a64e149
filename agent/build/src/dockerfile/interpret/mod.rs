//! Gives statements their types.

mod health;
mod run;
mod transfer;

use self::health::healthcheck;
use self::run::run;
use self::transfer::{add, copy};
use super::flags::{FlagKind, Flags};
use super::instruction::{Argument, CommandLine, Instruction, Pair};
use super::lines::Statements;
use super::node::Node;
use super::suggest::suggestion;
use super::{Dockerfile, Loose, Source, Stage, Statement, SyntaxError, SyntaxProblem};

const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Sorts the statements into stages.
pub(super) fn dockerfile(statements: Statements) -> Result<Dockerfile, SyntaxError> {
    let mut global_arguments = Vec::new();
    let mut stages: Vec<Stage> = Vec::new();
    for node in &statements.nodes {
        let at_line = |problem| SyntaxError {
            line: Some(node.start_line),
            problem,
        };
        if node.is("from") {
            stages.push(from(node).map_err(at_line)?);
            continue;
        }
        let instruction = instruction(node).map_err(at_line)?;
        match (stages.last_mut(), instruction) {
            (Some(stage), instruction) => stage.statements.push(Statement {
                instruction,
                keyword: node.keyword.clone(),
                source: source(node),
            }),
            (None, Instruction::Arg(arguments)) => {
                global_arguments.extend(
                    arguments
                        .into_iter()
                        .map(|argument| (node.start_line, argument)),
                );
            }
            (None, _) => {
                return Err(SyntaxError {
                    line: None,
                    problem: SyntaxProblem::NoStage,
                });
            }
        }
    }
    Ok(Dockerfile {
        escape: statements.escape,
        syntax: statements.syntax,
        global_arguments,
        stages,
        warnings: statements.warnings,
    })
}

/// Reads the one statement of an `ONBUILD`.
pub(super) fn trigger(statements: Statements) -> Result<Instruction, SyntaxError> {
    let [node] = statements.nodes.as_slice() else {
        return Err(SyntaxError {
            line: None,
            problem: SyntaxProblem::OnbuildChain,
        });
    };
    let trigger = instruction(node).and_then(|instruction| match instruction {
        Instruction::Onbuild(_) => Err(SyntaxProblem::OnbuildChain),
        Instruction::Maintainer(_) => {
            Err(SyntaxProblem::OnbuildTrigger(node.keyword.to_uppercase()))
        }
        other => Ok(other),
    });
    trigger.map_err(|problem| SyntaxError {
        line: None,
        problem,
    })
}

/// Reads statements that belong to no stage.
pub(super) fn loose(statements: Statements) -> Vec<Loose> {
    let nodes = statements.nodes.iter();
    let loose = nodes.map(|node| {
        let instruction = instruction(node).map_err(|problem| SyntaxError {
            line: Some(node.start_line),
            problem,
        });
        (node.keyword.to_uppercase(), instruction)
    });
    loose.collect()
}

fn source(node: &Node) -> Source {
    Source {
        line: node.start_line,
        end_line: node.end_line,
        text: node.original.trim().to_owned(),
    }
}

fn from(node: &Node) -> Result<Stage, SyntaxProblem> {
    let name = match node.arguments.values.as_slice() {
        [_] => None,
        [_, word, name] if word.eq_ignore_ascii_case("as") => Some(stage_name(name)?),
        _ => return Err(SyntaxProblem::FromArguments),
    };
    let flags = Flags::check(&node.flags, &[("platform", FlagKind::Text)])?;
    Ok(Stage {
        base: node.arguments.values[0].clone(),
        name,
        platform: flags.text("platform"),
        source: source(node),
        statements: Vec::new(),
    })
}

fn stage_name(written: &str) -> Result<String, SyntaxProblem> {
    let name = written.to_lowercase();
    let valid = name.starts_with(|ch: char| ch.is_ascii_lowercase())
        && name.chars().all(|ch| {
            ch.is_ascii_lowercase() || ch.is_ascii_digit() || matches!(ch, '-' | '_' | '.')
        });
    if valid {
        Ok(name)
    } else {
        Err(SyntaxProblem::StageName(written.to_owned()))
    }
}

fn instruction(node: &Node) -> Result<Instruction, SyntaxProblem> {
    let no_flags = || Flags::check(&node.flags, &[]).map(drop);
    Ok(match node.keyword.to_ascii_lowercase().as_str() {
        "add" => Instruction::Add(add(node)?),
        "arg" => Instruction::Arg(arguments(node)?),
        "cmd" => {
            no_flags()?;
            Instruction::Cmd(command_line(node, &node.arguments.values))
        }
        "copy" => Instruction::Copy(copy(node)?),
        "entrypoint" => {
            no_flags()?;
            Instruction::Entrypoint(command_line(node, &node.arguments.values))
        }
        "env" => {
            no_flags()?;
            Instruction::Env(pairs(node, "ENV")?)
        }
        "expose" => {
            let mut ports = at_least_one(node, "EXPOSE")?;
            no_flags()?;
            ports.sort();
            Instruction::Expose(ports)
        }
        "healthcheck" => Instruction::Healthcheck(healthcheck(node)?),
        "label" => {
            no_flags()?;
            Instruction::Label(pairs(node, "LABEL")?)
        }
        "maintainer" => {
            let maintainer = exactly_one(node, "MAINTAINER")?;
            no_flags()?;
            Instruction::Maintainer(maintainer)
        }
        "onbuild" => Instruction::Onbuild(onbuild(node)?),
        "run" => Instruction::Run(run(node)?),
        "shell" => {
            no_flags()?;
            Instruction::Shell(shell(node)?)
        }
        "stopsignal" => Instruction::StopSignal(exactly_one(node, "STOPSIGNAL")?),
        "user" => {
            let user = exactly_one(node, "USER")?;
            no_flags()?;
            Instruction::User(user)
        }
        "volume" => {
            let volumes = at_least_one(node, "VOLUME")?;
            no_flags()?;
            Instruction::Volume(volume_paths(&volumes)?)
        }
        "workdir" => {
            let directory = exactly_one(node, "WORKDIR")?;
            no_flags()?;
            Instruction::Workdir(directory)
        }
        _ => {
            return Err(SyntaxProblem::UnknownInstruction {
                keyword: node.keyword.clone(),
                hint: suggestion(&node.keyword, &INSTRUCTIONS, false),
            });
        }
    })
}

fn at_least_one(node: &Node, keyword: &'static str) -> Result<Vec<String>, SyntaxProblem> {
    let values = node.arguments.values.clone();
    if values.is_empty() {
        Err(SyntaxProblem::AtLeastOneArgument(keyword))
    } else {
        Ok(values)
    }
}

fn exactly_one(node: &Node, keyword: &'static str) -> Result<String, SyntaxProblem> {
    match node.arguments.values.as_slice() {
        [value] => Ok(value.clone()),
        _ => Err(SyntaxProblem::ExactlyOneArgument(keyword)),
    }
}

fn pairs(node: &Node, keyword: &'static str) -> Result<Vec<Pair>, SyntaxProblem> {
    let values = at_least_one(node, keyword)?;
    let pairs = values.chunks_exact(3).map(|pair| {
        if pair[0].is_empty() {
            return Err(SyntaxProblem::BlankName(keyword));
        }
        Ok(Pair {
            name: pair[0].clone(),
            value: pair[1].clone(),
            without_equals_sign: pair[2].is_empty(),
        })
    });
    pairs.collect()
}

fn arguments(node: &Node) -> Result<Vec<Argument>, SyntaxProblem> {
    let words = at_least_one(node, "ARG")?;
    let arguments = words.iter().map(|word| {
        let (name, default) = match word.split_once('=') {
            Some(("", _)) => return Err(SyntaxProblem::BlankName("ARG")),
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let prefix = format!("{name} ");
        let comment = node
            .comments
            .iter()
            .find_map(|line| line.strip_prefix(&prefix));
        Ok(Argument {
            name: name.to_owned(),
            default,
            comment: comment.unwrap_or_default().to_owned(),
        })
    });
    arguments.collect()
}

fn command_line(node: &Node, values: &[String]) -> CommandLine {
    if node.arguments.json {
        CommandLine::Exec(values.to_vec())
    } else {
        CommandLine::Shell((!values.is_empty()).then(|| values.join(" ")))
    }
}

fn shell(node: &Node) -> Result<Vec<String>, SyntaxProblem> {
    let shell = at_least_one(node, "SHELL")?;
    if node.arguments.json {
        Ok(shell)
    } else {
        Err(SyntaxProblem::NotJson("SHELL"))
    }
}

fn volume_paths(values: &[String]) -> Result<Vec<String>, SyntaxProblem> {
    let paths = values.iter().map(|value| match value.trim() {
        "" => Err(SyntaxProblem::EmptyVolume),
        path => Ok(path.to_owned()),
    });
    paths.collect()
}

fn onbuild(node: &Node) -> Result<String, SyntaxProblem> {
    let words = node.all_arguments();
    let first = words
        .first()
        .ok_or(SyntaxProblem::AtLeastOneArgument("ONBUILD"))?;
    Flags::check(&node.flags, &[])?;
    match first.trim().to_uppercase().as_str() {
        "ONBUILD" => return Err(SyntaxProblem::OnbuildChain),
        keyword @ ("MAINTAINER" | "FROM") => {
            return Err(SyntaxProblem::OnbuildTrigger(keyword.to_owned()));
        }
        _ => {}
    }
    let original = node.original.trim_start();
    let mut expression = original
        .get("ONBUILD".len()..)
        .unwrap_or_default()
        .trim_start()
        .to_owned();
    for heredoc in &node.heredocs {
        expression.push('\n');
        expression.push_str(&heredoc.content);
        expression.push_str(&heredoc.name);
    }
    Ok(expression)
}
