//! Walks a template's tree over a value.

use serde_json::{Map, Value};

use super::functions::CallError;
use super::parser::{Node, Operand, Pipeline, What, command_text};
use super::{Fault, HIDDEN_LABELS, Missing, Options, functions, text, typed};

/// Renders nodes over `data`.
pub(super) fn render(nodes: &[Node], data: &Value, options: Options) -> Result<String, Fault> {
    let mut walk = Walk {
        options,
        output: String::new(),
        variables: vec![(String::new(), data.clone())],
    };
    walk.nodes(nodes, data)?;
    Ok(walk.output)
}

/// How a list of nodes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    On,
    /// `break` or `continue` left it.
    Break,
    Continue,
}

struct Walk {
    options: Options,
    output: String,
    /// Innermost last; `$` itself has the empty name.
    variables: Vec<(String, Value)>,
}

// === impl Walk ===

impl Walk {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, Fault> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, Fault> {
        match node {
            Node::Text(text) => self.output.push_str(text),
            Node::Action(pipeline) => self.action(pipeline, dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::If(pipeline, body, otherwise) => {
                let depth = self.variables.len();
                let value = self.pipeline(pipeline, dot)?;
                let holds = text::truth(&value);
                self.bind(pipeline, value);
                let flow = self.nodes(if holds { body } else { otherwise }, dot)?;
                self.variables.truncate(depth);
                return Ok(flow);
            }
            Node::With(pipeline, body, otherwise) => {
                let depth = self.variables.len();
                let value = self.pipeline(pipeline, dot)?;
                self.bind(pipeline, value.clone());
                let flow = if text::truth(&value) {
                    self.nodes(body, &value)?
                } else {
                    self.nodes(otherwise, dot)?
                };
                self.variables.truncate(depth);
                return Ok(flow);
            }
            Node::Range(pipeline, body, otherwise) => {
                return self.range(pipeline, body, otherwise, dot);
            }
        }
        Ok(Flow::On)
    }

    fn action(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<(), Fault> {
        let value = self.pipeline(pipeline, dot)?;
        if !pipeline.variables.is_empty() {
            self.bind(pipeline, value);
            return Ok(());
        }
        let shown = match pipeline.commands.as_slice() {
            [command] if self.options.missing == Missing::Typed => match command.as_slice() {
                [operand] if !operand.fields.is_empty() => typed::print(&value, &operand.fields),
                _ => text::print(&value),
            },
            _ => text::print(&value),
        };
        self.output.push_str(&shown);
        Ok(())
    }

    /// Gives the variables that a pipeline declares or assigns their value.
    fn bind(&mut self, pipeline: &Pipeline, value: Value) {
        let Some(name) = pipeline.variables.first() else {
            return;
        };
        let known = self.variables.iter_mut().rev().find(|(n, _)| n == name);
        match known {
            Some(slot) if pipeline.assigns => slot.1 = value,
            _ => self.variables.push((name.clone(), value)),
        }
    }

    fn range(
        &mut self,
        pipeline: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<Flow, Fault> {
        let items = match self.pipeline(pipeline, dot)? {
            Value::Array(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| (Value::from(index), item))
                .collect(),
            Value::Object(map) => sorted(map),
            Value::Null => Vec::new(),
            Value::Number(count) => (0..count.as_u64().unwrap_or(0))
                .map(|n| (Value::from(n), Value::from(n)))
                .collect(),
            other => {
                let at = first_place(pipeline);
                let problem = format!("range can't iterate over {}", text::print(&other));
                return Err(executing(at, &pipeline_text(pipeline), &problem));
            }
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        let depth = self.variables.len();
        for (key, item) in items {
            match pipeline.variables.as_slice() {
                [index, value] => {
                    self.variables.push((index.clone(), key));
                    self.variables.push((value.clone(), item.clone()));
                }
                [value] => self.variables.push((value.clone(), item.clone())),
                _ => {}
            }
            let flow = self.nodes(body, &item)?;
            self.variables.truncate(depth);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value, Fault> {
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(self.command(command, piped, dot)?);
        }
        Ok(piped.unwrap_or(Value::Null))
    }

    fn command(
        &self,
        command: &[Operand],
        piped: Option<Value>,
        dot: &Value,
    ) -> Result<Value, Fault> {
        let [first, rest @ ..] = command else {
            return Ok(Value::Null);
        };
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        // As Go: what decides the answer ends the evaluation, so that it can guard what follows.
        let decides: fn(&Value) -> bool = match &first.what {
            What::Function(name) if name == "and" => |value| !text::truth(value),
            What::Function(name) if name == "or" => text::truth,
            _ => |_value| false,
        };
        for operand in rest {
            let value = self.operand(operand, dot)?;
            if decides(&value) {
                return Ok(value);
            }
            arguments.push(value);
        }
        arguments.extend(piped);
        if let What::Function(name) = &first.what {
            let result = functions::call(name, &arguments, self.options);
            let value = result.map_err(|error| match error {
                CallError::Call(problem) => executing(first.at, &command_text(command), &problem),
                CallError::Argument(at, problem) => match rest.get(at) {
                    Some(operand) => executing(operand.at, &operand.text, &problem),
                    None => executing(first.at, &command_text(command), &problem),
                },
            })?;
            return self.fields(first, value, &first.fields);
        }
        if arguments.is_empty() {
            if let (What::Literal(Value::Null), [_]) = (&first.what, command) {
                return Err(executing(first.at, "nil", "nil is not a command"));
            }
            return self.operand(first, dot);
        }
        self.method(first, &arguments, dot)
    }

    /// `.Label "key"`: the one method with an argument that Docker's rows have.
    fn method(&self, operand: &Operand, arguments: &[Value], dot: &Value) -> Result<Value, Fault> {
        let label = operand.fields.last().is_some_and(|name| name == "Label");
        let (true, [Value::String(key)]) = (label, arguments) else {
            let problem = format!("{} is not a method but has arguments", field_name(operand));
            return Err(executing(operand.at, &operand.text, &problem));
        };
        let owner = Operand {
            fields: operand.fields[..operand.fields.len() - 1].to_vec(),
            ..operand.clone()
        };
        let owner = self.operand(&owner, dot)?;
        if self.options.heading {
            let name = key.rsplit('.').next().unwrap_or(key);
            return Ok(Value::String(name.replace(['-', '_'], " ")));
        }
        let labels = owner.get(HIDDEN_LABELS);
        let found = labels.and_then(|labels| labels.get(key)).cloned();
        Ok(found.unwrap_or_else(|| Value::String(String::new())))
    }

    fn operand(&self, operand: &Operand, dot: &Value) -> Result<Value, Fault> {
        let value = match &operand.what {
            What::Dot => dot.clone(),
            What::Literal(value) => value.clone(),
            What::Variable(name) => self.variable(operand, name)?,
            What::Nested(pipeline) => self.pipeline(pipeline, dot)?,
            What::Function(name) => functions::call(name, &[], self.options)
                .map_err(|error| executing(operand.at, &operand.text, error.problem()))?,
        };
        if operand.fields.last().is_some_and(|name| name == "Label")
            && value.get(HIDDEN_LABELS).is_some()
        {
            let problem = "wrong number of args for Label: want 1 got 0";
            return Err(executing(operand.at, &operand.text, problem));
        }
        self.fields(operand, value, &operand.fields)
    }

    fn variable(&self, operand: &Operand, name: &str) -> Result<Value, Fault> {
        let found = self.variables.iter().rev().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.clone())
            .ok_or_else(|| Fault::new(operand.at, format!("undefined variable \"${name}\"")))
    }

    fn fields(
        &self,
        operand: &Operand,
        mut value: Value,
        fields: &[String],
    ) -> Result<Value, Fault> {
        let fault = |problem: String| executing(operand.at, &operand.text, &problem);
        for (at, field) in fields.iter().enumerate() {
            value = match value {
                Value::Object(mut map) => match (map.shift_remove(field), self.options.missing) {
                    (Some(found), _) => found,
                    (None, Missing::NoValue) => Value::Null,
                    (None, Missing::Typed) if typed::is_map(&fields[..at]) => Value::Null,
                    (None, Missing::Typed) if typed::is_optional(&fields[at..]) => Value::Null,
                    (None, Missing::Field) => {
                        return Err(fault(format!(
                            "can't evaluate field {field} in type *formatter.Context"
                        )));
                    }
                    (None, _) => {
                        return Err(fault(format!("map has no entry for key {field:?}")));
                    }
                },
                Value::Null if self.options.missing == Missing::NoValue => Value::Null,
                other => {
                    let kind = match self.options.missing {
                        Missing::Typed => "interface {}",
                        _ => text::kind(&other),
                    };
                    return Err(fault(format!(
                        "can't evaluate field {field} in type {kind}"
                    )));
                }
            };
        }
        Ok(value)
    }
}

fn field_name(operand: &Operand) -> &str {
    operand
        .fields
        .last()
        .map_or(operand.text.as_str(), String::as_str)
}

/// A problem met while filling in, worded as Go's.
fn executing(at: usize, what: &str, problem: &str) -> Fault {
    Fault::new(at, format!("executing \"\" at <{what}>: {problem}"))
}

fn pipeline_text(pipeline: &Pipeline) -> String {
    let command = pipeline.commands.last();
    command
        .map(|command| command_text(command))
        .unwrap_or_default()
}

fn first_place(pipeline: &Pipeline) -> usize {
    let command = pipeline.commands.first();
    let operand = command.and_then(|command| command.first());
    operand.map_or(0, |operand| operand.at)
}

/// A map's entries in the order in which Go walks them.
fn sorted(map: Map<String, Value>) -> Vec<(Value, Value)> {
    let mut entries: Vec<_> = map.into_iter().collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries
        .into_iter()
        .map(|(key, value)| (Value::String(key), value))
        .collect()
}
