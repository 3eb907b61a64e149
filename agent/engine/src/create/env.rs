//! Environments: lists of `NAME=value` in which later words win and order is kept.

/// `PATH` of a process whose image sets none, as Docker's.
pub(crate) const DEFAULT_PATH: &str =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns `over` and what only `base` sets. A bare `NAME` in `over` removes the name.
pub(crate) fn merge(base: &[String], over: &[String]) -> Vec<String> {
    let mut merged: Vec<String> = Vec::with_capacity(base.len() + over.len());
    for word in over {
        // The last of two words for one name counts.
        merged.retain(|w| name(w) != name(word));
        merged.push(word.clone());
    }
    let missing: Vec<String> = base
        .iter()
        .filter(|b| !merged.iter().any(|m| name(m) == name(b)))
        .cloned()
        .collect();
    merged.extend(missing);
    merged.retain(|word| word.contains('='));
    merged
}

/// Returns `defaults` with the words of `config` in their places or after them.
pub(crate) fn layer(defaults: Vec<String>, config: &[String]) -> Vec<String> {
    let mut result = defaults;
    for word in config.iter().filter(|word| word.contains('=')) {
        match result.iter_mut().find(|r| name(r) == name(word)) {
            Some(slot) => slot.clone_from(word),
            None => result.push(word.clone()),
        }
    }
    result
}

/// Returns the value of `wanted` in an environment.
pub(crate) fn value<'a>(env: &'a [String], wanted: &str) -> Option<&'a str> {
    env.iter()
        .rev()
        .find_map(|word| word.split_once('=').filter(|(n, _)| *n == wanted))
        .map(|(_, v)| v)
}

fn name(word: &str) -> &str {
    word.split_once('=').map_or(word, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_callers_words_win_and_a_bare_name_removes() {
        let merged = merge(&words("A=1 B=2 C=3"), &words("B=x C D= B=y"));
        assert_eq!(merged, words("D= B=y A=1"));
    }

    #[test]
    fn defaults_keep_their_place() {
        let env = layer(words("PATH=/bin HOSTNAME=h"), &words("X=1 PATH=/own"));
        assert_eq!(env, words("PATH=/own HOSTNAME=h X=1"));
        assert_eq!(value(&env, "PATH"), Some("/own"));
        assert_eq!(value(&env, "PAT"), None);
    }
}
