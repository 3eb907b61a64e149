//! `inspect`: what is on record of a machine.

use berth_controller_template::{Dialect, Missing, Options, Template, json};
use serde_json::{Map, Value};

use crate::app::{Order, Outcome};
use crate::machines;
use crate::words;
use crate::world::Failure;

/// Prints the machine's record, or what a template takes of it.
pub(super) fn run(order: &Order<'_>) -> Outcome {
    if order.args().len() > 1 {
        return Err(order.wrong(machines::ONE_EXPECTED));
    }
    let fleet = order.fleet()?;
    let name = machines::target(&fleet, order.args())?;
    let record = fleet.inspect(&name);
    let record = record.map_err(|error| Failure::new(words::machine(&error)))?;
    let source = order.options.text("format");
    if source.is_empty() {
        let text = json::escape_html(&json::indented(&record));
        return order.world().line(&text);
    }
    let template = Template::parse_as(Dialect::Inspect, source)
        .map_err(|error| Failure::new(format!("template parsing error: {}", error.in_go())))?;
    let options = Options {
        missing: Missing::NoValue,
        heading: false,
        escape_html: true,
    };
    let text = template
        .render(source, &sorted(record), options)
        .map_err(|error| Failure::new(error.in_go()))?;
    order.world().line(&text)
}

/// The record as Go's generic map has it: keys in the order of the alphabet.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let entries = entries.into_iter();
            let map: Map<String, Value> = entries.map(|(key, item)| (key, sorted(item))).collect();
            Value::Object(map)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
