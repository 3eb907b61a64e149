//! Agreement with the recorded behaviour of the original, and what no vector shows.

use serde_json::{Value, json};

use super::lines::{Statements, statements};
use super::node::Node;
use super::{CommandLine, Dockerfile, Heredoc, Instruction, Pair, SyntaxProblem, Transfer};
use crate::quote::quoted;
use crate::vectors::vectors;

// === The original's ways to show what it has understood ===

fn dump(statements: &Statements) -> String {
    let lines: Vec<String> = statements
        .nodes
        .iter()
        .map(|node| format!("({})", dump_node(node)))
        .collect();
    lines.join("\n")
}

fn dump_node(node: &Node) -> String {
    let mut text = node.keyword.to_lowercase();
    if !node.flags.is_empty() {
        let flags: Vec<String> = node.flags.iter().map(|flag| quoted(flag)).collect();
        text.push_str(&format!(" [{}]", flags.join(" ")));
    }
    if let Some(trigger) = &node.trigger {
        text.push_str(&format!(" ({})", dump_node(trigger)));
    }
    for value in &node.arguments.values {
        text.push_str(&format!(" {}", quoted(value)));
    }
    text
}

fn or_null<T: Into<Value>>(values: Vec<T>) -> Value {
    if values.is_empty() {
        Value::Null
    } else {
        Value::from(values)
    }
}

fn pairs(pairs: &[Pair]) -> Value {
    let pairs = pairs.iter().map(
        |pair| json!({"Key": pair.name, "NoDelim": pair.without_equals_sign, "Value": pair.value}),
    );
    pairs.collect()
}

fn command(command: &CommandLine, heredocs: &[Heredoc], empty_is_null: bool) -> Value {
    let (words, shell) = match command {
        CommandLine::Exec(words) => (words.clone(), false),
        CommandLine::Shell(text) => (text.clone().into_iter().collect(), true),
    };
    let files: Vec<Value> = heredocs
        .iter()
        .map(|doc| json!({"Chomp": doc.chomp, "Data": doc.content, "Name": doc.name}))
        .collect();
    let words = if empty_is_null {
        or_null(words)
    } else {
        Value::from(words)
    };
    json!({"CmdLine": words, "Files": or_null(files), "PrependShell": shell})
}

fn transfer(transfer: &Transfer) -> Value {
    let contents: Vec<Value> = transfer
        .contents
        .iter()
        .map(|doc| json!({"Data": doc.text(), "Expand": doc.expand, "Path": doc.name}))
        .collect();
    json!({
        "Chmod": transfer.chmod, "Chown": transfer.chown, "DestPath": transfer.destination,
        "ExcludePatterns": null, "Link": transfer.link,
        "SourceContents": or_null(contents), "SourcePaths": or_null(transfer.sources.clone()),
    })
}

fn fields(instruction: &Instruction) -> Value {
    match instruction {
        Instruction::Add(add) => {
            let mut fields = transfer(add);
            fields["Checksum"] = json!(add.checksum);
            fields["KeepGitDir"] = json!(add.keep_git_dir);
            fields["Unpack"] = json!(add.unpack);
            fields
        }
        Instruction::Copy(copy) => {
            let mut fields = transfer(copy);
            fields["From"] = json!(copy.from);
            fields["Parents"] = json!(false);
            fields
        }
        Instruction::Arg(arguments) => {
            let arguments = arguments.iter().map(|argument| {
                json!({
                    "Comment": argument.comment, "Key": argument.name, "Value": argument.default
                })
            });
            json!({"Args": arguments.collect::<Value>()})
        }
        Instruction::Cmd(line) => command(line, &[], false),
        Instruction::Entrypoint(line) => command(line, &[], true),
        Instruction::Run(run) => {
            let mut fields = command(&run.command, &run.heredocs, false);
            fields["FlagsUsed"] = json!(run.flags);
            fields
        }
        Instruction::Env(env) => json!({"Env": pairs(env)}),
        Instruction::Label(labels) => json!({"Labels": pairs(labels)}),
        Instruction::Expose(ports) => json!({"Ports": ports}),
        Instruction::Healthcheck(health) => json!({"Health": {"Test": health.test}}),
        Instruction::Maintainer(maintainer) => json!({"Maintainer": maintainer}),
        Instruction::Onbuild(expression) => json!({"Expression": expression}),
        Instruction::Shell(shell) => json!({"Shell": shell}),
        Instruction::StopSignal(signal) => json!({"Signal": signal}),
        Instruction::User(user) => json!({"User": user}),
        Instruction::Volume(volumes) => json!({"Volumes": volumes}),
        Instruction::Workdir(path) => json!({"Path": path}),
    }
}

fn stages(dockerfile: &Dockerfile) -> Value {
    let globals = dockerfile
        .global_arguments
        .iter()
        .map(|(_, argument)| json!({"meta_arg": argument.name, "value": argument.default}));
    let stages = dockerfile.stages.iter().map(|stage| {
        let commands: Vec<Value> = stage
            .statements
            .iter()
            .map(|statement| {
                json!({
                    "cmd": statement.keyword, "fields": fields(&statement.instruction),
                    "raw": statement.source.text,
                })
            })
            .collect();
        json!({
            "base": stage.base, "commands": or_null(commands), "platform": stage.platform,
            "stage": stage.name.clone().unwrap_or_default(),
        })
    });
    globals.chain(stages).collect()
}

/// Whether two messages say the same. The original picks at random between suggestions that are
/// equally near, so that only their presence can be compared.
fn same_message(ours: &str, expected: &str) -> bool {
    let split = |text: &str| match text.split_once(" (did you mean ") {
        Some((message, _)) => (message.to_owned(), true),
        None => (text.to_owned(), false),
    };
    split(ours) == split(expected)
}

/// What differs between a vector and us; nothing when they agree.
fn difference(vector: &Value) -> Option<String> {
    let text = vector["dockerfile"].as_str().expect("text");
    let statements = match (statements(text), vector["parse_error"].as_str()) {
        (Err(error), Some(expected)) => {
            return (error.problem.to_string() != expected).then(|| error.to_string());
        }
        (Ok(_), Some(_)) => return Some("parsed".to_owned()),
        (Err(error), None) => return Some(error.to_string()),
        (Ok(statements), None) => statements,
    };
    if Some(dump(&statements).as_str()) != vector["ast_dump"].as_str().map(str::trim) {
        return Some(dump(&statements));
    }
    if or_null(statements.warnings) != vector["warnings"]
        || vector["escape"] != statements.escape.to_string()
    {
        return Some("warnings or escape".to_owned());
    }
    match (
        Dockerfile::parse(text),
        vector["instructions_error"].as_str(),
    ) {
        (Err(error), Some(expected)) => {
            (!same_message(&error.to_string(), expected)).then(|| error.to_string())
        }
        (Ok(_), Some(_)) => Some("accepted".to_owned()),
        (Err(error), None) => Some(error.to_string()),
        (Ok(dockerfile), None) => {
            let stages = stages(&dockerfile);
            (stages != vector["stages"]).then(|| stages.to_string())
        }
    }
}

#[test]
fn dockerfiles_mean_the_same_as_in_the_original() {
    let vectors = vectors("dockerfile.json").unwrap_or_default();
    let wrong: Vec<String> = vectors
        .iter()
        .filter_map(|vector| difference(vector).map(|ours| format!("{vector}\n   ours: {ours}")))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} wrong:\n{}",
        wrong.len(),
        vectors.len(),
        wrong.join("\n")
    );
}

#[test]
fn errors_carry_the_line_where_the_statement_begins() {
    let error = Dockerfile::parse("FROM a\n\nRUN x \\\n  y\n\nBOGUS z\n").expect_err("bogus");
    assert_eq!(error.line, Some(6));
    assert!(matches!(
        error.problem,
        SyntaxProblem::UnknownInstruction { .. }
    ));
}

#[test]
fn a_statement_knows_its_lines() {
    let dockerfile =
        Dockerfile::parse("FROM a\nRUN one \\\n# comment\n two\nCOPY <<E /x\nbody\nE\n")
            .expect("fine");
    let lines: Vec<(u32, u32)> = dockerfile.stages[0]
        .statements
        .iter()
        .map(|statement| (statement.source.line, statement.source.end_line))
        .collect();
    assert_eq!(lines, [(2, 4), (5, 7)]);
}

#[test]
fn healthchecks_have_times_and_limits() {
    let parse = |flags: &str| {
        let text = format!("FROM a\nHEALTHCHECK {flags} CMD true\n");
        Dockerfile::parse(&text).map(|mut file| file.stages[0].statements.remove(0).instruction)
    };
    let Ok(Instruction::Healthcheck(health)) = parse("--interval=1m30s --retries=3") else {
        panic!("a health check");
    };
    assert_eq!((health.interval.as_secs(), health.retries), (90, 3));
    assert_eq!(health.test, ["CMD-SHELL", "true"]);
    parse("--interval=1us").expect_err("too short");
    parse("--retries=-1").expect_err("negative");
}

#[test]
fn directives_cannot_be_given_twice() {
    let error = Dockerfile::parse("# escape=`\n# escape=`\nFROM a\n").expect_err("twice");
    assert_eq!(
        error.problem,
        SyntaxProblem::DirectiveTwice("escape".to_owned())
    );
    Dockerfile::parse("# escape=x\nFROM a\n").expect_err("no escape character");
    let parsed = Dockerfile::parse("# syntax=docker/dockerfile:1\nFROM a\n").expect("fine");
    assert_eq!(parsed.syntax.as_deref(), Some("docker/dockerfile:1"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(FROM|RUN|COPY|ENV|ONBUILD|HEALTHCHECK|[ -~\u{e4}\n\\\\<]){0,60}") {
        drop(Dockerfile::parse(&text));
    }
}
