//! Patterns of names as Go's `path.Match` has them: `*`, `?`, `[a-z]`, `[^a]` and `\x`. None of them
//! matches a slash, so that names are compared part by part, in time that grows with their lengths.

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Vec<Piece>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Any number of characters.
    Star,
    Any,
    One(char),
    /// One of these ranges, or none of them.
    Class(bool, Vec<(char, char)>),
}

impl Pattern {
    /// Reads a pattern; nothing when it is malformed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts = text.split('/').map(pieces);
        parts.collect::<Option<_>>().map(Self)
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let parts: Vec<Vec<char>> = text.split('/').map(|part| part.chars().collect()).collect();
        parts.len() == self.0.len()
            && self
                .0
                .iter()
                .zip(&parts)
                .all(|(pieces, part)| part_matches(pieces, part))
    }
}

fn pieces(text: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text.chars();
    while let Some(first) = rest.next() {
        pieces.push(match first {
            '*' => Piece::Star,
            '?' => Piece::Any,
            '\\' => Piece::One(rest.next()?),
            '[' => class(&mut rest)?,
            one => Piece::One(one),
        });
    }
    Some(pieces)
}

fn class(rest: &mut std::str::Chars<'_>) -> Option<Piece> {
    let mut ranges = Vec::new();
    let mut next = rest.next()?;
    let is_negative = next == '^';
    if is_negative {
        next = rest.next()?;
    }
    loop {
        if next == ']' && !ranges.is_empty() {
            return Some(Piece::Class(is_negative, ranges));
        }
        let low = literal(next, rest)?;
        let mut high = low;
        next = rest.next()?;
        if next == '-' {
            let end = rest.next()?;
            high = literal(end, rest)?;
            next = rest.next()?;
        }
        ranges.push((low, high));
    }
}

fn literal(found: char, rest: &mut std::str::Chars<'_>) -> Option<char> {
    match found {
        '\\' => rest.next(),
        '-' | ']' => None,
        other => Some(other),
    }
}

/// Compares from the left; after a mismatch the last star takes one character more.
fn part_matches(pieces: &[Piece], text: &[char]) -> bool {
    let (mut at_piece, mut at_text) = (0, 0);
    let mut star = None;
    while at_text < text.len() {
        match pieces.get(at_piece) {
            Some(Piece::Star) => {
                star = Some((at_piece, at_text));
                at_piece += 1;
                continue;
            }
            Some(piece) if takes(piece, text[at_text]) => {
                at_piece += 1;
                at_text += 1;
                continue;
            }
            _ => {}
        }
        let Some((piece, taken)) = star else {
            return false;
        };
        star = Some((piece, taken + 1));
        at_piece = piece + 1;
        at_text = taken + 1;
    }
    pieces[at_piece..].iter().all(|piece| *piece == Piece::Star)
}

fn takes(piece: &Piece, found: char) -> bool {
    match piece {
        Piece::Star | Piece::Any => true,
        Piece::One(one) => *one == found,
        Piece::Class(is_negative, ranges) => {
            let is_in = ranges
                .iter()
                .any(|(low, high)| (*low..=*high).contains(&found));
            is_in != *is_negative
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).expect("a pattern").matches(text)
    }

    #[test]
    fn patterns_stay_within_a_part_of_the_name() {
        for (pattern, text) in [
            ("abc", "abc"),
            ("*", "abc"),
            ("a*", "a"),
            ("a*/b", "abc/b"),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f"),
            ("ab[c]", "abc"),
            ("ab[b-d]", "abc"),
            ("ab[^e-g]", "abc"),
            ("a\\*b", "a*b"),
            ("a???b", "axyzb"),
            ("[\\]a]", "]"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a*", "ab/c"),
            ("a*/b", "a/c/b"),
            ("a?b", "a/b"),
            ("ab[e-g]", "abc"),
            ("*x", "xxxy"),
            ("app", "app2"),
            ("*", "team/app"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
        for wrong in ["[]a]", "[", "[^", "[-]", "[a-]", "a\\", "[a"] {
            assert_eq!(Pattern::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let pattern = "*a".repeat(2000);
        assert!(!matches(&pattern, &"a".repeat(1500)));
    }
}
