//! What the bench is asked to do.

use anyhow::{Context as _, Result, bail};

use crate::scenarios::PARTS;

/// Text of `--help`.
pub(crate) const HELP: &str = "\
Usage: cargo xtask bench [OPTIONS] [ROUNDS]

ROUNDS            how often each quick command is timed (default 15)

  --containers N  how many containers run at once (default 200)
  --only PARTS    only these parts, divided by commas; of basics, life, publish, streams, files, local,
                  crowd, fleet
  --json          print JSON instead of a table
";

/// What the bench is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) rounds: usize,
    pub(crate) containers: usize,
    pub(crate) parts: Vec<String>,
    pub(crate) json: bool,
    pub(crate) help: bool,
}

impl Arguments {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// When a word is unknown or a number is none.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut arguments = Self {
            rounds: 15,
            containers: 200,
            parts: PARTS.iter().map(|(name, _)| (*name).to_owned()).collect(),
            json: false,
            help: false,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .with_context(|| format!("{word} needs a value"))
            };
            match word.as_str() {
                "-h" | "--help" => arguments.help = true,
                "--json" => arguments.json = true,
                "--containers" => arguments.containers = number(&value()?)?,
                "--only" => arguments.parts = parts(&value()?)?,
                rounds => arguments.rounds = number(rounds)?,
            }
        }
        Ok(arguments)
    }

    /// Says whether a part is to be measured.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.parts.iter().any(|wanted| wanted == part)
    }
}

fn parts(text: &str) -> Result<Vec<String>> {
    let parts: Vec<String> = text.split(',').map(str::to_owned).collect();
    let is_unknown = |part: &&String| PARTS.iter().all(|(name, _)| name != part);
    match parts.iter().find(is_unknown) {
        Some(unknown) => bail!("no such part: {unknown}"),
        None => Ok(parts),
    }
}

fn number(text: &str) -> Result<usize> {
    match text.parse() {
        Ok(0) | Err(_) => bail!("not a number above 0: {text}"),
        Ok(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments> {
        Arguments::parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn words_are_understood_in_any_order() {
        let arguments = parse(&["--only", "life,crowd", "3", "--containers", "20", "--json"]);
        let arguments = arguments.expect("arguments");
        assert_eq!((arguments.rounds, arguments.containers), (3, 20));
        assert!(arguments.json && arguments.wants("crowd") && !arguments.wants("fleet"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [["--only", "lief"], ["--containers", "0"], ["--fast", "3"]] {
            parse(&wrong).expect_err("refused");
        }
        parse(&["--only"]).expect_err("no value");
    }
}
