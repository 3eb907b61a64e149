//! The order in which people expect names.

use std::cmp::Ordering;

/// Orders names as people do: numbers inside by their value, capitals like small letters.
#[must_use]
pub fn natural(left: &str, right: &str) -> Ordering {
    let key = |name: &str| parts(&name.to_lowercase());
    key(left).cmp(&key(right)).then_with(|| left.cmp(right))
}

/// A piece of a name: digits as a number, the rest as text.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u128),
    Text(String),
}

fn parts(name: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != digits)
            .unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        parts.push(match piece.parse() {
            Ok(number) if digits => Part::Number(number),
            _ => Part::Text(piece.to_owned()),
        });
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_as_people_do() {
        let mut names = ["web10", "Web2", "web1", "api", "WEB2"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["api", "web1", "WEB2", "Web2", "web10"]);
    }
}
