//! Lists of processors and memory nodes, such as `0-2,7`.

use std::collections::BTreeSet;

/// Highest number that a list may name, as Docker's: lists come from strangers.
const HIGHEST: usize = 8192;

/// A text is no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidList {
    /// Not numbers and ranges.
    #[error("invalid format: {0}")]
    Format(String),
    /// A number beyond what any machine has.
    #[error("value of out range, maximum is {HIGHEST}")]
    Range,
}

/// Whether everything in `list` is also in `available`.
pub(super) fn is_within(list: &str, available: &str) -> Result<bool, InvalidList> {
    let asked = parse(list)?;
    // What the kernel tells is a list.
    let available = parse(available).unwrap_or_default();
    Ok(asked.is_subset(&available))
}

fn parse(list: &str) -> Result<BTreeSet<usize>, InvalidList> {
    let mut numbers = BTreeSet::new();
    if list.is_empty() {
        return Ok(numbers);
    }
    for part in list.split(',') {
        let wrong = || InvalidList::Format(part.to_owned());
        let number = |text: &str| text.parse::<usize>().map_err(|_not_one| wrong());
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if last < first {
            return Err(wrong());
        }
        if last > HIGHEST {
            return Err(InvalidList::Range);
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_compared_as_sets() {
        assert_eq!(is_within("0,1", "0-3"), Ok(true));
        assert_eq!(is_within("", "0-3"), Ok(true));
        assert_eq!(is_within("2-4", "0-3"), Ok(false));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for list in [
            "a",
            "1-",
            "-1",
            "3-1",
            "1,,2",
            "0-x",
            "1 ",
            "18446744073709551616",
        ] {
            assert!(
                matches!(is_within(list, "0-3"), Err(InvalidList::Format(_))),
                "{list}"
            );
        }
        assert_eq!(is_within("0-4294967295", "0"), Err(InvalidList::Range));
    }
}
