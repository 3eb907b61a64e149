//! Agreement with the recorded behaviour of the original, and what no vector shows.

use serde_json::Value;

use super::{ExpandProblem, Expander, Variables};
use crate::vectors::vectors;

fn variables(vector: &Value) -> Variables {
    let pairs = vector["env"].as_array().into_iter().flatten();
    pairs
        .map(|pair| {
            let pair = pair.as_str().expect("text");
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

fn disagreements(file: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for vector in vectors(file).into_iter().flatten() {
        let escape = vector["escape"]
            .as_str()
            .and_then(|text| text.chars().next());
        let expander = Expander::new(escape.unwrap_or('\\'));
        let input = vector["input"].as_str().expect("input");
        let result = expander.expand(input, &variables(&vector));
        let agrees = match (&result, vector["error"].as_str()) {
            (Err(error), Some(expected)) => error.to_string() == expected,
            (Ok(expanded), None) => {
                let words: Vec<Value> = expanded.words.iter().cloned().map(Value::from).collect();
                vector["output"]
                    .as_str()
                    .is_none_or(|output| output == expanded.text)
                    && (vector["words"].is_null() || vector["words"] == Value::Array(words))
            }
            _ => false,
        };
        if !agrees {
            wrong.push(format!("{vector}\n   gave {result:?}"));
        }
    }
    wrong
}

#[test]
fn words_expand_as_in_the_original() {
    let wrong = disagreements("shell_word.json");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn words_split_as_in_the_original() {
    let wrong = disagreements("shell_words.json");
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_replacement_is_taken_literally() {
    let variables = Variables::from([("X".to_owned(), "a.b.c".to_owned())]);
    let expand = |word| {
        Expander::new('\\')
            .expand(word, &variables)
            .map(|done| done.text)
    };
    assert_eq!(expand("${X//./-}").as_deref(), Ok("a-b-c"));
    assert_eq!(expand("${X/./'$0'}").as_deref(), Ok("a$0b.c"));
    assert_eq!(expand("${X%.*}").as_deref(), Ok("a.b"));
    assert_eq!(expand("${X%%.*}").as_deref(), Ok("a"));
    assert_eq!(expand("${X#*.}").as_deref(), Ok("b.c"));
    assert_eq!(expand("${X##*.}").as_deref(), Ok("c"));
}

#[test]
fn unset_variables_can_be_kept() {
    let expander = Expander {
        keep_unset: true,
        ..Expander::new('\\')
    };
    let expanded = expander
        .expand("$a ${b} ${c:-d}", &Variables::new())
        .expect("fine");
    assert_eq!(expanded.text, "$a ${b} ${c:-d}");
}

#[test]
fn a_refused_variable_is_named() {
    let error = Expander::new('\\')
        .expand("${V:?please}", &Variables::new())
        .expect_err("unset");
    let ExpandProblem::Refused { name, message } = error.problem else {
        panic!("{error}");
    };
    assert_eq!((name.as_str(), message.as_str()), ("V", "please"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[ -~\u{e4}\n]{0,40}") {
        let variables = Variables::from([("a".to_owned(), "b c".to_owned())]);
        for escape in ['\\', '`'] {
            drop(Expander::new(escape).expand(&text, &variables));
        }
    }
}
