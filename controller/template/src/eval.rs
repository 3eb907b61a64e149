//! Walks a template's tree over a value.

use serde_json::{Map, Value};

use super::parser::{Node, Operand, Pipeline, What};
use super::{Fault, HIDDEN_LABELS, Missing, Options, functions, text};

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

struct Walk {
    options: Options,
    output: String,
    /// Innermost last; `$` itself has the empty name.
    variables: Vec<(String, Value)>,
}

// === impl Walk ===

impl Walk {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), Fault> {
        for node in nodes {
            self.node(node, dot)?;
        }
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), Fault> {
        match node {
            Node::Text(text) => self.output.push_str(text),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.output.push_str(&text::print(&value));
                } else {
                    self.bind(pipeline, value);
                }
            }
            Node::If(pipeline, body, otherwise) => {
                let depth = self.variables.len();
                let value = self.pipeline(pipeline, dot)?;
                let holds = text::truth(&value);
                self.bind(pipeline, value);
                self.nodes(if holds { body } else { otherwise }, dot)?;
                self.variables.truncate(depth);
            }
            Node::With(pipeline, body, otherwise) => {
                let depth = self.variables.len();
                let value = self.pipeline(pipeline, dot)?;
                self.bind(pipeline, value.clone());
                if text::truth(&value) {
                    self.nodes(body, &value)?;
                } else {
                    self.nodes(otherwise, dot)?;
                }
                self.variables.truncate(depth);
            }
            Node::Range(pipeline, body, otherwise) => self.range(pipeline, body, otherwise, dot)?,
        }
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
    ) -> Result<(), Fault> {
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
                return Err(Fault::new(at, problem));
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
            self.nodes(body, &item)?;
            self.variables.truncate(depth);
        }
        Ok(())
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
        for operand in rest {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(piped);
        if let What::Function(name) = &first.what {
            let result = functions::call(name, &arguments, self.options);
            let value = result.map_err(|problem| executing(first, &problem))?;
            return self.fields(first, value, &first.fields);
        }
        if arguments.is_empty() {
            return self.operand(first, dot);
        }
        self.method(first, &arguments, dot)
    }

    /// `.Label "key"`: the one method with an argument that Docker's rows have.
    fn method(&self, operand: &Operand, arguments: &[Value], dot: &Value) -> Result<Value, Fault> {
        let label = operand.fields.last().is_some_and(|name| name == "Label");
        let (true, [Value::String(key)]) = (label, arguments) else {
            return Err(executing(operand, "can't give argument to non-function"));
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
                .map_err(|problem| executing(operand, &problem))?,
        };
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
        for field in fields {
            value = match value {
                Value::Object(mut map) => match map.shift_remove(field) {
                    Some(found) => found,
                    None if self.options.missing == Missing::NoValue => Value::Null,
                    None => {
                        let problem = format!("map has no entry for key {field:?}");
                        return Err(executing(operand, &problem));
                    }
                },
                Value::Null if self.options.missing == Missing::NoValue => Value::Null,
                other => {
                    let kind = text::kind(&other);
                    let problem = format!("can't evaluate field {field} in type {kind}");
                    return Err(executing(operand, &problem));
                }
            };
        }
        Ok(value)
    }
}

/// A problem met while filling in, worded as Go's.
fn executing(operand: &Operand, problem: &str) -> Fault {
    let mut what = match &operand.what {
        What::Variable(name) => format!("${name}"),
        What::Function(name) => name.clone(),
        _ => String::new(),
    };
    for field in &operand.fields {
        what.push('.');
        what.push_str(field);
    }
    if what.is_empty() {
        what.push('.');
    }
    Fault::new(operand.at, format!("executing \"\" at <{what}>: {problem}"))
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
