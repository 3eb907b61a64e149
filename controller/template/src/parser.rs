//! Makes a tree of a template's segments.

use std::collections::VecDeque;

use serde_json::Value;

use super::Fault;
use super::lexer::{Kind, Segment, Token};

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipeline),
    If(Pipeline, Vec<Self>, Vec<Self>),
    With(Pipeline, Vec<Self>, Vec<Self>),
    Range(Pipeline, Vec<Self>, Vec<Self>),
    Break,
    Continue,
}

/// Commands, each fed with the result of the one before as its last argument.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    /// `=` instead of `:=`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

/// One word of a command.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) what: What,
    /// `.A.B` behind it.
    pub(super) fields: Vec<String>,
    /// As Go shows it in messages.
    pub(super) text: String,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Dot,
    Variable(String),
    Literal(Value),
    Function(String),
    Nested(Pipeline),
}

/// Why a block of nodes ended.
enum Stop {
    Template,
    Else(Tokens),
    End,
}

type Tokens = VecDeque<Token>;

/// What is known on the way through the segments.
struct Parser {
    segments: std::vec::IntoIter<Segment>,
    /// Variables that are declared, innermost last.
    variables: Vec<String>,
    /// `range`s around.
    loops: usize,
}

/// Parses all segments.
pub(super) fn parse(segments: Vec<Segment>) -> Result<Vec<Node>, Fault> {
    let mut parser = Parser {
        segments: segments.into_iter(),
        variables: vec![String::new()],
        loops: 0,
    };
    let (nodes, end) = parser.block()?;
    match end {
        Stop::Template => Ok(nodes),
        Stop::Else(_) => Err(Fault::new(0, "unexpected {{else}}")),
        Stop::End => Err(Fault::new(0, "unexpected {{end}}")),
    }
}

// === impl Parser ===

impl Parser {
    fn block(&mut self) -> Result<(Vec<Node>, Stop), Fault> {
        let mut nodes = Vec::new();
        while let Some(segment) = self.segments.next() {
            let mut tokens: Tokens = match segment {
                Segment::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Segment::Action(tokens) => tokens.into(),
            };
            let at = tokens.front().map_or(0, |token| token.at);
            match keyword(&tokens) {
                "end" => return Ok((nodes, Stop::End)),
                "else" => {
                    tokens.pop_front();
                    return Ok((nodes, Stop::Else(tokens)));
                }
                "if" | "with" | "range" => nodes.push(self.control(tokens)?),
                word @ ("break" | "continue") if self.loops == 0 => {
                    return Err(Fault::new(
                        at,
                        format!("{{{{{word}}}}} outside {{{{range}}}}"),
                    ));
                }
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                word @ ("define" | "template" | "block") => {
                    return Err(Fault::new(at, format!("{{{{{word}}}}} is not supported")));
                }
                _ => nodes.push(Node::Action(self.whole_pipeline(tokens)?)),
            }
        }
        Ok((nodes, Stop::Template))
    }

    /// Reads `if`, `with` or `range` up to its `end`.
    fn control(&mut self, mut tokens: Tokens) -> Result<Node, Fault> {
        let at = tokens.front().map_or(0, |token| token.at);
        let word = keyword(&tokens).to_owned();
        tokens.pop_front();
        if tokens.is_empty() {
            return Err(Fault::new(at, format!("missing value for {word}")));
        }
        let known = self.variables.len();
        let pipeline = self.whole_pipeline(tokens)?;
        self.loops += usize::from(word == "range");
        let (body, end) = self.block()?;
        self.loops -= usize::from(word == "range");
        let otherwise = match end {
            Stop::End => Vec::new(),
            Stop::Template => return Err(Fault::new(at, "unexpected EOF")),
            // `else if …`: the rest is an `if` of its own, which takes our `end` along.
            Stop::Else(rest) if !rest.is_empty() => vec![self.control(rest)?],
            Stop::Else(_) => match self.block()? {
                (nodes, Stop::End) => nodes,
                _ => return Err(Fault::new(at, "unexpected EOF")),
            },
        };
        self.variables.truncate(known);
        Ok(match word.as_str() {
            "if" => Node::If(pipeline, body, otherwise),
            "with" => Node::With(pipeline, body, otherwise),
            _ => Node::Range(pipeline, body, otherwise),
        })
    }

    fn whole_pipeline(&mut self, mut tokens: Tokens) -> Result<Pipeline, Fault> {
        let pipeline = self.pipeline(&mut tokens)?;
        match tokens.front() {
            Some(token) => Err(Fault::new(token.at, "unexpected right paren")),
            None => Ok(pipeline),
        }
    }

    /// Reads up to the end or a closing parenthesis, which stays.
    fn pipeline(&mut self, tokens: &mut Tokens) -> Result<Pipeline, Fault> {
        let (variables, assigns) = declaration(tokens);
        let mut commands = vec![Vec::new()];
        let at = tokens.front().map_or(0, |token| token.at);
        while let Some(token) = tokens.front() {
            match token.kind {
                Kind::Close => break,
                Kind::Pipe => {
                    tokens.pop_front();
                    commands.push(Vec::new());
                }
                _ => {
                    let operand = self.operand(tokens)?;
                    if let Some(command) = commands.last_mut() {
                        command.push(operand);
                    }
                }
            }
        }
        if commands.iter().any(Vec::is_empty) {
            return Err(Fault::new(at, "missing value for command"));
        }
        self.variables.extend(variables.iter().cloned());
        Ok(Pipeline {
            variables,
            assigns,
            commands,
        })
    }

    fn operand(&mut self, tokens: &mut Tokens) -> Result<Operand, Fault> {
        let Some(Token { at, kind, .. }) = tokens.pop_front() else {
            return Err(Fault::new(0, "unexpected EOF"));
        };
        let (what, mut text) = self.what(at, kind, tokens)?;
        let mut operand = Operand {
            at,
            what,
            fields: Vec::new(),
            text: String::new(),
        };
        if let What::Dot = operand.what
            && text != "."
        {
            operand.fields.push(text[1..].to_owned());
        }
        let mut chained = false;
        while let Some(Token {
            kind: Kind::Field(name),
            spaced: false,
            at,
        }) = tokens.front()
        {
            // Go locates a chain by its second link.
            if !chained {
                operand.at = *at;
            }
            chained = true;
            text.push('.');
            text.push_str(name);
            operand.fields.push(name.clone());
            tokens.pop_front();
        }
        operand.text = text;
        Ok(operand)
    }

    /// Reads an operand without what is chained to it; returns it and how it is shown.
    fn what(
        &mut self,
        at: usize,
        kind: Kind,
        tokens: &mut Tokens,
    ) -> Result<(What, String), Fault> {
        Ok(match kind {
            Kind::Dot => (What::Dot, ".".to_owned()),
            Kind::Field(name) => (What::Dot, format!(".{name}")),
            Kind::Variable(name) => {
                if !self.variables.contains(&name) {
                    return Err(Fault::new(at, format!("undefined variable \"${name}\"")));
                }
                let text = format!("${name}");
                (What::Variable(name), text)
            }
            Kind::Text(text, written) => (What::Literal(Value::String(text)), written),
            Kind::Letter(letter, written) => {
                (What::Literal(Value::from(u32::from(letter))), written)
            }
            Kind::Number(text) => (What::Literal(number(at, &text)?), text),
            Kind::Word(word) => {
                let what = match word.as_str() {
                    "true" => What::Literal(Value::Bool(true)),
                    "false" => What::Literal(Value::Bool(false)),
                    "nil" => What::Literal(Value::Null),
                    _ if super::functions::exists(&word) => What::Function(word.clone()),
                    _ => {
                        return Err(Fault::new(at, format!("function {word:?} not defined")));
                    }
                };
                (what, word)
            }
            Kind::Open => {
                let inner = self.pipeline(tokens)?;
                match tokens.pop_front() {
                    Some(Token {
                        kind: Kind::Close, ..
                    }) => {}
                    _ => return Err(Fault::new(at, "unclosed left paren")),
                }
                let text = format!("({})", inner.text());
                (What::Nested(inner), text)
            }
            other => return Err(Fault::new(at, format!("unexpected {other:?} in operand"))),
        })
    }
}

// === impl Pipeline ===

impl Pipeline {
    /// As Go shows it in messages.
    fn text(&self) -> String {
        let commands: Vec<String> = self.commands.iter().map(|c| command_text(c)).collect();
        commands.join(" | ")
    }
}

/// A command as Go shows it in messages.
pub(super) fn command_text(command: &[Operand]) -> String {
    let words: Vec<&str> = command.iter().map(|word| word.text.as_str()).collect();
    words.join(" ")
}

fn keyword(tokens: &Tokens) -> &str {
    match tokens.front().map(|token| &token.kind) {
        Some(Kind::Word(word)) => word,
        _ => "",
    }
}

/// Takes `$x :=`, `$x =` or `$i, $x :=` off the front, if there is one.
fn declaration(tokens: &mut Tokens) -> (Vec<String>, bool) {
    let kinds: Vec<&Kind> = tokens.iter().take(4).map(|token| &token.kind).collect();
    let (names, assigns, length) = match kinds.as_slice() {
        [
            Kind::Variable(a),
            Kind::Comma,
            Kind::Variable(b),
            Kind::Declare,
        ] => (vec![a.clone(), b.clone()], false, 4),
        [Kind::Variable(a), Kind::Declare, ..] => (vec![a.clone()], false, 2),
        [Kind::Variable(a), Kind::Assign, ..] => (vec![a.clone()], true, 2),
        _ => (Vec::new(), false, 0),
    };
    tokens.drain(..length);
    (names, assigns)
}

/// Reads a number as Go writes them: with underscores, in other bases, with exponents.
fn number(at: usize, text: &str) -> Result<Value, Fault> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let lower = digits.to_lowercase();
    let based = [("0x", 16), ("0b", 2), ("0o", 8)]
        .iter()
        .find_map(|(prefix, base)| Some((lower.strip_prefix(prefix)?, *base)));
    let (digits, base) = based.unwrap_or((&lower, 10));
    if let Ok(whole) = i64::from_str_radix(&format!("{sign}{digits}"), base) {
        return Ok(Value::from(whole));
    }
    match plain.parse::<f64>() {
        Ok(fraction) => Ok(Value::from(fraction)),
        Err(_) => Err(Fault::new(at, format!("bad number syntax: {text:?}"))),
    }
}
