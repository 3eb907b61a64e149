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

/// Parses all segments.
pub(super) fn parse(segments: Vec<Segment>) -> Result<Vec<Node>, Fault> {
    let mut segments = segments.into_iter();
    let (nodes, end) = block(&mut segments)?;
    match end {
        Stop::Template => Ok(nodes),
        Stop::Else(_) => Err(Fault::new(0, "unexpected {{else}}")),
        Stop::End => Err(Fault::new(0, "unexpected {{end}}")),
    }
}

fn block(segments: &mut impl Iterator<Item = Segment>) -> Result<(Vec<Node>, Stop), Fault> {
    let mut nodes = Vec::new();
    while let Some(segment) = segments.next() {
        let mut tokens: Tokens = match segment {
            Segment::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Segment::Action(tokens) => tokens.into(),
        };
        match keyword(&tokens) {
            "end" => return Ok((nodes, Stop::End)),
            "else" => {
                tokens.pop_front();
                return Ok((nodes, Stop::Else(tokens)));
            }
            "if" | "with" | "range" => nodes.push(control(tokens, segments)?),
            "define" | "template" | "block" | "break" | "continue" => {
                let at = tokens.front().map_or(0, |token| token.at);
                let word = keyword(&tokens);
                return Err(Fault::new(at, format!("{{{{{word}}}}} is not supported")));
            }
            _ => nodes.push(Node::Action(whole_pipeline(tokens)?)),
        }
    }
    Ok((nodes, Stop::Template))
}

fn keyword(tokens: &Tokens) -> &str {
    match tokens.front().map(|token| &token.kind) {
        Some(Kind::Word(word)) => word,
        _ => "",
    }
}

/// Reads `if`, `with` or `range` up to its `end`.
fn control(
    mut tokens: Tokens,
    segments: &mut impl Iterator<Item = Segment>,
) -> Result<Node, Fault> {
    let at = tokens.front().map_or(0, |token| token.at);
    let word = keyword(&tokens).to_owned();
    tokens.pop_front();
    if tokens.is_empty() {
        return Err(Fault::new(at, format!("missing value for {word}")));
    }
    let pipeline = whole_pipeline(tokens)?;
    let (body, end) = block(segments)?;
    let otherwise = match end {
        Stop::End => Vec::new(),
        Stop::Template => return Err(Fault::new(at, "unexpected EOF")),
        // `else if …`: the rest is an `if` of its own, which takes our `end` along.
        Stop::Else(rest) if !rest.is_empty() => vec![control(rest, segments)?],
        Stop::Else(_) => match block(segments)? {
            (nodes, Stop::End) => nodes,
            _ => return Err(Fault::new(at, "unexpected EOF")),
        },
    };
    Ok(match word.as_str() {
        "if" => Node::If(pipeline, body, otherwise),
        "with" => Node::With(pipeline, body, otherwise),
        _ => Node::Range(pipeline, body, otherwise),
    })
}

fn whole_pipeline(mut tokens: Tokens) -> Result<Pipeline, Fault> {
    let pipeline = pipeline(&mut tokens)?;
    match tokens.front() {
        Some(token) => Err(Fault::new(token.at, "unexpected right paren")),
        None => Ok(pipeline),
    }
}

/// Reads up to the end or a closing parenthesis, which stays.
fn pipeline(tokens: &mut Tokens) -> Result<Pipeline, Fault> {
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
                let operand = operand(tokens)?;
                if let Some(command) = commands.last_mut() {
                    command.push(operand);
                }
            }
        }
    }
    if commands.iter().any(Vec::is_empty) {
        return Err(Fault::new(at, "missing value for command"));
    }
    Ok(Pipeline {
        variables,
        assigns,
        commands,
    })
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

fn operand(tokens: &mut Tokens) -> Result<Operand, Fault> {
    let Some(Token { at, kind, .. }) = tokens.pop_front() else {
        return Err(Fault::new(0, "unexpected EOF"));
    };
    let mut fields = Vec::new();
    let what = match kind {
        Kind::Dot => What::Dot,
        Kind::Field(name) => {
            fields.push(name);
            What::Dot
        }
        Kind::Variable(name) => What::Variable(name),
        Kind::Text(text) => What::Literal(Value::String(text)),
        Kind::Number(text) => What::Literal(number(at, &text)?),
        Kind::Word(word) => match word.as_str() {
            "true" => What::Literal(Value::Bool(true)),
            "false" => What::Literal(Value::Bool(false)),
            "nil" => What::Literal(Value::Null),
            _ if super::functions::exists(&word) => What::Function(word),
            _ => {
                return Err(Fault::new(at, format!("function {word:?} not defined")));
            }
        },
        Kind::Open => {
            let inner = pipeline(tokens)?;
            match tokens.pop_front() {
                Some(Token {
                    kind: Kind::Close, ..
                }) => What::Nested(inner),
                _ => return Err(Fault::new(at, "unclosed left paren")),
            }
        }
        other => return Err(Fault::new(at, format!("unexpected {other:?} in operand"))),
    };
    while let Some(Token {
        kind: Kind::Field(name),
        spaced: false,
        ..
    }) = tokens.front()
    {
        fields.push(name.clone());
        tokens.pop_front();
    }
    Ok(Operand { at, what, fields })
}

fn number(at: usize, text: &str) -> Result<Value, Fault> {
    if let Ok(whole) = text.parse::<i64>() {
        return Ok(Value::from(whole));
    }
    match text.parse::<f64>() {
        Ok(fraction) => Ok(Value::from(fraction)),
        Err(_) => Err(Fault::new(at, format!("bad number syntax: {text:?}"))),
    }
}
