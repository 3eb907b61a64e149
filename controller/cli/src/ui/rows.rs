//! Lists of things, in a table, as JSON or by a template: what `--format` and `-q` choose.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::table::{self, Layout};
use super::visible::visible;
use crate::failure::Failure;
use crate::template::{HIDDEN_LABELS as LABELS, Missing, Options, Template, TemplateError};

/// The headings of the fields that rows have.
pub(crate) type Headings<'a> = &'a [(&'a str, &'a str)];

/// How a list is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listing<'a> {
    /// Every field with its heading.
    pub(crate) headings: Headings<'a>,
    /// Columns of the table that is shown when nothing else is asked for.
    pub(crate) default_columns: &'a str,
    /// How columns are set.
    pub(crate) layout: Layout,
}

/// What a format asks for.
enum Wanted {
    Table(String),
    Plain(String),
}

// === impl Listing ===

impl Listing<'_> {
    /// Formats rows, each an object with at least the fields of the headings.
    pub(crate) fn format(&self, format: &str, rows: &[Value]) -> Result<String, Failure> {
        let wanted = self.wanted(format);
        let (source, headed) = match &wanted {
            Wanted::Table(source) => (source, true),
            Wanted::Plain(source) => (source, false),
        };
        let template = Template::parse(source).map_err(refused)?;
        let mut text = String::new();
        if headed {
            let options = Options {
                missing: Missing::NoValue,
                heading: true,
                escape_html: false,
            };
            text.push_str(
                &template
                    .render(source, &self.heading_row(), options)
                    .map_err(refused)?,
            );
            text.push('\n');
        }
        let options = Options {
            missing: Missing::Field,
            heading: false,
            escape_html: false,
        };
        for row in rows {
            text.push_str(&template.render(source, row, options).map_err(refused)?);
            text.push('\n');
        }
        Ok(if headed {
            // Whoever wants the bytes as they are asks for JSON or a template.
            table::align(&visible(&text), self.layout)
        } else {
            text
        })
    }

    fn wanted(&self, format: &str) -> Wanted {
        let unescape = |text: &str| {
            text.trim_matches(' ')
                .replace("\\t", "\t")
                .replace("\\n", "\n")
        };
        match format {
            "" | "table" => Wanted::Table(self.default_columns.to_owned()),
            "json" => Wanted::Plain("{{json .}}".to_owned()),
            _ => match format.strip_prefix("table") {
                Some(columns) => Wanted::Table(unescape(columns)),
                None => Wanted::Plain(unescape(format)),
            },
        }
    }

    fn heading_row(&self) -> Value {
        let fields = self.headings.iter();
        let map: Map<String, Value> = fields
            .map(|(field, heading)| ((*field).to_owned(), Value::from(*heading)))
            .collect();
        Value::Object(map)
    }
}

/// Words a fault of a list's template as Docker does.
fn refused(error: TemplateError) -> Failure {
    let doing = if error.while_filling_in() {
        "execute"
    } else {
        "parse"
    };
    Failure::new(format!("failed to {doing} template: {}", error.in_go()))
        .hint("`--format json` shows the fields that exist")
}

/// Makes a row of fields; they are sorted by name, as `json .` prints them.
pub(crate) fn row<const N: usize>(fields: [(&str, String); N]) -> Value {
    let mut fields = fields;
    fields.sort_by(|a, b| a.0.cmp(b.0));
    let fields = fields.into_iter();
    Value::Object(
        fields
            .map(|(name, value)| (name.to_owned(), Value::String(value)))
            .collect(),
    )
}

/// Gives a row the labels that `.Label "name"` looks up. They are no field: `json .` leaves them
/// out.
pub(crate) fn hide_labels(row: &mut Value, labels: BTreeMap<&String, &String>) {
    if let Value::Object(fields) = row {
        let labels = labels.into_iter();
        let labels = labels.map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        fields.insert(LABELS.to_owned(), Value::Object(labels.collect()));
    }
}

/// The first twelve digits of an id.
pub(crate) fn short_id(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: Listing<'_> = Listing {
        headings: &[("ID", "CONTAINER ID"), ("Names", "NAMES")],
        default_columns: "{{.ID}}\t{{.Names}}",
        layout: table::DOCKER,
    };

    fn rows() -> Vec<Value> {
        vec![row([("Names", "a".to_owned()), ("ID", "1".to_owned())])]
    }

    #[test]
    fn the_default_is_a_table_with_headings() {
        assert_eq!(
            LISTING.format("", &rows()).unwrap(),
            "CONTAINER ID   NAMES\n1              a\n"
        );
        assert_eq!(
            LISTING.format("table", &[]).unwrap(),
            "CONTAINER ID   NAMES\n"
        );
    }

    #[test]
    fn templates_have_headings_only_after_the_word_table() {
        assert_eq!(
            LISTING
                .format("table {{.Names}}\\t{{upper .ID}}", &rows())
                .unwrap(),
            "NAMES     CONTAINER ID\na         1\n"
        );
        assert_eq!(
            LISTING.format("{{.Names}}\\t{{.ID}}", &rows()).unwrap(),
            "a\t1\n"
        );
        assert_eq!(
            LISTING.format("json", &rows()).unwrap(),
            "{\"ID\":\"1\",\"Names\":\"a\"}\n"
        );
        LISTING.format("{{.Nope}}", &rows()).unwrap_err();
    }
}
