//! "did you mean …?"

/// The option closest to what was written, if it is close enough to be meant.
pub(super) fn suggestion(written: &str, options: &[&str], case_matters: bool) -> Option<String> {
    let fold = |text: &str| {
        if case_matters {
            text.to_owned()
        } else {
            text.to_lowercase()
        }
    };
    let folded = fold(written);
    let mut best: Option<(usize, String)> = None;
    for option in options {
        let option = fold(option);
        let distance = edit_distance(&folded, &option);
        if distance == 0 {
            return None;
        }
        // More than two changes are another word.
        if distance < best.as_ref().map_or(3, |(distance, _)| *distance) {
            best = Some((distance, option));
        }
    }
    let (_, option) = best?;
    let shouted =
        !case_matters && written != written.to_lowercase() && written == written.to_uppercase();
    Some(if shouted {
        option.to_uppercase()
    } else {
        option
    })
}

/// Levenshtein's distance.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, left) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, right) in right.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::{edit_distance, suggestion};

    #[test]
    fn distances_count_single_changes() {
        for (left, right, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("kitten", "sitting", 3),
            ("from", "form", 2),
        ] {
            assert_eq!(edit_distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn only_near_words_are_suggested_and_in_the_writers_case() {
        assert_eq!(
            suggestion("FORM", &["from", "run"], false).as_deref(),
            Some("FROM")
        );
        assert_eq!(
            suggestion("mont", &["mount", "network"], true).as_deref(),
            Some("mount")
        );
        assert_eq!(suggestion("elephant", &["from"], false), None);
    }
}
