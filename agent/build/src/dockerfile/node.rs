//! One statement: keyword, flags, arguments.

use super::SyntaxProblem;
use super::arguments::{self, Arguments};
use super::flags::split_flags;
use super::heredoc::Heredoc;

/// A statement of a Dockerfile, not yet understood.
#[derive(Debug)]
pub(crate) struct Node {
    /// The keyword as written.
    pub(crate) keyword: String,
    /// Words that begin with `--`, before the arguments.
    pub(crate) flags: Vec<String>,
    pub(crate) arguments: Arguments,
    /// What `ONBUILD` keeps for later.
    pub(crate) trigger: Option<Box<Self>>,
    pub(crate) heredocs: Vec<Heredoc>,
    /// The statement in one line.
    pub(crate) original: String,
    pub(crate) start_line: u32,
    pub(crate) end_line: u32,
    /// The comment lines before it.
    pub(crate) comments: Vec<String>,
}

// === impl Node ===

impl Node {
    pub(crate) fn parse(
        line: &str,
        escape: char,
        comments: Vec<String>,
    ) -> Result<Self, SyntaxProblem> {
        let (keyword, rest) = split_keyword(line.trim());
        let (flags, rest) = split_flags(rest);
        let rest = rest.trim();
        let mut trigger = None;
        let arguments = match keyword.to_ascii_lowercase().as_str() {
            "add" | "copy" | "volume" => arguments::json_or_list(rest)?,
            "cmd" | "entrypoint" | "run" | "shell" => arguments::json_or_text(rest)?,
            "arg" => Arguments::words(arguments::words(rest, escape)),
            "env" => arguments::pairs(rest, "ENV", escape)?,
            "label" => arguments::pairs(rest, "LABEL", escape)?,
            "expose" | "from" => arguments::list(rest),
            "maintainer" | "stopsignal" | "user" | "workdir" => arguments::text(rest),
            "healthcheck" => arguments::health(rest)?,
            "onbuild" => {
                if !rest.is_empty() {
                    trigger = Some(Box::new(Self::parse(rest, escape, Vec::new())?));
                }
                Arguments::default()
            }
            _ => Arguments::words(vec![String::new()]),
        };
        Ok(Self {
            keyword: keyword.to_owned(),
            flags,
            arguments,
            trigger,
            heredocs: Vec::new(),
            original: line.to_owned(),
            start_line: 0,
            end_line: 0,
            comments,
        })
    }

    pub(crate) fn is(&self, keyword: &str) -> bool {
        self.keyword.eq_ignore_ascii_case(keyword)
    }

    /// Whether `<<` in this statement means anything.
    pub(crate) fn can_contain_heredoc(&self) -> bool {
        let node = self.trigger.as_deref().unwrap_or(self);
        ["add", "copy", "run"]
            .iter()
            .any(|keyword| node.is(keyword))
            && !node.arguments.json
    }

    /// The arguments; for `ONBUILD` the trigger's keyword and arguments.
    pub(crate) fn all_arguments(&self) -> Vec<String> {
        match &self.trigger {
            None => self.arguments.values.clone(),
            Some(trigger) => {
                let mut values = vec![trigger.keyword.clone()];
                values.extend(trigger.all_arguments());
                values
            }
        }
    }
}

fn split_keyword(line: &str) -> (&str, &str) {
    match line.find(arguments::is_blank) {
        Some(at) => (
            &line[..at],
            line[at..].trim_start_matches(arguments::is_blank),
        ),
        None => (line, ""),
    }
}
